//! `PATCH /user/keys/{handle}`.

use keyledger_tests::NOT_PROVIDED;
use serde_json::json;

use crate::world::{make_key, unique, world};

#[test]
fn the_alias_can_be_changed_and_all_else_stays() {
    let handle = unique("patched");
    let path = format!("/user/keys/{handle}");
    let made = make_key(
        &world().owner(),
        &json!({ "handle": handle, "alias": "before" }),
    );
    let changed = world()
        .owner()
        .patch(&path, &json!({ "alias": "after" }))
        .expect(200);
    assert_eq!(changed.string("alias"), "after");
    let kept = world().owner().get(&path).expect(200);
    assert_eq!(kept.string("alias"), "after");
    assert_eq!(
        (kept.string("id"), kept.string("created_at")),
        (made.string("id"), made.string("created_at"))
    );
    world()
        .with_key(&made.string("token"))
        .get("/v1/me")
        .expect(200);
}

#[test]
fn n111_it_changes_neither_identity_nor_history() {
    let handle = unique("stubborn");
    let path = format!("/user/keys/{handle}");
    let made = make_key(
        &world().owner(),
        &json!({ "handle": handle, "environment": "test" }),
    );
    for extra in [
        json!({ "id": "00000000-0000-0000-0000-000000000000" }),
        json!({ "created_at": "2001-01-01T00:00:00Z" }),
        json!({ "environment": "live" }),
        json!({ "token": "chosen" }),
    ] {
        world()
            .owner()
            .patch(&path, &extra)
            .expect_one_of(&[200, 422]);
    }
    let kept = world().owner().get(&path).expect(200);
    for member in ["id", "created_at", "environment", "preview"] {
        assert_eq!(kept.member(member), made.member(member), "{member}");
    }
}

#[test]
fn a_change_that_cannot_be_changes_nothing() {
    let handle = unique("unchanged");
    let path = format!("/user/keys/{handle}");
    make_key(
        &world().owner(),
        &json!({ "handle": handle, "alias": "before" }),
    );
    world()
        .owner()
        .patch(&path, &json!({ "alias": 7 }))
        .expect(422);
    world()
        .owner()
        .patch(&path, &json!({ "alias": "x".repeat(5_000) }))
        .expect(422);
    assert_eq!(
        world().owner().get(&path).expect(200).string("alias"),
        "before"
    );
}

#[test]
fn unknown_is_404_and_a_stranger_401() {
    world()
        .owner()
        .patch("/user/keys/never-made", &json!({ "alias": "x" }))
        .expect(404);
    world()
        .anonymous()
        .patch("/user/keys/never-made", &json!({ "alias": "x" }))
        .expect_401(NOT_PROVIDED);
}
