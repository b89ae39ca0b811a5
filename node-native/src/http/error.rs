//! Refusals.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use neuromesh::ErrorKind;
use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    name: &'static str,
    message: String,
}

impl ApiError {
    /// A refusal with a stable name.
    pub fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::InvalidInput.name(), message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
    }

    pub(super) fn too_long() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, ErrorKind::DeadlineExceeded.name(), "the run took too long")
    }

    pub(super) fn body(&self) -> Value {
        json!({"error": {"name": self.name, "message": self.message}})
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let text = format!("body over {limit} bytes; send only the parts of a file that the model reads");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", text)
    }
}

impl From<neuromesh::Error> for ApiError {
    fn from(error: neuromesh::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorKind::ModelNotFound => StatusCode::NOT_FOUND,
            ErrorKind::ModelInvalid => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::NoCandidate | ErrorKind::Closed | ErrorKind::Aborted => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Network => StatusCode::BAD_GATEWAY,
            ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.kind().name(), error.to_string())
    }
}

impl From<neuromesh::storage::StorageError> for ApiError {
    fn from(error: neuromesh::storage::StorageError) -> Self {
        use neuromesh::storage::StorageError;
        let (status, kind) = match error {
            StorageError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, ErrorKind::QuotaExceeded),
            StorageError::Missing { .. } => (StatusCode::NOT_FOUND, ErrorKind::Storage),
            StorageError::DigestMismatch { .. } | StorageError::SizeMismatch { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::ModelInvalid)
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Storage),
        };
        Self::new(status, kind.name(), error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

pub(super) async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this address")
}

pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this address does not take this method")
}
