//! What clients find out by themselves: the server's metadata (RFC 8414), that of its API as a
//! protected resource (RFC 9728), and its public keys (RFC 7517).
//!
//! Everybody may read them, pages of any origin too. They are made of the issuer that was configured
//! and of nothing in the request: a `Host` header that somebody else chose must not send a client's
//! secrets elsewhere.

use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use actix_web::{HttpResponse, web};
use keyledger_domain::scope::{BUILT_IN, is_delegable};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::oauth::jwk::Jwk;
use crate::problem::Problem;

/// The name of the server's metadata (RFC 8414 §3).
const SERVER: &str = "oauth-authorization-server";
/// The name of the metadata of its API (RFC 9728 §3).
const RESOURCE: &str = "oauth-protected-resource";

/// How long anybody may keep what is told here: as long a retired key may still be taken for good by
/// those who check tokens on their own.
const CACHE: &str = "public, max-age=300";

/// The metadata of the server.
#[derive(Serialize, ToSchema)]
pub struct ServerMetadata {
    /// The server, as `iss` of its tokens and answers says it.
    #[schema(example = "https://auth.example")]
    issuer: String,
    /// Where a person is sent to say yes or no.
    authorization_endpoint: String,
    /// Where tokens are had.
    token_endpoint: String,
    /// Where the public keys are.
    jwks_uri: String,
    /// Where a token is ended (RFC 7009).
    revocation_endpoint: String,
    /// Where a token is asked about (RFC 7662).
    introspection_endpoint: String,
    /// The scopes that every organization has, as far as a client may ask for them.
    scopes_supported: Vec<&'static str>,
    /// `code` alone.
    response_types_supported: [&'static str; 1],
    /// `query` alone.
    response_modes_supported: [&'static str; 1],
    /// How a token is had.
    grant_types_supported: [&'static str; 3],
    /// How a client says who it is.
    token_endpoint_auth_methods_supported: [&'static str; 3],
    /// The same where a token is ended.
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    /// The same where a token is asked about, which needs a secret.
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    /// `S256` alone (RFC 7636).
    code_challenge_methods_supported: [&'static str; 1],
    /// The answer to a browser says who gives it (RFC 9207).
    authorization_response_iss_parameter_supported: bool,
    /// A client may say for which server a token is to be (RFC 8707).
    resource_indicators_supported: bool,
    /// The API of this server (RFC 9728 §4).
    protected_resources: [String; 1],
}

impl ServerMetadata {
    fn of(issuer: &str) -> Self {
        let at = |path: &str| format!("{issuer}{path}");
        let methods = ["client_secret_basic", "client_secret_post", "none"];
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: at("/oauth/authorize"),
            token_endpoint: at("/oauth/token"),
            jwks_uri: at("/oauth/jwks"),
            revocation_endpoint: at("/oauth/revoke"),
            introspection_endpoint: at("/oauth/introspect"),
            scopes_supported: scopes(),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: ["authorization_code", "client_credentials", "refresh_token"],
            token_endpoint_auth_methods_supported: methods,
            revocation_endpoint_auth_methods_supported: methods,
            introspection_endpoint_auth_methods_supported: [methods[0], methods[1]],
            code_challenge_methods_supported: ["S256"],
            authorization_response_iss_parameter_supported: true,
            resource_indicators_supported: true,
            protected_resources: [issuer.to_owned()],
        }
    }
}

/// The metadata of the server's own API.
#[derive(Serialize, ToSchema)]
pub struct ResourceMetadata {
    /// The API, as `aud` of the tokens for it says it.
    #[schema(example = "https://auth.example")]
    resource: String,
    /// Who gives tokens for it: this server.
    authorization_servers: [String; 1],
    /// What they may do here.
    scopes_supported: Vec<&'static str>,
    /// How a token is carried: in the `Authorization` header alone.
    bearer_methods_supported: [&'static str; 1],
    /// For people.
    resource_name: &'static str,
}

impl ResourceMetadata {
    fn of(issuer: &str) -> Self {
        Self {
            resource: issuer.to_owned(),
            authorization_servers: [issuer.to_owned()],
            scopes_supported: scopes(),
            bearer_methods_supported: ["header"],
            resource_name: "Keyledger",
        }
    }
}

/// The public keys.
#[derive(Serialize, ToSchema)]
pub struct Jwks {
    /// Those that are published, in the order of their names.
    keys: Vec<Jwk>,
}

/// What a client may ask for in every organization.
fn scopes() -> Vec<&'static str> {
    let is_given = |name: &str| name.parse().is_ok_and(|scope| is_delegable(&scope));
    let names = BUILT_IN.iter().map(|entry| entry.name);
    names.filter(|name| is_given(name)).collect()
}

/// Where metadata of this name is: the name stands between the host and the path of the issuer
/// (RFC 8414 §3.1, RFC 9728 §3.1).
fn well_known(issuer: &str, name: &str) -> String {
    let path = path_of(issuer);
    let host = issuer.strip_suffix(path).unwrap_or(issuer);
    format!("{host}/.well-known/{name}{path}")
}

/// The path of the issuer, with the slash before it; mostly nothing.
fn path_of(issuer: &str) -> &str {
    let host_at = issuer.find("://").map_or(0, |at| at + 3);
    let path_at = issuer[host_at..].find('/').map(|at| host_at + at);
    path_at.map_or("", |at| &issuer[at..])
}

/// Where a client that was refused for its token finds out who gives tokens (RFC 9728 §5.1).
pub fn resource_metadata_address(issuer: &str) -> String {
    well_known(issuer, RESOURCE)
}

/// Whether everybody may read what is at this address, pages of any origin too.
pub(crate) fn is_public(path: &str) -> bool {
    let well_known = path.strip_prefix("/.well-known/");
    path == "/oauth/jwks"
        || well_known.is_some_and(|name| name.starts_with(SERVER) || name.starts_with(RESOURCE))
}

fn public(document: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, CACHE))
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .json(document)
}

/// The metadata of the authorization server (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "oauth", security(()),
    responses((status = 200, body = ServerMetadata, description = "The metadata.")))]
