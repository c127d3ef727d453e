//! `keyledger completions SHELL`.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Outcome;

/// Print the completions for a shell.
#[derive(Args)]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

/// Prints them.
pub(crate) fn run(completions: &Completions) -> Outcome {
    let mut command = crate::Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut command, "keyledger", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
