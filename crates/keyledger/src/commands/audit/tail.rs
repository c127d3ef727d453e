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

/// How long a server is left alone before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
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
        if let Log::Server(_) = log {
            printer.will_go_on();
        }
        let mut behind = tail.after.unwrap_or_default();
        if tail.after.is_some() {
            print_behind(log, &query, &mut behind, &mut printer)?;
        } else {
            behind = print_newest(log, &query, tail.lines, &mut printer)?;
        }
        match log {
            Log::Folder(_) => Ok(()),
            Log::Server(server) => follow(log, server, &query, behind, &mut printer),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what there is behind a position, which moves on with each that is printed: where a server breaks
/// off, nothing is printed twice.
fn print_behind(
    log: &Log,
    query: &Query,
    behind: &mut u64,
    printer: &mut Printer<impl Write>,
) -> Result<(), Box<dyn Error>> {
    let after = *behind;
    let up_to = log.read(query, after, AT_ONCE, &mut |_| (), &mut |entry| {
        printer.print(&entry)?;
        *behind = entry.position;
        Ok(ControlFlow::Continue(()))
    });
    printer.flush()?;
    *behind = up_to?.max(*behind);
    Ok(())
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

/// Prints what happens as the server, which has answered before, tells it. One that is away for a while is
/// waited for, and one without a stream, or without a place in it, is asked again and again.
fn follow(
    log: &Log,
    server: &ServerLog,
    query: &Query,
    mut behind: u64,
    printer: &mut Printer<impl Write>,
) -> Result<(), Box<dyn Error>> {
    let mut has_stream = true;
    let mut pause = PAUSE;
    loop {
        let told = if has_stream {
            server.follow(query, &mut behind, &mut |entry| {
                printer.print(entry)?;
                Ok(printer.flush()?)
            })
        } else {
            print_behind(log, query, &mut behind, printer)
        };
        match told {
            Ok(()) => pause = PAUSE,
            Err(error) if has_stream && lacks_stream(error.as_ref()) => {
                has_stream = false;
                continue;
            }
            Err(error) if may_pass(error.as_ref()) => {
                tracing::warn!("{}", with_causes(error.as_ref()));
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(pause);
    }
}

/// Whether pages may be had where a stream is not.
fn lacks_stream(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<AskError>() {
        Some(AskError::NoStream { .. }) => true,
        Some(AskError::Refused { status, .. }) => matches!(status, 404..=406 | 503),
        _ => false,
    }
}

fn may_pass(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<AskError>()
        .is_some_and(AskError::may_pass)
}
