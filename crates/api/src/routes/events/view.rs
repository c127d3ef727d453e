//! An event as it is told, without anything that authenticates.

use core::fmt::Display;

use keyledger_domain::api_key::ApiKeyActivated;
use keyledger_domain::key_use::{ApiKeyFirstUsed, ApiKeyNetworkFirstSeen};
use keyledger_domain::user_key::KeyLabel;
use keyledger_domain::{Actor, Authority, Directory, Event, Personal, Record, Target, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::difference::FieldChange;
use crate::problem::Problem;
use crate::routes::shared_keys;

/// What is told of a person who was erased.
const ERASED: &str = "erased";

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub struct EventView {
    /// Where it stands in the ledger; order comes from here.
    position: u64,
    /// Its type.
    #[schema(example = "ServiceCreated")]
    r#type: &'static str,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Who did it: `user:`, `service:`, `entitlement:` or `client:` and an id, or `system`.
    #[schema(example = "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    actor: String,
    /// What they are called now; `erased` once they were, `null` if they are gone or not the caller's to see.
    actor_name: Option<String>,
    /// What it is about: a noun and an id.
    #[schema(example = "service:5e0f2b5c-53f7-4d2a-a1d5-5b8b2f0d7c11")]
    target: String,
    /// What that is called now, if it has a name.
    target_name: Option<String>,
    /// The slug of the organization through which the caller reads it.
    organization: Option<String>,
    /// The public id of the credential that was shown, if it was one.
    credential: Option<String>,
    /// The address it came from; `erased` once the person was. `null` also for a use of a key whose
    /// holder is in organizations too whose audit log the caller does not read.
    source: Option<String>,
    /// What the client called itself; `erased` once the person was, `null` as `source`.
    client: Option<String>,
    /// The request that led to it.
    request_id: String,
    /// How far the server's clock stood behind the event in front, in microseconds; mostly absent.
    #[serde(skip_serializing_if = "is_zero")]
    clock_behind_micros: u64,
    /// What its type tells besides; `erased` in place of what an erased person was called.
    #[schema(value_type = Object)]
    data: Value,
    /// What it changed, of an event that sets values anew; left out of all others, and where what was before is
    /// not the caller's to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<FieldChange>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl EventView {
    /// A record as it is told, with what it is about and the organization it is read through.
    ///
    /// # Errors
    /// 500 if the event cannot be written as JSON, which no event of ours is.
    pub fn of(
        record: &Record,
        target: Target,
        organization: Option<String>,
    ) -> Result<Self, Problem> {
        let origin = &record.origin;
        let client = origin.client.as_ref().map(|client| match client {
            Personal::Known(client) => client.as_str().to_owned(),
            Personal::Erased => ERASED.to_owned(),
        });
        Ok(Self {
            position: record.position.get(),
            r#type: record.event.name(),
            time: record.at,
            actor: origin.actor.to_string(),
            actor_name: None,
            target: target.to_string(),
            target_name: None,
            organization,
            credential: origin.credential.map(|id| id.to_string()),
            source: origin.source.as_ref().map(told),
            client,
            request_id: origin.request.to_string(),
            clock_behind_micros: record.clock_behind_micros,
            data: data(&record.event)?,
            changes: None,
        })
    }
}

impl EventView {
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Adds what actor and target are called.
    pub(super) fn tell_names(
        &mut self,
        directory: &Directory,
        authority: &Authority,
        record: &Record,
        target: Target,
    ) {
        let actor = match record.origin.actor {
            Actor::System => None,
            Actor::User(id) => Some(Target::User(id)),
            Actor::Service(id) => Some(Target::Service(id)),
            Actor::Entitlement(id) => Some(Target::Entitlement(id)),
            Actor::Client(id) => Some(Target::Client(id)),
        };
        let name = |target: Target| {
            let told = sees(directory, authority, target);
            told.then(|| name_of(directory, record, target)).flatten()
        };
        self.actor_name = actor.and_then(name);
        self.target_name = name(target);
    }

    /// Adds what it changed.
    pub(super) fn tell_changes(&mut self, changes: Option<Vec<FieldChange>>) {
        self.changes = changes;
    }

    /// Leaves out where it came from.
    pub(super) fn withhold_origin(&mut self) {
        self.source = None;
        self.client = None;
    }
}

/// What something that a record is about is called now.
fn name_of(directory: &Directory, record: &Record, target: Target) -> Option<String> {
    match target {
        Target::Organization(id) => directory.org(id).map(|org| org.name.to_string()),
        Target::User(id) => directory.user(id).map(|user| told(&user.name)),
        Target::Service(id) => directory
            .service(id)
            .map(|service| service.name.to_string()),
        Target::Key(id) => directory.user_key(id).map(|key| match &key.label {
            KeyLabel::Handle(handle) => handle.to_string(),
            KeyLabel::OwnToken => "own token".to_owned(),
        }),
        Target::Entitlement(id) => directory
            .entitlement(id)
            .map(|token| token.name.to_string()),
        Target::Client(id) => directory
            .client(id)
            .map(|client| client.settings.name.to_string()),
        Target::Team(id) => {
            let mut orgs = record.organizations.iter().copied();
            let team = orgs.find_map(|org| directory.org(org)?.team(id));
            team.map(|team| team.name.to_string())
        }
        Target::Invitation(_)
        | Target::Session(_)
        | Target::Revocation(_)
        | Target::SigningKey(_)
        | Target::Credential(_) => None,
    }
}

/// Whether this authority may know where an event came from. That a person's key was used is told in
/// all organizations that they were in; from where, or from where one of them asked about it, only to
/// those who read the log of all of these.
pub(super) fn tells_origin(directory: &Directory, authority: &Authority, record: &Record) -> bool {
    let (Event::ApiKeyActivated(ApiKeyActivated { id, .. })
    | Event::ApiKeyFirstUsed(ApiKeyFirstUsed { id, .. })
    | Event::ApiKeyNetworkFirstSeen(ApiKeyNetworkFirstSeen { id, .. })) = &record.event
    else {
        return true;
    };
    let holder = directory.api_key(*id).map(|key| key.issued.holder.actor());
    holder == Some(authority.actor)
        || shared_keys::audits_all(directory, authority, &*record.organizations)
}

fn told<T: Display>(value: &Personal<T>) -> String {
    value
        .known()
        .map_or_else(|| ERASED.to_owned(), ToString::to_string)
}

/// Whether this authority sees what an event is about: a test credential does not see what was
/// done to live keys and to those that hold them, nor to what is gone and could have been either.
pub(super) fn sees(directory: &Directory, authority: &Authority, target: Target) -> bool {
    let credential = match target {
        Target::Organization(_)
        | Target::User(_)
        | Target::Invitation(_)
        | Target::Team(_)
        // The server has one set of them, for the tokens of both environments.
        | Target::SigningKey(_) => return true,
        Target::Service(id) => directory.service(id).map(|service| service.credential),
        Target::Key(id) => directory.credential_of(id),
        Target::Entitlement(id) => directory.entitlement(id).map(|token| token.credential),
        Target::Credential(id) => Some(id),
        Target::Client(id) => {
            let client = directory.client(id).map(|client| client.environment);
            let environment = client.unwrap_or(keyledger_domain::Environment::Live);
            return directory.sees(authority, environment);
        }
        Target::Session(_) | Target::Revocation(_) => None,
    };
    match credential {
        Some(id) => directory.sees_key(authority, id),
        None => directory.sees(authority, keyledger_domain::Environment::Live),
    }
}

/// What an event tells. Digests, hashes and sealed secrets are left out where the events are
/// declared; the tests below hold them to it.
fn data(event: &Event) -> Result<Value, Problem> {
    let value = serde_json::to_value(event).map_err(|error| {
        tracing::error!(%error, event = event.name(), "an event could not be told");
        Problem::internal()
    })?;
    Ok(plain(value))
}

/// Tells `"known": value`, which is how a personal field says that it is there, as the value.
pub(super) fn plain(value: Value) -> Value {
    match value {
        Value::Object(mut members) => {
            if members.len() == 1
                && let Some(known) = members.remove("known")
            {
                return plain(known);
            }
            let members = members.into_iter();
            let members = members.map(|(name, value)| (name, plain(value)));
            Value::Object(members.collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(plain).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::api_key::{Activation, ApiKeyRotated, NewApiKey};
    use keyledger_domain::entitlement::EntitlementCreated;
    use keyledger_domain::id::{
        EntitlementId, InvitationId, KeyId, OrgId, RequestId, RevocationId, ServiceId, SessionId,
        UserId,
    };
    use keyledger_domain::member::{InvitationAccepted, MemberAdded, MemberInvited};
    use keyledger_domain::org::OrgCreated;
    use keyledger_domain::service::ServiceCreated;
    use keyledger_domain::session::SessionStarted;
    use keyledger_domain::signing::{PublicKey, SigningKeyCreated};
    use keyledger_domain::user::{PasswordChanged, Registration};
    use keyledger_domain::user_key::{KeyLabel, UserKeyCreated};
    use keyledger_domain::{
        Actor, CredentialId, Digest, Environment, Origin, PasswordHash, Position, Proof, Role,
        SealedSecret,
    };

    use super::*;

    const ORG: OrgId = OrgId::from_bytes([1; 16]);
    const USER: UserId = UserId::from_bytes([2; 16]);
    const DIGEST: Digest = Digest {
        pepper_version: 77,
        tag: [171; 32],
    };

    fn id() -> CredentialId {
        "3kTMd9wQx".parse().unwrap()
    }

    fn api_key() -> NewApiKey {
        NewApiKey {
            id: id(),
            environment: Environment::Live,
            digest: DIGEST,
            scopes: None,
            expires_at: None,
            allowed_cidrs: [].into(),
            rate_limit: None,
        }
    }

    fn password() -> Personal<PasswordHash> {
        Personal::Known(PasswordHash::from_phc("$argon2id$hash".to_owned()))
    }

    fn sealed() -> Option<Personal<SealedSecret>> {
        Some(Personal::Known(SealedSecret::from_bytes(vec![171; 40])))
    }

    fn registration() -> Registration {
        Registration {
            email: Personal::Known("ada@example.com".parse().unwrap()),
            name: Personal::Known("Ada".parse().unwrap()),
            slug: Personal::Erased,
            password: password(),
        }
    }

    /// One of each event that is made with a digest, a hash or a sealed secret in it.
    fn secret_bearing() -> Vec<Event> {
        let (invitation, role) = (InvitationId::from_bytes([3; 16]), Role::Member);
        vec![
            Event::OrgCreated(OrgCreated {
                org: ORG,
                slug: "acme".parse().unwrap(),
                name: "Acme".parse().unwrap(),
                owner: USER,
                registered: Some(registration()),
            }),
            Event::PasswordChanged(PasswordChanged {
                user: USER,
                password: password(),
            }),
            Event::MemberAdded(MemberAdded {
                org: ORG,
                user: USER,
                role,
                registered: registration(),
            }),
            Event::MemberInvited(MemberInvited {
                org: ORG,
                invitation,
                email: Personal::Known("ada@example.com".parse().unwrap()),
                role,
                token: id(),
                digest: DIGEST,
                expires_at: Timestamp::default(),
            }),
            Event::InvitationAccepted(InvitationAccepted {
                org: ORG,
                invitation,
                user: USER,
                registered: Some(registration()),
            }),
            Event::ServiceCreated(ServiceCreated {
                org: ORG,
                service: ServiceId::from_bytes([4; 16]),
                slug: "ci".parse().unwrap(),
                name: "CI".parse().unwrap(),
                description: "".parse().unwrap(),
                role,
                teams: std::collections::BTreeSet::new(),
                api_key: api_key(),
            }),
            Event::UserKeyCreated(UserKeyCreated {
                user: USER,
                key: KeyId::from_bytes([5; 16]),
                label: KeyLabel::OwnToken,
                alias: None,
                sealed: sealed(),
                api_key: api_key(),
            }),
            Event::EntitlementCreated(EntitlementCreated {
                org: ORG,
                entitlement: EntitlementId::from_bytes([6; 16]),
                name: "Customer".parse().unwrap(),
                api_key: api_key(),
                credits: None,
            }),
            Event::ApiKeyRotated(ApiKeyRotated {
                id: id(),
                digest: DIGEST,
                sealed: sealed(),
                activation: Activation::Now { grace_seconds: 60 },
            }),
            Event::SessionStarted(SessionStarted {
                session: SessionId::from_bytes([7; 16]),
                user: USER,
                digest: DIGEST,
                expires_at: Timestamp::default(),
            }),
            Event::SigningKeyCreated(SigningKeyCreated {
                kid: format!("{:A<43}", "k").parse().unwrap(),
                public_key: PublicKey::Ed25519 { x: [171; 32] },
                sealed: SealedSecret::from_bytes(vec![171; 40]),
                previous_retires_at: None,
            }),
        ]
    }

    #[test]
    fn nothing_that_authenticates_is_in_any_event() {
        for event in secret_bearing() {
            let told = data(&event).unwrap().to_string();
            for secret in [
                "171", "77", "q6ur", "abab", "argon2", "digest", "tag", "sealed", "password",
                "pepper", "secret",
            ] {
                assert!(
                    !told.contains(secret),
                    "{} tells {secret}: {told}",
                    event.name()
                );
            }
        }
    }

    #[test]
    fn a_personal_field_is_told_plainly_or_as_erased() {
        let told = data(&secret_bearing()[2]).unwrap();
        assert_eq!(told["registered"]["email"], "ada@example.com");
        assert_eq!(told["registered"]["name"], "Ada");
        assert_eq!(told["registered"]["slug"], "erased");
        assert_eq!(told["role"], "member");
    }

    #[test]
    fn n118_where_a_request_came_from_is_one_entry_each() {
        let record = Record {
            position: Position::new(7),
            at: Timestamp::default(),
            clock_behind_micros: 0,
            origin: Origin {
                actor: Actor::User(USER),
                person: USER.into(),
                credential: Some(id()),
                request: RequestId::from_bytes([9; 16]),
                source: Some(Personal::Known("203.0.113.7".parse().unwrap())),
                client: Some(Personal::Erased),
            },
            organizations: vec![ORG],
            event: secret_bearing().remove(1),
        };
        let target = Target::User(USER);
        let view = EventView::of(&record, target, Some("acme".to_owned())).unwrap();
        let told = serde_json::to_value(view).unwrap();
        assert_eq!(told["position"], 7);
        assert_eq!(told["type"], "PasswordChanged");
        assert_eq!(told["time"], "1970-01-01T00:00:00Z");
        assert_eq!(told["actor"], format!("user:{USER}"));
        assert_eq!(told["target"], told["actor"]);
        assert_eq!(told["source"], "203.0.113.7");
        assert_eq!(told["client"], "erased");
        assert_eq!(told["credential"], "3kTMd9wQx");
        assert_eq!(told["organization"], "acme");
        assert!(told.get("clock_behind_micros").is_none());
    }

    /// A user with one key in each environment, a service that is live, and the id of each key.
    fn directory() -> (Directory, CredentialId, CredentialId) {
        let (live, test) = (id(), "3kTMd9wQt".parse().unwrap());
        let key = |seed: u8, id, environment: Environment| {
            Event::UserKeyCreated(UserKeyCreated {
                user: USER,
                key: KeyId::from_bytes([seed; 16]),
                label: KeyLabel::Handle(environment.as_str().parse().unwrap()),
                alias: None,
                sealed: None,
                api_key: NewApiKey {
                    id,
                    environment,
                    ..api_key()
                },
            })
        };
        let service_key: CredentialId = "3kTMd9wQs".parse().unwrap();
        let mut service = secret_bearing().remove(5);
        if let Event::ServiceCreated(made) = &mut service {
            made.api_key.id = service_key;
        }
        let events = [
            secret_bearing().remove(0),
            key(5, live, Environment::Live),
            key(6, test, Environment::Test),
            service,
        ];
        let mut directory = Directory::default();
        for (position, event) in (1..).zip(events) {
            directory.apply(&Record {
                position: Position::new(position),
                at: Timestamp::default(),
                clock_behind_micros: 0,
                origin: Origin::system(RequestId::from_bytes([9; 16])),
                organizations: vec![ORG],
                event,
            });
        }
        (directory, live, test)
    }

    #[test]
    fn a_test_credential_sees_no_event_of_what_is_or_was_live() {
        let (directory, live, test) = directory();
        let with = |id| Authority {
            actor: Actor::User(USER),
            proof: Proof::Credential { id, version: 1 },
        };
        let gone = EntitlementId::from_bytes([8; 16]);
        let hidden = [
            Target::Key(KeyId::from_bytes([5; 16])),
            Target::Service(ServiceId::from_bytes([4; 16])),
            Target::Credential(live),
            Target::Entitlement(gone),
            Target::Session(SessionId::from_bytes([7; 16])),
            Target::Revocation(RevocationId::from_bytes([7; 16])),
        ];
        for target in hidden {
            assert!(!sees(&directory, &with(test), target), "{target}");
            assert!(sees(&directory, &with(live), target), "{target}");
        }
        let shared = [
            Target::Key(KeyId::from_bytes([6; 16])),
            Target::Credential(test),
            Target::Organization(ORG),
            Target::User(USER),
        ];
        for target in shared {
            assert!(sees(&directory, &with(test), target), "{target}");
        }
    }
}
