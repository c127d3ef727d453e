//! `POST /oauth/introspect`: what a token is (RFC 7662).
//!
//! A client may ask about its own tokens; whoever may verify keys (`keys:verify`) about all that they
//! may know of, keys included. Everybody else, and everybody about what is dead, is told
//! `{"active": false}` and not why.

use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyledger_domain::id::ClientId;
use keyledger_domain::scope::built_in;
use keyledger_domain::text::Email;
use keyledger_domain::{
    Actor, ApiKey, CredentialKind, Directory, Environment, Resource, Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::lookup;
use crate::oauth::asking_client::AskingClient;
use crate::oauth::client_authentication::ClaimedClient;
use crate::oauth::error::{OauthError, OauthErrorBody};
use crate::oauth::parameters::{Parameters, form_decoded};
use crate::oauth::revoke::TokenShown;
use crate::oauth::token::{claimed, joined, uncached};
use crate::problem::Problem;

/// What a token is. One that is not good has `active` and nothing else.
#[derive(Default, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether it is good.
    active: bool,
    /// What it may do now, with blanks between.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "files:read")]
    scope: Option<String>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// The address of the person for whom it acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// `Bearer`; of a refresh token there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970; of a key without an end there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was issued, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// For whom it acts: a person's id, a client's, a service's, an entitlement's.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// For which servers it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Vec<String>>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// Its public id.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// `live` or `test`: where it belongs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "live")]
    environment: Option<Environment>,
}

/// Who asks.
enum Asker {
    /// A client, about its own tokens.
    Client(AskingClient),
    /// Somebody who may verify keys.
    Verifier(Caller),
}

impl Asker {
    /// A client shows itself as at the token endpoint, everybody else as at any other address. Basic is
    /// a client's if its name has the form of one.
    async fn of(
        app: &App,
        request: &HttpRequest,
        parameters: &Parameters,
        origin: &Origin,
    ) -> Result<Self, OauthError> {
        let headers = request.headers();
        let is_basic_client = headers.get(AUTHORIZATION).map(|value| {
            let text = value.to_str().unwrap_or_default();
            names_client(text)
        });
        let in_body = parameters.get("client_id").is_some();
        let is_client = match is_basic_client {
            Some(is_basic_client) => is_basic_client || in_body,
            None => in_body || !headers.contains_key("x-api-key"),
        };
        if is_client {
            let claimed = ClaimedClient::of(request, parameters)?;
            return Ok(Self::Client(app.asking_client(&claimed, origin)?));
        }
        let caller = Caller::from_request(request, &mut Payload::None).await?;
        let may_ask = app
            .directory()
            .require_anywhere(caller.authority(), built_in::KEYS_VERIFY);
        may_ask.map_err(Problem::from)?;
        Ok(Self::Verifier(caller))
    }

    fn actor(&self) -> Actor {
        match self {
            Self::Client(client) => Actor::Client(client.id),
            Self::Verifier(caller) => caller.authority().actor,
        }
    }

    /// Whether they may know of a key or token.
    fn knows(&self, directory: &Directory, key: &ApiKey) -> bool {
        match self {
            Self::Client(client) => directory.client_of(key) == Some(client.id),
            Self::Verifier(caller) => {
                let authority = caller.authority();
                let orgs = directory.member_orgs_of(key.issued.holder.actor());
                let mut orgs = orgs.filter(|org| directory.reaches(key, org.id));
                // Most who ask look at `active` alone, so a live place is not told of test tokens either.
                // Who serves both has a key for each, or asks `verify`.
                directory.environment_of(authority) == key.issued.environment
                    && orgs.any(|org| {
                        let right = built_in::KEYS_VERIFY;
                        directory.require(authority, org.id, right).is_ok()
                    })
            }
        }
    }
}

fn names_client(authorization: &str) -> bool {
    let Some((scheme, encoded)) = authorization.split_once(' ') else {
        return false;
    };
    let decoded = STANDARD.decode(encoded.trim()).unwrap_or_default();
    let name = decoded.split(|byte| *byte == b':').next();
    let name = name.and_then(|name| core::str::from_utf8(name).ok());
    // Clients form-encode both parts (RFC 6749 §2.3.1); strict ones write every `-` as `%2D`.
    let name = name.and_then(form_decoded);
    scheme.eq_ignore_ascii_case("basic")
        && name.is_some_and(|name| name.parse::<ClientId>().is_ok())
}

/// Ask what a token is.
///
/// # Errors
/// 400, 401 for whoever is not known, 403 for one who lacks `keys:verify`, 429 for one who asks about
/// too many that are none.
#[utoipa::path(post, path = "/oauth/introspect", tag = "oauth",
    request_body(content((TokenShown = "application/x-www-form-urlencoded"), (TokenShown = "application/json"))),
    responses(
        (status = 200, body = Introspection, description = "What it is."),
        (status = 400, body = OauthErrorBody, description = "The request is not right."),
        (status = 401, body = OauthErrorBody, description = "Who asks is not known."),
        (status = 403, body = OauthErrorBody, description = "Who asks lacks keys:verify.")))]
