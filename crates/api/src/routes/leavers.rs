//! What somebody who leaves an organization leaves behind there: the live keys that they own, and
//! those of the services and entitlement tokens that they made.

use core::fmt;
use std::collections::BTreeMap;
use std::ops::Bound;

use actix_web::{HttpResponse, web};
use keyledger_domain::api_key::Holder;
use keyledger_domain::credential::preview;
use keyledger_domain::id::{KeyId, OrgId, RevocationId, ServiceId, UserId};
use keyledger_domain::offboarding::HandOverUserKey;
use keyledger_domain::revocation::{HolderKind, LeftAlone, RevocationFilter, RevokeApiKeys};
use keyledger_domain::scope::built_in;
use keyledger_domain::text::{DisplayName, Slug};
use keyledger_domain::user_key::KeyLabel;
use keyledger_domain::{
    Actor, ApiKey, Authority, Command, CredentialId, Directory, Environment, Position, Role, Scope,
    Timestamp,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::answer::{Page, PageQuery};
use crate::app::App;
use crate::body::Fields;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::routes::paging::behind;
use crate::routes::{members, organization, shared_keys};
use crate::usage::passage;

/// What `keys` must be, for whoever sent something else.
const KEYS_WORDS: &str = r#"must be keep, revoke, or {"hand_over_to": "the name of a service"}"#;

/// What becomes of the keys that somebody owns: a word, or a service.
// Bodies are read by `wished_keys`: what serde makes of it tells nobody what was wrong, and is here for
// the schema only.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LeaversKeys {
    /// `keep` or `revoke`.
    Word(String),
    /// A service to be made, which takes the key over.
    HandOver(HandOver),
}

/// A service that takes a key over: the same secret goes on working, for what it could do here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The name of the service. With several keys each gets a service, and those after the first a
    /// number.
    #[schema(example = "nightly-build", max_length = 128)]
    #[serde(rename = "hand_over_to")]
    name: String,
    /// `member` or `manager`; `member` where it is left out. The key does no more than this role.
    role: Option<String>,
    /// The slugs of the teams whose rights the service has besides.
    teams: Option<Vec<String>>,
}

/// Reads [`LeaversKeys`], or `None` for `null`.
///
/// # Errors
/// What is wrong, at the field where it is.
pub(crate) fn wished_keys<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<LeaversKeys>, D::Error> {
    struct WordOrObject;

    impl<'de> Visitor<'de> for WordOrObject {
        type Value = Option<LeaversKeys>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let words = KEYS_WORDS.strip_prefix("must be ");
            f.write_str(words.unwrap_or(KEYS_WORDS))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E>(self, word: &str) -> Result<Self::Value, E> {
            Ok(Some(LeaversKeys::Word(word.to_owned())))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let to = HandOver::deserialize(MapAccessDeserializer::new(map))?;
            Ok(Some(LeaversKeys::HandOver(to)))
        }
    }

    deserializer.deserialize_any(WordOrObject)
}

/// [`LeaversKeys`], checked.
pub(crate) enum Wish {
    Keep,
    Revoke,
    HandOver {
        name: DisplayName,
        slug: Slug,
        role: Role,
        teams: Vec<Slug>,
    },
}

impl Wish {
    /// Reads it; what is wrong is noted in `fields`.
    pub(crate) fn read(keys: Option<LeaversKeys>, fields: &mut Fields) -> Self {
        match keys {
            None => Self::Keep,
            Some(LeaversKeys::Word(word)) => match word.as_str() {
                "keep" => Self::Keep,
                "revoke" => Self::Revoke,
                _ => {
                    fields.refuse("keys", KEYS_WORDS);
                    Self::Keep
                }
            },
            Some(LeaversKeys::HandOver(to)) => {
                let name: Option<DisplayName> =
                    fields.required("keys.hand_over_to", Some(&to.name));
                let slug = name.as_ref().and_then(|name| {
                    let slug = Slug::from_name(name.as_str()).ok();
                    if slug.is_none() {
                        fields.refuse(
                            "keys.hand_over_to",
                            "has no ASCII letter or digit to make a slug of",
                        );
                    }
                    slug
                });
                let role = fields.word("keys.role", to.role.as_deref(), "member or manager");
                let teams = fields.each("keys.teams", to.teams.as_deref().unwrap_or_default());
                match (name, slug) {
                    (Some(name), Some(slug)) => Self::HandOver {
                        name,
                        slug,
                        role: role.unwrap_or(Role::Member),
                        teams,
                    },
                    (_, _) => Self::Keep,
                }
            }
        }
    }

