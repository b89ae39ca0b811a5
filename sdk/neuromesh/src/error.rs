//! The public error: opaque, with a stable kind.

use std::fmt;

use neuromesh_core::{
    payload::PayloadError,
    rooms::{GrantError, RoomError},
};

use crate::storage::StorageError;

/// What went wrong, for programs. JavaScript sees [`ErrorKind::name`] as the `Error`'s `name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller cancelled.
    Aborted,
    /// No peer holds the model, nor this one.
    ModelNotFound,
    /// Peers exist, but none may or can run this request.
    NoCandidate,
    /// The request's deadline passed.
    DeadlineExceeded,
    /// Parts of an answer were given, and then another text came; see
    /// [`RunError::Diverged`](neuromesh_core::mesh::RunError::Diverged).
    Diverged,
    /// The input breaks a rule or does not fit the model.
    InvalidInput,
    /// The model's files are damaged or no model.
    ModelInvalid,
    /// Reading or writing storage failed.
    Storage,
    /// The disk or the browser's quota is full.
    QuotaExceeded,
    /// Connections failed.
    Network,
    /// The mesh was closed.
    Closed,
    /// A node asks for a token to be in a room, and there is none that holds.
    RoomDenied,
    /// A plugin trapped or went over its limits.
    PluginFailed,
    /// Running the model failed everywhere it was tried.
    RunFailed,
}

impl ErrorKind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "AbortError",
            Self::ModelNotFound => "ModelNotFound",
            Self::NoCandidate => "NoCandidate",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Diverged => "Diverged",
            Self::InvalidInput => "InvalidInput",
            Self::ModelInvalid => "ModelInvalid",
            Self::Storage => "StorageError",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::Network => "NetworkError",
            Self::Closed => "Closed",
            Self::RoomDenied => "RoomDenied",
            Self::PluginFailed => "PluginFailed",
            Self::RunFailed => "RunFailed",
        }
    }
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the mesh is closed")
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::new(ErrorKind::InvalidInput, error.to_string())
    }
}

impl From<RoomError> for Error {
    fn from(error: RoomError) -> Self {
        let kind = match error {
            RoomError::Grant(GrantError::Malformed | GrantError::Version(_)) => ErrorKind::InvalidInput,
            RoomError::NoGrant | RoomError::Grant(_) => ErrorKind::RoomDenied,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        let kind = match error {
            StorageError::Full { .. } => ErrorKind::QuotaExceeded,
            _ => ErrorKind::Storage,
        };
        Self::new(kind, error.to_string())
    }
}
