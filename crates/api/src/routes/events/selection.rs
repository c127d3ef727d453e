//! The same filters for whoever has the ledger itself before them, and with it all of its log.

use keyledger_domain::id::OrgId;
use keyledger_domain::{Authority, Directory, Position, Record};
use keyledger_ledger::RecordReader;

use super::changes::Trail;
use super::filter::{EventQuery, Filter};
use super::view::EventView;
use crate::app::Lookups;
use crate::problem::Problem;

/// Which records of a ledger are wanted, by the rules of `GET /v1/events`.
pub struct Selection {
    filter: Filter,
    organization: Option<OrgId>,
}

impl Selection {
    /// What this query selects of a ledger with this state. No right is asked for: whoever can read
    /// the folder can read all that is in it.
    ///
    /// # Errors
    /// 404 for an organization that is not there, 422 for a filter that is not right.
    pub fn of(query: &EventQuery, directory: &Directory) -> Result<Self, Problem> {
        let organization = match query.organization() {
            Some(slug) => {
                let org = directory.org_by_slug(slug);
                Some(org.ok_or_else(Problem::not_found)?.id)
            }
            None => None,
        };
        let orgs: Vec<OrgId> = match organization {
            Some(org) => vec![org],
            None => directory.orgs().map(|org| org.id).collect(),
        };
        Ok(Self {
            filter: query.check(directory, &orgs)?,
            organization,
        })
    }

    /// Behind which position the records lie.
    pub fn after(&self) -> Position {
        self.filter.after
    }

    /// Whether neither this record nor any behind it is wanted: none is older than the one in front.
    pub fn ends_before(&self, record: &Record) -> bool {
        let before = self.filter.before;
        !record.at.is_before(self.filter.wanted.until)
            || before.is_some_and(|before| record.position >= before)
    }

    /// The record as it is told, if it is wanted.
    ///
    /// # Errors
    /// 500 if it cannot be told, which no event of ours is.
    pub fn view(
        &self,
        record: &Record,
        lookups: &Lookups,
        reader: &RecordReader,
    ) -> Result<Option<EventView>, Problem> {
        let directory = &*lookups.directory();
        let wanted = &self.filter.wanted;
        let target = directory.target_of(&record.event);
        let is_wanted = wanted.since.is_none_or(|since| record.at >= since)
            && !self.ends_before(record)
            && self
                .organization
                .is_none_or(|org| record.organizations.contains(&org))
            && wanted.takes(record)
            && wanted.takes_target(target, &record.event);
        if !is_wanted {
            return Ok(None);
        }
        let organization = self
            .organization
            .or_else(|| record.organizations.first().copied());
        let slug = organization.and_then(|id| directory.org(id));
        let slug = slug.map(|org| org.slug.to_string());
        let trail = Trail {
            index: lookups.index(),
            read: &|position| reader.get(position),
            is_told: &|_| true,
        };
        let mut view = EventView::of(record, target, slug)?;
        view.tell_names(directory, &Authority::SYSTEM, record, target);
        view.tell_changes(trail.changes(record)?);
        Ok(Some(view))
    }
}