    /// Asks for the rights that it takes and the teams that it names before anybody is switched off.
    /// Revoking takes the rights that switching off takes.
    ///
    /// # Errors
    /// 403 without the right; 422 that names each team that is none.
    pub(crate) fn check(
        &self,
        directory: &Directory,
        authority: &Authority,
        org: OrgId,
    ) -> Result<(), Problem> {
        let Self::HandOver { teams, .. } = self else {
            return Ok(());
        };
        passage::required(built_in::SERVICES_WRITE);
        directory.require(authority, org, built_in::SERVICES_WRITE)?;
        let known = directory.org(org).map(|org| &org.teams);
        let mut fields = Fields::default();
        for (i, team) in teams.iter().enumerate() {
            if known.is_none_or(|known| !known.contains_key(team)) {
                let words = "is no team of this organization; name it by its slug";
                fields.refuse(&format!("keys.teams[{i}]"), words);
            }
        }
        fields.check()
    }

    /// Asks before anything is done whether they are not too many to hand over.
    ///
    /// # Errors
    /// 422 with the remedy.
    pub(crate) fn check_count(&self, leaver: &Leaver) -> Result<(), Problem> {
        let owned = leaver.keys.iter().filter(|(key, ..)| key.is_some()).count();
        match self {
            Self::HandOver { .. } if owned > HANDED_OVER_MAX => Err(Problem::field(
                "keys.hand_over_to",
                format!(
                    "would take over {owned} keys, and services take over at most {HANDED_OVER_MAX} at once; \
                     revoke those that nobody needs first, or all with \"keys\": \"revoke\""
                ),
            )),
            Self::Keep | Self::Revoke | Self::HandOver { .. } => Ok(()),
        }
    }
}

/// The most keys that services take over at once: each is a record of its own.
const HANDED_OVER_MAX: usize = 1_000;

/// What was done about a key.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was asked for.
    Kept,
    /// It is dead; that can be undone for an hour.
    Revoked,
    /// It is dead in this organization, and works in the others in which its owner is active; that
    /// can be undone for an hour.
    BarredHere,
    /// A service holds it.
    HandedOver,
    /// It was asked for and not done; `reason` says why.
    LeftAlone,
}

/// A live key that somebody owns or made.
#[derive(Serialize, ToSchema)]
pub struct LeaversKeyView {
    /// The public id of its credential, which stays with it whoever holds it.
    credential: String,
    /// `owns`, or `made` for a service or entitlement token.
    #[schema(example = "owns")]
    relation: &'static str,
    /// What holds it: `user`, `service` or `entitlement`.
    #[schema(value_type = String, example = "user")]
    kind: HolderKind,
    /// The identifier of the key, service or entitlement token.
    id: String,
    /// The handle of a key, the slug of a service, the name of a token; `null` for the one token
    /// that a person has without naming it.
    name: Option<String>,
    /// What may be shown of it to anybody.
    #[schema(example = "sk_live_3kTMd9wQx_****")]
    preview: String,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
    /// What it may do; `null` for all that its holder may.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ends; `null` for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used, as far as was counted; `null` also where its owner is switched off here
    /// and goes on elsewhere.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// Whether its owner is active in other organizations too, in which it goes on working.
    works_elsewhere: bool,
    /// What was done about it, where something was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    /// The slug of the service that holds it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// Why it was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What somebody who was switched off leaves behind.
#[derive(Serialize, ToSchema)]
pub struct OffboardingView {
    /// The live keys that they own, and what became of each; then those that they made.
    keys: Vec<LeaversKeyView>,
    /// The revocation that ended their keys, to undo it with.
    revocation: Option<String>,
}

/// Somebody who leaves, as they were before.
pub(crate) struct Leaver {
    org: OrgId,
    user: UserId,
    /// With the key of the person, where it is one.
    keys: Vec<(Option<KeyId>, CredentialId, LeaversKeyView)>,
}

fn view(
    app: &App,
    directory: &Directory,
    org: OrgId,
    user: UserId,
    key: &ApiKey,
) -> Option<LeaversKeyView> {
    let issued = &key.issued;
    let (relation, id, name, made_by) = match issued.holder {
        Holder::User { key, .. } => {
            let key = directory.user_key(key)?;
            let name = match &key.label {
                KeyLabel::Handle(handle) => Some(handle.to_string()),
                KeyLabel::OwnToken => None,
            };
            ("owns", key.id.to_string(), name, Actor::User(key.user))
        }
        Holder::Service { service, .. } => {
            let service = directory.service(service)?;
            let slug = Some(service.slug.to_string());
            ("made", service.id.to_string(), slug, service.created_by)
        }
        Holder::Entitlement { entitlement, .. } => {
            let token = directory.entitlement(entitlement)?;
            let name = Some(token.name.to_string());
            ("made", token.id.to_string(), name, token.created_by)
        }
        Holder::Client { .. } | Holder::Delegate { .. } => return None,
    };
    let theirs = made_by == Actor::User(user) || key.created_by() == Actor::User(user);
    let of_another = matches!(issued.holder, Holder::User { user: owner, .. } if owner != user);
    let is_dead = key.revoked_at().is_some() || directory.bars(org, issued.id);
    if !theirs || of_another || is_dead {
        return None;
    }
    Some(LeaversKeyView {
        credential: issued.id.to_string(),
        relation,
        kind: HolderKind::of(issued.holder.actor())?,
        id,
        name,
        preview: preview(issued.kind, issued.environment, issued.id),
        environment: issued.environment,
        scopes: key.scopes.as_ref().map(|all| all.iter().cloned().collect()),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: directory
            .org(org)
            .filter(|org| shared_keys::concerns(directory, org, key))
            .and_then(|_| app.usage().last_used_at(issued.id)),
        disabled_at: key.disabled_at(),
        works_elsewhere: directory.works_elsewhere(key, org),
        outcome: None,
        service: None,
        reason: None,
    })
}

/// The words for a key that a revocation leaves alone.
pub(crate) const fn why(reason: LeftAlone) -> &'static str {
    match reason {
        LeftAlone::OwnCredential => "it is the credential that asks; include_self takes it too",
        LeftAlone::AboveOwnRole => "its owner's role is above the caller's",
    }
}

