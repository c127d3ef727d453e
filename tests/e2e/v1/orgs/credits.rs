//! Credits of entitlement tokens: each good use spends one, exactly, whatever crashes.

use std::fs;
use std::thread::{scope, sleep};
use std::time::Duration;

use keyledger_tests::{Launch, Reply};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::{World, unique, world};

const PATH: &str = "/v1/orgs/acme/entitlements";

fn token(world: &World, credits: &Value) -> Reply {
    let body = json!({ "name": unique("Paid"), "scopes": ["files:read"],
        "limits": { "credits": credits } });
    world.owner().post(PATH, &body).expect(201)
}

fn verify(world: &World, token: &Reply) -> Reply {
    let body = json!({ "key": token.string("token"), "scopes": ["files:read"] });
    world.owner().post("/v1/keys/verify", &body).expect(200)
}

fn left(world: &World, token: &Reply) -> Value {
    let view = world.owner().get(&format!("{PATH}/{}", token.string("id")));
    view.expect(200).json()["limits"]["credits"]["remaining"].clone()
}

#[test]
fn each_good_use_spends_one_and_then_it_is_refused() {
    let token = token(world(), &json!({ "remaining": 3 }));
    assert_eq!(left(world(), &token), 3);
    let verdict = verify(world(), &token);
    assert_eq!(verdict.string("code"), "valid");
    assert_eq!(verdict.member("remaining"), 2);
    // A verification that fails costs nothing.
    let body = json!({ "key": token.string("token"), "scopes": ["files:write"] });
    let verdict = world().owner().post("/v1/keys/verify", &body).expect(200);
    assert_eq!(verdict.string("code"), "insufficient_scope");
    assert_eq!(left(world(), &token), 2);
    // Our own API costs one too.
    let own = world().with_key(&token.string("token"));
    own.get("/v1/me").expect(200);
    assert_eq!(verify(world(), &token).member("remaining"), 0);
    let verdict = verify(world(), &token);
    assert_eq!(verdict.member("valid"), false);
    assert_eq!(verdict.string("code"), "rate_limited");
    assert_eq!(verdict.member("remaining"), 0);
    assert_eq!(verdict.member("retry_after_seconds"), Value::Null);
    let refused = own.get("/v1/me").expect(429);
    assert!(refused.header("Retry-After").is_none());
    // A new grant begins again.
    let body = json!({ "limits": { "credits": { "remaining": 1 } } });
    let path = format!("{PATH}/{}", token.string("id"));
    world().owner().patch(&path, &body).expect(200);
    assert_eq!(verify(world(), &token).member("remaining"), 0);
    assert_eq!(verify(world(), &token).string("code"), "rate_limited");
}

#[test]
fn what_comes_back_is_told() {
    let refill = json!({ "amount": 1, "per_seconds": 2 });
    let token = token(world(), &json!({ "remaining": 1, "refill": refill }));
    let mut valid = 0;
    for _ in 0..400 {
        let verdict = verify(world(), &token);
        if verdict.string("code") == "valid" {
            valid += 1;
            if valid == 2 {
                return;
            }
        } else {
            let seconds = verdict.member("retry_after_seconds");
            assert!(
                seconds.as_u64().is_some_and(|s| (1..=2).contains(&s)),
                "{verdict:?}"
            );
        }
        sleep(Duration::from_millis(10));
    }
    panic!("nothing came back");
}

#[test]
fn fifty_at_once_get_exactly_ten() {
    let token = token(world(), &json!({ "remaining": 10 }));
    let valid: usize = scope(|scope| {
        let ask = || usize::from(verify(world(), &token).string("code") == "valid");
        let all: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        let all = all
            .into_iter()
            .map(|one| one.join().expect("it was answered"));
        all.sum()
    });
    assert_eq!(valid, 10);
    assert_eq!(left(world(), &token), 0);
}

#[test]
fn a_kill_never_gives_a_credit_twice() {
    let mut world = World::on(Launch::new().start());
    let token = token(&world, &json!({ "remaining": 40 }));
    let mut valid = 0;
    for round in 0..6 {
        let pid = i32::try_from(world.server().pid())
            .ok()
            .and_then(Pid::from_raw);
        let pid = pid.expect("a process id");
        valid += scope(|scope| {
            let ask = || {
                let body = json!({ "key": token.string("token") });
                let mut valid = 0;
                // The server dies in between; what was not answered was not got.
                for _ in 0..4 {
                    let reply = world
                        .owner()
                        .try_send("POST", "/v1/keys/verify", Some(&body));
                    let code = reply.map(|reply| reply.member("code"));
                    valid += usize::from(code.is_ok_and(|code| code == "valid"));
                }
                valid
            };
            let all: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            sleep(Duration::from_millis(5 * round));
            kill_process(pid, Signal::KILL).expect("killed");
            let all = all
                .into_iter()
                .map(|one| one.join().expect("it was answered"));
            all.sum::<usize>()
        });
        world.server_mut().restart();
    }
    while verify(&world, &token).string("code") == "valid" {
        valid += 1;
    }
    assert!(valid <= 40, "{valid} of 40");
    assert!(valid > 0);
    assert_eq!(left(&world, &token), 0);
}

#[test]
fn what_is_left_is_not_given_anew_when_it_is_not_known() {
    let mut world = World::on(Launch::new().start());
    let token = token(&world, &json!({ "remaining": 5 }));
    assert_eq!(verify(&world, &token).member("remaining"), 4);
    world.server_mut().stop();
    fs::remove_dir_all(world.server().data_dir().join("credits")).expect("removed");
    world.server_mut().start_again();
    let verdict = verify(&world, &token);
    assert_eq!(verdict.string("code"), "rate_limited");
    // Not "none": nobody knows, and waiting for more to come back would not help.
    assert_eq!(verdict.member("remaining"), Value::Null);
    assert_eq!(left(&world, &token), Value::Null);
    let own = world.with_key(&token.string("token"));
    let detail = own.get("/v1/me").expect(429).string("detail");
    assert!(detail.contains("not known"), "{detail}");
    // Everything else goes on.
    let service = world.service();
    world
        .with_key(&service.string("key"))
        .get("/v1/me")
        .expect(200);
}
