//! `GET /v1/decisions/{id}`: why somebody was refused, and what took it away from them.
//!
//! Whoever reads the log of an organization that the refusal concerns may ask, and the caller who was
//! known and refused. To all others there is no such decision.

use std::io;

use actix_web::{HttpResponse, web};
use keyledger_domain::id::OrgId;
use keyledger_domain::loss::Loss;
use keyledger_domain::{Directory, Environment, Position, Record, Role, Scope, Timestamp};
use keyledger_ledger::index::{Order, Term};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::decisions::{Check, Decision, DecisionId, Reader, Shown, Standing};
use crate::problem::{Problem, ProblemBody};
use crate::routes::events::{read_records, unreadable};

/// How many records are looked at for the event.
const EXAMINED_MAX: usize = 20_000;

/// Why somebody was refused.
#[derive(Serialize, ToSchema)]
pub struct DecisionView {
    /// The id that the answer carried.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015")]
    id: String,
    /// 401 where the caller was not known, 403 where they were.
    status: u16,
    /// The check that failed.
    #[schema(value_type = String, example = "insufficient_scope")]
    check: Check,
    /// What it looks at, for people.
    explanation: &'static str,
    /// What would have passed.
    needed: Needed,
    /// Who asked.
    caller: DeniedCaller,
    /// What they had, at that moment.
    had: HadView,
    /// What they asked for.
    request: DeniedRequest,
    /// The event that took away what was needed, or with which the key, the service or the membership
    /// began without it; `null` where there is none.
    event: Option<LossView>,
    /// Whether all records that could hold the event were looked at. If not, an older one may say more.
    search_complete: bool,
}

/// What would have passed a check.
#[derive(Serialize, ToSchema)]
pub struct Needed {
    /// The right, if one was asked for.
    #[schema(value_type = Option<String>, example = "services:write")]
    right: Option<Scope>,
    /// The lowest role that would have done.
    #[schema(value_type = Option<String>, example = "manager")]
    minimum_role: Option<Role>,
}

/// Who was refused. Where what they showed was no good, this is whose it is or was.
#[derive(Serialize, ToSchema)]
pub struct DeniedCaller {
    /// `user:`, `service:` or `entitlement:` and an id.
    #[schema(example = "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    actor: String,
    /// The public id of the credential; `null` for a password.
    #[schema(example = "3kTMd9wQx")]
    credential: Option<String>,
    /// The slug of the organization in which they asked, if it was one.
    #[schema(example = "acme")]
    organization: Option<String>,
}

/// What somebody had when they were refused.
#[derive(Serialize, ToSchema)]
pub struct HadView {
    /// The scopes of the credential; `null` where none narrow it.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// The role in the organization; `null` where there is none, or it was no matter of one.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
    /// `good`, `revoked`, `disabled` or `expired`.
    #[schema(value_type = String, example = "good")]
    standing: Standing,
    /// Whether it was a secret that is replaced already and has its grace.
    replaced_secret: bool,
}

/// What somebody asked for when they were refused.
#[derive(Serialize, ToSchema)]
pub struct DeniedRequest {
    /// The request's id, as in `X-Request-Id`.
    id: String,
    /// The method.
    #[schema(example = "POST")]
    method: &'static str,
    /// The route; what stood in its place is not kept.
    #[schema(example = "/v1/orgs/{org}/services")]
    route: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// The address it came from.
    source: Option<String>,
}

/// The event that took something away; `GET /v1/events/{position}` tells the rest.
#[derive(Serialize, ToSchema)]
pub struct LossView {
    /// Where it stands in the ledger.
    position: u64,
    /// Its type.
    #[schema(example = "ApiKeyRestricted")]
    r#type: &'static str,
    /// Who did it.
    #[schema(example = "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    actor: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
}

impl From<Loss> for LossView {
    fn from(loss: Loss) -> Self {
        Self {
            position: loss.position.get(),
            r#type: loss.event,
            actor: loss.actor.to_string(),
            time: loss.at,
        }
    }
}

