//! `keyledger audit …`: what the ledger holds, and that it is whole. Works on a folder that no
//! server has; what reads the log asks a server too.

mod archive;
mod at;
mod csv;
mod diff;
mod entry;
mod export;
mod format;
mod key;
mod list;
pub(crate) mod log;
mod ocsf;
mod past;
mod proof;
mod reseal;
mod show;
mod table;
mod tail;
mod verify;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyledger_ledger::archive::ArchiveError;
use keyledger_ledger::folder::FolderError;
use keyledger_ledger::verify::{ResealError, VerifyError};
use keyledger_ledger::{OpenError, Progress};
use thiserror::Error;

use super::{Outcome, complain};
use crate::config::data_dir_or_default;
use crate::logging;
use crate::progress::ProgressShown;
use crate::remote::{AddressError, KeyError};

/// Look at the ledger and prove that it is whole.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Read every record, rebuild the Merkle tree and compare; print size and root.
    Verify(verify::Verify),
    /// Print the key that verifies the log's checkpoints, for verifiers to keep.
    Key(key::Key),
    /// Fetch the proof that an event is in the log, or check one that was fetched.
    #[command(subcommand)]
    Proof(proof::Proof),
    /// Move old segments away, to a disk that is slower or safer.
    Archive(archive::Archive),
    /// List events, the newest last.
    List(list::List),
    /// Show the event at a position with all that it tells.
    Show(show::Show),
    /// Show the last events and, of a server, those that follow.
    Tail(tail::Tail),
    /// Print the log for another program: JSON Lines, CSV or OCSF.
    Export(export::Export),
    /// Tell what a credential could do at a moment, where, and why not.
    At(at::At),
    /// Tell what changed between two moments: what came, what went, and each field before and after.
    Diff(diff::Diff),
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
        Audit::Verify(verify) => verify::run(&verify),
        Audit::Key(key) => key::run(&key),
        Audit::Proof(proof) => proof::run(&proof),
        Audit::Archive(archive) => archive::run(&archive),
        Audit::List(list) => list::run(list),
        Audit::Show(show) => show::run(&show),
        Audit::Tail(tail) => tail::run(tail),
        Audit::Export(export) => export::run(export),
        Audit::At(asked) => at::run(&asked),
        Audit::Diff(asked) => diff::run(&asked),
        Audit::Reseal(reseal) => reseal::run(&reseal),
    };
    match outcome {
        Err(error) if is_in_use(error.as_ref()) => Err(Box::new(HeldByServer(error))),
        Err(error) if is_usage(error.as_ref()) => {
            complain(error.as_ref());
            Ok(ExitCode::from(2))
        }
        outcome => outcome,
    }
}

/// Whether the command was not said rightly, as opposed to what it found.
fn is_usage(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<log::UnclearPlace>()
        || error.is::<AddressError>()
        || matches!(error.downcast_ref(), Some(KeyError::Missing))
}

/// Does long work and shows how far it is, unless that would come between the lines of what is
/// printed to the same terminal.
fn progress_beside_output<T>(
    what: &'static str,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> T,
) -> T {
    if std::io::stdout().is_terminal() {
        return work(&mut |_| ());
    }
    let mut shown = ProgressShown::begin(what);
    let done = work(&mut |progress| shown.show(progress));
    shown.end();
    done
}

/// A server has the folder; what it knows can be asked of it.
#[derive(Debug, Error)]
#[error(
    "a server has this folder. Ask it over HTTP, with GET /v1/events or --url, which `audit list`, `show`, \
     `tail` and `export` take, or stop it first"
)]
struct HeldByServer(#[source] Box<dyn std::error::Error>);

fn is_in_use(error: &(dyn std::error::Error + 'static)) -> bool {
    let folder = match error.downcast_ref::<VerifyError>() {
        Some(VerifyError::Folder(folder)) => Some(folder),
        _ => match error.downcast_ref::<OpenError>() {
            Some(OpenError::Folder(folder)) => Some(folder),
            _ => match error.downcast_ref::<ResealError>() {
                Some(ResealError::Verify(VerifyError::Folder(folder))) => Some(folder),
                _ => match error.downcast_ref::<ArchiveError>() {
                    Some(ArchiveError::Folder(folder)) => Some(folder),
                    _ => error.downcast_ref(),
                },
            },
        },
    };
    matches!(folder, Some(FolderError::FolderInUse { .. }))
}
