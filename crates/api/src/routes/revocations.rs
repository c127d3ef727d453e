//! `/v1/orgs/{org}/revocations`: many keys revoked by one event, and that taken back within an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::credential::preview;
use keyledger_domain::id::{EntitlementId, OrgId, RevocationId};
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::revocation::{
    HolderKind, LeftAlone, NAMED_MAX, Revocation, RevocationFilter, RevokeApiKeys, Selection,
    UndoRevocation,
};
use keyledger_domain::scope::built_in;
use keyledger_domain::text::Email;
use keyledger_domain::{
    Actor, ApiKey, CredentialId, Directory, Environment, Refusal, Scope, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{self, Page, PageQuery};
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::object;
use crate::problem::{Problem, ProblemBody};
use crate::routes::leavers::why;
use crate::routes::naming::holder_name;
use crate::routes::paging::behind;
use crate::routes::{members, organization};
use crate::usage::passage;

/// The most keys that an answer lists.
const LISTED_MAX: usize = 100;

/// Which keys are to be revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRevocation {
    /// Which keys are meant.
    #[schema(required, value_type = FilterBody)]
    #[serde(default, deserialize_with = "object::optional")]
    filter: Option<FilterBody>,
    /// `true` only shows what it would come to.
    dry_run: Option<bool>,
    /// The `count` that a dry run gave: if it is another one by now, nothing is revoked.
    expected_count: Option<usize>,
}

/// Which keys are meant: those to which all of this applies. At least one field must say so, or
/// `all` must.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterBody {
    /// All keys of the organization, where nothing else is said.
    all: bool,
    /// Made before this instant.
    #[schema(format = DateTime)]
    created_before: Option<String>,
    /// Made by this member (id, slug or address) or `user:<id>`, `service:<slug or id>`.
    #[schema(example = "ada")]
    created_by: Option<String>,
    /// Good for this scope at the moment.
    #[schema(example = "files:write")]
    scope: Option<String>,
    /// Held by this member (id, slug or address) or `user:<id>`, `service:<slug or id>`,
    /// `entitlement:<id>`.
    #[schema(example = "service:ci-pipeline")]
    owner: Option<String>,
    /// `live` or `test`.
    environment: Option<String>,
    /// Held by a `user`, a `service` or an `entitlement`.
    kind: Option<String>,
    /// The very credential that asks, too.
    include_self: bool,
}

impl FilterBody {
    fn read(self, directory: &Directory, org: &Org) -> Result<RevocationFilter, Problem> {
        let mut fields = Fields::default();
        let created_before =
            fields.optional("filter.created_before", self.created_before.as_deref());
        let created_by = actor(
            "filter.created_by",
            self.created_by,
            directory,
            org,
            &mut fields,
        );
        let scope: Option<Scope> = fields.optional("filter.scope", self.scope.as_deref());
        let owner = actor("filter.owner", self.owner, directory, org, &mut fields);
        let environment = self.environment.as_deref();
        let environment = fields.word("filter.environment", environment, "live or test");
        let kind = self.kind.as_deref();
        let kind = fields.word("filter.kind", kind, "user, service or entitlement");
        fields.check()?;
        Ok(RevocationFilter {
            all: self.all,
            created_before,
            created_by,
            scope,
            owner,
            environment,
            kind,
            include_self: self.include_self,
        })
    }
}

