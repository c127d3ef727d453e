//! `POST /user/keys/{handle}/rotate` in its three ways, and `DELETE` of it, which undoes.

use std::thread::sleep;
use std::time::Duration;

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED, Reply};
use serde_json::{Value, json};

use crate::world::{make_key, status_as, unique, world};

/// A key to be rotated: its id, its token, and the path of its rotation.
struct Subject {
    id: String,
    old: String,
    path: String,
}

impl Subject {
    fn new() -> Self {
        let handle = unique("rotated");
        let made = make_key(&world().owner(), &json!({ "handle": handle }));
        Self {
            id: made.string("id"),
            old: made.string("token"),
            path: format!("/user/keys/{handle}/rotate"),
        }
    }

    /// Rotates; the new token.
    #[track_caller]
    fn rotate(&self, body: &Value) -> String {
        let reply = world().owner().post(&self.path, body).expect(200);
        assert_eq!(reply.string("id"), self.id, "a rotation keeps the id");
        let new = reply.string("token");
        assert_ne!(new, self.old);
        new
    }

    fn undo(&self) -> Reply {
        world().owner().delete(&self.path)
    }
}

#[track_caller]
fn assert_good(token: &str) {
    assert_eq!(status_as(token), 200);
}

#[track_caller]
fn assert_dead(token: &str) {
    world()
        .with_key(token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    let verdict = world()
        .owner()
        .post("/v1/keys/verify", &json!({ "key": token }))
        .expect(200);
    assert_eq!(verdict.member("valid"), false);
}

#[test]
fn n85_at_once_is_the_default() {
    for body in [
        json!({}),
        json!({ "grace_seconds": 0 }),
        json!({ "activate": "now" }),
    ] {
        let subject = Subject::new();
        let new = subject.rotate(&body);
        assert_dead(&subject.old);
        assert_good(&new);
    }
}

#[test]
fn a_rotation_needs_no_body() {
    let subject = Subject::new();
    let new = world()
        .owner()
        .any("POST", &subject.path, None)
        .expect(200)
        .string("token");
    assert_dead(&subject.old);
    assert_good(&new);
}

#[test]
fn n85_every_connection_sees_it_at_once() {
    let subject = Subject::new();
    let clients: Vec<_> = (0..8)
        .map(|_| world().server().client().x_api_key(&subject.old))
        .collect();
    for client in &clients {
        client.get("/v1/me").expect(200);
    }
    subject.rotate(&json!({}));
    for client in &clients {
        client.get("/v1/me").expect_401(INVALID_TOKEN);
    }
}

#[test]
fn with_grace_both_are_good_until_it_is_over() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({ "grace_seconds": 4 }));
    assert_good(&subject.old);
    assert_good(&new);
    sleep(Duration::from_millis(4_100));
    assert_dead(&subject.old);
    assert_good(&new);
}

#[test]
fn until_its_first_use_the_new_one_waits_and_the_old_one_is_good() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({ "activate": "first_use" }));
    sleep(Duration::from_millis(1_100));
    assert_good(&subject.old);
    // This very request is the first use: it succeeds, and the old one, without grace, ends.
    assert_good(&new);
    assert_dead(&subject.old);
    assert_good(&new);
}

#[test]
fn the_old_ones_grace_begins_with_the_first_use() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({ "activate": "first_use", "grace_seconds": 4 }));
    sleep(Duration::from_millis(4_100));
    assert_good(&subject.old);
    assert_good(&new);
    assert_good(&subject.old);
    sleep(Duration::from_millis(4_100));
    assert_dead(&subject.old);
    assert_good(&new);
}

#[test]
fn a_verification_is_a_use_too() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({ "activate": "first_use" }));
    let verdict = world()
        .owner()
        .post("/v1/keys/verify", &json!({ "key": new }))
        .expect(200);
    assert_eq!(verdict.member("valid"), true);
    assert_dead(&subject.old);
}

#[test]
fn before_the_first_use_it_can_be_undone() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({ "activate": "first_use", "grace_seconds": 60 }));
    assert_eq!(subject.undo().expect(200).string("id"), subject.id);
    assert_dead(&new);
    assert_good(&subject.old);
    subject.undo().expect_one_of(&[404, 409]);
    assert_good(&subject.old);
}

#[test]
fn after_the_first_use_it_cannot_be_undone() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({ "activate": "first_use", "grace_seconds": 60 }));
    assert_good(&new);
    subject.undo().expect_one_of(&[404, 409]);
    assert_good(&new);
    assert_good(&subject.old);
}

#[test]
fn a_rotation_at_once_cannot_be_undone() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({}));
    subject.undo().expect_one_of(&[404, 409]);
    assert_good(&new);
    assert_dead(&subject.old);
}

#[test]
fn the_password_is_told_the_newest_token() {
    let subject = Subject::new();
    let new = subject.rotate(&json!({}));
    let path = subject.path.trim_end_matches("/rotate");
    assert_eq!(
        world()
            .owner_by_password()
            .get(path)
            .expect(200)
            .string("token"),
        new
    );
}

#[test]
fn a_deleted_key_takes_all_its_tokens_along() {
    for body in [
        json!({ "grace_seconds": 60 }),
        json!({ "activate": "first_use", "grace_seconds": 60 }),
    ] {
        let subject = Subject::new();
        let new = subject.rotate(&body);
        world()
            .owner()
            .delete(subject.path.trim_end_matches("/rotate"))
            .expect(204);
        assert_dead(&subject.old);
        assert_dead(&new);
    }
}

#[test]
fn what_cannot_be_is_422_and_rotates_nothing() {
    let subject = Subject::new();
    for body in [
        json!({ "grace_seconds": -1 }),
        json!({ "grace_seconds": "soon" }),
        json!({ "grace_seconds": u64::MAX }),
        json!({ "activate": "later" }),
    ] {
        world().owner().post(&subject.path, &body).expect(422);
    }
    assert_good(&subject.old);
}

#[test]
fn unknown_is_404_and_a_stranger_401() {
    world()
        .owner()
        .post("/user/keys/never-made/rotate", &json!({}))
        .expect(404);
    world()
        .owner()
        .delete("/user/keys/never-made/rotate")
        .expect(404);
    world()
        .anonymous()
        .post("/user/keys/never-made/rotate", &json!({}))
        .expect_401(NOT_PROVIDED);
}

#[test]
fn another_users_key_is_404_and_not_rotated() {
    let subject = Subject::new();
    let stranger = world().with_key(&world().person("manager").key);
    stranger.post(&subject.path, &json!({})).expect(404);
    assert_good(&subject.old);
}
