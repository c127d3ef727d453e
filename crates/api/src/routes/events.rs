//! `/v1/events`: the audit log of the organizations whose log the caller may read.
//!
//! Records are read from the disk, so it is done on a thread of its own and only as far as
//! `scan::EXAMINED_MAX` says: whoever verifies a key meanwhile does not feel it.

pub(crate) mod changes;
mod filter;
mod reading;
mod scan;
mod selection;
mod stream;
mod view;

use std::io;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{HttpResponse, web};
use keyledger_domain::id::OrgId;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Authority, Directory, Position, Record, Target};
use keyledger_ledger::ReadError;
use keyledger_ledger::store::ReadError as StoreError;

use crate::answer::Page;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::organization;
use changes::Trail;
pub use filter::EventQuery;
use filter::{Filter, Wanted};
pub use selection::Selection;
pub(crate) use stream::Streams;
pub use stream::{__path_stream_events, stream_events};
pub use view::EventView;

/// Up to which record the index of events was written.
const KEYLEDGER_INDEXED: HeaderName = HeaderName::from_static("keyledger-indexed");
/// The last record that was moved away.
const KEYLEDGER_ARCHIVED: HeaderName = HeaderName::from_static("keyledger-archived");

/// The log that a caller may read.
struct Log {
    app: web::Data<App>,
    authority: Authority,
    /// The organizations, the oldest first, with their slugs.
    orgs: Vec<(OrgId, String)>,
    /// The last record when they had the right to it. Whoever waits for a place may have lost it by
    /// then, and reads nothing that came after.
    last: Position,
}

impl Log {
    /// The log of all organizations where the caller has the right, or of the one they named.
    fn of(
        app: &web::Data<App>,
        directory: &Directory,
        caller: &Caller,
        named: Option<&str>,
    ) -> Result<Self, Problem> {
        let orgs = organization::all(directory, caller, named, built_in::AUDIT_READ)?;
        Ok(Self {
            app: app.clone(),
            authority: *caller.authority(),
            orgs: orgs
                .iter()
                .map(|org| (org.id, org.slug.to_string()))
                .collect(),
            last: directory.position(),
        })
    }

    /// The organization through which the caller reads a record, with its slug.
    fn org_of(&self, record: &Record) -> Option<&(OrgId, String)> {
        let mut orgs = self.orgs.iter();
        orgs.find(|(id, _)| record.organizations.contains(id))
    }

    /// Whether the caller's credential sees what a record is about.
    fn sees(&self, target: Target) -> bool {
        let directory = self.app.directory();
        view::sees(&directory, &self.authority, target)
    }

    fn target_of(&self, record: &Record) -> Target {
        self.app.directory().target_of(&record.event)
    }

    fn read(&self, position: Position) -> Result<Option<Record>, ReadError> {
        self.app.reader().get(position)
    }

    /// A page of what is wanted, and up to which record the index was written when it was looked for.
    fn page(&self, filter: &Filter) -> Result<Page<EventView>, Problem> {
        let wanted = &filter.wanted;
        let (archived, last) = (self.app.reader().archived(), self.last);
        let made_before = |instant| {
            let readable = (archived, last);
            let found = scan::last_before(instant, readable, |position| self.read(position));
            found.map_err(unreadable)
        };
        let mut behind = filter.after.max(archived);
        if let Some(since) = wanted.since {
            behind = behind.max(made_before(since)?);
        }
        let mut up_to = filter.before.map_or(last, |before| {
            last.min(Position::new(before.get().saturating_sub(1)))
        });
        if let Some(until) = wanted.until {
            up_to = up_to.min(made_before(until)?);
        }
        if behind >= up_to {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let orgs: Vec<OrgId> = self.orgs.iter().map(|(org, _)| *org).collect();
        let index = self.app.index();
        let terms = wanted.terms(index, &orgs);
        let found = scan::scan(
            (behind.next(), up_to),
            filter.order,
            filter.limit,
            |range, max| self.found(index.find(&terms, range, filter.order, max)),
            |position| self.read(position).map_err(unreadable),
            |record| self.takes(wanted, record),
        )?;
        let items: Result<_, _> = found
            .records
            .iter()
            .map(|record| self.view(record))
            .collect();
        Ok(Page {
            items: items?,
            next: found.next.map(|next| next.to_string()),
        })
    }

    /// Whether this record is wanted and the caller's to read. The index only says which may be.
    fn takes(&self, wanted: &Wanted, record: &Record) -> bool {
        if self.org_of(record).is_none() || !wanted.takes(record) {
            return false;
        }
        let directory = self.app.directory();
        let target = directory.target_of(&record.event);
        wanted.takes_target(target, &record.event)
            && view::sees(&directory, &self.authority, target)
            && (!wanted.asks_for_origin()
                || view::tells_origin(&directory, &self.authority, record))
    }

    /// What the index found. One that is damaged is begun anew, and finds everything meanwhile.
    fn found(&self, found: io::Result<Vec<Position>>) -> Result<Vec<Position>, Problem> {
        found.map_err(|error| {
            tracing::warn!(%error, "the index of events cannot be read");
            Problem::unavailable("The index of events is being mended; try again.")
        })
    }

    /// One event, and the organization through which it is read.
    fn one(&self, position: Position) -> Result<(EventView, Option<OrgId>), Problem> {
        if position > self.last {
            return Err(Problem::not_found());
        }
        let record = self.read(position).map_err(unreadable)?;
        let record = record.filter(|record| self.org_of(record).is_some());
        let record = record.ok_or_else(Problem::not_found)?;
        if !self.sees(self.target_of(&record)) {
            return Err(Problem::not_found());
        }
        let org = self.org_of(&record).map(|(org, _)| *org);
        Ok((self.view(&record)?, org))
    }

    fn view(&self, record: &Record) -> Result<EventView, Problem> {
        let trail = Trail {
            index: self.app.index(),
            read: &|position| self.read(position),
            is_told: &|record| self.org_of(record).is_some() && self.sees(self.target_of(record)),
        };
        let changes = trail.changes(record)?;
        let directory = self.app.directory();
        let target = directory.target_of(&record.event);
        let slug = self.org_of(record).map(|(_, slug)| slug.clone());
        let mut view = EventView::of(record, target, slug)?;
        view.tell_names(&directory, &self.authority, record, target);
        view.tell_changes(changes);
        if !view::tells_origin(&directory, &self.authority, record) {
            view.withhold_origin();
        }
        Ok(view)
    }
}

/// The position that somebody names, if they may read the event there.
///
/// # Errors
/// 403 without audit:read, 404 also for one that is not theirs to read, 503 when too many read already.
pub(super) async fn require_event(
    app: &web::Data<App>,
    caller: &Caller,
    position: &str,
) -> Result<Position, Problem> {
    let log = Log::of(app, &app.directory(), caller, None)?;
    let position = position.parse().map_err(|_| Problem::not_found())?;
    let position = Position::new(position);
    let (_, org) = read_records(app, caller, move || log.one(position)).await?;
    app.note_audit_read(caller, org).await?;
    Ok(position)
}

/// Whether a record was moved away.
fn is_archived(error: &ReadError) -> bool {
    matches!(error, ReadError::Store(StoreError::Archived { .. }))
}

/// A record that was there at the start cannot be read: the fault is ours, unless it was moved away.
pub(super) fn unreadable(error: ReadError) -> Problem {
    if let ReadError::Store(StoreError::Archived { position, .. }) = &error {
        return gone(*position);
    }
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a record could not be read"
    );
    Problem::internal()
}