/// Whoever a text names: somebody who is gone too by an id, anybody else only in this organization.
fn actor(
    field: &str,
    text: Option<String>,
    directory: &Directory,
    org: &Org,
    fields: &mut Fields,
) -> Option<Actor> {
    let text = text?;
    let service = |named: &str| {
        let by_slug = directory.service_by_slug(org.id, named);
        // A service that is gone is known by what it made; one of another organization is nobody.
        let is_known_here = |actor: &Actor| {
            let here =
                |key: &ApiKey| key.created_by() == *actor || key.issued.holder.actor() == *actor;
            directory.keys_in(org).any(here)
        };
        let by_id = || named.parse().ok().map(Actor::Service).filter(is_known_here);
        by_slug
            .map(|service| Actor::Service(service.id))
            .or_else(by_id)
    };
    let found = match text.split_once(':') {
        Some(("user", id)) => id.parse().ok().map(Actor::User),
        Some(("service", named)) => service(named),
        Some(("entitlement", id)) => id.parse::<EntitlementId>().ok().map(Actor::Entitlement),
        Some(_) => None,
        None => {
            let by_email = text.parse::<Email>().ok();
            let by_email = by_email.and_then(|email| directory.user_by_email(email.as_str()));
            let member = by_email
                .map(|user| user.id)
                .filter(|user| org.members.contains_key(user));
            member
                .or_else(|| members::find(directory, org, &text).ok())
                .map(Actor::User)
        }
    };
    if found.is_none() {
        fields.refuse(field, "names nobody in this organization");
    }
    found
}

/// A holder of keys that are meant.
#[derive(Serialize, ToSchema)]
pub struct OwnerCount {
    /// `user:`, `service:` or `entitlement:` and an id.
    owner: String,
    /// Their slug or name.
    name: Option<String>,
    /// How many of the keys are theirs.
    count: usize,
}

/// What becomes of a key that is meant.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeantOutcome {
    /// It is good for nothing any more.
    Revoked,
    /// It is good for nothing in this organization any more, and goes on in the others in which its
    /// owner is active.
    BarredHere,
}

impl MeantOutcome {
    const fn words(self) -> &'static str {
        match self {
            Self::Revoked => "it is dead everywhere",
            Self::BarredHere => {
                "it is dead in this organization, with every right it had here; its owner is active in \
                 another organization, where it goes on working and only they or that organization can end it"
            }
        }
    }
}

/// A key that is meant.
#[derive(Serialize, ToSchema)]
pub struct MeantKey {
    /// The public id of its credential.
    id: String,
    /// What may be shown of it to anybody.
    preview: String,
    /// Who holds it.
    owner: String,
    /// When it was last used, as far as was counted.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// What becomes of it, in one word.
    #[schema(example = "barred_here")]
    outcome: MeantOutcome,
    /// What becomes of it.
    meaning: &'static str,
}

/// A key that is meant and left alone.
#[derive(Serialize, ToSchema)]
pub struct LeftAloneKey {
    /// The public id of its credential.
    id: String,
    /// Who holds it.
    owner: String,
    /// Why, in one word.
    #[schema(value_type = String, example = "above_own_role")]
    code: LeftAlone,
    /// Why.
    reason: &'static str,
}

/// What a revocation would come to.
#[derive(Serialize, ToSchema)]
pub struct RevocationPreview {
    /// How many keys would be dead in this organization. Send it as `expected_count` to end these and
    /// no others.
    count: usize,
    /// How many of them go on working in other organizations.
    barred_here_count: usize,
    /// Whether they are too many for a filter with a scope; without one no number is too large.
    too_many: bool,
    /// Who holds them.
    owners: Vec<OwnerCount>,
    /// When any of them was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// How many of them were used in the last 24 hours.
    used_in_last_day: usize,
    /// The first hundred of them: those that go on working elsewhere before the others, the oldest
    /// first.
    keys: Vec<MeantKey>,
    /// How many are meant and left alone.
    left_alone_count: usize,
    /// The first hundred of these.
    left_alone: Vec<LeftAloneKey>,
}

fn owner_of(directory: &Directory, id: CredentialId) -> Option<Actor> {
    directory.api_key(id).map(|key| key.issued.holder.actor())
}

fn words(actor: Option<Actor>) -> String {
    actor.map(|actor| actor.to_string()).unwrap_or_default()
}

fn left_alone(directory: &Directory, selection: &Selection) -> Vec<LeftAloneKey> {
    let named = selection.left_alone.iter().take(LISTED_MAX);
    named
        .map(|(id, reason)| LeftAloneKey {
            id: id.to_string(),
            owner: words(owner_of(directory, *id)),
            code: *reason,
            reason: why(*reason),
        })
        .collect()
}

