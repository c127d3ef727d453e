//! `keyledger serve`.

use std::process::ExitCode;

use keyledger_api::server::Ended;

use super::Outcome;
use crate::config::{Bootstrap, ServeFlags};
use crate::{boot, logging};

/// Serves until a signal comes.
pub(crate) fn run(flags: ServeFlags) -> Outcome {
    let config = flags.resolve()?;
    let bootstrap = Bootstrap::from_environment()?;
    logging::begin(&config)?;
    match boot::serve(&config, bootstrap)? {
        Ended::ByRequest => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        // The log has the reason. The next start replays what is durable.
        Ended::LedgerStopped => Ok(ExitCode::FAILURE),
    }
}
