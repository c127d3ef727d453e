//! Is this key good? The question this server exists for, and its hot path.

mod written;

use core::net::IpAddr;

use keyledger_domain::api_key::{Ended, Holder, Shown};
use keyledger_domain::directory::Directory;
use keyledger_domain::id::{ClientId, EntitlementId, KeyId, ServiceId, UserId};
use keyledger_domain::org::Org;
use keyledger_domain::scope::built_in;
use keyledger_domain::text::{Email, Slug};
use keyledger_domain::{
    Actor, ApiKey, Authority, CredentialId, CredentialKind, Environment, Refusal, Resource,
    Timestamp,
};
use keyledger_ledger::credits_store::NotSpent;
use serde::Serialize;
use utoipa::ToSchema;

use crate::credits::{self, Purse};
use crate::limits::Bound;
use crate::lookup::{self, NoGood, Ours};

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// It is good for all that was asked.
    Valid,
    /// It is none that the caller may know of.
    NotFound,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It is switched off.
    Disabled,
    /// It lacks a scope that was asked for.
    InsufficientScope,
    /// It may not be used from that address.
    IpNotAllowed,
    /// It was used as often as it may be; `retry_after_seconds` says when it is good again.
    RateLimited,
}

/// Who holds a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Owner<'d> {
    /// `user`, `service`, `entitlement` or `client`.
    #[schema(example = "service")]
    pub r#type: &'static str,
    /// Its identifier.
    #[schema(value_type = String)]
    pub id: OwnerId,
    /// A user's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'d str>,
    /// A user's or service's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<&'d str>,
    /// An entitlement's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'d str>,
}

/// The identifier of whoever holds a key, whichever kind it is.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum OwnerId {
    /// A user's.
    User(UserId),
    /// A service's.
    Service(ServiceId),
    /// An entitlement token's.
    Entitlement(EntitlementId),
    /// An OAuth client's.
    Client(ClientId),
}

impl<'d> Owner<'d> {
    /// The holder of a key, if there still is one.
    pub(crate) fn of(directory: &'d Directory, holder: Holder) -> Option<Self> {
        let owner = |r#type, id| Self {
            r#type,
            id,
            email: None,
            slug: None,
            name: None,
        };
        Some(match holder {
            Holder::User { user, .. } | Holder::Delegate { user, .. } => {
                let user = directory.user(user)?;
                let email = user.email.known().map(Email::as_str);
                let slug = user.slug.known().map(Slug::as_str);
                Self {
                    email,
                    slug,
                    ..owner("user", OwnerId::User(user.id))
                }
            }
            Holder::Service { service, .. } => {
                let service = directory.service(service)?;
                Self {
                    slug: Some(service.slug.as_str()),
                    ..owner("service", OwnerId::Service(service.id))
                }
            }
            Holder::Entitlement { entitlement, .. } => {
                let token = directory.entitlement(entitlement)?;
                Self {
                    name: Some(token.name.as_str()),
                    ..owner("entitlement", OwnerId::Entitlement(token.id))
                }
            }
            Holder::Client { client, .. } => {
                let client = directory.client(client)?;
                Self {
                    name: Some(client.settings.name.as_str()),
                    ..owner("client", OwnerId::Client(client.id))
                }
            }
        })
    }
}

/// The identifier of a key, or of the service or token whose only key it is.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum VerifiedId {
    /// A user's key.
    Key(KeyId),
    /// A service.
    Service(ServiceId),
    /// An entitlement token.
    Entitlement(EntitlementId),
    /// An access token.
    AccessToken(CredentialId),
}

/// The answer to a verification.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verdict<'d> {
    /// Whether the key is good for all that was asked.
    pub valid: bool,
    /// The answer in one word.
    pub code: Code,
    /// When valid: the key, the same through every rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub id: Option<VerifiedId>,
    /// When valid: who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner<'d>>,
    /// When valid: the slug of the organization in which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<&'d str>,
    /// When valid: all that it may do in that organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<&'d str>>,
    /// When valid: `live` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Environment>,
    /// When valid: when it ends, `null` for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<Timestamp>>,
    /// When `rate_limited`: in how many seconds it is good again, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub retry_after_seconds: Option<u64>,
    /// When valid, of an access token that is for other servers than this one: for which (RFC 8707).
    /// Whoever is none of them lets nobody in by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub audience: Option<&'d [Resource]>,
    /// Of a token with credits: how many times it may be used after this, until more come back. Left
    /// out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
}

