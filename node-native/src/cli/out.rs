//! What commands print: text for people, JSON for programs, and failures.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use crate::{client::ClientError, models::ImportError};

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    pub json: bool,
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    name: String,
    message: String,
    /// Whether the document that was printed tells it too; there is one document only.
    is_told: bool,
}

impl Out {
    /// One document: JSON, or what `text` says.
    pub fn print(self, json: &Value, text: impl FnOnce() -> String) {
        let text = if self.json { json.to_string() } else { text() };
        // A reader that went away (`| head`) is no failure.
        let _ = writeln!(io::stdout().lock(), "{text}").and_then(|()| io::stdout().flush());
    }

    pub fn fail(self, failure: &Failure) -> ExitCode {
        if self.json {
            if !failure.is_told {
                let error = json!({"error": {"name": failure.name, "message": failure.message}});
                let _ = writeln!(io::stdout(), "{error}");
            }
        } else {
            let _ = writeln!(io::stderr(), "error: {}", failure.message);
        }
        ExitCode::FAILURE
    }
}

impl Failure {
    pub fn new(name: impl Into<String>, message: impl Display) -> Self {
        Self { name: name.into(), message: message.to_string(), is_told: false }
    }

    /// The same, where the document that was printed tells it.
    pub fn told(self) -> Self {
        Self { is_told: true, ..self }
    }

    pub fn other(message: impl Display) -> Self {
        Self::new("Error", message)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { name, message, .. } => Self::new(name, message),
            error => Self::new("NetworkError", error),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::new(error.name(), &error)
    }
}

impl From<neuromesh::Error> for Failure {
    fn from(error: neuromesh::Error) -> Self {
        Self::new(error.kind().name(), error)
    }
}
