//! Keyledger issues, verifies, rotates and revokes the credentials of somebody else's API.
//!
//! This crate is the process: command line, configuration, boot, the only real clock and the only
//! real randomness. What it does is below it.

mod boot;
mod clock;
mod commands;
mod config;
mod escape;
mod logging;
mod open_files;
mod outside;
mod progress;
mod remote;
mod witness;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

/// A request takes and gives back a dozen small pieces of memory, for which glibc's allocator executes
/// about twice as much.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Issues, verifies, rotates and revokes the credentials of somebody else's API.
#[derive(Parser)]
#[command(name = "keyledger", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server. It needs no settings: folder and keys are made at the first start.
    Serve(config::ServeFlags),
    /// Look at the ledger and prove that it is whole.
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// Write everything that is recorded to one file, of a stopped folder or of a running server.
    Backup(commands::backup::Backup),
    /// Make a data folder of a backup.
    Restore(commands::backup::Restore),
    /// Make a new data folder of an old one whose store is damaged or lost.
    Rebuild(commands::backup::Rebuild),
    /// Look whether this machine and this data folder are fit, and say what to mend.
    Doctor(config::ServeFlags),
    /// Print the completions for a shell.
    Completions(commands::completions::Completions),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(flags) => commands::serve::run(flags),
        Command::Audit(audit) => commands::audit::run(audit),
        Command::Backup(backup) => commands::backup::back_up(&backup),
        Command::Restore(restore) => commands::backup::restore(&restore),
        Command::Rebuild(rebuild) => commands::backup::rebuild(&rebuild),
        Command::Doctor(flags) => commands::doctor::run(flags),
        Command::Completions(completions) => commands::completions::run(&completions),
    };
    match result {
        Ok(code) => code,
        // Whoever read the output has seen enough, as `head` does; cat says nothing either.
        Err(error) if commands::is_closed_pipe(error.as_ref()) => ExitCode::from(141),
        Err(error) => {
            commands::complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
