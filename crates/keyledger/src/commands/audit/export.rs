//! `keyledger audit export`: every record as one JSON object a line.

use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use keyledger_api::routes::events::EventView;
use keyledger_domain::Position;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Ledger, OpenOptions, Opened};
use ring::rand::SystemRandom;

use super::Folder;
use crate::clock::WallClock;
use crate::commands::Outcome;
use crate::progress::ProgressShown;

/// Which records.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    folder: Folder,
    /// Begin behind this position.
    #[arg(long, default_value_t = 0, value_name = "POSITION")]
    after: u64,
}

/// Prints the records in the words of `GET /v1/events`.
pub(super) fn run(export: &Export) -> Outcome {
    let out = BufWriter::new(std::io::stdout().lock());
    export_to(&export.folder.path(), export.after, out)?;
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