/// The first keys that are meant, those first that work on elsewhere: they are what somebody in an
/// emergency has to think of.
fn meant(app: &App, directory: &Directory, selection: &Selection) -> Vec<MeantKey> {
    let barred = selection.barred.iter();
    let barred = barred.map(|id| (id, MeantOutcome::BarredHere));
    let ended = selection.keys.iter().map(|id| (id, MeantOutcome::Revoked));
    let listed = barred.chain(ended).take(LISTED_MAX);
    let view = |(id, outcome): (&CredentialId, MeantOutcome)| {
        let issued = &directory.api_key(*id)?.issued;
        Some(MeantKey {
            id: id.to_string(),
            preview: preview(issued.kind, issued.environment, issued.id),
            owner: issued.holder.actor().to_string(),
            last_used_at: app.usage().last_used_at(*id),
            outcome,
            meaning: outcome.words(),
        })
    };
    listed.filter_map(view).collect()
}

impl RevocationPreview {
    fn of(
        app: &App,
        directory: &Directory,
        filter: &RevocationFilter,
        selection: &Selection,
    ) -> Self {
        let last_used = |id: &CredentialId| app.usage().last_used_at(*id);
        let day_ago = Timestamp::from_micros(app.now().micros() - 86_400_000_000);
        let all = selection.keys.iter().chain(&selection.barred);
        let used = all.clone().filter_map(last_used);
        let mut owners: BTreeMap<Actor, usize> = BTreeMap::new();
        for id in all {
            if let Some(actor) = owner_of(directory, *id) {
                *owners.entry(actor).or_default() += 1;
            }
        }
        let owners = owners.into_iter().map(|(actor, count)| OwnerCount {
            owner: actor.to_string(),
            name: holder_name(directory, actor),
            count,
        });
        Self {
            count: selection.count(),
            barred_here_count: selection.barred.len(),
            too_many: filter.scope.is_some() && selection.count() > NAMED_MAX,
            owners: owners.collect(),
            last_used_at: used.clone().max(),
            used_in_last_day: used.filter(|at| *at >= day_ago).count(),
            keys: meant(app, directory, selection),
            left_alone_count: selection.left_alone.len(),
            left_alone: left_alone(directory, selection),
        }
    }
}

/// Which keys were meant.
#[derive(Serialize, ToSchema)]
pub struct FilterView {
    /// All of them.
    all: bool,
    /// Made before this instant.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
    /// Made by this actor.
    created_by: Option<String>,
    /// Good for this scope at that moment.
    #[schema(value_type = Option<String>)]
    scope: Option<Scope>,
    /// Held by this actor.
    owner: Option<String>,
    /// Of this environment.
    #[schema(value_type = Option<String>)]
    environment: Option<Environment>,
    /// Held by this kind of holder.
    #[schema(value_type = Option<String>)]
    kind: Option<HolderKind>,
    /// The very credential that asked, too.
    include_self: bool,
}

/// A revocation of many keys.
#[derive(Serialize, ToSchema)]
pub struct RevocationView {
    /// The identifier, to undo it with.
    id: String,
    /// When it was.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who did it.
    by: String,
    /// Which keys were meant.
    filter: FilterView,
    /// How many it ended in this organization.
    count: usize,
    /// Until when it can be undone.
    #[schema(value_type = String, format = DateTime)]
    undo_until: Timestamp,
    /// When it was undone.
    #[schema(value_type = Option<String>, format = DateTime)]
    undone_at: Option<Timestamp>,
}

impl RevocationView {
    fn of(revocation: &Revocation) -> Self {
        let filter = &revocation.filter;
        Self {
            id: revocation.id.to_string(),
            at: revocation.at,
            by: revocation.by.to_string(),
            filter: FilterView {
                all: filter.all,
                created_before: filter.created_before,
                created_by: filter.created_by.map(|actor| actor.to_string()),
                scope: filter.scope.clone(),
                owner: filter.owner.map(|actor| actor.to_string()),
                environment: filter.environment,
                kind: filter.kind,
                include_self: filter.include_self,
            },
            count: revocation.count,
            undo_until: revocation.undo_until(),
            undone_at: revocation.undone_at,
        }
    }
}

