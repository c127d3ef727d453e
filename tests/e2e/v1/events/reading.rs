//! That reading the audit log is itself in it.

use std::time::Duration;

use keyledger_tests::{Client, Launch};
use serde_json::{Value, json};

use super::items;
use crate::world::{World, make_key, unique, world};

/// The records of who read the log of an organization, as its owner reads them.
fn readings(reader: &Client, org: &str) -> Vec<Value> {
    let path = format!("/v1/events?type=AuditLogRead&organization={org}&limit=1000");
    items(&reader.get(&path).expect(200))
}

#[test]
fn a_reader_is_on_record_once_with_what_they_showed_and_from_where() {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    let auditor = world().person_in(&org, &boss, "manager");
    let by_key = world().with_key(&auditor.key);
    let by_password = world().anonymous().basic(&auditor.email, &auditor.password);
    for _ in 0..3 {
        by_key
            .get(&format!("/v1/events?organization={org}"))
            .expect(200);
    }
    // The same person, whatever they show.
    by_password.get("/v1/events?limit=1").expect(200);
    let me = by_key.get("/v1/me").expect(200).string("id");
    let actor = format!("user:{me}");
    let all = readings(&boss, &org);
    let theirs: Vec<&Value> = all
        .iter()
        .filter(|event| event["actor"] == *actor)
        .collect();
    let [one] = theirs[..] else {
        panic!("one record of the auditor, not {theirs:?}");
    };
    assert!(
        one["target"]
            .as_str()
            .is_some_and(|target| target.starts_with("organization:"))
    );
    assert_eq!(one["organization"], *org);
    assert!(
        auditor
            .key
            .contains(one["credential"].as_str().expect("the key they showed"))
    );
    assert_eq!(one["source"], "127.0.0.1");
    assert!(one["request_id"].is_string());
    // Whoever asks is on record themselves, before they are answered.
    let asks = format!("user:{}", boss.get("/v1/me").expect(200).string("id"));
    assert!(all.iter().any(|event| event["actor"] == *asks), "{all:?}");
}

#[test]
fn whatever_tells_of_the_past_is_reading_too() {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    let key = make_key(&boss, &json!({ "handle": unique("looked-at") }));
    let differences = format!("/v1/orgs/{org}/differences");
    let credential = format!("/v1/credentials/{}", key.string("id"));
    for path in [&differences, &credential] {
        let auditor = world().person_in(&org, &boss, "manager");
        let reader = world().with_key(&auditor.key);
        reader.get(path).expect(200);
        let actor = format!("user:{}", reader.get("/v1/me").expect(200).string("id"));
        let noted = readings(&boss, &org);
        assert!(noted.iter().any(|event| event["actor"] == *actor), "{path}");
    }
    // Bundles and backups hold the records of all: they are read for the operator.
    for path in ["/v1/log/tile/entries/000.p/1", "/v1/backup"] {
        let operator = world().person("owner");
        let reader = world().with_key(&operator.key);
        reader.get(path).expect(200);
        let actor = format!("user:{}", reader.get("/v1/me").expect(200).string("id"));
        let noted = readings(&world().owner(), "acme");
        assert!(noted.iter().any(|event| event["actor"] == *actor), "{path}");
    }
}

#[test]
fn one_event_read_by_its_position_is_read_too() {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    let made = world().person_in(&org, &boss, "manager");
    let auditor = world().with_key(&made.key);
    let key = make_key(&auditor, &json!({ "handle": unique("read-one") }));
    let at = key
        .header("Keyledger-Position")
        .expect("its position")
        .to_owned();
    auditor.get("/v1/events/999999999999").expect(404);
    let member = world().person_in(&org, &boss, "member");
    world()
        .with_key(&member.key)
        .get(&format!("/v1/events/{at}"))
        .expect(403);
    let count = |actor: &str| {
        let all = readings(&boss, &org);
        all.iter().filter(|event| event["actor"] == *actor).count()
    };
    let actor = format!("user:{}", auditor.get("/v1/me").expect(200).string("id"));
    assert_eq!(count(&actor), 0, "who was refused has read nothing");
    auditor.get(&format!("/v1/events/{at}")).expect(200);
    auditor.get(&format!("/v1/events/{at}/record")).expect(200);
    assert_eq!(count(&actor), 1);
}

