//! An event of the log as `GET /v1/events` tells it, wherever it was read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One event. A member that a newer server tells besides is kept and written as it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where it stands in the ledger.
    pub(super) position: u64,
    /// Its type.
    pub(super) r#type: String,
    /// When it was decided, by RFC 3339.
    pub(super) time: String,
    /// Who did it.
    pub(super) actor: String,
    /// What it is about.
    pub(super) target: String,
    /// The organization it is read through.
    pub(super) organization: Option<String>,
    /// The credential that was shown.
    pub(super) credential: Option<String>,
    /// The address it came from.
    pub(super) source: Option<String>,
    /// What the client called itself.
    pub(super) client: Option<String>,
    /// The request that led to it.
    pub(super) request_id: String,
    /// What its type tells besides.
    pub(super) data: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Entry {
    /// What its actor is called now.
    pub(super) fn actor_name(&self) -> Option<&str> {
        self.rest.get("actor_name")?.as_str()
    }

    /// What its target is called now.
    pub(super) fn target_name(&self) -> Option<&str> {
        self.rest.get("target_name")?.as_str()
    }
}