impl App {
    /// What somebody would leave behind, as far as this authority sees it.
    pub(crate) fn leaver(
        &self,
        directory: &Directory,
        authority: &Authority,
        org: OrgId,
        user: UserId,
    ) -> Leaver {
        let in_org = directory.org(org).map(|org| directory.keys_in(org));
        let mut keys: Vec<_> = in_org
            .into_iter()
            .flatten()
            .filter(|key| directory.sees(authority, key.issued.environment))
            .filter_map(|key| {
                let held = match key.issued.holder {
                    Holder::User { key, .. } => Some(key),
                    Holder::Service { .. }
                    | Holder::Entitlement { .. }
                    | Holder::Client { .. }
                    | Holder::Delegate { .. } => None,
                };
                Some((held, key.issued.id, view(self, directory, org, user, key)?))
            })
            .collect();
        keys.sort_by_key(|(held, id, view)| (held.is_none(), view.created_at, *id));
        Leaver { org, user, keys }
    }

    /// Carries out what is wished for the keys of somebody who was just switched off, and gives the
    /// position of the last record, if it made any.
    ///
    /// # Errors
    /// 5xx when nothing can be changed now. What is refused is told of each key instead.
    pub(crate) async fn carry_out(
        &self,
        caller: &Caller,
        mut leaver: Leaver,
        wish: Wish,
    ) -> Result<(Option<Position>, OffboardingView), Problem> {
        let mut last = None;
        let mut revocation = None;
        match wish {
            Wish::Keep => {
                for (_, _, view) in leaver.keys.iter_mut().filter(|(key, ..)| key.is_some()) {
                    view.outcome = Some(Outcome::Kept);
                }
            }
            Wish::Revoke => {
                (last, revocation) = self.revoke_leavers_keys(caller, &mut leaver).await?;
            }
            Wish::HandOver {
                name,
                slug,
                role,
                teams,
            } => {
                let org = leaver.org;
                let mut slugs =
                    core::iter::once(slug.clone()).chain((2..).map(|number| slug.numbered(number)));
                for (key, _, view) in &mut leaver.keys {
                    let Some(key) = *key else { continue };
                    // Each goes on where the one before it found a free one.
                    let slug = self
                        .free_slug(org, &mut slugs)
                        .ok_or_else(Problem::internal)?;
                    let command = HandOverUserKey {
                        org,
                        key,
                        service: ServiceId::from_random(self.random()?),
                        slug: slug.clone(),
                        name: name.clone(),
                        description: "".parse().map_err(|_| Problem::internal())?,
                        role,
                        teams: teams.clone(),
                    };
                    match self.attempt(caller, command).await? {
                        Ok(position) => {
                            last = position.or(last);
                            view.outcome = Some(Outcome::HandedOver);
                            view.service = Some(slug.to_string());
                        }
                        Err(reason) => {
                            view.outcome = Some(Outcome::LeftAlone);
                            view.reason = Some(reason);
                        }
                    }
                }
            }
        }
        let keys = leaver.keys.into_iter().map(|(_, _, view)| view).collect();
        let revocation = revocation.map(|id: RevocationId| id.to_string());
        Ok((last, OffboardingView { keys, revocation }))
    }

