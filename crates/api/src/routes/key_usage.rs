//! `/v1/keys/{id}/usage` and `/v1/orgs/{org}/usage`: what keys do.
//!
//! All of it is counted outside the ledger: a crash loses the last few seconds of counting, and none
//! of it is evidence. What a crash must not lose are events: `ApiKeyFirstUsed` and
//! `ApiKeyNetworkFirstSeen`.

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::Holder;
use keyledger_domain::credential::preview;
use keyledger_domain::id::{EntitlementId, KeyId, OrgId, ServiceId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Actor, ApiKey, Authority, CredentialId, Directory, Refusal, Timestamp};
use keyledger_ledger::usage::{Counts, LastUse, Outcome, Period, UsedBy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page};
use crate::app::App;
use crate::body::Fields;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::paging::after_id;
use crate::routes::shared_keys;
use crate::usage::{Granularity, Span, Usage, passage};

/// How often a key was shown, by how it ended.
#[derive(Serialize, ToSchema)]
pub struct OutcomeCounts {
    /// Verified, and good for all that was asked.
    valid: u64,
    /// Its time was over.
    expired: u64,
    /// It was revoked.
    revoked: u64,
    /// It was switched off.
    disabled: u64,
    /// Verified, and it lacked a scope that was asked for.
    insufficient_scope: u64,
    /// Shown from an address that it may not be used from.
    ip_not_allowed: u64,
    /// Verified, and used too often.
    rate_limited: u64,
    /// Shown to this server and let in.
    accepted: u64,
    /// Shown to this server, which answered 403.
    forbidden: u64,
    /// Shown to this server, which answered 429.
    throttled: u64,
    /// Its public id with another secret; never a use of the key.
    wrong_secret: u64,
}

impl From<Counts> for OutcomeCounts {
    fn from(counts: Counts) -> Self {
        Self {
            valid: counts.get(Outcome::Valid),
            expired: counts.get(Outcome::Expired),
            revoked: counts.get(Outcome::Revoked),
            disabled: counts.get(Outcome::Disabled),
            insufficient_scope: counts.get(Outcome::InsufficientScope),
            ip_not_allowed: counts.get(Outcome::IpNotAllowed),
            rate_limited: counts.get(Outcome::RateLimited),
            accepted: counts.get(Outcome::Accepted),
            forbidden: counts.get(Outcome::Forbidden),
            throttled: counts.get(Outcome::Throttled),
            wrong_secret: counts.get(Outcome::WrongSecret),
        }
    }
}

/// The last use of a key.
#[derive(Serialize, ToSchema)]
pub struct LastUseView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The address it was shown from, if it was told; forgotten after 90 days. `null` also where
    /// `withheld` says why.
    source: Option<String>,
    /// Who showed it: an API that asked (`service:` and an id), or what a client calls itself. `null`
    /// also where `withheld` says why.
    #[schema(example = "service:5e0f2b5c-53f7-4d2a-a1d5-5b8b2f0d7c11")]
    client: Option<String>,
}

impl From<LastUse> for LastUseView {
    fn from(last: LastUse) -> Self {
        Self {
            at: last.at,
            source: last.source.map(|source| source.to_string()),
            client: last.client.map(|client| match client {
                UsedBy::Asker(actor) => actor.to_string(),
                UsedBy::Agent(agent) => agent.into(),
            }),
        }
    }
}

/// What was counted in one span of time.
#[derive(Serialize, ToSchema)]
pub struct UsageBucket {
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// How long it is.
    seconds: u32,
    /// What was counted in it.
    counts: OutcomeCounts,
}

/// What a key does. Counted outside the ledger: a crash loses the last few seconds of it.
#[derive(Serialize, ToSchema)]
pub struct KeyUsage {
    /// The identifier, as the views of keys, services and entitlements show it.
    id: String,
    /// Who holds it.
    #[schema(example = "service:5e0f2b5c-53f7-4d2a-a1d5-5b8b2f0d7c11")]
    holder: String,
    /// What may be shown of it to anybody.
    #[schema(example = "sv_live_3kTMd9wQx_****")]
    preview: String,
    /// When it was last used, as far as is known; `null` for not yet.
    last_used: Option<LastUseView>,
    /// What was counted between `since` and `until`; without either, ever. `null` where `withheld`
    /// says why.
    totals: Option<OutcomeCounts>,
    /// The same by spans of time, the oldest first. Hours are kept for two days, days for 90, months
    /// for two years. In a list only where `granularity` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<UsageBucket>>,
    /// Why the caller is told only when it was last used: its holder is in organizations too whose
    /// audit log the caller does not read. Absent where all is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<&'static str>,
}

/// Which span of time, and how finely.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// Not before this instant, rounded down to where a kept span begins.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// `hour`, `day` or `month`: the shortest spans wanted. Longer ones stand where shorter are no
    /// longer kept.
    #[param(example = "day")]
    granularity: Option<String>,
}

