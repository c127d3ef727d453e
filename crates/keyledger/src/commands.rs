//! One file a command.

pub(crate) mod audit;
pub(crate) mod backup;
mod certificate;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod serve;

use std::error::Error;
use std::io::Write;

/// What every command gives: its exit code, or what went wrong.
pub(crate) type Outcome = Result<std::process::ExitCode, Box<dyn Error>>;

/// Tells what went wrong and why, cause by cause, on standard error.
pub(crate) fn complain(error: &dyn Error) {
    // If standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "keyledger: {}", with_causes(error));
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// Whether an error is that nobody reads the output any more.
pub(crate) fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Writes a line of a command's result to standard output.
///
/// # Errors
/// When it is closed.
pub(crate) fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
