//! In which form events are written.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use rustix::termios::tcgetwinsize;

use super::entry::Entry;
use super::table::Table;
use super::{csv, ocsf};
use crate::escape::visible_json;

/// The forms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line an event, aligned, for people.
    Table,
    /// One JSON object a line, as `GET /v1/events` tells it.
    Jsonl,
    /// RFC 4180, with a header; no cell is taken for a formula.
    Csv,
    /// One JSON object a line, by OCSF 1.3.0.
    Ocsf,
}

impl Format {
    /// What was asked for, or what suits whoever reads: a table on a terminal, JSON Lines elsewhere.
    pub(super) fn or_by_reader(asked: Option<Self>) -> Self {
        asked.unwrap_or(if io::stdout().is_terminal() {
            Self::Table
        } else {
            Self::Jsonl
        })
    }
}

/// Writes events one after the other.
pub(super) struct Printer<W> {
    out: W,
    form: Form,
}

enum Form {
    Table(Table),
    Jsonl,
    Csv,
    Ocsf,
}

impl<W: Write> Printer<W> {
    /// Begins, with a header where the form has one.
    pub(super) fn begin(format: Format, mut out: W) -> io::Result<Self> {
        let form = match format {
            Format::Table => Form::Table(Table::new(terminal_columns())),
            Format::Jsonl => Form::Jsonl,
            Format::Csv => {
                csv::write_header(&mut out)?;
                Form::Csv
            }
            Format::Ocsf => Form::Ocsf,
        };
        Ok(Self { out, form })
    }

    /// More comes after each flush, as long as somebody reads.
    pub(super) fn will_go_on(&mut self) {
        if let Form::Table(table) = &mut self.form {
            table.make_room();
        }
    }

    pub(super) fn print(&mut self, entry: &Entry) -> io::Result<()> {
        match &mut self.form {
            Form::Table(table) => table.add(entry, &mut self.out),
            Form::Jsonl => {
                let line = serde_json::to_string(entry)?;
                writeln!(self.out, "{}", visible_json(&line))
            }
            Form::Csv => csv::write(entry, &mut self.out),
            Form::Ocsf => ocsf::write(entry, &mut self.out),
        }
    }

    /// Lets whoever reads see all that was printed so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Form::Table(table) = &mut self.form {
            table.write(&mut self.out)?;
        }
        self.out.flush()
    }
}

/// How wide the terminal is that is written to; `None` where there is none, or it does not say.
fn terminal_columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
