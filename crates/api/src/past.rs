//! What a look-up is answered from: the state as it is, or with `?at=` as it was.
//!
//! **Who may ask is judged by today's state, what is told by the one of then.** Whoever may read services
//! today is told which there were; nobody is told more because they could do more once. Of somebody who was
//! erased since, nothing is told of before either.
//!
//! An earlier state is put together on a thread of its own, one at a time, and the last two are kept there as
//! long as somebody asks ([`Past`](keyledger_ledger::Past)).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use keyledger_domain::credits::Credits;
use keyledger_domain::id::EntitlementId;
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::{Authority, CredentialId, Directory, Environment, Refusal, Timestamp};
use keyledger_ledger::{Moment, PastError, Recalled, Then};
use parking_lot::RwLockReadGuard;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::places::Desk;
use crate::problem::Problem;
use crate::routes::organization;

/// What whoever is turned away is told.
pub(crate) const BUSY: &str = "Too many ask about the past; try again.";
/// What is wrong with a moment.
const NO_MOMENT: &str =
    "must be an instant such as 2027-01-31T09:00:00Z, or the position of a record";
/// The same of one that is not there yet.
const NOT_YET: &str = "is in the future";

impl Desk for Recalled {
    fn tidy(&mut self) {
        // What is kept is what the next question is for; whoever rests a while gets a new desk.
    }
}

/// `?at=`, where one thing is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AtQuery {
    /// The answer as of this moment: an instant (RFC 3339) or the position of a record. Now where it is left
    /// out.
    #[param(example = "2027-01-31T09:00:00Z")]
    at: Option<String>,
}

impl AtQuery {
    /// The moment, as it was written.
    pub(crate) fn at(&self) -> Option<&str> {
        self.at.as_deref()
    }
}

/// What a look-up is answered from. Hold it briefly and never across an await.
pub(crate) struct Told<'a> {
    app: &'a App,
    today: RwLockReadGuard<'a, Directory>,
    then: Option<Then>,
}

impl Told<'_> {
    /// What is told: the state of then, where an earlier one was asked for.
    pub(crate) fn state(&self) -> &Directory {
        self.then.as_ref().map_or(&*self.today, |then| &then.state)
    }

    /// What is true now: for who may.
    pub(crate) fn today(&self) -> &Directory {
        &self.today
    }

    /// Whether an earlier state is told.
    pub(crate) const fn is_past(&self) -> bool {
        self.then.is_some()
    }

    /// The organization with this slug as it is told, in which the caller has this right today.
    ///
    /// # Errors
    /// As [`organization::require`]; 404 too where it did not exist yet.
    pub(crate) fn org(
        &self,
        caller: &Caller,
        slug: &str,
        right: &'static str,
    ) -> Result<&Org, Refusal> {
        let org = organization::require(&self.today, caller, slug, right)?.id;
        self.state()
            .org(org)
            .ok_or(Refusal::Unknown(Noun::Organization))
    }

    /// Whether this authority sees what belongs to an environment.
    pub(crate) fn sees(&self, authority: &Authority, environment: Environment) -> bool {
        self.today.sees(authority, environment)
    }

    /// Whether this authority sees what holds this key.
    pub(crate) fn sees_key(&self, authority: &Authority, id: CredentialId) -> bool {
        let key = self.state().api_key(id);
        key.is_some_and(|key| self.sees(authority, key.issued.environment))
    }

    /// The moment that is told of.
    pub(crate) fn now(&self) -> Timestamp {
        self.then
            .as_ref()
            .map_or_else(|| self.app.now(), |then| then.at)
    }

    /// When a key was last used. When it had been last used at an earlier moment nobody knows: the ledger
    /// does not have it.
    pub(crate) fn last_used_at(&self, id: CredentialId) -> Option<Timestamp> {
        match self.then {
            None => self.app.usage().last_used_at(id),
            Some(_) => None,
        }
    }

    /// What is left of credits; how much was left at an earlier moment nobody knows.
    pub(crate) fn credits_left(&self, token: EntitlementId, credits: &Credits) -> Option<u64> {
        match self.then {
            None => self.app.credits_left(token, credits),
            Some(_) => None,
        }
    }

    /// 200, with the position that an earlier state rests on.
    pub(crate) fn answer(&self, body: &impl Serialize) -> HttpResponse {
        match &self.then {
            None => HttpResponse::Ok().json(body),
            Some(then) => answer::done(then.state.position(), body),
        }
    }
}

impl App {
    /// The state as it is.
    pub(crate) fn told_now(&self) -> Told<'_> {
        self.told_as_of(None)
    }

    /// The state as it is, or an earlier one.
    pub(crate) fn told_as_of(&self, then: Option<Then>) -> Told<'_> {
        Told {
            app: self,
            today: self.directory(),
            then,
        }
    }

    /// The state that is asked for, for whoever has this right in an organization: a stranger is told that
    /// they are one before anything is put together for them.
    ///
    /// # Errors
    /// 404 and 403 as [`organization::require`]; 422 for what is no moment, or one to come; 410 where the
    /// records of then were moved away; 503 where too many ask.
    pub(crate) async fn told_in(
        &self,
        caller: &Caller,
        slug: &str,
        right: &'static str,
        at: Option<&str>,
    ) -> Result<Told<'_>, Problem> {
        if at.is_some() {
            self.require_in(caller, slug, right)?;
        }
        Ok(self.told_as_of(self.then(caller, at).await?))
    }

    /// The earlier state that is asked for, if one is.
    ///
    /// # Errors
    /// As [`App::told_in`], apart from the rights.
    pub(crate) async fn then(
        &self,
        caller: &Caller,
        at: Option<&str>,
    ) -> Result<Option<Then>, Problem> {
        match at {
            None => Ok(None),
            Some(at) => self.state_at(caller, "at", at).await.map(Some),
        }
    }

    /// The state at the moment that stands in this field of a query.
    ///
    /// # Errors
    /// As [`App::then`].
    pub(crate) async fn state_at(
        &self,
        caller: &Caller,
        field: &'static str,
        at: &str,
    ) -> Result<Then, Problem> {
        let moment: Moment = at.parse().map_err(|_| Problem::field(field, NO_MOMENT))?;
        if matches!(moment, Moment::Time(at) if at > self.now()) {
            return Err(Problem::field(field, NOT_YET));
        }
        let past = self.past().clone();
        let found = self
            .past_places()
            .work(
                self.account_of(caller),
                BUSY,
                move |recalled: &mut Recalled| past.find(moment, recalled),
            )
            .await?;
        found.map_err(|error| match error {
            PastError::NotYet { .. } => Problem::field(field, NOT_YET),
            PastError::Archived { .. } => Problem::new(StatusCode::GONE, error.to_string()),
            PastError::Replay(_) | PastError::Read(_) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an earlier state could not be put together"
                );
                Problem::internal()
            }
        })
    }
}
