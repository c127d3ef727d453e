//! One refusal: who asked for what, what they had, and who may be told.

use core::net::IpAddr;
use core::ops::ControlFlow;

use actix_web::{HttpRequest, web};
use keyledger_domain::api_key::{self, Holder};
use keyledger_domain::id::{OrgId, RequestId};
use keyledger_domain::loss::{Loss, LossSearch, Subject};
use keyledger_domain::org::Org;
use keyledger_domain::scope::built_in;
use keyledger_domain::{
    Actor, ApiKey, Authority, Directory, Environment, Position, Proof, Record, Refusal, Role,
    Scopes, Timestamp,
};
use serde::Deserialize;

use super::check::{Check, Denial, Failed, Standing};
use crate::app::App;
use crate::caller;
use crate::carrier::Carried;
use crate::edge::method_name;
use crate::lookup::{self, NoGood};
use crate::routes::paths;

/// The most organizations whose auditors are told of one refusal.
const READERS_MAX: usize = 16;

/// Whether what the caller showed was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It was: the caller is known, and may not. (403)
    Good,
    /// It was not. (401)
    Bad,
}

/// One refusal, as it was then.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) shown: Shown,
    pub(crate) failed: Failed,
    /// Who asked, or, where what they showed was no good, whose it is.
    pub(crate) subject: Subject,
    /// When its key was revoked, or barred from organizations.
    pub(crate) ended_at: Box<[Timestamp]>,
    /// The organizations whose auditors may read it.
    pub(crate) readers: Box<[OrgId]>,
    pub(crate) had: Had,
    /// Up to where the ledger had come.
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    pub(crate) request: RequestId,
    pub(crate) method: &'static str,
    /// The pattern of the route; what people put in paths by mistake is not kept.
    pub(crate) route: &'static str,
    pub(crate) source: Option<IpAddr>,
}

/// What the caller, or their credential, had.
#[derive(Clone, Debug)]
pub(crate) struct Had {
    /// The scopes of the key; `None` where nothing narrows it.
    pub(crate) scopes: Option<Scopes>,
    /// The role in the organization in which they asked.
    pub(crate) role: Option<Role>,
    pub(crate) environment: Environment,
    pub(crate) standing: Standing,
    /// Whether the secret was one that is replaced already and has its grace.
    pub(crate) old_secret: bool,
}

/// Who may read a decision, and in whose records its event is looked for.
pub(crate) enum Reader {
    /// Whoever may read the log of these organizations.
    Auditor(Vec<OrgId>),
    /// The one who was refused.
    Themselves,
}

/// Somebody who was known, and what they showed.
struct Known<'d> {
    authority: Authority,
    key: Option<&'d ApiKey>,
    old_secret: bool,
}

impl Decision {
    /// Notes why a request was refused. Nothing of it takes longer for a credential that is ours than
    /// for one that nobody ever made.
    pub(super) fn of(
        app: &App,
        id: RequestId,
        request: &HttpRequest,
        denial: Option<&Denial>,
    ) -> Self {
        let source = source_of(request);
        let now = app.now();
        let directory = app.directory();
        let made = match denial {
            Some(Denial::Key { claimed, why }) => {
                let key = claimed.and_then(|id| directory.api_key(id));
                key.map(|key| Self::of_key(&directory, key, *why, now, source))
            }
            Some(Denial::Name { claimed }) => {
                let key = claimed.and_then(|id| directory.api_key(id));
                key.map(|key| Self {
                    failed: Check::WrongName.into(),
                    ..Self::of_key(&directory, key, NoGood::NotFound, now, source)
                })
            }
            Some(Denial::Password(user)) => user.map(|user| Self {
                failed: if directory.may_sign_in(user) {
                    Failed::password()
                } else {
                    Failed::person_off()
                },
                ..nobody_but(&directory, Actor::User(user))
            }),
            Some(Denial::Refused(refusal)) => Self::of_rule(app, &directory, request, refusal),
            None => None,
        };
        Self {
            position: directory.position(),
            at: now,
            request: id,
            method: method_name(request.method()),
            route: route_of(request.match_pattern().as_deref()),
            source,
            ..made.unwrap_or_else(nobody)
        }
    }

    fn of_key(
        directory: &Directory,
        key: &ApiKey,
        why: NoGood,
        now: Timestamp,
        source: Option<IpAddr>,
    ) -> Self {
        let holder = key.issued.holder;
        let readers = match holder {
            Holder::User { user, .. } => readers_of(directory, Actor::User(user)),
            // The holder may be gone; the organization is told all the same.
            Holder::Service { org, .. }
            | Holder::Entitlement { org, .. }
            | Holder::Client { org, .. }
            | Holder::Delegate { org, .. } => [org].into(),
        };
        Self {
            failed: Failed::key(key, why, now, source),
            subject: Subject {
                actor: holder.actor(),
                key: Some((key.issued.id, holder)),
                org: None,
            },
            ended_at: ended_at(directory, key),
            readers,
            had: Had::of_key(directory, key, now),
            ..nobody()
        }
    }