impl DecisionView {
    fn of(
        directory: &Directory,
        id: DecisionId,
        decision: &Decision,
        loss: Option<Loss>,
        search_complete: bool,
    ) -> Self {
        let Decision {
            shown,
            failed,
            subject,
            had,
            ..
        } = decision;
        let org = subject.org.and_then(|org| directory.org(org));
        let scopes = had.scopes.as_ref();
        Self {
            id: id.to_string(),
            status: match shown {
                Shown::Good => 403,
                Shown::Bad => 401,
            },
            check: failed.check,
            explanation: failed.check.words(),
            needed: Needed {
                right: failed.right.clone(),
                minimum_role: failed.minimum_role,
            },
            caller: DeniedCaller {
                actor: subject.actor.to_string(),
                credential: subject.key.map(|(id, _)| id.to_string()),
                organization: org.map(|org| org.slug.to_string()),
            },
            had: HadView {
                scopes: scopes.map(|scopes| scopes.iter().cloned().collect()),
                role: had.role,
                environment: had.environment,
                standing: had.standing,
                replaced_secret: had.old_secret,
            },
            request: DeniedRequest {
                id: decision.request.to_string(),
                method: decision.method,
                route: decision.route,
                time: decision.at,
                source: decision.source.map(|source| source.to_string()),
            },
            event: loss.map(LossView::from),
            search_complete,
        }
    }
}

/// The records that may hold the event, the newest first, and whether these are all.
struct Trail {
    positions: Vec<Position>,
    /// Whose auditors must be allowed to read them; `None` for somebody who asks about themselves.
    orgs: Option<Vec<OrgId>>,
    is_whole: bool,
}

impl Trail {
    /// Up to where the ledger had come: what the reader's organizations may read of it, or, for
    /// somebody who asks about themselves in none, all of it, of which only what concerns them is
    /// looked at.
    fn of(app: &App, decision: &Decision, reader: Reader) -> io::Result<Self> {
        let last = decision.position;
        let orgs = match (reader, decision.subject.org) {
            (Reader::Auditor(orgs), _) => Some(orgs),
            (Reader::Themselves, Some(org)) => Some(vec![org]),
            (Reader::Themselves, None) => None,
        };
        let mut positions: Vec<Position> = match &orgs {
            Some(orgs) => {
                let terms = orgs.iter().map(|org| Term::organization(*org)).collect();
                let range = (Position::new(1), last);
                let most = EXAMINED_MAX + 1;
                app.index().find(&[terms], range, Order::Falling, most)?
            }
            None => (1..=last.get())
                .rev()
                .take(EXAMINED_MAX + 1)
                .map(Position::new)
                .collect(),
        };
        let is_whole = positions.len() <= EXAMINED_MAX;
        positions.truncate(EXAMINED_MAX);
        Ok(Self {
            positions,
            orgs,
            is_whole,
        })
    }

    /// Whether a record is the reader's to read. The index only says which may be.
    fn has(&self, record: &Record) -> bool {
        let mut told = record.organizations.iter();
        self.orgs
            .as_ref()
            .is_none_or(|orgs| told.any(|org| orgs.contains(org)))
    }
}

/// Read why somebody was refused: the id is in the body of the 401 or 403, and in its header
/// `Keyledger-Decision`. The last few thousand are kept, until the server stops.
///
/// For whoever has audit:read in an organization that it concerns, and for the caller who got the 403.
///
/// # Errors
/// 401, 404 for one that is not kept or not the caller's to read, 503 when too many read already.
#[utoipa::path(get, path = "/v1/decisions/{id}", tag = "decisions",
    params(("id" = String, Path, description = "The `decision` of the refusal.")),
    responses(
        (status = 200, body = DecisionView, description = "Why."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 404, body = ProblemBody, description = "No such decision for the caller.")))]
pub async fn read_decision(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id: DecisionId = id.parse().map_err(|_| Problem::not_found())?;
    let decision = app.decisions().find(id).ok_or_else(Problem::not_found)?;
    let reader = decision.reader(&app.directory(), caller.authority());
    let reader = reader.ok_or_else(Problem::not_found)?;
    let log = app.clone();
    let (decision, (loss, is_complete)) = read_records(&app, &caller, move || {
        let trail = Trail::of(&log, &decision, reader).map_err(|error| {
            tracing::warn!(%error, "the index of events cannot be read");
            Problem::unavailable("The index of events is being mended; try again.")
        })?;
        let records = trail.positions.iter().map(|at| log.reader().get(*at));
        let records = records.filter(|record| match record {
            Ok(Some(record)) => trail.has(record),
            Ok(None) | Err(_) => true,
        });
        let found = decision.loss(records, trail.is_whole);
        found.map(|found| (decision, found)).map_err(unreadable)
    })
    .await?;
    let view = DecisionView::of(&app.directory(), id, &decision, loss, is_complete);
    Ok(HttpResponse::Ok().json(view))
}
