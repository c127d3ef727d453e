//! `POST /user/keys`.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED, credential};
use serde_json::{Value, json};

use crate::world::{NearEnd, make_key, seconds_from_now, status_as, unique, world};

#[test]
fn d2_1_a_handle_is_enough() {
    let handle = unique("laptop");
    let key = make_key(&world().owner(), &json!({ "handle": handle }));
    assert_eq!(key.string("handle"), handle);
    assert_eq!(key.member("alias"), Value::Null);
    assert_eq!(key.string("environment"), "live");
    assert_eq!(key.member("expires_at"), Value::Null);
    assert_eq!(key.member("last_used_at"), Value::Null);
    assert_eq!(key.string("created_at"), key.string("createdAt"));
    assert!(key.json().get("scopes").is_some() && !key.string("id").is_empty());
    let token = key.string("token");
    assert!(
        credential::is_well_formed(&token, "sk", "live"),
        "not a live user key"
    );
    assert!(
        !key.string("preview").contains(&token),
        "the preview tells the key"
    );
    assert!(
        !key.string("preview").contains(&token[18..]),
        "the preview tells the secret"
    );
    assert_eq!(status_as(&token), 200);
}

#[test]
fn d2_2_the_alias_is_kept() {
    let key = make_key(
        &world().owner(),
        &json!({ "handle": unique("ci"), "alias": "The CI machine" }),
    );
    assert_eq!(key.string("alias"), "The CI machine");
}

#[test]
fn d4_1_the_environment_shows_in_the_prefix() {
    for environment in ["live", "test"] {
        let body = json!({ "handle": unique("environment"), "environment": environment });
        let key = make_key(&world().owner(), &body);
        assert!(
            credential::is_well_formed(&key.string("token"), "sk", environment),
            "{environment}"
        );
        assert_eq!(key.string("environment"), environment);
    }
}

#[test]
fn the_answer_repeats_scopes_and_expiry() {
    let body = json!({
        "handle": unique("bounded"),
        "scopes": ["files:write", "files:read"],
        "expires_at": "2099-01-01T00:00:00Z",
    });
    let key = make_key(&world().owner(), &body);
    let mut scopes: Vec<Value> = key.member("scopes").as_array().expect("a list").clone();
    scopes.sort_by_key(Value::to_string);
    assert_eq!(scopes, ["files:read", "files:write"]);
    assert!(key.string("expires_at").starts_with("2099-01-01T00:00:00"));
}

#[test]
fn the_v1_twin_is_the_same_route() {
    let handle = unique("twin");
    let key = world()
        .owner()
        .post("/v1/user/keys", &json!({ "handle": handle }))
        .expect(201);
    assert_eq!(
        world()
            .owner()
            .get(&format!("/user/keys/{handle}"))
            .expect(200)
            .string("id"),
        key.string("id")
    );
}

#[test]
fn d2_1_a_stranger_is_401() {
    let body = json!({ "handle": "stranger" });
    world()
        .anonymous()
        .post("/user/keys", &body)
        .expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .bearer("foobar")
        .post("/user/keys", &body)
        .expect_401(INVALID_TOKEN);
}

#[test]
fn d2_2_a_handle_is_required_and_has_a_form() {
    world()
        .owner()
        .post("/user/keys", &json!({}))
        .expect_field("handle");
    let too_long = "a".repeat(65);
    for handle in [
        "",
        "Upper",
        "two words",
        "-dash",
        "dash-",
        "two--dashes",
        "späh",
        "a/b",
        &too_long,
    ] {
        world()
            .owner()
            .post("/user/keys", &json!({ "handle": handle }))
            .expect_field("handle");
    }
    make_key(
        &world().owner(),
        &json!({ "handle": format!("{:a<64}", unique("long")) }),
    );
}

#[test]
fn d2_2_a_handle_is_taken_once_a_user() {
    let body = json!({ "handle": unique("taken") });
    make_key(&world().owner(), &body);
    world().owner().post("/user/keys", &body).expect(409);
    let another = world().person("member");
    make_key(&world().with_key(&another.key), &body);
}

