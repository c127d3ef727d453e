//! `/v1/orgs/{org}/hygiene`: which live keys are worth a look, and whether they can go.

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::{Ended, Holder};
use keyledger_domain::credential::preview;
use keyledger_domain::org::Org;
use keyledger_domain::revocation::HolderKind;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Actor, ApiKey, Authority, Directory, Environment, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page};
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::naming::holder_name;
use crate::routes::organization;
use crate::routes::paging::after_id;
use crate::routes::shared_keys;
use crate::usage::passage;

/// How many days without a use make a key idle, where nothing is said.
const IDLE_DAYS_DEFAULT: u32 = 90;
/// The most days that can be asked for: ten years.
const IDLE_DAYS_MAX: u32 = 3_650;
/// How many days make a secret old.
const OLD_DAYS: u32 = 90;

const DAY_MICROS: i64 = 86_400_000_000;

/// What is to be looked for.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HygieneQuery {
    /// After how many days without a use a key is idle, 1 to 3,650; 90 where it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 3650)]
    idle_days: Option<String>,
    /// At most this many, 1 to 1,000; 100 where it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl HygieneQuery {
    fn idle_days(&self) -> Result<u32, Problem> {
        let Some(text) = self.idle_days.as_deref() else {
            return Ok(IDLE_DAYS_DEFAULT);
        };
        let days = text.parse().ok();
        days.filter(|days| (1..=IDLE_DAYS_MAX).contains(days))
            .ok_or_else(|| {
                let words = format!("must be a number of days from 1 to {IDLE_DAYS_MAX}");
                Problem::field("idle_days", words)
            })
    }
}

/// Why a key is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// No use of it was ever counted.
    NeverUsed,
    /// It was not used for as many days as were asked for.
    Idle,
    /// Its secret is more than 90 days old.
    Old,
    /// It never ends.
    NoExpiry,
    /// It may do more than it was ever used for.
    WiderScopesThanUsed,
    /// Its owner, or who made its service or token, is switched off here.
    OwnerDisabled,
    /// Who made its service or token is no member any more.
    OwnerGone,
    /// It lies idle for longer than the policy allows, and is left on: its owner is active in another
    /// organization too, which does not switch it off for that.
    IdleLeftOn,
}

/// Whether a key can go, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Yes: it is over.
    Expired,
    /// Yes: no use was counted for as long as was asked for.
    NeverUsed,
    /// Yes: the last use is longer ago than was asked for.
    Idle,
    /// No: it was used since.
    RecentlyUsed,
    /// No: it is younger than that.
    TooNew,
    /// No: uses are counted for less long than that.
    CountedTooShort,
}

impl Removal {
    const fn is_safe(self) -> bool {
        match self {
            Self::Expired | Self::NeverUsed | Self::Idle => true,
            Self::RecentlyUsed | Self::TooNew | Self::CountedTooShort => false,
        }
    }
}

/// A key that is worth a look.
#[derive(Serialize, ToSchema)]
pub struct HygieneView {
    /// The public id of its credential.
    credential: String,
    /// What holds it: `user`, `service` or `entitlement`.
    #[schema(value_type = String, example = "service")]
    kind: HolderKind,
    /// Who holds it: `user:`, `service:` or `entitlement:` and an id.
    owner: String,
    /// The slug or name of the holder; `null` once the person was erased.
    owner_name: Option<String>,
    /// What may be shown of it to anybody.
    #[schema(example = "sv_live_3kTMd9wQx_****")]
    preview: String,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its secret was last replaced.
    #[schema(value_type = Option<String>, format = DateTime)]
    rotated_at: Option<Timestamp>,
    /// When it was last used, as far as was counted.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it ends; `null` for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// What was found.
    findings: Vec<Finding>,
    /// What it may do and was never used for, where that was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unused_scopes: Vec<String>,
    /// Whether it can go.
    safe_to_remove: bool,
    /// Why, in one word.
    code: Removal,
    /// Why.
    #[schema(example = "used 3 hours ago")]
    reason: String,
}

