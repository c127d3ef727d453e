//! What a request for events asks for.

use core::net::IpAddr;
use core::str::FromStr;

use ipnet::IpNet;
use keyledger_domain::id::OrgId;
use keyledger_domain::text::Email;
use keyledger_domain::{
    Actor, CredentialId, Directory, Event, Position, Record, Target, Timestamp,
};
use keyledger_ledger::index::{Index, Order, Term};
use serde::Deserialize;
use thiserror::Error;

use crate::answer;
use crate::body::Fields;
use crate::event_index::key_of;
use crate::problem::Problem;

/// Which events: those for which all that is said here holds.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Who did it: as an event tells it, or a member's address or slug, or a service's slug.
    #[param(example = "ada@example.com")]
    actor: Option<String>,
    /// What it is about, as an event tells it.
    #[param(example = "service:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    target: Option<String>,
    /// The public id of the credential that was shown.
    #[param(example = "3kTMd9wQx")]
    credential: Option<String>,
    /// The type of the event, or the beginning of several, with a `*` behind it.
    #[param(example = "Service*")]
    r#type: Option<String>,
    /// The address that it came from, or a network that this is in.
    #[param(example = "203.0.113.0/24")]
    source: Option<String>,
    /// Not before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// Behind this position: the `next` of the page before.
    #[param(value_type = Option<u64>, format = "uint64")]
    after: Option<String>,
    /// Before this position: the `next` of the page before, where the newest come first.
    #[param(value_type = Option<u64>, format = "uint64")]
    before: Option<String>,
    /// `asc`, the oldest first, or `desc`; `asc` where it is left out.
    #[param(example = "desc")]
    order: Option<String>,
    /// At most this many, 1 to 1,000; 100 where it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// The slug of one organization; left out, all whose log the caller may read.
    #[param(example = "acme")]
    organization: Option<String>,
}

/// Which events a stream tells: those for which all that is said here holds.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// Who did it: as an event tells it, or a member's address or slug, or a service's slug.
    #[param(example = "ada@example.com")]
    actor: Option<String>,
    /// What it is about, as an event tells it.
    #[param(example = "service:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    target: Option<String>,
    /// The public id of the credential that was shown.
    #[param(example = "3kTMd9wQx")]
    credential: Option<String>,
    /// The type of the event, or the beginning of several, with a `*` behind it.
    #[param(example = "Service*")]
    r#type: Option<String>,
    /// The address that it came from, or a network that this is in.
    #[param(example = "203.0.113.0/24")]
    source: Option<String>,
    /// The slug of one organization; left out, all whose log the caller may read.
    #[param(example = "acme")]
    organization: Option<String>,
    /// Begin behind this position; left out, with what happens from now on. `Last-Event-ID` goes before it.
    #[param(value_type = Option<u64>, format = "uint64")]
    after: Option<String>,
    /// End after so many seconds, 0 to 3,600; 3,600 where it is left out. With 0 it tells what is there, and
    /// ends.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 3600)]
    seconds: Option<String>,
}

/// How long a stream lives at most, in seconds.
const STREAM_SECONDS_MAX: u64 = 3_600;

impl StreamQuery {
    pub(super) fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The same as a query for a list, and for how long, in seconds; a position in `last_event_id` is the
    /// one to go on behind.
    ///
    /// # Errors
    /// 422.
    pub(super) fn check(self, last_event_id: Option<&str>) -> Result<(EventQuery, u64), Problem> {
        let mut fields = Fields::default();
        let is_no_position = |id: &str| id.parse::<u64>().is_err();
        if last_event_id.is_some_and(is_no_position) {
            fields.refuse("Last-Event-ID", "must be a position, as an event has it");
        }
        if self.after.as_deref().is_some_and(is_no_position) {
            fields.refuse("after", "must be a position, as an event has it");
        }
        let seconds = self.seconds.as_deref().map(str::parse);
        let seconds = seconds.unwrap_or(Ok(STREAM_SECONDS_MAX));
        let seconds = seconds
            .ok()
            .filter(|seconds| *seconds <= STREAM_SECONDS_MAX);
        if seconds.is_none() {
            fields.refuse("seconds", "must be a number from 0 to 3600");
        }
        fields.check()?;
        let query = EventQuery {
            actor: self.actor,
            target: self.target,
            credential: self.credential,
            r#type: self.r#type,
            source: self.source,
            organization: self.organization,
            after: last_event_id.map(str::to_owned).or(self.after),
            ..EventQuery::default()
        };
        Ok((query, seconds.unwrap_or_default()))
    }
}

