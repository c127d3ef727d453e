//! `keyledger completions SHELL`.

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
    clap_complete::generate(
        completions.shell,
        &mut command,
        "keyledger",
        &mut std::io::stdout(),
    );
    Ok(ExitCode::SUCCESS)
}