/// A record that somebody named was moved away.
fn gone(position: Position) -> Problem {
    Problem::new(
        StatusCode::GONE,
        format!("Record {position} was archived; the operator can move its segment back."),
    )
}

/// Reads records where there is a place for it.
pub(super) async fn read_records<T: Send + 'static>(
    app: &App,
    caller: &Caller,
    job: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let busy = "Too many are reading the audit log; try again.";
    app.record_readers()
        .work(app.account_of(caller), busy, |()| job())
        .await?
}

/// List what happened, the newest last, or first with `order=desc`. Where the index is still being built a
/// page may be shorter than its limit, or empty, and still have a `next`: only so many records are looked at
/// for one answer. `Keyledger-Indexed` says how far the index is, and `Keyledger-Archived` the last event that
/// was moved away from this server: a list begins behind it.
///
/// # Errors
/// 401, 403 without audit:read, 404 for an organization that the caller is not in, 422, 503 when
/// too many read already.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventQuery),
    responses(
        (status = 200, body = Page<EventView>, description = "A page of events."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "A filter is invalid; `fields` says which.")))]
pub async fn list_events(
    app: web::Data<App>,
    caller: Caller,
    query: web::Query<EventQuery>,
) -> Result<HttpResponse, Problem> {
    let (log, filter) = {
        let directory = app.directory();
        let log = Log::of(&app, &directory, &caller, query.organization())?;
        let orgs: Vec<_> = log.orgs.iter().map(|(org, _)| *org).collect();
        (log, query.check(&directory, &orgs)?)
    };
    let orgs = log.orgs.iter().map(|(org, _)| *org);
    let noted = app.note_audit_read(&caller, orgs).await?;
    // Asked once more, and with it how far they may read: their own reading is told too.
    let mut log = Log::of(&app, &app.directory(), &caller, query.organization())?;
    log.orgs.retain(|(org, _)| noted.contains(org));
    let indexed = app.index().position();
    let archived = app.reader().archived();
    let page = read_records(&app, &caller, move || log.page(&filter)).await?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((KEYLEDGER_INDEXED, indexed.get()));
    if archived > Position::ZERO {
        answer.insert_header((KEYLEDGER_ARCHIVED, archived.get()));
    }
    Ok(answer.json(page))
}

/// Read one event by its position.
///
/// # Errors
/// 401, 403 without audit:read, 404 also for one that is not the caller's to read, 503 when too many
/// read already, 410 for one that was archived.
#[utoipa::path(get, path = "/v1/events/{position}", tag = "events",
    params(("position" = u64, Path, description = "Where it stands in the ledger.")),
    responses(
        (status = 200, body = EventView, description = "The event."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such event for the caller."),
        (status = 410, body = ProblemBody, description = "It was archived.")))]
pub async fn read_event(
    app: web::Data<App>,
    caller: Caller,
    position: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let log = Log::of(&app, &app.directory(), &caller, None)?;
    let position = position.parse().map_err(|_| Problem::not_found())?;
    let (event, org) =
        read_records(&app, &caller, move || log.one(Position::new(position))).await?;
    app.note_audit_read(&caller, org).await?;
    Ok(HttpResponse::Ok().json(event))
}
