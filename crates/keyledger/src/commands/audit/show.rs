//! `keyledger audit show`: one event with all that it tells.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;

use super::format::{Format, Printer};
use super::log::Place;
use crate::commands::{Outcome, say};
use crate::escape::visible_json;

/// Which event, and how it is shown.
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    place: Place,
    /// Its position.
    position: u64,
    /// In this form [default: JSON over several lines on a terminal, in one elsewhere].
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Prints it.
pub(super) fn run(show: &Show) -> Outcome {
    let entry = show.place.read(|log| log.one(show.position))?;
    let out = std::io::stdout();
    if show.format.is_none() && out.is_terminal() {
        say(visible_json(&serde_json::to_string_pretty(&entry)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let format = show.format.unwrap_or(Format::Jsonl);
    let mut printer = Printer::begin(format, out.lock())?;
    printer.print(&entry)?;
    printer.flush()?;
    Ok(ExitCode::SUCCESS)
}
