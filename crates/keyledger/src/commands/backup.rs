//! `keyledger backup`, `restore` and `rebuild`: the ledger in one file, and a data folder out of it.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use keyledger_domain::Position;
use keyledger_ledger::credits_store::CreditsBook;
use keyledger_ledger::folder::FolderError;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::rebuild::Accepted;
use keyledger_ledger::{Ledger, OpenError, OpenOptions as LedgerOptions, Opened, backup, rebuild};
use ring::rand::SystemRandom;
use thiserror::Error;

use super::audit::log::{Found, Place};
use super::{Outcome, say};
use crate::clock::WallClock;
use crate::config::data_dir_or_default;
use crate::logging;
use crate::progress::ProgressShown;

/// Write everything that is recorded to one file, of a stopped folder or of a running server.
#[derive(Args)]
pub(crate) struct Backup {
    /// The file to write; it must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Leave out the master key, as a server always does. The backup tells less without it, and is of no use
    /// without it either: keep `keys/master.key` elsewhere.
    #[arg(long)]
    without_master_key: bool,
}

/// Make a data folder of a backup.
#[derive(Args)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data folder to make; empty, or not there yet [default: data/ledger].
    #[arg(long, env = "KEYLEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The master key (`keys/master.key`), where it is not in the backup.
    #[arg(long, value_name = "FILE")]
    master_key: Option<PathBuf>,
    /// Read the backup to its end and compare everything, but make nothing.
    #[arg(long)]
    check: bool,
}

/// Make a new data folder of an old one whose store is damaged or lost: of its segments, and of what can
/// still be read behind them.
#[derive(Args)]
pub(crate) struct Rebuild {
    /// The old data folder [default: data/ledger]. It is left as it is.
    #[arg(long, env = "KEYLEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The new one; empty, or not there yet.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Accept that the ledger ends here, although it had come further.
    #[arg(long, value_name = "POSITION")]
    accept_end: Option<u64>,
    /// Sign the records although they do not extend the checkpoint in the folder, or it cannot be read.
    /// Whoever kept a checkpoint will find that this ledger is another.
    #[arg(long)]
    give_up_checkpoint: bool,
}

/// Why there is no backup.
#[derive(Debug, Error)]
enum BackupFailure {
    #[error("{} cannot be made; name a file that is not there yet", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("there is no ledger in {}; name its folder with --data-dir, or a server with --url", .0.display())]
    NoLedger(PathBuf),
    #[error(
        "a server has this folder; name it with --url, and a key of an owner of its first organization"
    )]
    HeldByServer,
    #[error("the credit balances cannot be read, so no backup was made; the server's log says why")]
    NoCredits,
}

/// Writes a backup, and reads it again from its first byte to its last.
pub(crate) fn back_up(command: &Backup) -> Outcome {
    logging::begin_warnings(None);
    let found = command.place.find()?;
    let file = make(&command.file)?;
    let written = write(command, &found, file);
    if written.is_err() {
        // Half a backup is worse than none: somebody might rely on it.
        fs::remove_file(&command.file).ok();
    }
    written?;
    let shown = command.file.display();
    match found {
        Found::Server(_) => {
            say(format_args!(
                "{shown} is without the master key; `keyledger restore --check --master-key FILE {shown}` compares it"
            ))?;
        }
        Found::Folder(folder) => {
            let beside = Paths::new(&folder).master_key();
            let master_key = command.without_master_key.then_some(&*beside);
            let found = check(&command.file, master_key)?;
            say(format_args!("size {}", found.size))?;
            say(format_args!("root {}", found.root))?;
            if !command.without_master_key {
                say(format_args!(
                    "{shown} holds the master key: keep it as you keep the server itself"
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The file, readable by its owner only.
fn make(path: &Path) -> Result<File, BackupFailure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| BackupFailure::Make {
            path: path.to_owned(),
            source,
        })
}

fn write(command: &Backup, found: &Found, file: File) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    match found {
        Found::Server(remote) => {
            io::copy(&mut remote.download("/v1/backup")?, &mut out)?;
        }
        Found::Folder(folder) => write_folder(folder, !command.without_master_key, &mut out)?,
    }
    out.flush()?;
    Ok(out.get_ref().sync_all()?)
}

fn write_folder(
    data_dir: &Path,
    with_key_file: bool,
    out: &mut BufWriter<File>,
) -> Result<(), Box<dyn Error>> {
    let paths = Paths::new(data_dir);
    if !paths.head().exists() {
        return Err(BackupFailure::NoLedger(data_dir.to_owned()).into());
    }
    let mut shown = ProgressShown::begin("Replaying the ledger");
    let opened = Ledger::open(
        &LedgerOptions::new(data_dir),
        Arc::new(SystemRandom::new()),
        Arc::new(WallClock::new()),
        &mut |_| (),
        &mut |progress| shown.show(progress),
    );
    shown.end();
    if let Err(OpenError::Folder(FolderError::FolderInUse { .. })) = opened {
        return Err(BackupFailure::HeldByServer.into());
    }
    let opened = opened?;
    let written = write_opened(&opened, &paths, with_key_file, out);
    // However it went, the next start must not take this for a death.
    let closed = opened.close();
    written?;
    Ok(closed?)
}

fn write_opened(
    opened: &Opened,
    paths: &Paths,
    with_key_file: bool,
    out: &mut BufWriter<File>,
) -> Result<(), Box<dyn Error>> {
    let credits = if paths.credits().exists() {
        let (book, thread) = CreditsBook::open(paths, &opened.key_file)?;
        let rows = book.rows();
        thread.stop();
        rows.ok_or(BackupFailure::NoCredits)?
    } else {
        Vec::new()
    };
    opened.back_up(&credits, with_key_file, out)?;
    Ok(())
}

fn open(path: &Path) -> Result<BufReader<File>, BackupFailure> {
    let file = File::open(path).map_err(|source| BackupFailure::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn check(file: &Path, key_file: Option<&Path>) -> Result<backup::BackedUp, Box<dyn Error>> {
    let mut shown = ProgressShown::begin("Reading the backup");
    let found = backup::verify(open(file)?, key_file, &mut |progress| shown.show(progress));
    shown.end();
    Ok(found?)
}

/// Makes a folder of a backup, or only looks whether it could.
pub(crate) fn restore(command: &Restore) -> Outcome {
    logging::begin_warnings(None);
    let key_file = command.master_key.as_deref();
    let data_dir = data_dir_or_default(command.data_dir.as_deref());
    let found = if command.check {
        check(&command.file, key_file)?
    } else {
        let mut shown = ProgressShown::begin("Restoring the ledger");
        let show = &mut |progress| shown.show(progress);
        let restored = backup::restore(open(&command.file)?, key_file, &data_dir, show);
        shown.end();
        restored?
    };
    say(format_args!("size {}", found.size))?;
    say(format_args!("root {}", found.root))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a new folder of what an old one still has.
pub(crate) fn rebuild(command: &Rebuild) -> Outcome {
    logging::begin_warnings(None);
    let data_dir = data_dir_or_default(command.data_dir.as_deref());
    let mut shown = ProgressShown::begin("Rebuilding the ledger");
    let accepted = Accepted {
        end: command.accept_end.map(Position::new),
        checkpoint_given_up: command.give_up_checkpoint,
    };
    let show = &mut |progress| shown.show(progress);
    let rebuilt = rebuild::rebuild(&data_dir, &command.into, accepted, show);
    shown.end();
    let rebuilt = rebuilt?;
    say(format_args!("size {}", rebuilt.size))?;
    say(format_args!("root {}", rebuilt.root))?;
    Ok(ExitCode::SUCCESS)
}