/// One look at the keys of an organization.
struct Look<'a> {
    app: &'a App,
    directory: &'a Directory,
    authority: &'a Authority,
    org: &'a Org,
    now: Timestamp,
    idle_days: u32,
}

impl Look<'_> {
    fn is_older(&self, at: Timestamp, days: u32) -> bool {
        self.now.micros().saturating_sub(at.micros()) > i64::from(days) * DAY_MICROS
    }

    fn removal(&self, key: &ApiKey, last_used_at: Option<Timestamp>) -> (Removal, String) {
        let since = |at: Timestamp| span(at, self.now);
        if key.standing(self.now) == Err(Ended::Expired) {
            return (Removal::Expired, "its time is over".to_owned());
        }
        let counting_since = self.app.usage().counting_since();
        let created_at = key.created_at;
        let still = |at: Timestamp| !self.is_older(at, self.idle_days);
        match last_used_at {
            Some(at) if still(at) => (Removal::RecentlyUsed, format!("used {} ago", since(at))),
            _ if still(created_at) => (
                Removal::TooNew,
                format!("made only {} ago", since(created_at)),
            ),
            Some(at) => (Removal::Idle, format!("last used {} ago", since(at))),
            None if still(counting_since) => (
                Removal::CountedTooShort,
                format!("usage counting began only {} ago", since(counting_since)),
            ),
            None => (
                Removal::NeverUsed,
                format!("never used in {}", since(created_at.max(counting_since))),
            ),
        }
    }

    /// What a key may do here and was never used for. Nothing, where it was used without saying for
    /// what: then nobody knows; or where it may be used elsewhere for what is not told here.
    fn unused_scopes(&self, key: &ApiKey) -> Vec<String> {
        if !shared_keys::sees_use(self.directory, self.authority, key) {
            return Vec::new();
        }
        let used = self.app.usage().scopes_used(key.issued.id);
        if used.unasked || used.overflowed || used.names.is_empty() {
            return Vec::new();
        }
        let held = self.directory.effective_scope_names(key, self.org);
        held.into_iter()
            .filter(|scope| !used.names.iter().any(|name| **name == **scope))
            .map(str::to_owned)
            .collect()
    }

    fn of_owner(&self, key: &ApiKey) -> Option<Finding> {
        let owner = match key.issued.holder {
            Holder::User { user, .. } => Some(Actor::User(user)),
            Holder::Service { service, .. } => {
                let service = self.directory.service(service);
                service.map(|service| service.created_by)
            }
            Holder::Entitlement { entitlement, .. } => {
                let token = self.directory.entitlement(entitlement);
                token.map(|token| token.created_by)
            }
            // Tokens are in no list of keys.
            Holder::Client { .. } | Holder::Delegate { .. } => None,
        };
        let Some(Actor::User(user)) = owner else {
            return None;
        };
        if !self.org.members.contains_key(&user) {
            return Some(Finding::OwnerGone);
        }
        let disabled_at = self.org.disabled_at(user);
        disabled_at.map(|_| Finding::OwnerDisabled)
    }

    fn view(&self, key: &ApiKey) -> Option<HygieneView> {
        let issued = &key.issued;
        let last_used_at = self.app.usage().last_used_at(issued.id);
        let mut findings = Vec::new();
        match last_used_at {
            None => findings.push(Finding::NeverUsed),
            Some(at) if self.is_older(at, self.idle_days) => findings.push(Finding::Idle),
            Some(_) => {}
        }
        if self.is_older(key.rotated_at().unwrap_or(key.created_at), OLD_DAYS) {
            findings.push(Finding::Old);
        }
        if key.expires_at.is_none() {
            findings.push(Finding::NoExpiry);
        }
        let unused_scopes = self.unused_scopes(key);
        if !unused_scopes.is_empty() {
            findings.push(Finding::WiderScopesThanUsed);
        }
        findings.extend(self.of_owner(key));
        let counted = last_used_at.or(Some(self.app.usage().counting_since()));
        let directory = self.directory;
        if directory.is_spared_by_others(self.org, key, counted, self.now)
            && directory.standing_of(key, self.now).is_ok()
        {
            findings.push(Finding::IdleLeftOn);
        }
        if findings.is_empty() {
            return None;
        }
        let holder = issued.holder.actor();
        let (code, reason) = self.removal(key, last_used_at);
        Some(HygieneView {
            credential: issued.id.to_string(),
            kind: HolderKind::of(holder)?,
            owner: holder.to_string(),
            owner_name: holder_name(self.directory, holder),
            preview: preview(issued.kind, issued.environment, issued.id),
            environment: issued.environment,
            created_at: key.created_at,
            rotated_at: key.rotated_at(),
            last_used_at,
            expires_at: key.expires_at,
            disabled_at: key.disabled_at(),
            findings,
            unused_scopes,
            safe_to_remove: code.is_safe(),
            code,
            reason,
        })
    }
}

