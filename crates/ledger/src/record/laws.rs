//! What must hold of the stored form, whatever is recorded.

use std::collections::BTreeSet;
use std::net::IpAddr;

use keyledger_domain::api_key::*;
use keyledger_domain::audit_read::AuditLogRead;
use keyledger_domain::credits::*;
use keyledger_domain::entitlement::*;
use keyledger_domain::erasure::*;
use keyledger_domain::id::*;
use keyledger_domain::key_use::*;
use keyledger_domain::member::*;
use keyledger_domain::offboarding::*;
use keyledger_domain::org::*;
use keyledger_domain::policy::OrgPolicyChanged;
use keyledger_domain::rate_limit::*;
use keyledger_domain::revocation::*;
use keyledger_domain::scope::{Access, ScopeEntry};
use keyledger_domain::service::*;
use keyledger_domain::session::*;
use keyledger_domain::signing::*;
use keyledger_domain::team::*;
use keyledger_domain::text::{Description, DisplayName, Email};
use keyledger_domain::user::*;
use keyledger_domain::user_key::*;
use keyledger_domain::*;
use proptest::prelude::*;
use ring::rand::SystemRandom;

use crate::key_file::MasterKey;
use crate::person_keys::PersonKeys;
use crate::record::{Persons, RecordError, decode, encode, measure, table};
use crate::vault::Vault;

mod oauth;

/// Values drawn from a seed (`SplitMix64`), so that a failure is found again by its seed.
struct Draw(u64);