/// Which keys of a list, which span of time, and how finely.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OrgUsageQuery {
    /// Not before this instant, rounded down to where a kept span begins.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// `hour`, `day` or `month`: the shortest spans wanted; left out, sums only.
    #[param(example = "day")]
    granularity: Option<String>,
    /// At most this many, 1 to 1,000; 100 where it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A query that was understood.
#[derive(Clone, Copy)]
struct Wanted {
    span: Span,
    /// Whether the sums are over all time.
    is_ever: bool,
    has_series: bool,
}

impl UsageQuery {
    fn check(&self, now: Timestamp) -> Result<Wanted, Problem> {
        let mut fields = Fields::default();
        let mut instant = |name, text: Option<&str>| {
            let instant = text.map(str::parse::<Timestamp>);
            if matches!(instant, Some(Err(_))) {
                fields.refuse(name, "must be an instant such as 2027-01-31T09:00:00Z");
            }
            instant.and_then(Result::ok)
        };
        let since = instant("since", self.since.as_deref());
        let until = instant("until", self.until.as_deref());
        let granularity = match self.granularity.as_deref() {
            None | Some("hour") => Granularity::Hour,
            Some("day") => Granularity::Day,
            Some("month") => Granularity::Month,
            Some(_) => {
                fields.refuse("granularity", "must be hour, day or month");
                Granularity::Hour
            }
        };
        fields.check()?;
        Ok(Wanted {
            span: Span {
                since: since.unwrap_or_default(),
                // Nothing lies ahead, and the hour that is now is told whole.
                until: until
                    .unwrap_or(now.plus_seconds(1))
                    .min(now.plus_seconds(1)),
                granularity,
            },
            is_ever: since.is_none() && until.is_none(),
            has_series: self.granularity.is_some(),
        })
    }
}

/// A key as it is told, before anything is counted.
struct Named {
    id: CredentialId,
    name: String,
    holder: String,
    preview: String,
    is_told: bool,
}

impl Named {
    fn of(directory: &Directory, authority: &Authority, key: &ApiKey) -> Self {
        let issued = &key.issued;
        Self {
            id: issued.id,
            name: match issued.holder {
                Holder::User { key, .. } => key.to_string(),
                Holder::Service { service, .. } => service.to_string(),
                Holder::Entitlement { entitlement, .. } => entitlement.to_string(),
                Holder::Client { client, .. } => client.to_string(),
                Holder::Delegate { family, .. } => family.to_string(),
            },
            holder: issued.holder.actor().to_string(),
            preview: preview(issued.kind, issued.environment, issued.id),
            is_told: shared_keys::sees_use(directory, authority, key),
        }
    }

    fn view(self, usage: &Usage, wanted: Wanted) -> KeyUsage {
        let last_used = usage.last_use(self.id).map(LastUseView::from);
        if !self.is_told {
            return KeyUsage {
                id: self.name,
                holder: self.holder,
                preview: self.preview,
                last_used: last_used.map(|last| LastUseView {
                    at: last.at,
                    source: None,
                    client: None,
                }),
                totals: None,
                series: None,
                withheld: Some(shared_keys::WITHHELD),
            };
        }
        let series = usage.series(self.id, &wanted.span);
        let totals = if wanted.is_ever {
            usage.totals(self.id)
        } else {
            let mut totals = Counts::default();
            for (_, counts) in series.values() {
                totals += *counts;
            }
            totals
        };
        let bucket = |(period, counts): (Period, Counts)| UsageBucket {
            start: period.start(),
            seconds: period.seconds(),
            counts: counts.into(),
        };
        KeyUsage {
            id: self.name,
            holder: self.holder,
            preview: self.preview,
            last_used,
            totals: Some(totals.into()),
            series: wanted
                .has_series
                .then(|| series.into_values().map(bucket).collect()),
            withheld: None,
        }
    }
}

/// The key that a path names: by its own public id, or by the id of what holds it.
fn find<'d>(directory: &'d Directory, id: &str) -> Option<&'d ApiKey> {
    let by_credential = id.parse::<CredentialId>().ok();
    let by_key = || directory.user_key(id.parse::<KeyId>().ok()?);
    let by_service = || directory.service(id.parse::<ServiceId>().ok()?);
    let by_entitlement = || directory.entitlement(id.parse::<EntitlementId>().ok()?);
    let credential = by_credential
        .or_else(|| by_key().map(|key| key.credential))
        .or_else(|| by_service().map(|service| service.credential))
        .or_else(|| by_entitlement().map(|token| token.credential));
    directory.api_key(credential?)
}