pub async fn read_server_metadata(app: web::Data<App>) -> HttpResponse {
    public(&ServerMetadata::of(&app.settings().issuer))
}

/// The metadata of this API as a protected resource (RFC 9728).
#[utoipa::path(get, path = "/.well-known/oauth-protected-resource", tag = "oauth", security(()),
    responses((status = 200, body = ResourceMetadata, description = "The metadata.")))]
pub async fn read_resource_metadata(app: web::Data<App>) -> HttpResponse {
    public(&ResourceMetadata::of(&app.settings().issuer))
}

/// The metadata of the server, asked for by an issuer with a path.
///
/// # Errors
/// 404 for the path of another issuer.
pub(crate) async fn read_server_metadata_of(
    app: web::Data<App>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    check_path(&app, &path)?;
    Ok(public(&ServerMetadata::of(&app.settings().issuer)))
}

/// The metadata of the API, asked for by an issuer with a path.
///
/// # Errors
/// 404 for the path of another issuer.
pub(crate) async fn read_resource_metadata_of(
    app: web::Data<App>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    check_path(&app, &path)?;
    Ok(public(&ResourceMetadata::of(&app.settings().issuer)))
}

fn check_path(app: &App, path: &str) -> Result<(), Problem> {
    let own = path_of(&app.settings().issuer).strip_prefix('/');
    if own == Some(path) {
        Ok(())
    } else {
        Err(Problem::not_found())
    }
}

/// The public keys with which tokens of this server are checked (RFC 7517). A key that was replaced is
/// here until its overlap ends.
#[utoipa::path(get, path = "/oauth/jwks", tag = "oauth", security(()),
    responses((status = 200, body = Jwks, description = "The keys.")))]
pub async fn read_jwks(app: web::Data<App>) -> HttpResponse {
    let keys = {
        let directory = app.directory();
        directory.signing_keys(app.now()).map(Jwk::from).collect()
    };
    public(&Jwks { keys })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(issuer: &str) -> Value {
        serde_json::to_value(ServerMetadata::of(issuer)).unwrap()
    }

    #[test]
    fn the_metadata_names_what_there_is_and_nothing_else() {
        let told = told("https://auth.example/keys");
        assert_eq!(told["issuer"], "https://auth.example/keys");
        for (member, path) in [
            ("authorization_endpoint", "/oauth/authorize"),
            ("token_endpoint", "/oauth/token"),
            ("jwks_uri", "/oauth/jwks"),
            ("revocation_endpoint", "/oauth/revoke"),
            ("introspection_endpoint", "/oauth/introspect"),
        ] {
            let expected = format!("https://auth.example/keys{path}");
            assert_eq!(told[member], expected, "{member}");
        }
        assert_eq!(told["response_types_supported"], json!(["code"]));
        assert_eq!(told["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(told["authorization_response_iss_parameter_supported"], true);
        let text = told.to_string();
        for gone in [
            "implicit",
            "password",
            "plain",
            "hybrid",
            "id_token",
            "jwt-bearer",
        ] {
            assert!(!text.contains(gone), "{gone}");
        }
        // What makes credentials is given to no client.
        let scopes = told["scopes_supported"].as_array().unwrap();
        for never in [
            "users:read",
            "users:write",
            "keys:write",
            "signing_keys:write",
        ] {
            assert!(!scopes.contains(&json!(never)), "{never}");
        }
        for always in ["files:read", "workspaces:write", "offline_access"] {
            assert!(scopes.contains(&json!(always)), "{always}");
        }
    }

    #[test]
    fn the_name_stands_between_host_and_path() {
        for (issuer, expected) in [
            (
                "https://a.example",
                "https://a.example/.well-known/oauth-protected-resource",
            ),
            (
                "https://a.example/keys/eu",
                "https://a.example/.well-known/oauth-protected-resource/keys/eu",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/.well-known/oauth-protected-resource",
            ),
            (
                "http://[::1]:8080/a",
                "http://[::1]:8080/.well-known/oauth-protected-resource/a",
            ),
        ] {
            assert_eq!(resource_metadata_address(issuer), expected);
        }
    }

    #[test]
    fn n106_only_these_documents_are_everybodys() {
        for public in [
            "/oauth/jwks",
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/keys",
            "/.well-known/oauth-protected-resource",
        ] {
            assert!(is_public(public), "{public}");
        }
        for other in [
            "/oauth/token",
            "/oauth/authorize",
            "/oauth/jwks/x",
            "/v1/me",
            "/.well-known/x",
        ] {
            assert!(!is_public(other), "{other}");
        }
    }
}
