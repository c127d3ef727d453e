//! `keyledger audit archive`: what is left is read as before, and what is gone is said to be gone.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, Program};
use serde_json::{Value, json};

use crate::v1::events::items;
use crate::world::{World, make_key, unique};

const ARCHIVED: u64 = 20;

fn positions(reply: &keyledger_tests::Reply) -> Vec<u64> {
    let position = |event: &Value| event["position"].as_u64().expect("a position");
    items(reply).iter().map(position).collect()
}

/// Waits until a snapshot stands behind what is to be moved away, which is made in the background.
fn wait_for_snapshot(folder: &Path) {
    let stands_behind = |path: &Path| {
        let name = path.file_stem().and_then(OsStr::to_str);
        let position = name.and_then(|name| name.parse::<u64>().ok());
        position.is_some_and(|position| position >= ARCHIVED)
            && path.extension().is_some_and(|end| end == "snapshot")
    };
    for _ in 0..300 {
        let snapshots = fs::read_dir(folder.join("snapshots")).expect("a folder");
        let mut paths = snapshots.map(|entry| entry.expect("an entry").path());
        if paths.any(|path| stands_behind(&path)) {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("no snapshot was made");
}

#[test]
fn after_an_archive_lists_begin_behind_it_and_only_a_named_event_is_gone() {
    let settings = ["--segment-records=10", "--snapshot-every=5"];
    let launch = settings.into_iter().fold(Launch::new(), Launch::arg);
    let mut world = World::on(launch.start());
    let password = world.anonymous().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let key = make_key(&password, &json!({ "handle": "auditor" })).string("token");
    let owner = world.with_key(&key);
    let mut middle = Value::Null;
    for number in 0..40 {
        let name = json!({ "name": format!("Team {number}") });
        let made = owner
            .post(&format!("/v1/orgs/{OWNER_ORG}/teams"), &name)
            .expect(201);
        if number == 30 {
            let position = made.header("Keyledger-Position").expect("a position");
            middle = owner
                .get(&format!("/v1/events/{position}"))
                .expect(200)
                .member("time");
        }
    }
    let folder = world.server().data_dir().to_owned();
    // A start looks at once whether a snapshot is due.
    world.server_mut().stop();
    world.server_mut().start_again();
    wait_for_snapshot(&folder);
    let away = tempfile::tempdir().expect("a folder");
    let archive = |to: &str| {
        let folder = folder.to_str().expect("a path of UTF-8");
        let up_to = ARCHIVED.to_string();
        let words = [
            "audit",
            "archive",
            "--data-dir",
            folder,
            "--to",
            to,
            "--up-to",
            &up_to,
        ];
        Program::new(&words).run().ok();
    };
    world.server_mut().stop();
    archive(away.path().to_str().expect("a path of UTF-8"));
    let listed = |words: &[&str]| {
        let folder = folder.to_str().expect("a path of UTF-8");
        let said = Program::new(&["audit"])
            .with(words)
            .with(&["--data-dir", folder]);
        said.run().ok().lines().count()
    };
    assert!(listed(&["list", "--limit", "10"]) == 10);
    assert!(listed(&["tail", "--lines", "3"]) == 3);
    assert!(listed(&["export"]) > 10);
    let verified = Program::new(&["audit", "verify", "--data-dir"]);
    let verified = verified
        .with(&[folder.to_str().expect("a path of UTF-8")])
        .run()
        .ok();
    assert!(
        verified.contains(&format!("archived {ARCHIVED}\n")),
        "{verified}"
    );

    world.server_mut().start_again();
    let middle = middle.as_str().expect("an instant").replace('+', "%2B");
    for query in [
        "limit=2",
        "type=TeamCreated",
        "order=desc&limit=1000",
        "until=2999-01-01T00:00:00Z",
        &format!("since={middle}"),
        &format!("until={middle}"),
        "after=3&limit=1000",
    ] {
        let page = owner.get(&format!("/v1/events?{query}")).expect(200);
        let archived = page.header("Keyledger-Archived");
        assert_eq!(archived, Some(&*ARCHIVED.to_string()), "{query}");
        let positions = positions(&page);
        assert!(!positions.is_empty(), "{query}");
        assert!(
            positions.iter().all(|position| *position > ARCHIVED),
            "{query}"
        );
    }
    let beyond = owner
        .get(&format!("/v1/events?after={}", u64::MAX))
        .expect(200);
    assert!(positions(&beyond).is_empty());
    owner.get("/v1/events/stream?after=0").expect(200);
    for gone in [
        "/v1/events/3",
        "/v1/events/3/record",
        "/v1/events/stream?after=3",
    ] {
        owner.get(gone).expect(410);
    }
    // What changed is told without what was before it, and new keys are made as ever.
    make_key(&owner, &json!({ "handle": unique("after") }));
}
