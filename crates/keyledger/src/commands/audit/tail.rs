//! `keyledger audit tail`: the last events, and at a server those that follow.

use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::entry::Entry;
use super::format::{Format, Printer};
use super::log::{Log, Place, Query, ServerLog, When, Which};
use crate::commands::{Outcome, with_causes};
use crate::remote::AskError;

/// How often a server is asked what is new.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The longest pause after a server did not answer.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How many events a server is asked for at once.
const AT_ONCE: usize = 1_000;
/// How many positions are looked through for the last events; where they are rare, ever more.
const STRETCH: u64 = 1_000;

/// Which events, and how they are shown.
#[derive(Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    which: Which,
    /// Begin with so many of those that were.
    #[arg(long, short = 'n', default_value_t = 10)]
    lines: usize,
    /// Begin with all behind this position.
    #[arg(long, value_name = "POSITION", conflicts_with = "lines")]
    after: Option<u64>,
    /// In this form [default: a table on a terminal, JSON Lines elsewhere].
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Prints the last ones and, at a server, goes on until it is stopped. A folder that no server has gets no
/// new ones.
pub(super) fn run(tail: Tail) -> Outcome {
    let format = Format::or_by_reader(tail.format);
    let mut printer = Printer::begin(format, std::io::stdout().lock())?;
    let query = Query {
        which: tail.which,
        when: When::default(),
    };
    tail.place.read(|log| {
        let mut behind = match tail.after {
            Some(after) => after,
            None => print_newest(log, &query, tail.lines, &mut printer)?,
        };
        match log {
            Log::Folder(_) if tail.after.is_none() => Ok(()),
            Log::Folder(_) => {
                log.read(&query, behind, AT_ONCE, &mut |_| (), &mut |entry| {
                    printer.print(&entry)?;
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(printer.flush()?)
            }
            Log::Server(server) => follow(server, &query, &mut behind, &mut printer),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the last events that are asked for; up to where they go.
fn print_newest(
    log: &Log,
    query: &Query,
    count: usize,
    printer: &mut Printer<impl Write>,
) -> Result<u64, Box<dyn Error>> {
    let last = log.last()?;
    let mut stretch = STRETCH;
    let mut newest: VecDeque<Entry> = VecDeque::new();
    if count == 0 {
        return Ok(last);
    }
    loop {
        newest.clear();
        let after = last.saturating_sub(stretch);
        log.read(query, after, AT_ONCE, &mut |_| (), &mut |entry| {
            // Those that come meanwhile are for the next question.
            if entry.position > last {
                return Ok(ControlFlow::Break(()));
            }
            if newest.len() == count {
                newest.pop_front();
            }
            newest.push_back(entry);
            Ok(ControlFlow::Continue(()))
        })?;
        if newest.len() == count || after == 0 {
            break;
        }
        stretch = stretch.saturating_mul(10);
    }
    for entry in &newest {
        printer.print(entry)?;
    }
    printer.flush()?;
    Ok(last)
}

/// Asks a server again and again. One that is away for a while is waited for.
fn follow(
    server: &ServerLog,
    query: &Query,
    behind: &mut u64,
    printer: &mut Printer<impl Write>,
) -> Result<(), Box<dyn Error>> {
    let mut has_answered = false;
    let mut pause = POLL_EVERY;
    loop {
        let begun = *behind;
        let read = server.read(query, begun, AT_ONCE, &mut |_| (), &mut |entry| {
            printer.print(&entry)?;
            *behind = entry.position;
            Ok(ControlFlow::Continue(()))
        });
        printer.flush()?;
        match read {
            Ok(up_to) => {
                *behind = up_to;
                has_answered = true;
                pause = POLL_EVERY;
            }
            Err(error) if has_answered && may_pass(error.as_ref()) => {
                tracing::warn!("{}", with_causes(error.as_ref()));
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(pause);
    }
}

fn may_pass(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<AskError>()
        .is_some_and(AskError::may_pass)
}
