//! What `audit at` and `audit diff` have in common: a folder that is opened to ask about the past, and words
//! that disturb no terminal.

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

/// Text for a terminal: what could move the cursor or turn the reading direction is written out.
pub(super) fn harmless(text: &str) -> String {
    let is_unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut told = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            told.extend(c.escape_unicode());
        } else {
            told.push(c);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n118_what_is_told_on_a_terminal_moves_nothing() {
        let told = harmless("ci\r\n\u{1b}[31m\u{202e}\u{feff}ok Öl");
        assert_eq!(told, "ci\\u{d}\\u{a}\\u{1b}[31m\\u{202e}\\u{feff}ok Öl");
    }
}
