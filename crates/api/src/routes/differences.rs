//! `/v1/orgs/{org}/differences`: what changed in an organization between two moments.

use actix_web::{HttpResponse, web};
use keyledger_domain::Environment;
use keyledger_domain::scope::built_in;
use keyledger_ledger::Recalled;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::difference::{self, Difference};
use crate::past::BUSY;
use crate::problem::{Problem, ProblemBody};

/// The most differences of one answer.
const DIFFERENCES_MAX: usize = 10_000;

/// Between which moments.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BetweenQuery {
    /// The earlier moment: an instant (RFC 3339) or the position of a record; the beginning of all where it is
    /// left out.
    #[param(example = "2027-01-31T09:00:00Z")]
    from: Option<String>,
    /// The later one; now where it is left out.
    #[param(example = "2027-02-28T09:00:00Z")]
    to: Option<String>,
}

/// What changed between two moments.
#[derive(Serialize, ToSchema)]
pub struct DifferencesView {
    /// The last record of the earlier state.
    from: u64,
    /// The last record of the later state.
    to: u64,
    /// What is not as it was, by kind and identifier.
    items: Vec<Difference>,
    /// Whether there are more: ask about a shorter time.
    is_cut: bool,
}

/// What changed in an organization between two moments: what came, what went, and of what stayed each field
/// before and after. Two states are compared; what came and went in between is in the audit log.
///
/// # Errors
/// 401, 403 without audit:read, 404, 410, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/differences", tag = "events",
    params(("org" = String, Path, description = "The organization's slug."), BetweenQuery),
    responses(
        (status = 200, body = DifferencesView, description = "What changed."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 410, body = ProblemBody, description = "The records of then were archived."),
        (status = 422, body = ProblemBody, description = "`from` or `to` is not a valid moment or lies in the future, or `to` precedes `from`.")))]
pub async fn list_differences(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    query: web::Query<BetweenQuery>,
) -> Result<HttpResponse, Problem> {
    let right = built_in::AUDIT_READ;
    let read = app.require_in(&caller, &org, right)?;
    app.note_audit_read(&caller, [read]).await?;
    let from = query.from.as_deref().unwrap_or("0");
    let from = app.state_at(&caller, "from", from).await?;
    let to = match &query.to {
        Some(to) => to.clone(),
        None => app.past().last().to_string(),
    };
    let to = app.state_at(&caller, "to", &to).await?;
    if to.state.position() < from.state.position() {
        return Err(Problem::field("to", "must not be before from"));
    }
    let org = app.require_in(&caller, &org, right)?;
    let own = app.directory().environment_of(caller.authority());
    let sees = move |of| own == Environment::Live || of == own;
    let (from_position, to_position) = (from.state.position(), to.state.position());
    // Of a large organization it takes a while.
    let work = move |_: &mut Recalled| difference::between(&from.state, &to.state, org, sees);
    let mut items = app
        .past_places()
        .work(app.account_of(&caller), BUSY, work)
        .await?;
    let is_cut = items.len() > DIFFERENCES_MAX;
    items.truncate(DIFFERENCES_MAX);
    let view = DifferencesView {
        from: from_position.get(),
        to: to_position.get(),
        items,
        is_cut,
    };
    Ok(answer::done(to_position, &view))
}
