//! What a key is limited to, as bodies say it; the same for user keys, services and entitlements.

use core::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use keyledger_domain::api_key::RestrictApiKey;
use keyledger_domain::rate_limit::NotARateLimit;
use keyledger_domain::{CredentialId, Environment, RateLimit, Scope, Scopes, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::body::Fields;
use crate::problem::Problem;

/// How often a key may be used: as many `requests` at once, and after that as many more in each
/// `per_seconds`, evenly.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimit)]
pub(crate) struct RateLimitBody {
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000, example = 100)]
    requests: u32,
    /// In how many seconds.
    #[schema(minimum = 1, maximum = 86_400, example = 60)]
    per_seconds: u32,
}

impl RateLimitBody {
    /// Reads the limit, or notes what is wrong with it.
    pub(crate) fn check(self, fields: &mut Fields) -> Option<RateLimit> {
        let limit = RateLimit::new(self.requests, self.per_seconds);
        limit
            .inspect_err(|reason| {
                let name = match reason {
                    NotARateLimit::Requests => "rate_limit.requests",
                    NotARateLimit::PerSeconds => "rate_limit.per_seconds",
                };
                fields.refuse(name, reason.to_string());
            })
            .ok()
    }
}

impl From<RateLimit> for RateLimitBody {
    fn from(limit: RateLimit) -> Self {
        Self {
            requests: limit.requests().get(),
            per_seconds: limit.per_seconds().get(),
        }
    }
}

/// The limits of a new key, as text.
pub(crate) struct Restrictions {
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) environment: Option<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) allowed_cidrs: Option<Vec<String>>,
    pub(crate) rate_limit: Option<RateLimitBody>,
}

/// The limits of a new key.
pub(crate) struct Limits {
    pub(crate) scopes: Option<Scopes>,
    pub(crate) environment: Environment,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) allowed_cidrs: Arc<[IpNet]>,
    pub(crate) rate_limit: Option<RateLimit>,
}

impl Restrictions {
    /// Reads the limits, together with what was noted in `fields` before.
    pub(crate) fn check(&self, fields: &mut Fields) -> Result<Limits, Problem> {
        let scopes = self.scopes.as_deref().map(|texts| scopes(texts, fields));
        let environment = fields.word("environment", self.environment.as_deref(), "live or test");
        let expires_at = fields.optional("expires_at", self.expires_at.as_deref());
        let allowed_cidrs = cidrs(self.allowed_cidrs.as_deref().unwrap_or_default(), fields);
        let rate_limit = self.rate_limit.and_then(|limit| limit.check(fields));
        fields.check()?;
        let environment = environment.unwrap_or(Environment::Live);
        Ok(Limits {
            scopes,
            environment,
            expires_at,
            allowed_cidrs,
            rate_limit,
        })
    }
}

/// Reads which limits of a key are to be changed; `None` if none is. What is left out stays; `null`
/// takes a limit off, whichever it is.
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub(crate) fn change(
    id: CredentialId,
    scope_texts: Option<Option<Vec<String>>>,
    expires_at: Option<Option<String>>,
    allowed_cidrs: Option<Option<Vec<String>>>,
    rate_limit: Option<Option<RateLimitBody>>,
    fields: &mut Fields,
) -> Result<Option<RestrictApiKey>, Problem> {
    let nothing = scope_texts.is_none()
        && expires_at.is_none()
        && allowed_cidrs.is_none()
        && rate_limit.is_none();
    let command = RestrictApiKey {
        id,
        scopes: scope_texts.map(|texts| texts.map(|texts| scopes(&texts, fields))),
        expires_at: expires_at.map(|text| {
            text.and_then(|text| fields.optional::<Timestamp>("expires_at", Some(&text)))
        }),
        allowed_cidrs: allowed_cidrs.map(|texts| cidrs(&texts.unwrap_or_default(), fields)),
        rate_limit: rate_limit.map(|limit| limit.and_then(|limit| limit.check(fields))),
    };
    fields.check()?;
    Ok((!nothing).then_some(command))
}

/// Reads a list of scopes, or notes which of them are none.
pub(crate) fn scopes(texts: &[String], fields: &mut Fields) -> Scopes {
    fields.each::<Scope>("scopes", texts).into_iter().collect()
}

/// A network, or a single address, which is the network of that one.
fn cidrs(texts: &[String], fields: &mut Fields) -> Arc<[IpNet]> {
    let mut nets = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        let net = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) => nets.push(canonical(net)),
            Err(_) => fields.refuse(
                &format!("allowed_cidrs[{i}]"),
                "must be a network such as 203.0.113.0/24 or an address",
            ),
        }
    }
    nets.into()
}

/// Without host bits, and an IPv4 network that is written as IPv6 as what it is: addresses are
/// compared in the same form, and would never match otherwise.
pub(crate) fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net.trunc() else {
        return net.trunc();
    };
    let mapped = v6
        .network()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96));
    mapped
        .and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok())
        .map_or(IpNet::V6(v6), IpNet::V4)
}

/// Tells a field that is `null` from one that is left out (with `#[serde(default)]`).
#[expect(
    clippy::option_option,
    reason = "left out, null and given are three different things"
)]
pub(crate) fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_one_form() {
        for (written, meant) in [
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(
                canonical(written.parse().unwrap()).to_string(),
                meant,
                "{written}"
            );
        }
    }
}