impl Verdict<'_> {
    const fn bad(code: Code) -> Self {
        Self {
            valid: false,
            code,
            id: None,
            owner: None,
            organization: None,
            scopes: None,
            environment: None,
            expires_at: None,
            retry_after_seconds: None,
            audience: None,
            remaining: None,
        }
    }

    /// The answer for a token of whose credits none was spent.
    pub(crate) fn not_spent(reason: NotSpent) -> Self {
        Self {
            retry_after_seconds: credits::retry_after_seconds(reason),
            remaining: credits::remaining(reason),
            ..Self::bad(Code::RateLimited)
        }
    }

    /// The answer for a key that was used as often as it may be.
    pub(crate) fn rate_limited(retry_after_seconds: u64) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::bad(Code::RateLimited)
        }
    }
}

impl From<NoGood> for Code {
    fn from(reason: NoGood) -> Self {
        match reason {
            NoGood::NotFound | NoGood::OtherAudience => Self::NotFound,
            NoGood::Ended(Ended::Revoked) => Self::Revoked,
            NoGood::Ended(Ended::Disabled) => Self::Disabled,
            NoGood::Ended(Ended::Expired) => Self::Expired,
            NoGood::IpNotAllowed => Self::IpNotAllowed,
        }
    }
}

/// What is asked.
pub(crate) struct Question<'a> {
    /// What was shown to the API that asks us.
    pub(crate) key: &'a str,
    /// What it must be good for.
    pub(crate) scopes: &'a [String],
    /// Where it was shown from.
    pub(crate) ip: Option<IpAddr>,
    /// When.
    pub(crate) now: Timestamp,
}

/// The answer, and a secret that was shown for the first time and now wants to be activated.
pub(crate) struct Answer<'d> {
    pub(crate) verdict: Verdict<'d>,
    pub(crate) pending: Option<(CredentialId, u32)>,
    /// The key that was asked about, where the caller may know of it.
    pub(crate) key: Option<CredentialId>,
    /// The limit that a good answer is counted on.
    pub(crate) bound: Option<Bound>,
    /// The credits that a good answer is paid with.
    pub(crate) purse: Option<Purse>,
}

impl<'d> From<Verdict<'d>> for Answer<'d> {
    fn from(verdict: Verdict<'d>) -> Self {
        Self {
            verdict,
            pending: None,
            key: None,
            bound: None,
            purse: None,
        }
    }
}