/// A query that was understood.
pub(super) struct Filter {
    pub(super) wanted: Wanted,
    /// Behind this.
    pub(super) after: Position,
    /// And before this, if it was said.
    pub(super) before: Option<Position>,
    pub(super) order: Order,
    pub(super) limit: usize,
}

/// Which records are taken.
#[derive(Default)]
pub(super) struct Wanted {
    actors: Option<Vec<Actor>>,
    target: Option<String>,
    credential: Option<CredentialId>,
    names: Option<Vec<&'static str>>,
    source: Option<Source>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// Where something came from.
#[derive(Clone, Copy)]
enum Source {
    /// This address.
    Address(IpAddr),
    /// One in this network.
    Network(IpNet),
}

/// It is neither an address nor a network.
#[derive(Debug, Error)]
#[error("must be an address or a network, such as 203.0.113.7 or 203.0.113.0/24")]
struct NoSource;

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        let Ok(network) = text.parse::<IpNet>() else {
            return text.parse().map(Self::Address).map_err(|_| NoSource);
        };
        // The index has addresses: a network of one is found through it.
        Ok(if network.prefix_len() == network.max_prefix_len() {
            Self::Address(network.addr())
        } else {
            Self::Network(network)
        })
    }
}

impl Source {
    fn takes(self, source: IpAddr) -> bool {
        match self {
            Self::Address(wanted) => source == wanted,
            Self::Network(wanted) => wanted.contains(&source.to_canonical()),
        }
    }
}

impl EventQuery {
    pub(super) fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// Whether it says where to begin.
    pub(super) const fn has_beginning(&self) -> bool {
        self.after.is_some()
    }

    /// Reads the query. Names of actors are looked up in these organizations only, so that nobody
    /// learns here who has an account.
    ///
    /// # Errors
    /// 422.
    pub(super) fn check(&self, directory: &Directory, orgs: &[OrgId]) -> Result<Filter, Problem> {
        let mut fields = Fields::default();
        let names = self.r#type.as_deref().map(types_named);
        if names.as_ref().is_some_and(Vec::is_empty) {
            let reason = "is not a type of event, such as ServiceCreated or Service*";
            fields.refuse("type", reason);
        }
        let mut position = |name, text: Option<&str>| {
            let position = text.map(str::parse).map(|number| number.map(Position::new));
            if matches!(position, Some(Err(_))) {
                fields.refuse(name, "must be a position, such as the `next` of a page");
            }
            position.and_then(Result::ok)
        };
        let after = position("after", self.after.as_deref());
        let before = position("before", self.before.as_deref());
        let order = match self.order.as_deref() {
            None | Some("asc") => Order::Rising,
            Some("desc") => Order::Falling,
            Some(_) => {
                fields.refuse("order", "must be asc or desc");
                Order::Rising
            }
        };
        let wanted = Wanted {
            actors: self
                .actor
                .as_deref()
                .map(|named| actors_named(directory, orgs, named)),
            target: self.target.clone(),
            credential: fields.optional("credential", self.credential.as_deref()),
            names,
            source: fields.optional("source", self.source.as_deref()),
            since: fields.optional("since", self.since.as_deref()),
            until: fields.optional("until", self.until.as_deref()),
        };
        fields.check()?;
        Ok(Filter {
            wanted,
            after: after.unwrap_or_default(),
            before,
            order,
            limit: answer::limit(self.limit.as_deref())?,
        })
    }
}

impl Wanted {
    /// Whether this record is wanted, apart from its target and its time.
    pub(super) fn takes(&self, record: &Record) -> bool {
        let origin = &record.origin;
        let source = origin.source.as_ref().and_then(|source| source.known());
        let name = record.event.name();
        let is_named = |names: &Vec<_>| names.contains(&name);
        let is_by = |actors: &Vec<_>| actors.contains(&origin.actor);
        self.names.as_ref().is_none_or(is_named)
            && self.actors.as_ref().is_none_or(is_by)
            && (self.credential.is_none() || self.credential == origin.credential)
            && self
                .source
                .is_none_or(|wanted| source.is_some_and(|source| wanted.takes(*source)))
    }

    /// Whether a record of this event, about this, is wanted.
    pub(super) fn takes_target(&self, target: Target, event: &Event) -> bool {
        self.target.as_ref().is_none_or(|wanted| {
            let key = key_of(event).map(Target::Credential);
            *wanted == target.to_string() || key.is_some_and(|key| *wanted == key.to_string())
        })
    }

