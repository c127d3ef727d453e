//! `keyledger serve`.

use std::process::ExitCode;

use super::Outcome;
use crate::config::{Bootstrap, ServeFlags};
use crate::{boot, logging};

/// Serves until a signal comes.
pub(crate) fn run(flags: ServeFlags) -> Outcome {
    let config = flags.resolve()?;
    let bootstrap = Bootstrap::from_environment()?;
    logging::begin(&config)?;
    // A failure of the ledger is an error here; the next start replays what is durable.
    boot::serve(&config, bootstrap)?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