/// A revocation that was just made, and what it left alone.
#[derive(Serialize, ToSchema)]
pub struct MadeRevocation {
    #[serde(flatten)]
    revocation: RevocationView,
    /// How many of the keys go on working in other organizations.
    barred_here_count: usize,
    /// What became of the first hundred: those that go on working elsewhere before the others, the
    /// oldest first.
    keys: Vec<MeantKey>,
    /// How many were meant and left alone.
    left_alone_count: usize,
    /// The first hundred of these.
    left_alone: Vec<LeftAloneKey>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum RevocationAnswer {
    /// Keys were revoked.
    Made(MadeRevocation),
    /// It was a dry run, or the filter means no key.
    Preview(RevocationPreview),
}

/// What a revocation did, rather than what was to be seen before it was decided: somebody who saw the
/// emergency coming may have made keys, or another organization, in between.
fn done_by(directory: &Directory, org: OrgId, id: RevocationId, before: Selection) -> Selection {
    let done = directory.org(org).and_then(|org| org.revocations.get(&id));
    let Some(done) = done else { return before };
    let in_order = |ids: &BTreeSet<CredentialId>| {
        let mut keys: Vec<CredentialId> = ids.iter().copied().collect();
        keys.sort_by_cached_key(|id| directory.api_key(*id).map(|key| key.created_at));
        keys
    };
    Selection {
        keys: in_order(&done.keys),
        barred: in_order(&done.barred),
        left_alone: before.left_alone,
    }
}

impl App {
    fn view_revocation(&self, org: OrgId, id: RevocationId) -> Result<RevocationView, Problem> {
        let directory = self.directory();
        let revocation = directory.org(org).and_then(|org| org.revocations.get(&id));
        revocation
            .map(RevocationView::of)
            .ok_or_else(|| Refusal::Unknown(Noun::Revocation).into())
    }
}

/// Notes the rights that such a revocation, and its undoing, take; the domain asks for them.
fn note_rights(filter: &RevocationFilter) {
    filter
        .kinds()
        .for_each(|kind| passage::required(kind.right()));
}

/// Revoke many keys at once: one event for the lot, which can be undone within an hour.
///
/// Each kind of holder that the filter can mean takes its own right: `users:write`,
/// `services:write`, `entitlements:write`. Left alone are keys of those whose role is above the
/// caller's, and the credential that asks. It ends as many keys as are meant, all or none; only a
/// filter with a scope means at most 6,000.
///
/// Keys of people who are active in other organizations too are `barred_here`: they are dead in this
/// one, with every right that they had here, and nobody makes or takes over a key with them that works
/// here. A service whose key was revoked stays, and `refresh` gives it a new one; so does a rotation to
/// a person, of a key that was barred as well, if it is at once and asked for by password or session.
///
/// # Errors
/// 401, 403, 404, 409 when `expected_count` is another by now, 422.
#[utoipa::path(post, path = "/v1/orgs/{org}/revocations", tag = "revocations", request_body = NewRevocation,
    params(("org" = String, Path, description = "The organization's slug.")),
    responses(
        (status = 200, body = RevocationPreview, description = "A dry run, or the filter means no key: what it comes to."),
        (status = 201, body = MadeRevocation, description = "The revocation."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks a right."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 409, body = ProblemBody, description = "The filter means other keys by now."),
        (status = 422, body = ProblemBody, description = "A field is not right, or the filter means too many keys.")))]