    /// Whether it is asked for by where records came from, which not everybody is told of all.
    pub(super) const fn asks_for_origin(&self) -> bool {
        self.source.is_some()
    }

    /// By which terms the index has what is wanted in these organizations: one of each group. A network is
    /// none: the records of these organizations are looked at.
    pub(super) fn terms(&self, index: &Index, orgs: &[OrgId]) -> Vec<Vec<Term>> {
        let mut groups = vec![orgs.iter().map(|org| Term::organization(*org)).collect()];
        let actors = self.actors.as_ref();
        groups
            .extend(actors.map(|actors| actors.iter().map(|actor| Term::actor(*actor)).collect()));
        let names = self.names.as_ref();
        groups.extend(names.map(|names| names.iter().map(|name| Term::event_type(name)).collect()));
        let address = self.source.and_then(|source| match source {
            Source::Address(address) => Some(address),
            Source::Network(_) => None,
        });
        let single = [
            self.target.as_deref().map(Term::target),
            self.credential.map(Term::credential),
            address.map(|address| index.source(address)),
        ];
        groups.extend(single.into_iter().flatten().map(|term| vec![term]));
        groups
    }
}

/// The types that are called so, or begin so.
fn types_named(wanted: &str) -> Vec<&'static str> {
    let names = Event::NAMES.iter().copied();
    match wanted.strip_suffix('*') {
        Some(beginning) => names.filter(|name| name.starts_with(beginning)).collect(),
        None => names.filter(|name| *name == wanted).collect(),
    }
}

/// Everybody in these organizations who is called so.
fn actors_named(directory: &Directory, orgs: &[OrgId], named: &str) -> Vec<Actor> {
    let id = match named.split_once(':') {
        Some(("user", id)) => id.parse().ok().map(Actor::User),
        Some(("service", id)) => id.parse().ok().map(Actor::Service),
        Some(("entitlement", id)) => id.parse().ok().map(Actor::Entitlement),
        Some(("client", id)) => id.parse().ok().map(Actor::Client),
        Some(_) => None,
        None => (named == "system").then_some(Actor::System),
    };
    let user = match named.parse::<Email>() {
        Ok(email) => directory.user_by_email(email.as_str()),
        Err(_) => directory.user_by_slug(named),
    };
    let member = user
        .filter(|user| orgs.iter().any(|org| user.orgs.contains(org)))
        .map(|user| Actor::User(user.id));
    let services = orgs
        .iter()
        .filter_map(|org| directory.service_by_slug(*org, named))
        .map(|service| Actor::Service(service.id));
    id.into_iter().chain(member).chain(services).collect()
}

#[cfg(test)]
mod tests {
    use keyledger_domain::id::{RequestId, UserId};
    use keyledger_domain::org::OrgCreated;
    use keyledger_domain::user::Registration;
    use keyledger_domain::{Origin, PasswordHash, Personal};

    use super::*;

    const ORG: OrgId = OrgId::from_bytes([1; 16]);
    const ADA: UserId = UserId::from_bytes([2; 16]);

    fn founded() -> Record {
        let registered = Registration {
            email: Personal::Known("ada@example.com".parse().unwrap()),
            name: Personal::Known("Ada".parse().unwrap()),
            slug: Personal::Known("ada".parse().unwrap()),
            password: Personal::Known(PasswordHash::from_phc("$".to_owned())),
        };
        let origin = Origin {
            actor: Actor::User(ADA),
            ..Origin::system(RequestId::from_bytes([3; 16]))
        };
        Record {
            position: Position::new(1),
            at: Timestamp::default(),
            clock_behind_micros: 0,
            origin,
            organizations: vec![ORG],
            event: Event::OrgCreated(OrgCreated {
                org: ORG,
                slug: "acme".parse().unwrap(),
                name: "Acme".parse().unwrap(),
                owner: ADA,
                registered: Some(registered),
            }),
        }
    }

    fn check(query: &EventQuery, orgs: &[OrgId]) -> Result<Filter, Problem> {
        let mut directory = Directory::default();
        directory.apply(&founded());
        query.check(&directory, orgs)
    }

    fn by(actor: &str) -> EventQuery {
        EventQuery {
            actor: Some(actor.to_owned()),
            ..EventQuery::default()
        }
    }

