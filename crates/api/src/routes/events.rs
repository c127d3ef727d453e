//! `/v1/events`: the audit log of the organisations whose log the caller may read.
//!
//! Records are read from the disk, so it is done on a thread of its own and only as far as
//! `scan::EXAMINED_MAX` says: whoever verifies a key meanwhile does not feel it.

mod filter;
mod reading;
mod scan;
mod selection;
mod stream;
mod view;

use actix_web::http::StatusCode;
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
pub use filter::EventQuery;
use filter::{Filter, Wanted};
pub use selection::Selection;
pub(crate) use stream::Streams;
pub use stream::{__path_stream_events, stream_events};
pub use view::EventView;

/// The log that a caller may read.
struct Log {
    app: web::Data<App>,
    authority: Authority,
    /// The organisations, the oldest first, with their slugs.
    orgs: Vec<(OrgId, String)>,
}

impl Log {
    /// The log of all organisations where the caller has the right, or of the one they named.
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
        })
    }

    /// The organisation through which the caller reads a record, with its slug.
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

    fn page(
        &self,
        wanted: &Wanted,
        after: Position,
        limit: usize,
    ) -> Result<Page<EventView>, Problem> {
        let after = match wanted.since {
            Some(since) => {
                let last = self.app.reader().last();
                let before = scan::last_before(since, last, |position| self.read(position));
                before.map_err(unreadable)?.max(after)
            }
            None => after,
        };
        let positions = {
            let events = self.app.events();
            let lists = self.orgs.iter().map(|(org, _)| events.after(*org, after));
            scan::merge(lists.collect())
        };
        let found = scan::scan(
            &positions,
            limit,
            wanted.until,
            |position| self.read(position),
            |record| {
                wanted.takes(record) && {
                    let target = self.target_of(record);
                    wanted.takes_target(target) && self.sees(target)
                }
            },
        );
        let found = found.map_err(unreadable)?;
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

    /// One event, and the organisation through which it is read.
    fn one(&self, position: Position) -> Result<(EventView, Option<OrgId>), Problem> {
        let visible = {
            let events = self.app.events();
            self.orgs.iter().any(|(org, _)| events.has(*org, position))
        };
        let record = if visible {
            self.read(position).map_err(unreadable)?
        } else {
            None
        };
        let record = record.ok_or_else(Problem::not_found)?;
        if !self.sees(self.target_of(&record)) {
            return Err(Problem::not_found());
        }
        let org = self.org_of(&record).map(|(org, _)| *org);
        Ok((self.view(&record)?, org))
    }

    fn view(&self, record: &Record) -> Result<EventView, Problem> {
        let (target, tells_origin) = {
            let directory = self.app.directory();
            let target = directory.target_of(&record.event);
            (
                target,
                view::tells_origin(&directory, &self.authority, record),
            )
        };
        let mut view = EventView::of(
            record,
            target,
            self.org_of(record).map(|(_, slug)| slug.clone()),
        )?;
        if !tells_origin {
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
    let (_, org) = read_records(app, move || log.one(position)).await?;
    app.note_audit_read(caller, org).await?;
    Ok(position)
}

/// A record that was there at the start cannot be read: the fault is ours, unless it was moved away.
pub(super) fn unreadable(error: ReadError) -> Problem {
    if let ReadError::Store(StoreError::Archived { position, .. }) = &error {
        return Problem::new(
            StatusCode::GONE,
            format!("Record {position} was archived; the operator can move its segment back."),
        );
    }
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a record could not be read"
    );
    Problem::internal()
}

/// Reads records where there is a place for it.
pub(super) async fn read_records<T: Send + 'static>(
    app: &App,
    job: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let busy = "Too many are reading the audit log; try again.";
    app.record_readers().work(busy, |()| job()).await?
}

/// List what happened, the newest last. With filters a page may be shorter than its limit, or
/// empty, and still have a `next`: only so many records are looked at for one answer.
///
/// # Errors
/// 401, 403 without audit:read, 404 for an organisation that the caller is not in, 422, 503 when
/// too many read already.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventQuery),
    responses(
        (status = 200, body = Page<EventView>, description = "A page of events."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organisation."),
        (status = 422, body = ProblemBody, description = "A filter is not right.")))]
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
    app.note_audit_read(&caller, orgs).await?;
    let page = read_records(&app, move || {
        log.page(&filter.wanted, filter.after, filter.limit)
    })
    .await?;
    Ok(HttpResponse::Ok().json(page))
}

/// Read one event by its position.
///
/// # Errors
/// 401, 403 without audit:read, 404 also for one that is not the caller's to read, 503 when too many
/// read already.
#[utoipa::path(get, path = "/v1/events/{position}", tag = "events",
    params(("position" = u64, Path, description = "Where it stands in the ledger.")),
    responses(
        (status = 200, body = EventView, description = "The event."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such event for the caller.")))]
pub async fn read_event(
    app: web::Data<App>,
    caller: Caller,
    position: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let log = Log::of(&app, &app.directory(), &caller, None)?;
    let position = position.parse().map_err(|_| Problem::not_found())?;
    let (event, org) = read_records(&app, move || log.one(Position::new(position))).await?;
    app.note_audit_read(&caller, org).await?;
    Ok(HttpResponse::Ok().json(event))
}