    fn of_rule(
        app: &App,
        directory: &Directory,
        request: &HttpRequest,
        refusal: &Refusal,
    ) -> Option<Self> {
        let (now, source) = (app.now(), source_of(request));
        if *refusal == Refusal::CredentialEnded {
            // It was good when the request came in. What ended it is there by now.
            let key = claimed(directory, request)?;
            let why = directory.standing_of(key, now).map_err(NoGood::Ended);
            let failed = match why {
                Ok(()) => Check::CredentialEnded.into(),
                Err(why) => Failed::key(key, why, now, source),
            };
            return Some(Self {
                failed,
                ..Self::of_key(directory, key, NoGood::NotFound, now, source)
            });
        }
        let known = Known::of(app, directory, request)?;
        let actor = known.authority.actor;
        let org = org_of(directory, request, &known.authority);
        let mut had = Had::ALL;
        if let Some(key) = known.key {
            had = Had::of_key(directory, key, now);
        }
        had.role = org.and_then(|org| directory.role_of(actor, org.id));
        had.old_secret = known.old_secret;
        Some(Self {
            shown: Shown::Good,
            failed: Failed::rule(refusal, known.key, known.old_secret, org),
            subject: Subject {
                actor,
                key: known.key.map(|key| (key.issued.id, key.issued.holder)),
                org: org.map(|org| org.id),
            },
            ended_at: known
                .key
                .map(|key| ended_at(directory, key))
                .unwrap_or_default(),
            readers: match org {
                Some(org) => [org.id].into(),
                None => readers_of(directory, actor),
            },
            had,
            ..nobody()
        })
    }

    /// In what capacity somebody may read it, if they may: as the one who was refused, or as one who
    /// may read the log of an organization that it concerns.
    pub(crate) fn reader(&self, directory: &Directory, authority: &Authority) -> Option<Reader> {
        let seen = match self.subject.key {
            Some((id, _)) => directory.sees_key(authority, id),
            None => directory.sees(authority, Environment::Live),
        };
        if !seen {
            return None;
        }
        let audited = |org: &&OrgId| {
            let right = built_in::AUDIT_READ;
            directory.require(authority, **org, right).is_ok()
        };
        let orgs: Vec<OrgId> = self.readers.iter().filter(audited).copied().collect();
        if !orgs.is_empty() {
            return Some(Reader::Auditor(orgs));
        }
        self.is_of(directory, authority)
            .then_some(Reader::Themselves)
    }

    /// Whether this is the one who was refused, or another credential of theirs that may look at
    /// their keys. Who has left the organization since is told nothing of it any more.
    fn is_of(&self, directory: &Directory, authority: &Authority) -> bool {
        let still_there = self
            .subject
            .org
            .is_none_or(|org| directory.require_visible(authority, org).is_ok());
        let own_key = self.subject.key.map(|(id, _)| id);
        let same = own_key.is_some() && authority.credential() == own_key;
        let may_look = || {
            let right = built_in::KEYS_READ;
            directory.require_own(authority, right).is_ok()
        };
        self.shown == Shown::Good
            && self.subject.actor == authority.actor
            && still_there
            && (same || may_look())
    }

    /// Looks for the event that took away what was lacking, along records from the newest to the
    /// oldest; `reached_start` says that there are none before them. Tells besides whether older ones
    /// could not say more.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub(crate) fn loss<E>(
        &self,
        records: impl Iterator<Item = Result<Option<Record>, E>>,
        reached_start: bool,
    ) -> Result<(Option<Loss>, bool), E> {
        let Some(lack) = self.failed.lack.clone() else {
            return Ok((None, true));
        };
        let mut search = LossSearch::new(self.subject, lack).ended_at(self.ended_at.to_vec());
        for record in records {
            if let Some(record) = record?
                && search.look(&record) == ControlFlow::Break(())
            {
                return Ok((search.found(true), true));
            }
        }
        Ok((search.found(reached_start), reached_start))
    }
}

impl Had {
    /// What a password has: everything.
    const ALL: Self = Self {
        scopes: None,
        role: None,
        environment: Environment::Live,
        standing: Standing::Good,
        old_secret: false,
    };

