//! Progress of long work: a bar with an estimate on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use keyledger_ledger::Progress;

/// Where there is no terminal, a line is written at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Work that is done sooner shows nothing.
const SHOW_AFTER: Duration = Duration::from_millis(300);

/// Shows how far a piece of work is.
pub(crate) struct ProgressShown {
    what: &'static str,
    begun: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl ProgressShown {
    /// Work by this name begins.
    pub(crate) fn begin(what: &'static str) -> Self {
        let now = Instant::now();
        Self {
            what,
            begun: now,
            last_line: now,
            bar: None,
        }
    }

    /// This much is done.
    pub(crate) fn show(&mut self, progress: Progress) {
        if self.begun.elapsed() < SHOW_AFTER {
            return;
        }
        if !std::io::stderr().is_terminal() {
            if self.last_line.elapsed() >= LINE_EVERY {
                self.last_line = Instant::now();
                tracing::info!(
                    done = progress.done,
                    total = progress.total_estimate,
                    "{}",
                    self.what
                );
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(
                "{msg} [{wide_bar}] {human_pos}/{human_len} records, {eta} left",
            );
            let bar = ProgressBar::new(progress.total_estimate);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.with_message(self.what)
        });
        bar.set_length(progress.total_estimate.max(progress.done));
        bar.set_position(progress.done);
    }

    /// The work is done.
    pub(crate) fn end(self) -> Duration {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.begun.elapsed()
    }
}