/// Whether the caller may know what a key does: its holder with `keys:read`, who needs no right in
/// any organization for what is theirs; or whoever reads the audit log where the key is.
///
/// # Errors
/// 404, the same for a key that does not exist; then 403.
fn require(directory: &Directory, caller: &Caller, key: &ApiKey) -> Result<(), Refusal> {
    let authority = caller.authority();
    let unknown = Refusal::Unknown(Noun::Key);
    if !directory.sees(authority, key.issued.environment) {
        return Err(unknown);
    }
    let holder = key.issued.holder;
    if let (Actor::User(_), true) = (authority.actor, authority.actor == holder.actor()) {
        passage::required(built_in::KEYS_READ);
        return directory.require_own(authority, built_in::KEYS_READ);
    }
    let orgs: Vec<OrgId> = match holder {
        Holder::User { user, .. } => {
            let orgs = directory.orgs_of(Actor::User(user));
            orgs.map(|org| org.id).collect()
        }
        Holder::Service { org, .. }
        | Holder::Entitlement { org, .. }
        | Holder::Client { org, .. }
        | Holder::Delegate { org, .. } => vec![org],
    };
    passage::required(built_in::AUDIT_READ);
    let mut refused = unknown;
    for org in orgs {
        match directory.require(authority, org, built_in::AUDIT_READ) {
            Ok(()) => return Ok(()),
            // What a stranger to one organization is told says nothing of the key.
            Err(Refusal::Unknown(_)) => {}
            Err(refusal) => refused = refusal,
        }
    }
    Err(refused)
}

/// What one key does: its last use and what was counted. Of the key of a person who is in several
/// organizations it is told in full to them, and to whoever has `audit:read` in all of these.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/keys/{id}/usage", tag = "keys",
    params(("id" = String, Path, description = "The id of the key, service or entitlement, or the public id in the key itself."), UsageQuery),
    responses(
        (status = 200, body = KeyUsage, description = "What the key does."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read, or keys:read for a key of their own."),
        (status = 404, body = ProblemBody, description = "No such key."),
        (status = 422, body = ProblemBody, description = "The span of time is not right.")))]
pub async fn read_key_usage(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    query: web::Query<UsageQuery>,
) -> Result<HttpResponse, Problem> {
    let named = {
        let directory = app.directory();
        let key = find(&directory, &id).ok_or(Refusal::Unknown(Noun::Key))?;
        require(&directory, &caller, key)?;
        Named::of(&directory, caller.authority(), key)
    };
    let wanted = Wanted {
        has_series: true,
        ..query.check(app.now())?
    };
    let usage = app.usage_shared();
    let view = app
        .record_readers()
        .work(app.account_of(&caller), BUSY, move |()| {
            named.view(&usage, wanted)
        });
    Ok(HttpResponse::Ok().json(view.await?))
}

const BUSY: &str = "Too many are reading usage and events; try again.";

/// What the keys of an organization do, those of its members among them, by their public ids. Members
/// who are switched off are left out; of those who are in other organizations too, only the time of the
/// last use is told, unless the caller has `audit:read` there as well.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/usage", tag = "keys",
    params(("org" = String, Path, description = "The organization's slug."), OrgUsageQuery),
    responses(
        (status = 200, body = Page<KeyUsage>, description = "A page of keys and what they do."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "The span of time, the limit or the place is not right.")))]
pub async fn list_org_usage(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    query: web::Query<OrgUsageQuery>,
) -> Result<HttpResponse, Problem> {
    let OrgUsageQuery {
        since,
        until,
        granularity,
        limit,
        after,
    } = query.into_inner();
    let org = app.require_in(&caller, &org, built_in::AUDIT_READ)?;
    let query = UsageQuery {
        since,
        until,
        granularity,
    };
    let wanted = query.check(app.now())?;
    let limit = answer::limit(limit.as_deref())?;
    let after = after_id(after.as_deref())?;
    let ids = app.key_ids_in(org, after).await;
    let name = |directory: &Directory, org: &Org, key: &ApiKey| {
        let is_off = match key.issued.holder {
            Holder::User { user, .. } => org.disabled_at(user).is_some(),
            Holder::Service { .. }
            | Holder::Entitlement { .. }
            | Holder::Client { .. }
            | Holder::Delegate { .. } => false,
        };
        let is_seen = !is_off && directory.sees(caller.authority(), key.issued.environment);
        is_seen.then(|| Named::of(directory, caller.authority(), key))
    };
    // One more than the page tells whether there is a next one.
    let found = app.find_in_keys(org, &ids, limit + 1, name).await;
    let found = found.into_iter();
    let page = Page::of(found, limit, |named| named.id.to_string(), |named| named);
    let usage = app.usage_shared();
    let views = app
        .record_readers()
        .work(app.account_of(&caller), BUSY, move |()| {
            let items = page.items.into_iter();
            Page {
                items: items.map(|named| named.view(&usage, wanted)).collect(),
                next: page.next,
            }
        });
    Ok(HttpResponse::Ok().json(views.await?))
}