impl Draw {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number().to_le_bytes()[0])
    }

    fn option<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| value(self))
    }

    fn some<T, C: FromIterator<T>>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> C {
        (0..self.below(4)).map(|_| value(self)).collect()
    }

    fn letters(&mut self, most: u64) -> String {
        let count = 1 + self.below(most);
        (0..count)
            .map(|_| char::from(b'a' + u8::try_from(self.below(26)).expect("a letter")))
            .collect()
    }

    fn at(&mut self) -> Timestamp {
        Timestamp::from_micros(i64::from_le_bytes(self.bytes()))
    }

    fn slug<T: core::str::FromStr<Err: core::fmt::Debug>>(&mut self) -> T {
        self.letters(60).parse().expect("a slug")
    }

    fn name(&mut self) -> DisplayName {
        format!("{} \u{e4}\u{6f22} {}", self.letters(50), self.letters(50))
            .parse()
            .expect("a name")
    }

    fn description(&mut self) -> Description {
        let lines = format!("{}\n\t{}", self.letters(400), self.letters(400));
        lines.parse().expect("a description")
    }

    fn scope(&mut self) -> Scope {
        format!("{}:{}", self.letters(20), self.letters(20))
            .parse()
            .expect("a scope")
    }

    fn scopes(&mut self) -> Scopes {
        self.some(Self::scope)
    }

    fn credential(&mut self) -> CredentialId {
        let bytes =
            std::array::from_fn(|_| b"09AZaz5Mm"[usize::try_from(self.below(9)).expect("few")]);
        CredentialId::from_bytes(bytes).expect("base62")
    }

    fn digest(&mut self) -> Digest {
        Digest {
            pepper_version: u32::from_le_bytes(self.bytes()),
            tag: self.bytes(),
        }
    }

    fn kid(&mut self) -> SigningKeyId {
        let letters = self.letters(42);
        format!("{letters:A<43}").parse().expect("a thumbprint")
    }

    fn role(&mut self) -> Role {
        [Role::Member, Role::Manager, Role::Owner][usize::try_from(self.below(3)).expect("few")]
    }

    fn net(&mut self) -> ipnet::IpNet {
        if self.below(2) == 0 {
            let bits = u8::try_from(self.below(33)).expect("few");
            ipnet::Ipv4Net::new(self.bytes().into(), bits)
                .expect("a network")
                .into()
        } else {
            let bits = u8::try_from(self.below(129)).expect("few");
            ipnet::Ipv6Net::new(self.bytes().into(), bits)
                .expect("a network")
                .into()
        }
    }

    fn new_api_key(&mut self) -> NewApiKey {
        NewApiKey {
            id: self.credential(),
            environment: if self.below(2) == 0 {
                Environment::Live
            } else {
                Environment::Test
            },
            digest: self.digest(),
            scopes: self.option(Self::scopes),
            expires_at: self.option(Self::at),
            allowed_cidrs: self.some(Self::net),
            rate_limit: self.option(Self::rate_limit),
        }
    }

    fn number_upto(&mut self, most: u32) -> u32 {
        1 + u32::try_from(self.below(most.into())).expect("no more than the most")
    }

    fn rate_limit(&mut self) -> RateLimit {
        let requests = self.number_upto(REQUESTS_MAX);
        RateLimit::new(requests, self.number_upto(PER_SECONDS_MAX)).expect("a limit")
    }

    fn grant(&mut self) -> Grant {
        let refill = self.option(|draw| {
            let amount = 1 + draw.below(USES_MAX);
            Refill::new(amount, draw.number_upto(REFILL_SECONDS_MAX)).expect("a refill")
        });
        Grant::new(self.below(USES_MAX), refill).expect("a grant")
    }

    fn filter(&mut self) -> RevocationFilter {
        RevocationFilter {
            all: self.below(2) == 0,
            created_before: self.option(Self::at),
            created_by: self.option(Self::actor),
            scope: self.option(Self::scope),
            owner: self.option(Self::actor),
            environment: self.option(|draw| {
                [Environment::Live, Environment::Test][usize::from(draw.below(2) == 0)]
            }),
            kind: self.option(|draw| HolderKind::ALL[usize::try_from(draw.below(3)).expect("few")]),
            include_self: self.below(2) == 0,
        }
    }

    fn email(&mut self) -> Personal<Email> {
        let text = format!("{}@{}.example", self.letters(40), self.letters(40));
        Personal::Known(text.parse().expect("an address"))
    }

    fn password(&mut self) -> Personal<PasswordHash> {
        Personal::Known(PasswordHash::from_phc(format!(
            "$argon2id${}",
            self.letters(90)
        )))
    }

    fn sealed(&mut self) -> Option<Personal<SealedSecret>> {
        self.option(|draw| {
            let bytes = draw.some(|draw| draw.bytes::<30>()[0]);
            Personal::Known(SealedSecret::from_bytes(bytes))
        })
    }

    fn registration(&mut self) -> Registration {
        Registration {
            email: self.email(),
            name: Personal::Known(self.name()),
            slug: Personal::Known(self.slug()),
            password: self.password(),
        }
    }

    fn activation(&mut self) -> Activation {
        let grace_seconds = self.number();
        if self.below(2) == 0 {
            Activation::Now { grace_seconds }
        } else {
            Activation::FirstUse { grace_seconds }
        }
    }

    fn actor(&mut self) -> Actor {
        match self.below(5) {
            0 => Actor::System,
            1 => Actor::User(UserId::from_bytes(self.bytes())),
            2 => Actor::Service(ServiceId::from_bytes(self.bytes())),
            3 => Actor::Entitlement(EntitlementId::from_bytes(self.bytes())),
            _ => Actor::Client(ClientId::from_bytes(self.bytes())),
        }
    }

    fn origin(&mut self) -> Origin {
        let actor = self.actor();
        Origin {
            actor,
            person: if self.below(4) == 0 {
                PersonId::from_bytes(self.bytes())
            } else {
                actor.person()
            },
            credential: self.option(Self::credential),
            request: RequestId::from_bytes(self.bytes()),
            source: self.option(|draw| {
                let v4 = IpAddr::from(draw.bytes::<4>());
                let v6 = IpAddr::from(draw.bytes::<16>());
                Personal::Known(if draw.below(2) == 0 { v4 } else { v6 })
            }),
            client: self.option(|draw| {
                let Ok(name) = format!("curl/8 {}", draw.letters(300)).parse::<ClientName>();
                Personal::Known(name)
            }),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table: an arm an event")]
    fn event(&mut self, name: &str) -> Event {
        let org = OrgId::from_bytes(self.bytes());
        let user = UserId::from_bytes(self.bytes());
        let team = TeamId::from_bytes(self.bytes());
        let service = ServiceId::from_bytes(self.bytes());
        let key = KeyId::from_bytes(self.bytes());
        let entitlement = EntitlementId::from_bytes(self.bytes());
        let invitation = InvitationId::from_bytes(self.bytes());
        let session = SessionId::from_bytes(self.bytes());
        let id = self.credential();
        let role = self.role();
        match name {
            "OrgCreated" => Event::OrgCreated(OrgCreated {
                org,
                slug: self.slug(),
                name: self.name(),
                owner: user,
                registered: self.option(Self::registration),
            }),
            "ScopeAdded" => Event::ScopeAdded(ScopeAdded {
                org,
                entry: ScopeEntry {
                    scope: self.scope(),
                    description: self.description(),
                    access: if self.below(2) == 0 {
                        Access::Read
                    } else {
                        Access::Write
                    },
                    minimum_role: role,
                },
            }),
            "PasswordChanged" => Event::PasswordChanged(PasswordChanged {
                user,
                password: self.password(),
            }),
            "MemberAdded" => Event::MemberAdded(MemberAdded {
                org,
                user,
                role,
                registered: self.registration(),
            }),
            "MemberInvited" => Event::MemberInvited(MemberInvited {
                org,
                invitation,
                email: self.email(),
                role,
                token: id,
                digest: self.digest(),
                expires_at: self.at(),
            }),
            "InvitationAccepted" => Event::InvitationAccepted(InvitationAccepted {
                org,
                invitation,
                user,
                registered: self.option(Self::registration),
            }),
            "InvitationRevoked" => Event::InvitationRevoked(InvitationRevoked { org, invitation }),
            "MemberRoleChanged" => Event::MemberRoleChanged(MemberRoleChanged { org, user, role }),
            "MemberRemoved" => Event::MemberRemoved(MemberRemoved { org, user }),
            "TeamCreated" => Event::TeamCreated(TeamCreated {
                org,
                team,
                slug: self.slug(),
                name: self.name(),
                scopes: self.scopes(),
            }),
            "TeamChanged" => Event::TeamChanged(TeamChanged {
                org,
                team,
                name: self.name(),
                scopes: self.scopes(),
            }),
            "TeamDeleted" => Event::TeamDeleted(TeamDeleted { org, team }),
            "TeamMemberAdded" => Event::TeamMemberAdded(TeamMemberAdded { org, team, user }),
            "TeamMemberRemoved" => Event::TeamMemberRemoved(TeamMemberRemoved { org, team, user }),
            "ServiceCreated" => Event::ServiceCreated(ServiceCreated {
                org,
                service,
                slug: self.slug(),
                name: self.name(),
                description: self.description(),
                role,
                teams: self.some::<_, BTreeSet<_>>(|draw| TeamId::from_bytes(draw.bytes())),
                api_key: self.new_api_key(),
            }),
            "ServiceChanged" => Event::ServiceChanged(ServiceChanged {
                service,
                name: self.name(),
                description: self.description(),
                role,
                teams: self.some(|draw| TeamId::from_bytes(draw.bytes())),
            }),
            "ServiceDeleted" => Event::ServiceDeleted(ServiceDeleted { service }),
            "UserKeyCreated" => Event::UserKeyCreated(UserKeyCreated {
                user,
                key,
                label: match self.below(2) {
                    0 => KeyLabel::OwnToken,
                    _ => KeyLabel::Handle(self.slug()),
                },
                alias: self.option(Self::name),
                sealed: self.sealed(),
                api_key: self.new_api_key(),
            }),
            "UserKeyRenamed" => Event::UserKeyRenamed(UserKeyRenamed {
                key,
                alias: self.option(Self::name),
            }),
            "UserKeyRevoked" => Event::UserKeyRevoked(UserKeyRevoked { key }),
            "EntitlementCreated" => Event::EntitlementCreated(EntitlementCreated {
                org,
                entitlement,
                name: self.name(),
                api_key: self.new_api_key(),
                credits: self.option(Self::grant),
            }),
            "EntitlementRevoked" => Event::EntitlementRevoked(EntitlementRevoked { entitlement }),
            "ApiKeyRotated" => Event::ApiKeyRotated(ApiKeyRotated {
                id,
                digest: self.digest(),
                sealed: self.sealed(),
                activation: self.activation(),
            }),
            "ApiKeyRotationUndone" => Event::ApiKeyRotationUndone(ApiKeyRotationUndone { id }),
            "ApiKeyActivated" => Event::ApiKeyActivated(ApiKeyActivated { id }),
            "ApiKeyDisabled" => Event::ApiKeyDisabled(ApiKeyDisabled {
                id,
                reason: self.option(|_| DisabledFor::Idle),
            }),
            "ApiKeyEnabled" => Event::ApiKeyEnabled(ApiKeyEnabled { id }),
            "ApiKeyRestricted" => Event::ApiKeyRestricted(ApiKeyRestricted {
                id,
                scopes: self.option(Self::scopes),
                expires_at: self.option(Self::at),
                allowed_cidrs: self.some(Self::net),
                rate_limit: self.option(Self::rate_limit),
            }),
            "ApiKeyRevealed" => Event::ApiKeyRevealed(ApiKeyRevealed { id }),
            "SessionStarted" => Event::SessionStarted(SessionStarted {
                session,
                user,
                digest: self.digest(),
                expires_at: self.at(),
            }),
            "SessionEnded" => Event::SessionEnded(SessionEnded { session, user }),
            "AuditLogRead" => Event::AuditLogRead(AuditLogRead { org }),
            "AllSessionsEnded" => Event::AllSessionsEnded(AllSessionsEnded { user }),
            "PersonErased" => Event::PersonErased(PersonErased {
                user,
                invitations: self.some(|draw| InvitationId::from_bytes(draw.bytes())),
            }),
            "ApiKeyFirstUsed" => Event::ApiKeyFirstUsed(ApiKeyFirstUsed {
                id,
                network: self.option(|draw| NetworkTag::from_bytes(draw.bytes())),
            }),
            "ApiKeyNetworkFirstSeen" => Event::ApiKeyNetworkFirstSeen(ApiKeyNetworkFirstSeen {
                id,
                network: NetworkTag::from_bytes(self.bytes()),
            }),
            "OrgLimitsChanged" => Event::OrgLimitsChanged(OrgLimitsChanged {
                org,
                rate_limit: self.option(Self::rate_limit),
            }),
            "EntitlementCreditsChanged" => {
                Event::EntitlementCreditsChanged(EntitlementCreditsChanged {
                    entitlement,
                    credits: self.option(Self::grant),
                })
            }
            "OrgPolicyChanged" => Event::OrgPolicyChanged(OrgPolicyChanged {
                org,
                max_life_seconds: self.option(Self::number),
                expiry_required: self.below(2) == 0,
                idle_disable_seconds: self.option(Self::number),
                retrievable_keys: self.below(2) == 0,
            }),
            "ApiKeysRevoked" => Event::ApiKeysRevoked(ApiKeysRevoked {
                org,
                revocation: RevocationId::from_bytes(self.bytes()),
                filter: self.filter(),
                count: self.number(),
                keys: self.some(Self::credential),
                barred: self.some(Self::credential),
                unnamed: self.option(|draw| Reach {
                    up_to: draw.role(),
                    test_only: draw.below(2) == 0,
                    except: draw.option(Self::credential),
                }),
            }),
            "ApiKeysRevocationUndone" => Event::ApiKeysRevocationUndone(ApiKeysRevocationUndone {
                org,
                revocation: RevocationId::from_bytes(self.bytes()),
                count: self.number(),
                keys: self.some(Self::credential),
                barred: self.some(Self::credential),
                unnamed: self.below(2) == 0,
            }),
            "MemberDisabled" => Event::MemberDisabled(MemberDisabled { org, user }),
            "MemberEnabled" => Event::MemberEnabled(MemberEnabled { org, user }),
            "SigningKeyCreated" => Event::SigningKeyCreated(SigningKeyCreated {
                kid: self.kid(),
                public_key: match self.below(3) {
                    0 => PublicKey::P256 {
                        x: self.bytes(),
                        y: self.bytes(),
                    },
                    1 => PublicKey::Ed25519 { x: self.bytes() },
                    _ => PublicKey::Rsa {
                        modulus: self.bytes::<512>().to_vec().into(),
                        exponent: self.bytes::<3>().to_vec().into(),
                    },
                },
                sealed: SealedSecret::from_bytes(self.bytes::<300>().to_vec()),
                previous_retires_at: self.option(Self::at),
            }),
            "SigningKeyRetired" => Event::SigningKeyRetired(SigningKeyRetired { kid: self.kid() }),
            "UserKeyHandedOver" => Event::UserKeyHandedOver(UserKeyHandedOver {
                org,
                user,
                key,
                id,
                service,
                slug: self.slug(),
                name: self.name(),
                description: self.description(),
                role,
                teams: self.some::<_, BTreeSet<_>>(|draw| TeamId::from_bytes(draw.bytes())),
                scopes: self.scopes(),
            }),
            other => oauth::event(self, other)
                .unwrap_or_else(|| panic!("{other} is a new event: draw one here")),
        }
    }

    fn record(&mut self, name: &str) -> Record {
        Record {
            position: Position::new(self.number()),
            at: self.at(),
            clock_behind_micros: self.number(),
            origin: self.origin(),
            organizations: self.some(|draw| OrgId::from_bytes(draw.bytes())),
            event: self.event(name),
        }
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    persons: Persons,
    rng: SystemRandom,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.key");
        PersonKeys::create(&path).expect("made");
        let rng = SystemRandom::new();
        let master = MasterKey::generate(&rng).expect("randomness");
        let keys = PersonKeys::open(&path, Vault::new(master.sealing())).expect("opened");
        Self {
            _folder: folder,
            persons: Persons::new(keys),
            rng,
        }
    }

    fn encode(&self, record: &Record) -> super::Stored {
        let measured = measure(record).expect("measured");
        self.persons
            .prepare(&measured.persons, &self.rng)
            .expect("keys");
        let stored = encode(record, &self.persons, &self.rng).expect("encoded");
        assert_eq!(
            stored.record.len(),
            measured.record_bytes,
            "the measure is right"
        );
        stored
    }

    fn decode(&self, position: Position, stored: &super::Stored) -> Result<Record, RecordError> {
        decode(position, &stored.record, &stored.side, &self.persons)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_stored_is_read_back_for_every_type(seed: u64) {
        let bench = Bench::new();
        let mut draw = Draw(seed);
        for name in Event::NAMES {
            let record = draw.record(name);
            let stored = bench.encode(&record);
            prop_assert_eq!(bench.decode(record.position, &stored).expect("decoded"), record);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(seed: u64, at: usize, bits in 1_u8..) {
        let bench = Bench::new();
        let mut draw = Draw(seed);
        for name in Event::NAMES {
            let record = draw.record(name);
            let mut stored = bench.encode(&record);
            let at = at % stored.record.len();
            stored.record[at] ^= bits;
            // A changed byte may decode to another record: the Merkle tree finds it, not the codec.
            let _ = bench.decode(record.position, &stored);
            stored.record.truncate(at);
            prop_assert!(bench.decode(record.position, &stored).is_err(), "{} cut at {}", name, at);
        }
    }
}

fn registered(bench: &Bench) -> (Record, super::Stored, PersonId) {
    let mut draw = Draw(7);
    let mut record = draw.record("MemberAdded");
    record.origin.source = None;
    record.origin.client = None;
    let Event::MemberAdded(added) = &record.event else {
        panic!("it was asked for");
    };
    let person = PersonId::from(added.user);
    let stored = bench.encode(&record);
    (record, stored, person)
}

#[test]
fn no_personal_value_stands_in_clear_anywhere() {
    let bench = Bench::new();
    let (record, stored, _) = registered(&bench);
    let Event::MemberAdded(added) = &record.event else {
        panic!("it was asked for");
    };
    let email = added.registered.email.known().expect("known").as_str();
    for bytes in [&stored.record, &stored.side] {
        let found = bytes.windows(8).any(|part| part == &email.as_bytes()[..8]);
        assert!(!found, "the address");
    }
}

#[test]
fn the_values_of_an_erased_person_read_as_erased_and_the_leaf_stays() {
    let bench = Bench::new();
    let (record, stored, person) = registered(&bench);
    bench
        .persons
        .erase(core::iter::once(person))
        .expect("erased");
    let mut expected = record.clone();
    let Event::MemberAdded(added) = &mut expected.event else {
        panic!("it was asked for");
    };
    added.registered = Registration {
        email: Personal::Erased,
        name: Personal::Erased,
        slug: Personal::Erased,
        password: Personal::Erased,
    };
    assert_eq!(
        bench.decode(record.position, &stored).expect("read"),
        expected
    );
    // What lay beside may be removed with the key.
    let bare = super::Stored {
        side: Vec::new(),
        ..stored
    };
    assert_eq!(
        bench.decode(record.position, &bare).expect("read"),
        expected
    );
    // Written after the erasure, it reads the same, and looks the same.
    let late = bench.encode(&expected);
    assert_eq!(late.record.len(), bare.record.len());
    assert_eq!(
        bench.decode(record.position, &late).expect("read"),
        expected
    );
}

#[test]
fn values_that_are_missing_changed_or_too_many_are_damage_that_names_the_position() {
    let bench = Bench::new();
    let (record, stored, _) = registered(&bench);
    let with = |side: Vec<u8>| super::Stored {
        side,
        ..stored.clone()
    };
    let read = |side: Vec<u8>| {
        bench
            .decode(record.position, &with(side))
            .expect_err("damage")
    };
    assert!(matches!(
        read(Vec::new()),
        RecordError::PersonalMissing { .. }
    ));
    let cut = stored.side[..stored.side.len() - 1].to_vec();
    assert!(matches!(read(cut), RecordError::PersonalMissing { .. }));
    for at in 2..stored.side.len() {
        let mut side = stored.side.clone();
        side[at] ^= 1;
        let error = read(side);
        assert!(
            error.to_string().contains(&record.position.to_string()),
            "byte {at}: {error}"
        );
    }
    let mut more = stored.side.clone();
    more.push(0);
    assert!(matches!(read(more), RecordError::PersonalLeftOver { .. }));

    // The same values beside another record of the same person: other salts, other commitments.
    let other = bench.encode(&record);
    assert!(matches!(
        read(other.side),
        RecordError::PersonalDamaged { .. }
    ));
    // With a file of personal keys that never had the person.
    let stranger = Bench::new();
    assert!(matches!(
        stranger
            .decode(record.position, &stored)
            .expect_err("no key"),
        RecordError::PersonKeyMissing { .. }
    ));
}

#[test]
fn what_is_unknown_is_named_with_position_and_number() {
    let bench = Bench::new();
    let (record, stored, _) = registered(&bench);
    let position = record.position;
    let change = |at: usize, byte: u8| {
        let mut stored = stored.clone();
        stored.record[at] = byte;
        bench.decode(position, &stored).expect_err("unknown")
    };
    assert!(matches!(
        change(0, 0xff),
        RecordError::UnknownType { number: 0xff04, .. }
    ));
    assert!(matches!(
        change(2, 99),
        RecordError::UnknownRevision {
            number: 4,
            revision: 99,
            ..
        }
    ));
    assert!(matches!(
        change(3, 98),
        RecordError::UnknownRevision {
            number: 4,
            revision: 98,
            ..
        }
    ));
    assert!(matches!(
        bench.decode(position.next(), &stored),
        Err(RecordError::Misplaced { found, .. }) if found == position
    ));
    assert!(change(0, 0xff).to_string().contains(&position.to_string()));
}

#[test]
fn bytes_behind_the_body_are_damage() {
    let bench = Bench::new();
    let (record, mut stored, _) = registered(&bench);
    stored.record.push(0);
    assert!(matches!(
        bench.decode(record.position, &stored),
        Err(RecordError::Malformed { .. })
    ));
}

#[test]
fn no_number_is_given_twice_and_every_event_has_one() {
    let numbers: BTreeSet<_> = table::ALL.iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers.len(), Event::NAMES.len());
    let rows: BTreeSet<_> = table::ALL.iter().map(|(n, r, ..)| (n, r)).collect();
    assert_eq!(
        rows.len(),
        table::ALL.len(),
        "a revision stands twice in the table"
    );
    let names: BTreeSet<_> = table::ALL.iter().map(|(_, _, name, _)| name).collect();
    assert_eq!(names, Event::NAMES.iter().collect::<BTreeSet<_>>());
}