/// Answers a verification.
///
/// A key of another organization is not found, as if nobody had made it; so is a live key to a
/// test credential.
///
/// # Errors
/// When the caller may not ask at all.
pub(crate) fn verify<'d>(
    directory: &'d Directory,
    ours: &Ours<'_>,
    authority: &'d Authority,
    question: &Question<'_>,
) -> Result<Answer<'d>, Refusal> {
    // Who may verify in an organization of the key may verify; only otherwise is there more to ask.
    let may_ask = || directory.require_anywhere(authority, built_in::KEYS_VERIFY);
    let found = lookup::find(directory, ours, question.key, question.ip, question.now);
    let (key, which) = match found {
        Ok(found) => found,
        Err(reason) => {
            may_ask()?;
            let key = lookup::claimed(directory, question.key)
                .filter(|key| is_known_to(directory, authority, key));
            let code = key.map_or(Code::NotFound, |_| reason.into());
            return Ok(Answer {
                key: key.and_then(counted),
                ..Verdict::bad(code).into()
            });
        }
    };
    // A person may be in several of the caller's organizations; one in which all is held will do.
    let held = |org: &&Org| {
        question
            .scopes
            .iter()
            .all(|scope| directory.key_holds(key, org, scope))
    };
    let mut orgs = common_orgs(directory, authority, key).peekable();
    if orgs.peek().is_none() {
        may_ask()?;
        // It may be revoked here, or its owner switched off, and good elsewhere.
        let key = Some(key).filter(|key| is_known_to(directory, authority, key));
        let code = key.map_or(Code::NotFound, |key| {
            let mut barred = directory.barred_from(key.issued.id);
            let asks = |org| directory.require(authority, org, built_in::KEYS_VERIFY);
            if barred.any(|(org, _)| asks(org).is_ok()) {
                Code::Revoked
            } else {
                Code::Disabled
            }
        });
        return Ok(Answer {
            key: key.and_then(counted),
            ..Verdict::bad(code).into()
        });
    }
    let Some(org) = orgs.find(held) else {
        return Ok(Answer {
            key: counted(key),
            ..Verdict::bad(Code::InsufficientScope).into()
        });
    };
    let id = match key.issued.holder {
        Holder::User { key, .. } => VerifiedId::Key(key),
        Holder::Service { service, .. } => VerifiedId::Service(service),
        Holder::Entitlement { entitlement, .. } => VerifiedId::Entitlement(entitlement),
        Holder::Client { .. } | Holder::Delegate { .. } => VerifiedId::AccessToken(key.issued.id),
    };
    let verdict = Verdict {
        valid: true,
        code: Code::Valid,
        id: Some(id),
        owner: Owner::of(directory, key.issued.holder),
        organization: Some(org.slug.as_str()),
        scopes: Some(directory.effective_scope_names(key, org)),
        environment: Some(key.issued.environment),
        expires_at: Some(key.expires_at),
        retry_after_seconds: None,
        audience: directory.audience_of(key.issued.id),
        remaining: None,
    };
    let pending = (which == Shown::Pending).then(|| (key.issued.id, key.version_of(which)));
    // As at our own addresses: where several organizations may be meant, the default of none counts.
    let bound = Bound::within(key, org).filter(|bound| bound.is_own() || orgs.find(held).is_none());
    Ok(Answer {
        verdict,
        pending,
        key: counted(key),
        bound,
        purse: Purse::of(directory, key),
    })
}

/// The key whose use is counted. Tokens come by the million and are gone in an hour: nobody looks at
/// what one of them did.
fn counted(key: &ApiKey) -> Option<CredentialId> {
    (key.issued.kind != CredentialKind::AccessToken).then_some(key.issued.id)
}

/// Whether the caller may verify in an organization of the key, even one that switched its owner off.
fn is_known_to(directory: &Directory, authority: &Authority, key: &ApiKey) -> bool {
    let member_orgs = directory.member_orgs_of(key.issued.holder.actor());
    let of_member = member_orgs.filter(|org| {
        directory.sees(authority, key.issued.environment)
            && directory
                .require(authority, org.id, built_in::KEYS_VERIFY)
                .is_ok()
    });
    of_member.count() > 0 || common_orgs(directory, authority, key).next().is_some()
}

/// The organizations in which the key is and the caller may verify.
fn common_orgs<'d>(
    directory: &'d Directory,
    authority: &'d Authority,
    key: &ApiKey,
) -> impl Iterator<Item = &'d Org> {
    let visible = directory.sees(authority, key.issued.environment);
    let id = key.issued.id;
    let (user, org) = match key.issued.holder {
        Holder::User { user, .. } => (Some(user), None),
        // The holder may be gone; the organization still tells its own people what became of it.
        Holder::Service { org, .. }
        | Holder::Entitlement { org, .. }
        | Holder::Client { org, .. }
        | Holder::Delegate { org, .. } => (None, Some(org)),
    };
    let of_user = user
        .map(|user| directory.orgs_of(Actor::User(user)))
        .into_iter()
        .flatten();
    let of_holder = org.and_then(|org| directory.org(org));
    of_user.chain(of_holder).filter(move |org| {
        visible
            && !directory.bars(org.id, id)
            && directory
                .require(authority, org.id, built_in::KEYS_VERIFY)
                .is_ok()
    })
}