pub async fn create_revocation(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    Json(body): Json<NewRevocation>,
) -> Result<HttpResponse, Problem> {
    let (org, filter, selection, expected_count) = {
        let directory = app.directory();
        let authority = caller.authority();
        let org = organization::visible(&directory, &caller, &org)?;
        // Whoever may revoke nothing learns nothing of who is here.
        let mut rights =
            HolderKind::ALL.map(|kind| directory.require(authority, org.id, kind.right()));
        if rights.iter().all(Result::is_err) {
            core::mem::replace(&mut rights[0], Ok(()))?;
        }
        let body = body?;
        let filter = body.filter.unwrap_or_default().read(&directory, org)?;
        note_rights(&filter);
        let selection = directory.select_for_revocation(authority, org.id, &filter)?;
        if body.dry_run == Some(true) {
            let preview = RevocationPreview::of(&app, &directory, &filter, &selection);
            return Ok(HttpResponse::Ok().json(preview));
        }
        (org.id, filter, selection, body.expected_count)
    };
    let revocation = RevocationId::from_random(app.random()?);
    let command = RevokeApiKeys {
        org,
        revocation,
        filter: filter.clone(),
        expected_count,
    };
    let committed = app.execute(&caller, command).await?;
    if committed.record.is_none() {
        let preview = RevocationPreview::of(
            &app,
            &app.directory(),
            &filter,
            &Selection {
                keys: Vec::new(),
                barred: Vec::new(),
                ..selection
            },
        );
        return Ok(answer::done(committed.position, &preview));
    }
    let done = app.view_revocation(org, revocation)?;
    let directory = app.directory();
    let selection = done_by(&directory, org, revocation, selection);
    let view = MadeRevocation {
        revocation: done,
        barred_here_count: selection.barred.len(),
        keys: meant(&app, &directory, &selection),
        left_alone_count: selection.left_alone.len(),
        left_alone: left_alone(&directory, &selection),
    };
    drop(directory);
    Ok(answer::created(committed.position, &view))
}

/// List the revocations of many keys, by id.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/revocations", tag = "revocations",
    params(("org" = String, Path, description = "The organization's slug."), PageQuery),
    responses(
        (status = 200, body = Page<RevocationView>, description = "A page of revocations."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks audit:read."),
        (status = 404, body = ProblemBody, description = "No such organization."),
        (status = 422, body = ProblemBody, description = "The limit or the place is not right.")))]
pub async fn list_revocations(
    app: web::Data<App>,
    caller: Caller,
    org: web::Path<String>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let org = organization::require(&directory, &caller, &org, built_in::AUDIT_READ)?;
    let limit = page.limit()?;
    let from = behind::<RevocationId>(&page)?;
    let revocations = org.revocations.range((from, Bound::Unbounded));
    // A test credential sees what was done to test keys alone.
    let seen = revocations
        .map(|(_, revocation)| revocation)
        .filter(|revocation| {
            let of = revocation.filter.environment.unwrap_or(Environment::Live);
            directory.sees(caller.authority(), of)
        });
    let page = Page::of(seen, limit, |one| one.id.to_string(), RevocationView::of);
    Ok(HttpResponse::Ok().json(page))
}

/// Undo a revocation of many keys within an hour: those that nothing else has ended or replaced
/// since are good again. It takes the rights of the revocation, and whoever undoes it must hold all
/// that the keys can do. To undo it again changes nothing.
///
/// # Errors
/// 401, 403, 404, 409 after an hour.
#[utoipa::path(post, path = "/v1/orgs/{org}/revocations/{id}/undo", tag = "revocations",
    params(("org" = String, Path, description = "The organization's slug."),
        ("id" = String, Path, description = "The revocation's id.")),
    responses(
        (status = 200, body = RevocationView, description = "The revocation, undone."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks a right, or a key can do more than they."),
        (status = 404, body = ProblemBody, description = "No such organization or revocation."),
        (status = 409, body = ProblemBody, description = "It is more than an hour old.")))]
pub async fn undo_revocation(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    // An id that is none names no revocation; the rights are asked for all the same.
    let revocation = path.1.parse();
    let revocation = revocation.unwrap_or_else(|_| RevocationId::from_bytes([0; 16]));
    let org = {
        let directory = app.directory();
        let org = organization::visible(&directory, &caller, &path.0)?;
        if let Some(revocation) = org.revocations.get(&revocation) {
            note_rights(&revocation.filter);
        }
        org.id
    };
    let undo = UndoRevocation { org, revocation };
    let committed = app.execute(&caller, undo).await?;
    let view = app.view_revocation(org, revocation)?;
    Ok(answer::done(committed.position, &view))
}
