//! What a service's key and an entitlement token tell of themselves alike.

use keyledger_domain::credential::preview;
use keyledger_domain::{ApiKey, Environment, Scope, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::past::Told;
use crate::restrictions::RateLimitBody;
use crate::routes::rotation::RotationView;

/// A key without its secret.
#[derive(Serialize, ToSchema)]
pub struct KeyState {
    /// What may be shown of it to anybody.
    #[schema(example = "sv_live_3kTMd9wQx_****")]
    preview: String,
    /// `live` or `test`.
    #[schema(value_type = String)]
    environment: Environment,
    /// What it may do; `null` for all that its holder may.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// How often it may be used; `null` for as often as the organization's default allows.
    rate_limit: Option<RateLimitBody>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Who made it.
    #[schema(example = "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10")]
    created_by: String,
    /// When it ends; `null` for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used, as far as is known; `null` for not yet, and where an earlier moment is asked for.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When its secret was last replaced.
    #[schema(value_type = Option<String>, format = DateTime)]
    rotated_at: Option<Timestamp>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// Since when it is revoked, by a revocation of many keys that can be undone.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// A rotation that is not over.
    rotation: Option<RotationView>,
}

impl KeyState {
    pub(crate) fn of(key: &ApiKey, told: &Told<'_>) -> Self {
        let issued = &key.issued;
        let scopes = key.scopes.as_ref();
        Self {
            preview: preview(issued.kind, issued.environment, issued.id),
            environment: issued.environment,
            scopes: scopes.map(|scopes| scopes.iter().cloned().collect()),
            rate_limit: key.rate_limit().map(RateLimitBody::from),
            created_at: key.created_at,
            created_by: key.created_by().to_string(),
            expires_at: key.expires_at,
            last_used_at: told.last_used_at(issued.id),
            rotated_at: key.rotated_at(),
            disabled_at: key.disabled_at(),
            revoked_at: key.revoked_at(),
            rotation: RotationView::of(key, told.now()),
        }
    }
}

/// The networks that a key may be used from, as bodies tell them.
pub(crate) fn networks_of(key: &ApiKey) -> Vec<String> {
    key.allowed_cidrs()
        .iter()
        .map(ToString::to_string)
        .collect()
}
