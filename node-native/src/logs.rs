//! Log lines, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// A filter of log lines is none.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {text:?}: {source}; say error, warn, info, debug, trace, or like `info,neuromesh=debug`")]
pub struct LogError {
    text: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts to print log lines that `level` lets through. A second call changes nothing.
///
/// # Errors
/// [`LogError`].
pub fn start(level: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(level).map_err(|source| LogError { text: level.to_owned(), source })?;
    let colors = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colors).with_writer(std::io::stderr);
    // Only a second call fails, in tests that start many nodes.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}
