//! Rotation: a key gets a new secret and stays the same key; alike for every kind of key.

use keyledger_domain::api_key::{Activation, OtherSecret, RotateApiKey};
use keyledger_domain::refusal::Noun;
use keyledger_domain::{Actor, ApiKey, CredentialId, Position, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// A rotation that is not over.
#[derive(Serialize, ToSchema)]
pub struct RotationView {
    /// `pending`: the new secret waits for its first use. `grace`: the old one is still good.
    #[schema(example = "grace")]
    state: &'static str,
    /// Until when the old secret is good.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// How long the old secret stays good once the new one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u64>,
}

impl RotationView {
    pub(crate) fn of(key: &ApiKey, now: Timestamp) -> Option<Self> {
        match key.other() {
            Some(OtherSecret::Pending { grace_seconds, .. }) => Some(Self {
                state: "pending",
                until: None,
                grace_seconds: Some(*grace_seconds),
            }),
            Some(OtherSecret::Retiring { until, .. }) if now < *until => Some(Self {
                state: "grace",
                until: Some(*until),
                grace_seconds: None,
            }),
            Some(OtherSecret::Retiring { .. }) | None => None,
        }
    }
}

/// How a key is to be rotated.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the old secret stays good, in seconds; 0, at once, where it is left out.
    #[schema(maximum = 2_592_000)]
    grace_seconds: Option<u64>,
    /// `now`, or `first_use`: the new secret waits until it is used, then the old one's grace begins.
    #[schema(example = "now")]
    activate: Option<String>,
}

impl Rotation {
    /// What the body says.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn activation(&self) -> Result<Activation, Problem> {
        let grace_seconds = self.grace_seconds.unwrap_or(0);
        match self.activate.as_deref() {
            None | Some("now") => Ok(Activation::Now { grace_seconds }),
            Some("first_use") => Ok(Activation::FirstUse { grace_seconds }),
            Some(_) => Err(Problem::field("activate", "must be now or first_use")),
        }
    }
}

impl App {
    /// Gives any key a new secret and gives its plaintext, this once.
    ///
    /// # Errors
    /// As [`rotate_user_key`](super::user_keys::rotate_user_key).
    pub(crate) async fn rotate(
        &self,
        caller: &Caller,
        id: CredentialId,
        activation: Activation,
    ) -> Result<(String, Position), Problem> {
        let (kind, environment, version, retrievable_by) = {
            let directory = self.directory();
            let key = directory.api_key(id).ok_or(Refusal::Unknown(Noun::Key))?;
            let retrievable_by = match key.issued.holder.actor() {
                Actor::User(user) => key.sealed().is_some().then_some(user),
                Actor::System | Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => {
                    None
                }
            };
            let (kind, environment) = (key.issued.kind, key.issued.environment);
            (kind, environment, key.newest_version() + 1, retrievable_by)
        };
        let plaintext = self.draw(kind, environment, Some(id))?;
        let digest = self.digest(plaintext.as_bytes())?;
        let sealed = match retrievable_by {
            Some(user) => Some(self.seal(user, id, version, &plaintext)?),
            None => None,
        };
        let command = RotateApiKey {
            id,
            version,
            digest,
            sealed,
            activation,
        };
        let committed = self.execute(caller, command).await?;
        Ok((plaintext.expose_once(), committed.position))
    }
}
