//! `keyledger audit …`: what the ledger holds, and that it is whole. Works on a folder that no
//! server has.

use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use keyledger_api::routes::events::EventView;
use keyledger_domain::Position;
use keyledger_ledger::folder::FolderError;
use keyledger_ledger::merkle::Hash;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::verify::{ResealError, VerifyError};
use keyledger_ledger::{Ledger, OpenError, OpenOptions, Opened, verify};
use ring::rand::SystemRandom;
use thiserror::Error;

use super::{Outcome, say};
use crate::clock::WallClock;
use crate::config::data_dir_or_default;
use crate::logging;
use crate::progress::ProgressShown;

/// Look at the ledger and prove that it is whole.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Read every record, rebuild the Merkle tree and compare; print size and root.
    Verify(Folder),
    /// Print every record as one JSON object a line.
    Export(Export),
    /// Accept the ledger as it is after damage: only if its root is the one you name.
    Reseal(Reseal),
}

#[derive(Args)]
pub(crate) struct Folder {
    /// The data folder [default: data/ledger].
    #[arg(long, env = "KEYLEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    folder: Folder,
    /// Begin behind this position.
    #[arg(long, default_value_t = 0, value_name = "POSITION")]
    after: u64,
}

#[derive(Args)]
pub(crate) struct Reseal {
    #[command(flatten)]
    folder: Folder,
    /// The root that `audit verify` printed, or that a checkpoint of yours has.
    #[arg(long, value_name = "ROOT")]
    root: String,
}

/// Runs one of them.
pub(crate) fn run(audit: Audit) -> Outcome {
    logging::begin_warnings(None);
    let outcome = match audit {
        Audit::Verify(folder) => verify_folder(&folder),
        Audit::Export(export) => export_folder(&export),
        Audit::Reseal(reseal) => reseal_folder(&reseal),
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

fn verify_folder(folder: &Folder) -> Outcome {
    let data_dir = data_dir_or_default(folder.data_dir.as_deref());
    let mut shown = ProgressShown::begin("Verifying the ledger");
    let verified = verify::verify(&data_dir, None, &mut |progress| shown.show(progress));
    shown.end();
    let verified = verified?;
    say(format_args!("size {}", verified.size))?;
    say(format_args!("root {}", verified.root))?;
    Ok(ExitCode::SUCCESS)
}

fn reseal_folder(reseal: &Reseal) -> Outcome {
    let data_dir = data_dir_or_default(reseal.folder.data_dir.as_deref());
    let root: Hash = reseal.root.parse()?;
    let mut shown = ProgressShown::begin("Verifying the ledger");
    let resealed = verify::reseal(&data_dir, root, &mut |progress| shown.show(progress));
    shown.end();
    let resealed = resealed?;
    say(format_args!(
        "resealed: size {}, root {}",
        resealed.size, resealed.root
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the records in the words of `GET /v1/events`.
fn export_folder(export: &Export) -> Outcome {
    let data_dir = data_dir_or_default(export.folder.data_dir.as_deref());
    let out = BufWriter::new(std::io::stdout().lock());
    export_to(&data_dir, export.after, out)?;
    Ok(ExitCode::SUCCESS)
}

fn export_to(data_dir: &Path, after: u64, out: impl Write) -> Result<(), Box<dyn Error>> {
    if !Paths::new(data_dir).head().exists() {
        return Err(format!("there is no ledger in {}", data_dir.display()).into());
    }
    let mut shown = ProgressShown::begin("Replaying the ledger");
    let opened = Ledger::open(
        &OpenOptions::new(data_dir),
        Arc::new(SystemRandom::new()),
        Arc::new(WallClock::new()),
        &mut |_| (),
        &mut |progress| shown.show(progress),
    )?;
    shown.end();
    let written = write_records(&opened, after, out);
    // Whoever stops listening half-way must not make the next start take this for a death.
    let closed = opened.close();
    written?;
    Ok(closed?)
}

fn write_records(opened: &Opened, after: u64, mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let from = Position::new(after.saturating_add(1));
    for record in opened.reader.range(from, opened.reader.last()) {
        let record = record?;
        let target = opened.directory.target_of(&record.event);
        let organization = record.organizations.first();
        let organization = organization.and_then(|id| opened.directory.org(*id));
        let item = EventView::of(
            &record,
            target,
            organization.map(|org| org.slug.to_string()),
        )?;
        serde_json::to_writer(&mut out, &item)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A pipe that nobody reads.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn an_export_leaves_a_ledger_that_was_stopped_well_as_one() {
        let folder = std::env::temp_dir().join(format!("keyledger-export-{}", std::process::id()));
        let manifest = Paths::new(&folder).manifest();
        assert!(export_to(&folder, 0, io::sink()).is_err(), "no ledger yet");
        let opened = Ledger::open(
            &OpenOptions::new(&folder),
            Arc::new(SystemRandom::new()),
            Arc::new(WallClock::new()),
            &mut |_| (),
            &mut |_| (),
        );
        opened.unwrap().close().unwrap();
        export_to(&folder, 0, io::sink()).unwrap();
        assert!(manifest.exists());
        assert!(export_to(&folder, 0, Closed).is_err(), "nobody listens");
        assert!(manifest.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
