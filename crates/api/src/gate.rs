//! What is decided about a request before it goes in, and what is said with every answer.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use crate::cors::{Cors, Leave};
use crate::head;
use crate::oauth::error::OauthError;
use crate::problem::{BEARER, Problem};
use crate::proxies::TrustedProxies;

/// Two years, with subdomains (RFC 6797 §6.1; ASVS 3.4.1 wants one year at least).
pub(crate) const STRICT_TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// What a refusal carries besides: it may be opened in a browser by whoever mistyped an address, and
/// is never more than text. Good answers of the API do without: they are JSON, which `nosniff` keeps
/// from being anything else, and each header costs every verification.
const ON_REFUSALS: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// What the configuration says about requests as such.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// Which pages of other origins may ask.
    pub cors: Cors,
    /// Whose word is taken for where a request came from.
    pub trusted_proxies: TrustedProxies,
    /// Whether clients reach this server by TLS, its own or a proxy's.
    pub is_by_tls: bool,
    /// Where a client that is refused for its token finds out who gives tokens (RFC 9728 §5.1).
    pub resource_metadata: Option<String>,
}

impl Gate {
    /// Lets a request in, or answers it here.
    ///
    /// # Errors
    /// The answer.
    pub(crate) fn admit(&self, request: &mut ServiceRequest) -> Result<Leave, Box<HttpResponse>> {
        let uri = &request.head().uri;
        let query = uri.query().unwrap_or_default();
        let seen = head::look(request.headers(), uri.path(), query)
            .map_err(|problem| Box::new(told(uri.path(), problem)))?;
        if !self.trusted_proxies.is_empty()
            && let Some(peer) = request.head().peer_addr
        {
            let client = self.trusted_proxies.client(peer, request.headers());
            // In the place of the proxy's address: whatever asks for the source behind here gets the
            // client's.
            if let Some(client) = client.map_err(|problem| Box::new(told(uri.path(), problem)))? {
                request.head_mut().peer_addr = Some(client);
            }
        }
        if seen.has_origin
            && let Some(answer) = self.cors.preflight(request)
        {
            return Err(Box::new(answer));
        }
        Ok(self.cors.leave(request, seen.has_origin))
    }

    /// What is said with a refusal.
    pub(crate) fn say_with_refusal(&self, headers: &mut HeaderMap) {
        for (name, value) in ON_REFUSALS {
            if !headers.contains_key(&name) {
                headers.insert(name, value);
            }
        }
        if let Some(address) = &self.resource_metadata {
            name_metadata(headers, address);
        }
        // Over plain HTTP it means nothing (RFC 6797 §7.2), and on loopback it would lock out others.
        if self.is_by_tls {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        }
    }
}

/// The places where OAuth's clients ask, who read `error` and nothing else (RFC 6749 §5.2).
const OAUTH: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

/// A refusal in the words of the place that was asked.
fn told(path: &str, problem: Problem) -> HttpResponse {
    let place = path.strip_suffix('/').unwrap_or(path);
    if OAUTH.contains(&place) {
        OauthError::from(problem).error_response()
    } else {
        problem.error_response()
    }
}

/// Puts the address of the metadata into each challenge for a bearer token. The challenges themselves
/// are made where nobody knows what this server is called.
fn name_metadata(headers: &mut HeaderMap, address: &str) {
    let challenges: Vec<HeaderValue> = headers.remove(header::WWW_AUTHENTICATE).collect();
    for challenge in challenges {
        let named = challenge
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix(BEARER))
            .map(|rest| format!(r#"{BEARER}, resource_metadata="{address}"{rest}"#))
            .and_then(|text| HeaderValue::try_from(text).ok());
        headers.append(header::WWW_AUTHENTICATE, named.unwrap_or(challenge));
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::Refusal;

    use super::*;

    #[test]
    fn a_challenge_for_a_token_says_who_gives_tokens() {
        let gate = Gate {
            resource_metadata: Some("https://a.example/.well-known/x".to_owned()),
            ..Gate::default()
        };
        let told = |problem: Problem| {
            let mut response = problem.error_response();
            gate.say_with_refusal(response.headers_mut());
            let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
            let challenges = challenges.map(|value| value.to_str().unwrap().to_owned());
            challenges.collect::<Vec<_>>().join("|")
        };
        let named =
            r#"Bearer realm="keyledger", resource_metadata="https://a.example/.well-known/x""#;
        assert_eq!(
            told(Problem::not_authenticated()),
            format!(r#"{named}, Basic realm="keyledger", charset="UTF-8""#)
        );
        assert_eq!(
            told(Problem::invalid_token()),
            format!(r#"{named}, error="invalid_token""#)
        );
        assert_eq!(
            told(Refusal::InsufficientScope("files:read").into()),
            format!(r#"{named}, error="insufficient_scope", scope="files:read""#)
        );
        // A password is not had from an authorization server.
        assert_eq!(
            told(Problem::invalid_password()),
            r#"Basic realm="keyledger", charset="UTF-8""#
        );
        assert_eq!(told(Problem::not_found()), "");
    }
}
