//! Credentials that nobody was given: each is the same 401, whatever is wrong with it.

use keyledger_tests::{INVALID_TOKEN, credential, raw};
use serde_json::json;

use crate::world::{NearEnd, make_key, unique, world};

fn key() -> String {
    make_key(&world().owner(), &json!({ "handle": unique("forged") })).string("token")
}

#[test]
fn n74_unknown_wrong_revoked_and_expired_look_alike() {
    let owner = world().owner();
    let (end, expires_at) = NearEnd::begin();
    let expiring = json!({ "handle": unique("expiring"), "expires_at": expires_at });
    let expired = make_key(&owner, &expiring).string("token");
    let handle = unique("revoked");
    let revoked = make_key(&owner, &json!({ "handle": handle })).string("token");
    owner.delete(&format!("/user/keys/{handle}")).expect(204);
    let wrong_secret = credential::forged("sk", "live", credential::id_of(&key()));
    let unknown = credential::forged("sk", "live", "000000000");
    end.wait();

    let refusal = |key: &str| {
        world()
            .with_key(key)
            .get("/v1/me")
            .expect_401(INVALID_TOKEN)
            .likeness()
    };
    let likeness = refusal(&unknown);
    assert_eq!(refusal(&wrong_secret), likeness, "known id, wrong secret");
    assert_eq!(refusal(&revoked), likeness, "revoked");
    assert_eq!(refusal(&expired), likeness, "expired");
    let handle = unique("disabled");
    let disabled = make_key(&owner, &json!({ "handle": handle })).string("token");
    let switch = json!({ "disabled": true });
    owner
        .patch(&format!("/user/keys/{handle}"), &switch)
        .expect(200);
    assert_eq!(refusal(&disabled), likeness, "disabled");
    let elsewhere = json!({ "handle": unique("elsewhere"), "allowed_cidrs": ["203.0.113.0/24"] });
    let elsewhere = make_key(&owner, &elsewhere).string("token");
    assert_eq!(refusal(&elsewhere), likeness, "from the wrong network");
    assert_eq!(refusal("foobar"), likeness, "not of the form of a key");
}

#[test]
fn n75_a_wrong_checksum_is_refused() {
    let key = key();
    let (body, check) = key.split_at(key.len() - 6);
    let other = if check == "000000" {
        "000001"
    } else {
        "000000"
    };
    world()
        .with_key(&format!("{body}{other}"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn n76_prefix_swap_is_refused() {
    let key = key();
    let recheck = |body: &str| {
        let body = &body[..body.len() - 6];
        format!("{body}{}", credential::check_of(body))
    };
    for (from, to) in [
        ("sk_live_", "sk_test_"),
        ("sk_", "at_"),
        ("sk_", "sv_"),
        ("sk_", "et_"),
        ("sk_", "rt_"),
    ] {
        let swapped = key.replacen(from, to, 1);
        world()
            .with_key(&swapped)
            .get("/v1/me")
            .expect_401(INVALID_TOKEN);
        // The checksum is no secret; with it mended the swap must still fail.
        world()
            .with_key(&recheck(&swapped))
            .get("/v1/me")
            .expect_401(INVALID_TOKEN);
    }
    let service = world().service().string("key");
    world()
        .with_key(&recheck(&service.replacen("sv_", "sk_", 1)))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn n77_any_one_character_changed_removed_appended_or_case_flipped_is_refused() {
    let key = key();
    let mut variants = vec![
        format!("{key}0"),
        format!("0{key}"),
        format!("{key}_"),
        format!("\"{key}\""),
    ];
    for place in 0..key.len() {
        let (before, after) = (&key[..place], &key[place + 1..]);
        let letter = char::from(key.as_bytes()[place]);
        variants.push(format!("{before}{after}"));
        variants.push(format!(
            "{before}{}{after}",
            if letter == '0' { '1' } else { '0' }
        ));
        let flipped = if letter.is_ascii_lowercase() {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        };
        if flipped != letter {
            variants.push(format!("{before}{flipped}{after}"));
        }
    }
    for variant in variants {
        let reply = world().with_key(&variant).get("/v1/me");
        // Two neighbours that are the same letter leave the key as it was only if one of them is
        // taken *and* the length is kept, which no variant here does.
        reply.expect_401(INVALID_TOKEN);
    }
}

#[test]
fn n77_blanks_and_look_alikes_in_a_key_are_refused() {
    let key = key();
    let port = world().server().port();
    let mut spoilt: Vec<String> = ["\t", " ", "\u{a0}", "\u{200b}"]
        .iter()
        .map(|blank| format!("{}{blank}{}", &key[..20], &key[20..]))
        .collect();
    // Around it a field's value is trimmed (RFC 9110 §5.5); inside quotes nothing is.
    spoilt.extend([
        format!("\" {key}\""),
        format!("\"{key} \""),
        format!("\"{key}\""),
    ]);
    let digit = key[18..].find(|c: char| c.is_ascii_digit());
    if let Some(at) = digit.map(|at| at + 18) {
        let wide =
            char::from_u32(u32::from(key.as_bytes()[at]) - 0x30 + 0xff10).expect("a wide digit");
        spoilt.push(format!("{}{wide}{}", &key[..at], &key[at + 1..]));
    }
    for spoilt in spoilt {
        for (name, value) in [
            ("X-Api-Key", spoilt.clone()),
            ("Authorization", format!("Bearer {spoilt}")),
            ("Authorization", format!("token {spoilt}")),
        ] {
            let status = raw::status_with_header(port, "/v1/me", name, value.as_bytes());
            assert!(matches!(status, Some(400 | 401)), "{name}: {status:?}");
        }
    }
}

#[test]
fn n86_the_key_of_a_deleted_service_is_refused() {
    let service = world().service();
    let path = format!("/v1/orgs/acme/services/{}", service.string("slug"));
    world().owner().delete(&path).expect(204);
    world()
        .with_key(&service.string("key"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn n86_a_revoked_entitlement_token_is_refused() {
    let owner = world().owner();
    let body = json!({ "name": unique("Ended"), "scopes": ["files:read"] });
    let made = owner.post("/v1/orgs/acme/entitlements", &body).expect(201);
    let token = made.string("token");
    world().with_key(&token).get("/v1/me").expect(200);
    owner
        .delete(&format!("/v1/orgs/acme/entitlements/{}", made.string("id")))
        .expect(204);
    world()
        .with_key(&token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn n86_the_key_of_somebody_who_left_opens_nothing_of_the_organization() {
    let owner = world().owner();
    let person = world().person("manager");
    let them = world().with_key(&person.key);
    them.get("/v1/orgs/acme/teams").expect(200);
    owner
        .delete(&format!(
            "/v1/orgs/acme/members/{}",
            id_of_member(&person.email)
        ))
        .expect(204);
    // Nobody lets them act any more, so the key is good for nothing at all.
    them.get("/v1/orgs/acme/teams").expect_401(INVALID_TOKEN);
    let verdict = owner.post("/v1/keys/verify", &json!({ "key": person.key }));
    assert_eq!(verdict.expect(200).string("code"), "not_found");
}

fn id_of_member(email: &str) -> String {
    let page = world()
        .owner()
        .get("/v1/orgs/acme/members?limit=1000")
        .expect(200);
    let members = page.json()["items"].as_array().cloned().unwrap_or_default();
    let member = members.iter().find(|member| member["email"] == email);
    let id = member.and_then(|member| member["id"].as_str());
    id.expect("a member's id").to_owned()
}