    #[test]
    fn an_actor_is_named_by_id_address_or_slug() {
        for named in [&Actor::User(ADA).to_string(), "ADA@example.com", "ada"] {
            let filter = check(&by(named), &[ORG]).unwrap();
            assert!(filter.wanted.takes(&founded()), "{named}");
        }
        for named in ["system", "user:ada", "nobody", "service:1", ""] {
            let filter = check(&by(named), &[ORG]).unwrap();
            assert!(!filter.wanted.takes(&founded()), "{named}");
        }
    }

    #[test]
    fn who_is_in_another_organization_is_nobody_here() {
        let elsewhere = OrgId::from_bytes([9; 16]);
        for named in ["ada@example.com", "ada"] {
            let filter = check(&by(named), &[elsewhere]).unwrap();
            assert!(!filter.wanted.takes(&founded()), "{named}");
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_network() {
        let from = |text: &str| {
            let mut record = founded();
            record.origin.source = Some(Personal::Known(text.parse().unwrap()));
            record
        };
        let by = |source: &str| {
            let query = EventQuery {
                source: Some(source.to_owned()),
                ..EventQuery::default()
            };
            check(&query, &[ORG])
        };
        for (source, taken, other) in [
            ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
            ("203.0.113.7/32", "203.0.113.7", "203.0.113.8"),
            ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
            ("203.0.113.9/24", "::ffff:203.0.113.7", "::1"),
            ("2001:db8::/48", "2001:db8::7", "2001:db8:1::7"),
            ("0.0.0.0/0", "203.0.113.7", "2001:db8::7"),
        ] {
            let wanted = by(source).unwrap().wanted;
            assert!(wanted.takes(&from(taken)), "{source} {taken}");
            assert!(!wanted.takes(&from(other)), "{source} {other}");
            assert!(!wanted.takes(&founded()), "{source}, from nowhere");
            assert!(wanted.asks_for_origin());
        }
        for source in [
            "",
            "203.0.113",
            "203.0.113.0/33",
            "203.0.113.0/-1",
            "::/129",
        ] {
            let problem = by(source).err().expect(source);
            assert!(problem.detail().starts_with("source"), "{source}");
        }
    }

    #[test]
    fn types_and_targets_are_compared_as_events_tell_them() {
        let query = |name: &str, target: String| EventQuery {
            r#type: Some(name.to_owned()),
            target: Some(target),
            ..EventQuery::default()
        };
        let target = Target::Organization(ORG);
        let good = check(&query("OrgCreated", target.to_string()), &[ORG]).unwrap();
        assert!(
            good.wanted.takes(&founded()) && good.wanted.takes_target(target, &founded().event)
        );
        let other = check(&query("TeamCreated", "team:1".to_owned()), &[ORG]).unwrap();
        assert!(
            !other.wanted.takes(&founded()) && !other.wanted.takes_target(target, &founded().event)
        );
    }

    #[test]
    fn a_stream_reads_both_of_its_beginnings() {
        let query = |after: &str| StreamQuery {
            after: Some(after.to_owned()),
            ..StreamQuery::default()
        };
        let (begun, _) = query("7").check(Some("9")).unwrap();
        assert_eq!(begun.after.as_deref(), Some("9"));
        for (after, last_event_id) in [("-1", Some("9")), ("-1", None), ("7", Some("-1"))] {
            let refused = query(after).check(last_event_id).is_err();
            assert!(refused, "{after} {last_event_id:?}");
        }
    }

    #[test]
    fn n128_what_cannot_be_is_told_by_its_field() {
        let some = |text: &str| Some(text.to_owned());
        let none = EventQuery::default;
        let wrong = [
            (
                "type",
                EventQuery {
                    r#type: some("orgCreated"),
                    ..none()
                },
            ),
            (
                "after",
                EventQuery {
                    after: some("-1"),
                    ..none()
                },
            ),
            (
                "since",
                EventQuery {
                    since: some("yesterday"),
                    ..none()
                },
            ),
            (
                "until",
                EventQuery {
                    until: some("2027"),
                    ..none()
                },
            ),
            (
                "limit",
                EventQuery {
                    limit: some("NaN"),
                    ..none()
                },
            ),
            (
                "limit",
                EventQuery {
                    limit: some("1001"),
                    ..none()
                },
            ),
        ];
        for (field, query) in wrong {
            let problem = check(&query, &[ORG]).err().expect(field);
            assert!(problem.detail().starts_with(field), "{}", problem.detail());
        }
        assert!(check(&none(), &[ORG]).is_ok());
    }
}
