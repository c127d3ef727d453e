//! The head of a record: what every record has, whatever happened. It stands in front of the body, so
//! that it can be read alone.

use keyledger_domain::id::{OrgId, PersonId};
use keyledger_domain::{Actor, Origin, Position, Record, Timestamp};

use crate::record::EncodeError;
use crate::record::form::{self, CommitmentBytes, Fault, Open, Seal, form};
use crate::record::part::{ActorV1, Part, PersonalPart};

/// The revision of the head that is written. It is counted apart from those of the bodies.
pub(crate) const HEAD_REVISION: u8 = 2;

/// What is told of a record without reading its body: enough to find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Where it stands.
    pub position: Position,
    /// When it was decided.
    pub at: Timestamp,
    /// The name of the type of its event, as [`Event::name`](keyledger_domain::Event::name) has it.
    pub event: &'static str,
    /// Who acted.
    pub actor: Actor,
    /// Whose auditors may read it.
    pub organizations: Vec<OrgId>,
}

impl From<&Record> for RecordHead {
    fn from(record: &Record) -> Self {
        Self {
            position: record.position,
            at: record.at,
            event: record.event.name(),
            actor: record.origin.actor,
            organizations: record.organizations.clone(),
        }
    }
}

form! {
    /// The head as it was first: the address and the client are of whoever acted, and of nobody where no
    /// person did.
    struct HeadV1 {
        pub(crate) position: u64,
        pub(crate) at_micros: i64,
        pub(crate) clock_behind_micros: u64,
        pub(crate) actor: ActorV1,
        pub(crate) credential: Option<[u8; 9]>,
        pub(crate) request: [u8; 16],
        pub(crate) organizations: Vec<[u8; 16]>,
        pub(crate) source: Option<CommitmentBytes>,
        pub(crate) client: Option<CommitmentBytes>,
    }
}

form! {
    /// The same, with the person whose address and client these are, where it is not who acted.
    struct HeadV2 {
        pub(crate) position: u64,
        pub(crate) at_micros: i64,
        pub(crate) clock_behind_micros: u64,
        pub(crate) actor: ActorV1,
        pub(crate) person: Option<[u8; 16]>,
        pub(crate) credential: Option<[u8; 9]>,
        pub(crate) request: [u8; 16],
        pub(crate) organizations: Vec<[u8; 16]>,
        pub(crate) source: Option<CommitmentBytes>,
        pub(crate) client: Option<CommitmentBytes>,
    }
}

impl From<HeadV1> for HeadV2 {
    fn from(head: HeadV1) -> Self {
        Self {
            position: head.position,
            at_micros: head.at_micros,
            clock_behind_micros: head.clock_behind_micros,
            actor: head.actor,
            person: None,
            credential: head.credential,
            request: head.request,
            organizations: head.organizations,
            source: head.source,
            client: head.client,
        }
    }
}

impl HeadV2 {
    /// Reads a head of any revision, and gives what is behind it; `None` for one that is not known.
    pub(crate) fn take(revision: u8, bytes: &[u8]) -> Option<Result<(Self, &[u8]), Fault>> {
        Some(match revision {
            1 => form::take::<HeadV1>(bytes).map(|(head, rest)| (head.into(), rest)),
            HEAD_REVISION => form::take(bytes),
            _ => return None,
        })
    }

    pub(crate) fn of(record: &Record, seal: &mut dyn Seal) -> Result<Self, EncodeError> {
        let origin = &record.origin;
        let person = origin.person;
        Ok(Self {
            position: record.position.get(),
            at_micros: record.at.micros(),
            clock_behind_micros: record.clock_behind_micros,
            actor: origin.actor.keep(),
            person: (person != origin.actor.person()).then(|| person.to_bytes()),
            credential: origin.credential.keep(),
            request: origin.request.keep(),
            organizations: record.organizations.iter().map(Part::keep).collect(),
            source: origin.source.keep(person, seal)?,
            client: origin.client.keep(person, seal)?,
        })
    }

    pub(crate) fn to_head(&self, event: &'static str) -> RecordHead {
        let (organizations, at, _) = self.circumstances();
        RecordHead {
            position: Position::new(self.position),
            at,
            event,
            actor: self.actor.into(),
            organizations,
        }
    }

    /// Whose auditors may read it, when it was, and how far the clock stood behind, in microseconds.
    pub(crate) fn circumstances(&self) -> (Vec<OrgId>, Timestamp, u64) {
        let organizations = self.organizations.iter().copied();
        (
            organizations.map(OrgId::from_bytes).collect(),
            Timestamp::from_micros(self.at_micros),
            self.clock_behind_micros,
        )
    }

    pub(crate) fn into_origin(self, open: &mut dyn Open) -> Result<Origin, Fault> {
        let actor = Actor::from(self.actor);
        let person = self.person.map(PersonId::from_bytes);
        let person = person.unwrap_or(actor.person());
        Ok(Origin {
            actor,
            person,
            credential: Part::give(self.credential)?,
            request: Part::give(self.request)?,
            source: PersonalPart::give(self.source, person, open)?,
            client: PersonalPart::give(self.client, person, open)?,
        })
    }
}
