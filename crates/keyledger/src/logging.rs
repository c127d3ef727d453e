//! Log lines: for people on a terminal, one JSON object a line otherwise. Always to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Begins to log.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn begin(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("the log filter \"{}\" is not right: {error}", config.log))?;
    write_lines(filter, config.log_format);
    Ok(())
}

/// Begins to log the warnings and errors of a command that is no server.
pub(crate) fn begin_warnings(format: Option<LogFormat>) {
    write_lines(EnvFilter::new("warn"), format);
}

fn write_lines(filter: EnvFilter, format: Option<LogFormat>) {
    let by_terminal = if std::io::stderr().is_terminal() {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format.unwrap_or(by_terminal) {
        LogFormat::Pretty => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