    async fn revoke_leavers_keys(
        &self,
        caller: &Caller,
        leaver: &mut Leaver,
    ) -> Result<(Option<Position>, Option<RevocationId>), Problem> {
        let org = leaver.org;
        let filter = RevocationFilter {
            owner: Some(Actor::User(leaver.user)),
            kind: Some(HolderKind::User),
            ..RevocationFilter::default()
        };
        let selected = self
            .directory()
            .select_for_revocation(caller.authority(), org, &filter);
        let left_alone: BTreeMap<_, _> = selected
            .map(|selected| selected.left_alone.into_iter().collect())
            .unwrap_or_default();
        let revocation = RevocationId::from_random(self.random()?);
        let command = RevokeApiKeys {
            org,
            revocation,
            filter,
            expected_count: None,
        };
        let done = self.attempt(caller, command).await?;
        let directory = self.directory();
        for (_, id, view) in leaver.keys.iter_mut().filter(|(key, ..)| key.is_some()) {
            let is_dead = directory
                .api_key(*id)
                .is_some_and(|key| key.revoked_at().is_some());
            if is_dead || directory.bars(org, *id) {
                view.outcome = Some(if is_dead {
                    Outcome::Revoked
                } else {
                    Outcome::BarredHere
                });
                continue;
            }
            view.outcome = Some(Outcome::LeftAlone);
            view.reason = match (&done, left_alone.get(id)) {
                (Err(reason), _) => Some(reason.clone()),
                (Ok(_), Some(reason)) => Some(why(*reason).to_owned()),
                (Ok(_), None) => Some("it was made meanwhile".to_owned()),
            };
        }
        let position = done.ok().flatten();
        Ok((position, position.map(|_| revocation)))
    }

    /// A command whose refusal is told and stops nothing: the position of its record, or the reason.
    async fn attempt(
        &self,
        caller: &Caller,
        command: impl Into<Command>,
    ) -> Result<Result<Option<Position>, String>, Problem> {
        match self.execute(caller, command).await {
            Ok(done) => Ok(Ok(done.record.map(|record| record.position))),
            Err(problem) if problem.is_refusal() => Ok(Err(problem.detail().to_owned())),
            Err(problem) => Err(problem),
        }
    }

    fn free_slug(&self, org: OrgId, slugs: &mut impl Iterator<Item = Slug>) -> Option<Slug> {
        let directory = self.directory();
        slugs.find(|slug| directory.service_by_slug(org, slug.as_str()).is_none())
    }
}

/// List the live keys that a member owns or made, by the public id of their credentials: what there
/// is to hand over or to revoke before somebody leaves. It takes `users:read` and the role of a
/// manager.
///
/// # Errors
/// 401, 403, 404, 422.
#[utoipa::path(get, path = "/v1/orgs/{org}/members/{user}/keys", tag = "members",
    params(("org" = String, Path, description = "The organization's slug."),
        ("user" = String, Path, description = "The member's id or slug."), PageQuery),
    responses(
        (status = 200, body = Page<LeaversKeyView>, description = "A page of keys."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks users:read, or is no manager."),
        (status = 404, body = ProblemBody, description = "No such organization or member."),
        (status = 422, body = ProblemBody, description = "The limit or the place is not right.")))]
pub async fn list_member_keys(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let directory = app.directory();
    let org = organization::require(&directory, &caller, &path.0, built_in::USERS_READ)?;
    directory.require_manager(caller.authority(), org.id, built_in::USERS_READ)?;
    let limit = page.limit()?;
    let user = members::find(&directory, org, &path.1)?;
    let from = behind::<CredentialId>(&page)?;
    let leaver = app.leaver(&directory, caller.authority(), org.id, user);
    let keys: BTreeMap<_, _> = leaver
        .keys
        .iter()
        .map(|(_, id, view)| (*id, view))
        .collect();
    let keys = keys.range((from, Bound::Unbounded));
    let page = Page::of(keys, limit, |(id, _)| id.to_string(), |(_, view)| *view);
    Ok(HttpResponse::Ok().json(page))
}
