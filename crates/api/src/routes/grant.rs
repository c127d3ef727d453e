//! Granted uses of an entitlement token, as bodies say them.

use keyledger_domain::credits::{Grant, NotAGrant, Refill};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::Fields;
use crate::object;

/// How many times an entitlement token may be used.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Credits)]
pub(crate) struct GrantBody {
    /// How many times.
    #[schema(maximum = 1_000_000_000_000_i64, example = 1_000)]
    remaining: u64,
    /// How they come back; `null`, or left out, for never.
    #[serde(default, deserialize_with = "object::optional")]
    refill: Option<RefillBody>,
}

/// What is left to an entitlement token.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = CreditsLeft)]
pub(crate) struct GrantView {
    /// How many more times it may be used; `null` where that is not known, and then it is refused.
    #[schema(example = 1_000)]
    remaining: Option<u64>,
    /// How uses come back; `null` for never.
    refill: Option<RefillBody>,
}

/// Uses that come back by themselves.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refill)]
pub(crate) struct RefillBody {
    /// Up to how many uses are filled up again.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 100)]
    amount: u64,
    /// How often, counted from the grant.
    #[schema(minimum = 1, maximum = 31_622_400, example = 86_400)]
    per_seconds: u32,
}

impl GrantBody {
    /// Reads the grant, or notes what is wrong with it.
    pub(crate) fn check(self, fields: &mut Fields) -> Option<Grant> {
        let refill = self
            .refill
            .map(|refill| Refill::new(refill.amount, refill.per_seconds));
        let grant = refill
            .transpose()
            .and_then(|refill| Grant::new(self.remaining, refill));
        grant
            .inspect_err(|reason| {
                let name = match reason {
                    NotAGrant::Remaining => "limits.credits.remaining",
                    NotAGrant::Amount => "limits.credits.refill.amount",
                    NotAGrant::PerSeconds => "limits.credits.refill.per_seconds",
                };
                fields.refuse(name, reason.to_string());
            })
            .ok()
    }
}

impl GrantView {
    /// A grant of which this much is left.
    pub(crate) fn of(grant: Grant, remaining: Option<u64>) -> Self {
        Self {
            remaining,
            refill: grant.refill.map(|refill| RefillBody {
                amount: refill.amount.get(),
                per_seconds: refill.per_seconds.get(),
            }),
        }
    }
}
