//! The log at a server.

use std::error::Error;

use keyledger_ledger::Progress;
use serde::Deserialize;

use super::{NoSuchEvent, Query, Take};
use crate::commands::audit::entry::Entry;
use crate::remote::{AskError, Remote};

/// The largest page that a server gives.
const PAGE_MAX: usize = 1_000;

/// A page of `GET /v1/events`.
#[derive(Deserialize)]
struct Page {
    items: Vec<Entry>,
    next: Option<String>,
}

/// What `GET /health/ready` says.
#[derive(Deserialize)]
struct Ready {
    position: u64,
}

pub(in crate::commands::audit) struct ServerLog {
    remote: Remote,
}

impl ServerLog {
    pub(super) fn of(remote: Remote) -> Self {
        Self { remote }
    }

    /// Reads on until the server has no more, or enough were taken; the position behind which
    /// there may be more later.
    pub(super) fn read(
        &self,
        query: &Query,
        after: u64,
        at_once: usize,
        progress: &mut dyn FnMut(Progress),
        take: &mut Take<'_>,
    ) -> Result<u64, Box<dyn Error>> {
        let asked: Vec<_> = query
            .named()
            .map(|(name, asked)| (name, asked.to_owned()))
            .collect();
        let limit = at_once.clamp(1, PAGE_MAX).to_string();
        let (mut behind, mut last) = (after, None);
        loop {
            let begun = behind;
            let mut asked = asked.clone();
            asked.push(("after", begun.to_string()));
            asked.push(("limit", limit.clone()));
            let page: Page = self.remote.get("/v1/events", &asked)?;
            for entry in page.items {
                behind = behind.max(entry.position);
                if take(entry)?.is_break() {
                    return Ok(behind);
                }
            }
            // A server that does not go on would keep us here for ever.
            let next = page.next.and_then(|next| next.parse::<u64>().ok());
            let Some(next) = next.filter(|next| *next > begun) else {
                return Ok(behind);
            };
            behind = behind.max(next);
            let last = *last.get_or_insert_with(|| self.last().unwrap_or_default());
            progress(Progress {
                done: behind.saturating_sub(after),
                total_estimate: last.max(behind).saturating_sub(after),
            });
        }
    }

    /// Takes what happens behind a position, as it happens, until the server ends the stream; the position
    /// moves on with what was taken.
    ///
    /// # Errors
    /// [`AskError`] where the server does not tell, or no more.
    pub(in crate::commands::audit) fn follow(
        &self,
        query: &Query,
        behind: &mut u64,
        take: &mut impl FnMut(&Entry) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut asked: Vec<_> = query
            .named()
            .map(|(name, asked)| (name, asked.to_owned()))
            .collect();
        asked.push(("after", behind.to_string()));
        self.remote
            .follow("/v1/events/stream", &asked, &mut |sent| {
                if !sent.data.is_empty() {
                    let entry = serde_json::from_str(&sent.data);
                    take(&entry.map_err(|error| self.remote.foreign(error))?)?;
                }
                *behind = sent.id.parse().map_or(*behind, |id: u64| id.max(*behind));
                Ok(())
            })
    }

    pub(super) fn one(&self, position: u64) -> Result<Entry, Box<dyn Error>> {
        let path = format!("/v1/events/{position}");
        self.remote.get(&path, &[]).map_err(|error| {
            if matches!(error, AskError::Refused { status: 404, .. }) {
                NoSuchEvent(position).into()
            } else {
                error.into()
            }
        })
    }

    pub(super) fn last(&self) -> Result<u64, Box<dyn Error>> {
        let ready: Ready = self.remote.get("/health/ready", &[])?;
        Ok(ready.position)
    }
}
