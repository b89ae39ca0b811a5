//! Errors as JavaScript sees them: `Error` objects with a stable `name`.

use neuromesh::{Error, ErrorKind, engine::JobError};
use wasm_bindgen::JsValue;

pub(crate) fn named(name: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name(name);
    error.into()
}

pub(crate) fn to_js(error: &Error) -> JsValue {
    named(error.kind().name(), &error.to_string())
}

pub(crate) fn invalid(message: &str) -> JsValue {
    named(ErrorKind::InvalidInput.name(), message)
}

/// Name and message of whatever JavaScript threw.
pub(crate) fn thrown(value: &JsValue) -> (String, String) {
    use wasm_bindgen::JsCast;
    match value.dyn_ref::<js_sys::Error>() {
        Some(error) => (String::from(error.name()), String::from(error.message())),
        None => ("Error".into(), value.as_string().unwrap_or_else(|| format!("{value:?}"))),
    }
}

pub(crate) fn job_to_js(error: &JobError) -> JsValue {
    let name = match error {
        JobError::Missing(_) => "StorageError",
        JobError::InvalidModel(_) | JobError::TooLarge { .. } => "ModelInvalid",
        JobError::InvalidInput(_) => "InvalidInput",
        JobError::Plugin(_) => "PluginFailed",
        JobError::StorageFull(_) => "QuotaExceeded",
        JobError::Cancelled => "AbortError",
        JobError::Device(_) => "DeviceFailed",
        _ => "RunFailed",
    };
    named(name, &error.to_string())
}
