//! The crate `oauth2`, used as its documentation has it.

use keyledger_tests::person::{self, parameter};
use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, Reply, Server};
use oauth2::basic::BasicClient;
use oauth2::http::{Request, Response};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    IntrospectionUrl, PkceCodeChallenge, RedirectUrl, RevocationUrl, Scope, StandardRevocableToken,
    TokenIntrospectionResponse, TokenResponse, TokenUrl,
};
use serde_json::{Value, json};

const CALLBACK: &str = "https://your-app.com/callback";

type Configured = BasicClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

/// What carries the crate's requests.
fn carry(server: &Server) -> impl Fn(Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ureq::Error> {
    let port = server.port();
    move |request| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        assert_eq!(request.uri().port_u16(), Some(port));
        let (mut parts, body) = request.into_parts();
        // The crate revokes over TLS only, without an exception for loopback.
        parts.uri = parts
            .uri
            .to_string()
            .replacen("https:", "http:", 1)
            .parse()
            .expect("an address");
        let answer = agent.run(Request::from_parts(parts, body))?;
        let (parts, mut body) = answer.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?))
    }
}

fn register(server: &Server, body: &Value) -> Reply {
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let path = format!("/v1/orgs/{OWNER_ORG}/clients");
    owner.post(&path, body).expect(201)
}

fn configured(server: &Server, registered: &Reply) -> Configured {
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", server.port());
    BasicClient::new(ClientId::new(registered.string("client_id")))
        .set_client_secret(ClientSecret::new(registered.string("client_secret")))
        .set_auth_uri(AuthUrl::new(at("/oauth/authorize")).expect("an address"))
        .set_token_uri(TokenUrl::new(at("/oauth/token")).expect("an address"))
        .set_introspection_url(IntrospectionUrl::new(at("/oauth/introspect")).expect("an address"))
        .set_revocation_url(
            RevocationUrl::new(at("/oauth/revoke").replacen("http:", "https:", 1))
                .expect("an address"),
        )
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).expect("an address"))
}

#[test]
fn client_credentials() {
    let server = Launch::new().start();
    let body = json!({ "name": "Worker", "grant_types": ["client_credentials"], "scopes": ["files:read"] });
    let client = configured(&server, &register(&server, &body));
    let given = client
        .exchange_client_credentials()
        .add_scope(Scope::new("files:read".to_owned()))
        .request(&carry(&server))
        .expect("a token");
    let me = server.client().bearer(given.access_token().secret());
    assert_eq!(me.get("/v1/me").expect(200).member("type"), "client");
}

#[test]
fn code_refresh_introspection_and_revocation() {
    let server = Launch::new().start();
    let registered = register(
        &server,
        &json!({
            "name": "Your App",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [CALLBACK],
            "scopes": ["files:read", "files:write"],
        }),
    );
    let client = configured(&server, &registered);
    let port = format!(":{}", server.port());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("files:read".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let (_, path) = address.as_str().split_once(&port).expect("our address");
    let who = (OWNER_EMAIL, OWNER_PASSWORD);
    let back = person::answer(&server.client(), who, path, "allow");
    assert!(back.starts_with(CALLBACK));
    assert_eq!(&parameter(&back, "state"), state.secret());
    let carry = carry(&server);
    let first = client
        .exchange_code(AuthorizationCode::new(parameter(&back, "code")))
        .set_pkce_verifier(verifier)
        .request(&carry)
        .expect("tokens");
    let refresh_token = first.refresh_token().expect("a refresh token");
    let second = client
        .exchange_refresh_token(refresh_token)
        .request(&carry)
        .expect("tokens");
    let about = |token| {
        let asked = client.introspect(token).request(&carry);
        asked.expect("an introspection").active()
    };
    assert!(about(second.access_token()));
    let token: StandardRevocableToken = second.refresh_token().expect("another one").into();
    client
        .revoke_token(token)
        .expect("an address")
        .request(&carry)
        .expect("revoked");
    assert!(!about(second.access_token()));
}
