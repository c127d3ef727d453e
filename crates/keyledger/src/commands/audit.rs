//! `keyledger audit …`: what the ledger holds, and that it is whole. Works on a folder that no
//! server has.

mod export;
mod reseal;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyledger_ledger::OpenError;
use keyledger_ledger::folder::FolderError;
use keyledger_ledger::verify::{ResealError, VerifyError};
use thiserror::Error;

use super::Outcome;
use crate::config::data_dir_or_default;
use crate::logging;

/// Look at the ledger and prove that it is whole.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Read every record, rebuild the Merkle tree and compare; print size and root.
    Verify(Folder),
    /// Print every record as one JSON object a line.
    Export(export::Export),
    /// Accept the ledger as it is after damage: only if its root is the one you name.
    Reseal(reseal::Reseal),
}

/// Which folder.
#[derive(Args)]
pub(crate) struct Folder {
    /// The data folder [default: data/ledger].
    #[arg(long, env = "KEYLEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Folder {
    fn path(&self) -> PathBuf {
        data_dir_or_default(self.data_dir.as_deref())
    }
}

/// Runs one of them.
pub(crate) fn run(audit: Audit) -> Outcome {
    logging::begin_warnings(None);
    let outcome = match audit {
        Audit::Verify(folder) => verify::run(&folder),
        Audit::Export(export) => export::run(&export),
        Audit::Reseal(reseal) => reseal::run(&reseal),
    };
    outcome.map_err(|error| {
        if is_in_use(error.as_ref()) {
            Box::new(HeldByServer(error))
        } else {
            error
        }
    })
}

/// A server has the folder; what it knows can be asked of it.
#[derive(Debug, Error)]
#[error(
    "a server has this folder. Ask it over HTTP, with GET /v1/events or GET /health/ready, or stop it \
     first"
)]
struct HeldByServer(#[source] Box<dyn std::error::Error>);

fn is_in_use(error: &(dyn std::error::Error + 'static)) -> bool {
    let folder = match error.downcast_ref::<VerifyError>() {
        Some(VerifyError::Folder(folder)) => Some(folder),
        _ => match error.downcast_ref::<OpenError>() {
            Some(OpenError::Folder(folder)) => Some(folder),
            _ => match error.downcast_ref::<ResealError>() {
                Some(ResealError::Verify(VerifyError::Folder(folder))) => Some(folder),
                _ => None,
            },
        },
    };
    matches!(folder, Some(FolderError::FolderInUse { .. }))
}
