//! `keyledger audit list`: events that are asked for, the newest last.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;

use super::format::{Format, Printer};
use super::log::{Place, Query, When, Which};
use super::progress_beside_output;
use crate::commands::Outcome;

/// Which events, and how they are shown.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    when: When,
    /// Begin behind this position.
    #[arg(long, default_value_t = 0, value_name = "POSITION")]
    after: u64,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// In this form [default: a table on a terminal, JSON Lines elsewhere].
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Prints them, and says where to go on if there are more.
pub(super) fn run(list: List) -> Outcome {
    let format = Format::or_by_reader(list.format);
    let mut printer = Printer::begin(format, BufWriter::new(std::io::stdout().lock()))?;
    let query = Query {
        which: list.which,
        when: list.when,
    };
    // One more than is shown tells whether there are more.
    let at_once = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let at_once = at_once.saturating_add(1);
    let (mut count, mut behind, mut has_more) = (0, list.after, false);
    list.place.read(|log| {
        progress_beside_output("Reading the log", |progress| {
            log.read(&query, list.after, at_once, progress, &mut |entry| {
                if count == list.limit {
                    has_more = true;
                    return Ok(ControlFlow::Break(()));
                }
                printer.print(&entry)?;
                count += 1;
                behind = entry.position;
                Ok(ControlFlow::Continue(()))
            })
        })?;
        Ok(printer.flush()?)
    })?;
    if has_more {
        // If standard error is closed there is nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "keyledger: there are more; go on with --after {behind}"
        );
    }
    Ok(ExitCode::SUCCESS)
}
