//! `keyledger audit export`: the whole log, or a stretch of it, for another program to read.

use std::io::BufWriter;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::format::{Format, Printer};
use super::log::{Place, Query, When, Which};
use super::progress_beside_output;
use crate::commands::Outcome;

/// How many events a server is asked for at once.
const AT_ONCE: usize = 1_000;

/// Which events, and in which form.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    when: When,
    /// Begin behind this position.
    #[arg(long, default_value_t = 0, value_name = "POSITION")]
    after: u64,
    /// In this form: JSON Lines as `GET /v1/events` tells them, CSV (RFC 4180), or OCSF 1.3.0.
    #[arg(long, default_value = "jsonl", value_parser = for_programs())]
    format: Format,
}

/// The forms that programs read.
fn for_programs() -> impl clap::builder::IntoResettable<clap::builder::ValueParser> {
    let names = PossibleValuesParser::new(["jsonl", "csv", "ocsf"]);
    names.try_map(|name| Format::from_str(&name, false))
}

/// Prints them all.
pub(super) fn run(export: Export) -> Outcome {
    let out = BufWriter::new(std::io::stdout().lock());
    let mut printer = Printer::begin(export.format, out)?;
    let query = Query {
        which: export.which,
        when: export.when,
    };
    export.place.read(|log| {
        progress_beside_output("Exporting the log", |progress| {
            log.read(&query, export.after, AT_ONCE, progress, &mut |entry| {
                printer.print(&entry)?;
                Ok(ControlFlow::Continue(()))
            })
        })?;
        Ok(printer.flush()?)
    })?;
    Ok(ExitCode::SUCCESS)
}
