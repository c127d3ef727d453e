//! What clients find out by themselves: the metadata of the server and of its API.

use keyledger_tests::{INVALID_TOKEN, Launch};
use serde_json::json;

use crate::world::{World, world};

const SERVER: &str = "/.well-known/oauth-authorization-server";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

#[test]
fn n060_metadata_names_the_issuer_and_nobody_else() {
    let issuer = format!("http://127.0.0.1:{}", world().server().port());
    for (name, value) in [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Original-URL", "https://evil.example/"),
    ] {
        let client = world().anonymous().header(name, value);
        for path in [SERVER, RESOURCE, "/oauth/jwks"] {
            let told = client.get(path).expect(200);
            assert!(!told.contains("evil"), "{name}: {told:?}");
        }
        let server = client.get(SERVER).json();
        assert_eq!(server["issuer"], issuer, "{name}");
        assert_eq!(server["token_endpoint"], format!("{issuer}/oauth/token"));
        assert_eq!(server["jwks_uri"], format!("{issuer}/oauth/jwks"));
        let resource = client.get(RESOURCE).json();
        assert_eq!(resource["resource"], issuer, "{name}");
        assert_eq!(resource["authorization_servers"], json!([issuer]));
        let refused = client.bearer("foobar").get("/v1/me");
        let refused = refused.expect_401(INVALID_TOKEN);
        let challenge = refused.header("WWW-Authenticate").expect("a challenge");
        let named = format!(r#"resource_metadata="{issuer}{RESOURCE}""#);
        assert!(challenge.contains(&named), "{name}: {challenge}");
    }
}

#[test]
fn everybody_may_read_and_keep_it_for_a_while() {
    let page = world().anonymous().header("Origin", "https://app.example");
    for path in [SERVER, RESOURCE, "/oauth/jwks"] {
        let told = page.get(path).expect(200);
        assert_eq!(told.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(told.header("Access-Control-Allow-Credentials"), None);
        assert_eq!(told.header("Cache-Control"), Some("public, max-age=300"));
        assert_eq!(told.header("Content-Type"), Some("application/json"));
        let asking = page.header("Access-Control-Request-Method", "GET");
        let asking = asking.header("Access-Control-Request-Headers", "mcp-protocol-version");
        let allowed = asking.options(path).expect(204);
        assert_eq!(allowed.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(allowed.header("Access-Control-Allow-Headers"), Some("*"));
        page.post(path, &json!({})).expect(405);
    }
}

#[test]
fn an_issuer_with_a_path_is_found_behind_the_name() {
    let launch = Launch::new().arg("--issuer");
    let issuer = "https://auth.example/keys/eu";
    let world = World::on(launch.arg(issuer).start());
    let nobody = world.anonymous();
    for path in [
        SERVER.to_owned(),
        format!("{SERVER}/keys/eu"),
        format!("{SERVER}/keys/eu/"),
    ] {
        let told = nobody.get(&path).expect(200).json();
        assert_eq!(told["issuer"], issuer);
        assert_eq!(told["token_endpoint"], format!("{issuer}/oauth/token"));
    }
    let told = nobody
        .get(&format!("{RESOURCE}/keys/eu"))
        .expect(200)
        .json();
    assert_eq!(told["resource"], issuer);
    for other in ["keys", "keys/eu/x", "x", "keys%2Feu%2F.."] {
        nobody.get(&format!("{SERVER}/{other}")).expect(404);
        nobody.get(&format!("{RESOURCE}/{other}")).expect(404);
    }
    let refused = nobody.get("/v1/me").expect(401);
    assert_eq!(
        refused.header("WWW-Authenticate"),
        Some(
            r#"Bearer realm="keyledger", resource_metadata="https://auth.example/.well-known/oauth-protected-resource/keys/eu", Basic realm="keyledger", charset="UTF-8""#
        )
    );
}