#[test]
fn it_is_on_record_in_each_organization_that_was_read_and_in_no_other() {
    let (one, first) = world().owners_other_org();
    let (other, second) = world().owners_other_org();
    let (first, second) = (world().with_key(&first.key), world().with_key(&second.key));
    first.get("/v1/events?limit=1").expect(200);
    second.get("/v1/events?limit=1").expect(200);
    // The owner of acme made both, and reads both at once.
    world().owner().get("/v1/events?limit=1").expect(200);
    let actor = |client: &Client| {
        let id = client.get("/v1/me").expect(200).string("id");
        Value::from(format!("user:{id}"))
    };
    let (of_first, of_second) = (readings(&first, &one), readings(&second, &other));
    let owner = actor(&world().owner());
    for (reader, stranger, events) in [(&first, &second, of_first), (&second, &first, of_second)] {
        let readers: Vec<&Value> = events.iter().map(|event| &event["actor"]).collect();
        assert_eq!(readers.len(), 2, "{events:?}");
        assert!(readers.contains(&&actor(reader)) && readers.contains(&&owner));
        assert!(!readers.contains(&&actor(stranger)));
    }
}

/// Goal: to be let go from one organization is no refusal in the others. Method: the reading of all is put
/// on record in one after the other, the oldest first, while they are let go from the newest first.
#[test]
fn whoever_is_let_go_meanwhile_reads_on_in_the_others() {
    let reader = world().person("manager");
    let themselves = world().with_key(&reader.key);
    let (_, keeper) = world().other_org();
    let keeper = world().with_key(&keeper.key);
    let memberships: Vec<String> = (0..24)
        .map(|_| {
            let body = json!({ "name": unique("Let go") });
            let made = keeper.post("/v1/workspaces", &body).expect(201);
            let members = format!("/v1/orgs/{}/members", made.string("slug"));
            let body = json!({ "email": reader.email, "role": "manager" });
            let invited = keeper.post(&members, &body).expect(201);
            let token = json!({ "token": invited.member("invitation")["token"] });
            themselves
                .post("/v1/invitations/accept", &token)
                .expect(201);
            format!("{members}/{}", reader.slug())
        })
        .collect();
    std::thread::scope(|scope| {
        let letting_go = scope.spawn(|| {
            for membership in memberships.iter().rev() {
                keeper.delete(membership).expect(204);
            }
        });
        loop {
            let is_over = letting_go.is_finished();
            let events = items(&themselves.get("/v1/events?limit=1000").expect(200));
            if is_over {
                assert!(!events.is_empty());
                assert!(events.iter().all(|event| event["organization"] == "acme"));
                return;
            }
        }
    });
}

/// Goal: nothing that happens after somebody was let go is told to them, though they asked before. Method:
/// they ask for so much at once that the last of it waits for a place, are let go from meanwhile, and
/// something happens.
#[test]
fn n121_whoever_is_let_go_while_they_wait_reads_nothing_of_after() {
    let world = World::on(Launch::new().start());
    let owner = world.owner();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let team = json!({ "name": unique("Team") });
                    owner.post("/v1/orgs/acme/teams", &team).expect(201);
                }
            });
        }
    });
    let auditor = world.person("manager");
    let theirs = world.with_key(&auditor.key);
    // It is on record for this hour, so that none of their readings is put there anew.
    theirs.get("/v1/events?limit=1").expect(200);
    let last = world.anonymous().get("/health/ready").expect(200);
    let last = last.member("position").as_u64().expect("a position");
    let name = unique("After");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| theirs.get("/v1/events?source=203.0.113.0/24&limit=1000"));
        }
        std::thread::sleep(Duration::from_millis(20));
        // The list, and the event itself at the place where it will be if nothing comes in between.
        let paths = [
            "/v1/events?order=desc&limit=5".to_owned(),
            format!("/v1/events/{}", last + 2),
            format!("/v1/events/{}/record", last + 2),
        ];
        let asked = paths.map(|path| {
            scope.spawn({
                let theirs = &theirs;
                move || theirs.get(&path)
            })
        });
        std::thread::sleep(Duration::from_millis(10));
        owner
            .delete(&format!("/v1/orgs/acme/members/{}", auditor.slug()))
            .expect(204);
        let body = json!({ "name": name });
        owner.post("/v1/orgs/acme/services", &body).expect(201);
        for reply in asked.map(|asked| asked.join().expect("an answer")) {
            assert!(!reply.contains(&name), "{reply:?}");
        }
    });
}