pub async fn introspect_token(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: Parameters,
) -> Result<HttpResponse, OauthError> {
    let origin = Origin::of(&request);
    let asker = Asker::of(&app, &request, &parameters, &origin).await?;
    app.throttles()
        .may_introspect(asker.actor())
        .map_err(Problem::from)?;
    let token = parameters.required("token")?;
    let told = app.introspect(&asker, token);
    if !told.active {
        app.throttles().introspected_nothing(asker.actor());
    }
    let mut response = HttpResponse::Ok().json(told);
    uncached(&mut response);
    Ok(response)
}

impl App {
    fn introspect(&self, asker: &Asker, token: &str) -> Introspection {
        let directory = self.directory();
        let now = self.now();
        let found = if claimed(token, CredentialKind::RefreshToken).is_some() {
            self.introspect_refresh_token(&directory, asker, token, now)
        } else {
            // From wherever it was shown to whoever asks us; they did not say.
            let found = lookup::find_anywhere(&directory, &self.ours(), token, now);
            found
                .filter(|key| asker.knows(&directory, key))
                .map(|key| self.told_of(&directory, key))
        };
        found.unwrap_or_default()
    }

    fn told_of(&self, directory: &Directory, key: &ApiKey) -> Introspection {
        let issuer = self.settings().issuer.clone();
        let audience = directory.audience_of(key.issued.id).unwrap_or_default();
        let mut aud: Vec<String> = audience.iter().map(Resource::to_string).collect();
        if aud.is_empty() {
            aud.push(issuer.clone());
        }
        let mut orgs = directory
            .member_orgs_of(key.issued.holder.actor())
            .filter(|org| directory.reaches(key, org.id));
        let scopes = orgs
            .next()
            .map(|org| directory.effective_scopes(key, org.id));
        let actor = key.issued.holder.actor();
        let (sub, username) = match actor {
            Actor::User(user) => {
                let email = directory.user(user).and_then(|user| user.email.known());
                (user.to_string(), email.map(Email::to_string))
            }
            Actor::Service(id) => (id.to_string(), None),
            Actor::Entitlement(id) => (id.to_string(), None),
            Actor::Client(id) => (id.to_string(), None),
            Actor::System => (String::new(), None),
        };
        Introspection {
            active: true,
            scope: scopes.as_ref().map(joined),
            client_id: directory.client_of(key).map(|client| client.to_string()),
            username,
            token_type: Some("Bearer"),
            exp: key.expires_at.map(Timestamp::seconds),
            iat: Some(key.created_at.seconds()),
            sub: Some(sub),
            aud: Some(aud),
            iss: Some(issuer),
            jti: Some(key.issued.id.to_string()),
            environment: Some(key.issued.environment),
        }
    }

    /// A refresh token is nobody's business but its client's: whoever else has it, has stolen it.
    fn introspect_refresh_token(
        &self,
        directory: &Directory,
        asker: &Asker,
        token: &str,
        now: Timestamp,
    ) -> Option<Introspection> {
        let Asker::Client(client) = asker else {
            return None;
        };
        let family = directory.family(claimed(token, CredentialKind::RefreshToken)?)?;
        let refresh = family.refresh.as_ref()?;
        let is_good = family.client == client.id
            && self
                .digest_as(&refresh.digest, token)?
                .matches(&refresh.digest)
            && now < refresh.ends_at()
            && directory.standing_of_family(family).is_ok();
        is_good.then(|| Introspection {
            active: true,
            scope: Some(joined(&family.scopes)),
            client_id: Some(family.client.to_string()),
            exp: Some(refresh.ends_at().seconds()),
            iat: Some(family.issued_at.seconds()),
            sub: Some(family.user.to_string()),
            iss: Some(self.settings().issuer.clone()),
            jti: Some(family.id.to_string()),
            environment: Some(client.environment),
            ..Introspection::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_names_a_client_also_where_it_is_form_encoded() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let encoded = id.replace('-', "%2D");
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for named in [
            format!("{id}:s"),
            format!("{encoded}:s"),
            format!("{encoded}:"),
        ] {
            assert!(names_client(&basic(&named)), "{named}");
            let lower = basic(&named).replacen("Basic", "basic", 1);
            assert!(names_client(&lower), "{named}");
        }
        // A person, a service, nobody, and what is no Basic.
        for other in [
            "ada@example.com:p",
            "ada%40example.com:p",
            "robot:k",
            "%2:k",
            ":",
            "",
        ] {
            assert!(!names_client(&basic(other)), "{other}");
        }
        assert!(!names_client(&basic(id).replacen("Basic", "Bearer", 1)));
    }
}