    fn of_key(directory: &Directory, key: &ApiKey, now: Timestamp) -> Self {
        Self {
            scopes: key.scopes.clone(),
            environment: key.issued.environment,
            standing: Standing::of(directory, key, now),
            ..Self::ALL
        }
    }
}

impl<'d> Known<'d> {
    /// Who sent a request that was let in: read from it once more, because what refuses it knows the
    /// rules and not the request. That the secret or the password is right was checked before.
    fn of(app: &App, directory: &'d Directory, request: &HttpRequest) -> Option<Self> {
        let by_key = |shown: &str| {
            let (now, source) = (app.now(), source_of(request));
            let found = lookup::find(directory, &app.ours(), shown, source, now);
            let (key, which) = found.ok()?;
            let version = key.version_of(which);
            let id = key.issued.id;
            Some(Self {
                authority: Authority {
                    actor: key.issued.holder.actor(),
                    proof: Proof::Credential { id, version },
                },
                key: Some(key),
                old_secret: which == api_key::Shown::Retiring,
            })
        };
        match Carried::of(request).ok()? {
            Carried::Nothing => None,
            Carried::Key(shown) => by_key(shown),
            Carried::Basic { key: Some(key), .. } => by_key(&key),
            Carried::Basic { username, .. } => {
                let user = caller::user_named(directory, &username)?.id;
                Some(Self {
                    authority: Authority {
                        actor: Actor::User(user),
                        proof: Proof::Password,
                    },
                    key: None,
                    old_secret: false,
                })
            }
        }
    }
}

/// The address that a request came from.
fn source_of(request: &HttpRequest) -> Option<IpAddr> {
    let address = request.peer_addr()?;
    Some(address.ip().to_canonical())
}

/// The key that a request carried, good or not.
fn claimed<'d>(directory: &'d Directory, request: &HttpRequest) -> Option<&'d ApiKey> {
    match Carried::of(request).ok()? {
        Carried::Key(shown) => lookup::claimed(directory, shown),
        Carried::Basic { key, .. } => lookup::claimed(directory, &key?),
        Carried::Nothing => None,
    }
}

/// `?organization=acme`, beside whatever else a query says.
#[derive(Deserialize)]
struct Named {
    organization: Option<String>,
}

/// The organization in which a request asks: the one that its path or its query names, or the only
/// one that the caller is in.
fn org_of<'d>(
    directory: &'d Directory,
    request: &HttpRequest,
    authority: &Authority,
) -> Option<&'d Org> {
    let in_query = || {
        let query = web::Query::<Named>::from_query(request.query_string());
        query.ok()?.into_inner().organization
    };
    let in_path = request.match_info().get("org").map(str::to_owned);
    if let Some(slug) = in_path.or_else(in_query) {
        let org = directory.org_by_slug(&slug)?;
        return directory.require_visible(authority, org.id).ok();
    }
    let mut orgs = directory.orgs_of(authority.actor);
    let only = orgs.next()?;
    orgs.next().is_none().then_some(only)
}

fn readers_of(directory: &Directory, actor: Actor) -> Box<[OrgId]> {
    // Where somebody was switched off they want to know most of all.
    let orgs = directory.member_orgs_of(actor).take(READERS_MAX);
    orgs.map(|org| org.id).collect()
}

fn ended_at(directory: &Directory, key: &ApiKey) -> Box<[Timestamp]> {
    let barred = directory.barred_from(key.issued.id).map(|(_, at)| at);
    key.revoked_at().into_iter().chain(barred).collect()
}

/// Of somebody who was not known, but whose this is.
fn nobody_but(directory: &Directory, actor: Actor) -> Decision {
    let nobody = nobody();
    Decision {
        readers: readers_of(directory, actor),
        subject: Subject {
            actor,
            ..nobody.subject
        },
        ..nobody
    }
}

/// Of nobody: who may read it is nobody either. The server itself never calls.
pub(super) fn nobody() -> Decision {
    Decision {
        shown: Shown::Bad,
        failed: Check::Unknown.into(),
        subject: Subject {
            actor: Actor::System,
            key: None,
            org: None,
        },
        ended_at: [].into(),
        readers: [].into(),
        had: Had::ALL,
        position: Position::ZERO,
        at: Timestamp::default(),
        request: RequestId::from_bytes([0; 16]),
        method: "",
        route: "",
        source: None,
    }
}

/// The pattern of a route as the table of contents has it.
fn route_of(pattern: Option<&str>) -> &'static str {
    let of_pages = ["/login", "/logout", "/setup", "/dashboard"];
    let routes = paths::ALL.iter().flat_map(|paths| paths.iter());
    let mut all = routes.chain(&of_pages);
    all.find(|route| Some(**route) == pattern)
        .copied()
        .unwrap_or("none")
}