/// How long it is from one instant to another, in words.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.seconds().saturating_sub(from.seconds()).max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// Who reads the audit log may look; so may a manager who reads keys.
fn require(directory: &Directory, authority: &Authority, org: &Org) -> Result<(), Refusal> {
    let as_auditor = directory.require(authority, org.id, built_in::AUDIT_READ);
    let as_manager = || directory.require_manager(authority, org.id, built_in::KEYS_READ);
    let right = match as_auditor {
        Ok(()) => built_in::AUDIT_READ,
        Err(_) if as_manager().is_ok() => built_in::KEYS_READ,
        Err(refusal) => return Err(refusal),
    };
    passage::required(right);
    Ok(())
}

/// List the live keys of an organization that are worth a look, by the public id of their
/// credentials, each with what was found and whether it is safe to remove. It takes `audit:read`, or
/// `keys:read` and the role of a manager. Keys of members who are switched off here and go on in other
/// organizations are not in it.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/hygiene", tag = "hygiene",
    params(("org" = String, Path, description = "The organization's slug."), HygieneQuery),
    responses(
        (status = 200, body = Page<HygieneView>, description = "A page of keys."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "A part of the query is not right.")))]
pub async fn list_hygiene(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    query: web::Query<HygieneQuery>,
) -> Result<HttpResponse, Problem> {
    let authority = caller.authority();
    let org = {
        let directory = app.directory();
        let org = organization::visible(&directory, &caller, &org)?;
        require(&directory, authority, org)?;
        org.id
    };
    let idle_days = query.idle_days()?;
    let limit = answer::limit(query.limit.as_deref())?;
    let after = after_id(query.after.as_deref())?;
    let now = app.now();
    let look = |directory: &Directory, org: &Org, key: &ApiKey| {
        let is_meant =
            key.revoked_at().is_none() && directory.sees(authority, key.issued.environment);
        let is_meant = is_meant && !directory.bars(org.id, key.issued.id);
        let is_meant = is_meant && shared_keys::concerns(directory, org, key);
        let look = Look {
            app: &app,
            directory,
            authority,
            org,
            now,
            idle_days,
        };
        let view = is_meant.then(|| look.view(key)).flatten()?;
        Some((key.issued.id, view))
    };
    let ids = app.key_ids_in(org, after).await;
    // One more than the page tells whether there is a next one.
    let found = app.find_in_keys(org, &ids, limit + 1, look).await;
    let found = found.into_iter();
    let page = Page::of(found, limit, |(id, _)| id.to_string(), |(_, view)| view);
    Ok(HttpResponse::Ok().json(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_unit_that_says_most() {
        let from = Timestamp::default();
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "1 minute"),
            (3_600, "1 hour"),
            (10_800, "3 hours"),
            (172_800, "2 days"),
            (120 * 86_400, "120 days"),
        ] {
            assert_eq!(span(from, from.plus_seconds(seconds)), words);
        }
        assert_eq!(span(from.plus_seconds(9), from), "0 seconds");
    }
}