#[test]
fn what_cannot_be_is_422_and_names_the_field() {
    let wrong = [
        ("scopes", json!(["nobody:knows"])),
        ("environment", json!("staging")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!(seconds_from_now(-60))),
        ("allowed_cidrs", json!(["10.0.0.0/99"])),
    ];
    for (field, value) in wrong {
        let mut body = json!({ "handle": unique("wrong") });
        body[field] = value.clone();
        let reply = world().owner().post("/user/keys", &body).expect(422);
        assert!(reply.contains(field), "{value} in {field}: {reply:?}");
    }
}

#[test]
fn an_unreadable_body_is_400() {
    for body in ["{", "{\"handle\":", "\u{0}", "{} {}"] {
        let reply = world()
            .owner()
            .send_bytes("POST", "/user/keys", "application/json", body.as_bytes())
            .unwrap();
        reply.expect(400);
    }
}

#[test]
fn d4_6_an_expiry_holds_to_the_second() {
    let (end, expires_at) = NearEnd::begin();
    let body = json!({ "handle": unique("brief"), "expires_at": expires_at });
    let token = make_key(&world().owner(), &body).string("token");
    assert_eq!(status_as(&token), 200);
    end.wait();
    world()
        .with_key(&token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn a_key_is_good_only_from_its_addresses() {
    let elsewhere = json!({ "handle": unique("elsewhere"), "allowed_cidrs": ["10.0.0.0/8"] });
    let token = make_key(&world().owner(), &elsewhere).string("token");
    world()
        .with_key(&token)
        .get("/v1/me")
        .expect_one_of(&[401, 403]);
    let here = json!({ "handle": unique("here"), "allowed_cidrs": ["10.0.0.0/8", "127.0.0.0/8"] });
    assert_eq!(
        status_as(&make_key(&world().owner(), &here).string("token")),
        200
    );
}

#[test]
fn n111_members_that_are_not_the_callers_to_set_are_ignored_or_refused() {
    let extras = json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "token": credential::forged("sk", "live", "000000000"),
        "role": "owner",
        "org_id": "other",
        "is_admin": true,
        "created_at": "2001-01-01T00:00:00Z",
        "reveal": "once",
        "preview": "chosen",
    });
    let person = world().person("member");
    for (name, value) in extras.as_object().expect("an object") {
        let body = json!({ "handle": unique("greedy"), name: value });
        let reply = world()
            .with_key(&person.key)
            .post("/user/keys", &body)
            .expect_one_of(&[201, 422]);
        if reply.status() == 201 {
            assert_ne!(&reply.member(name), value, "{name} was taken from the body");
            let services = world()
                .with_key(&reply.string("token"))
                .post("/v1/orgs/acme/services", &json!({ "name": "X" }));
            services.expect(403);
        }
    }
    world()
        .with_key(&credential::forged("sk", "live", "000000000"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn n136_odd_instants_are_kept_or_refused_and_break_nothing() {
    let owner = world().owner();
    for (expires_at, statuses) in [
        ("2038-01-19T03:14:07Z", &[201][..]),
        ("2038-01-19T03:14:08Z", &[201]),
        ("2106-02-07T06:28:16Z", &[201]),
        ("9999-12-31T23:59:59.999999Z", &[201, 422]),
        // A leap second, which RFC 3339 §5.6 lets stand.
        ("2035-06-30T23:59:60Z", &[201, 422]),
        ("1969-12-31T23:59:59Z", &[422]),
        ("0000-01-01T00:00:00Z", &[422]),
        ("-0001-01-01T00:00:00Z", &[422]),
        ("+292278994-08-17T07:12:55Z", &[422]),
        ("2035-02-30T00:00:00Z", &[422]),
        ("2035-01-01T00:00:00+99:99", &[422]),
        ("253402300800", &[422]),
        ("NaN", &[422]),
    ] {
        let handle = unique("odd-instant");
        let body = json!({ "handle": handle, "expires_at": expires_at });
        let made = owner.post("/user/keys", &body).expect_one_of(statuses);
        if made.status() == 201 {
            let kept = owner.get(&format!("/user/keys/{handle}")).expect(200);
            assert_eq!(kept.member("expires_at"), made.member("expires_at"));
            world()
                .with_key(&made.string("token"))
                .get("/v1/me")
                .expect(200);
        }
        let query = expires_at.replace('+', "%2B");
        for edge in ["since", "until"] {
            owner
                .get(&format!("/v1/events?{edge}={query}&limit=1"))
                .expect_one_of(&[200, 422]);
        }
    }
}
