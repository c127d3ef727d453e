//! What `audit at` and `audit diff` have in common: a folder that is opened to ask about the past.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Ledger, Moment, OpenOptions, Past, Recalled, Then};
use ring::rand::SystemRandom;

use crate::clock::WallClock;
use crate::progress::ProgressShown;

/// The past of a folder, for as long as it takes to ask.
pub(super) struct Asking {
    past: Past,
    recalled: Recalled,
}

impl Asking {
    /// The state at a moment; the last one where none is named.
    pub(super) fn then(&mut self, moment: Option<Moment>) -> Result<Then, Box<dyn Error>> {
        let moment = moment.unwrap_or(Moment::Position(self.past.last()));
        Ok(self.past.find(moment, &mut self.recalled)?)
    }
}

/// Opens a folder, asks, and closes it as it was.
pub(super) fn ask<T>(
    data_dir: &Path,
    question: impl FnOnce(&mut Asking) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
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
    let answer = question(&mut Asking {
        past: opened.past(),
        recalled: Recalled::default(),
    });
    // An answer that is none must not make the next start take this for a death.
    let closed = opened.close();
    let answer = answer?;
    closed?;
    Ok(answer)
}
