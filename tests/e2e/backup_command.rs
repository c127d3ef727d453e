//! `keyledger backup`, `restore`, `rebuild`, `audit proof` and `audit key`: as an operator types them.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_PASSWORD, Program};
use serde_json::{Value, json};

use crate::world::{World, make_key, unique};

const WRITERS: usize = 8;

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

fn url(world: &World) -> String {
    format!("http://127.0.0.1:{}", world.server().port())
}

fn is_valid(client: &Client, key: &str) -> bool {
    let reply = client.post("/v1/keys/verify", &json!({ "key": key }));
    reply.expect(200).member("valid") == Value::Bool(true)
}

/// Starts a server on a restored folder and lets its owner look at it, by a new key.
fn with_restored(folder: &Path, look: impl FnOnce(&Client)) {
    let mut server = Launch::new().data_dir(folder).start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let key = make_key(&owner, &json!({ "handle": unique("restored") })).string("token");
    look(&server.client().x_api_key(&key));
    server.stop();
}

#[test]
fn a_backup_under_eight_writers_has_every_change_that_was_answered_before_it_began() {
    let world = World::on(Launch::new().start());
    let outer = tempfile::tempdir().expect("a folder");
    let auditor = world.key_with_scopes(&["audit:read"]);
    let (answered, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let file = outer.path().join("online.backup");
    let known = thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let owner = world.owner();
                while !is_over.load(Ordering::Relaxed) {
                    let made = make_key(&owner, &json!({ "handle": unique("backed-up") }));
                    answered.lock().expect("whole").push(made.string("token"));
                }
            });
        }
        while answered.lock().expect("whole").len() < 5 * WRITERS {
            thread::yield_now();
        }
        let known = answered.lock().expect("whole").clone();
        let backup = Program::new(&["backup", path(&file), "--url", &url(&world)]);
        backup.env("KEYLEDGER_API_KEY", &auditor).run().ok();
        is_over.store(true, Ordering::Relaxed);
        known
    });

    let master_key = world.server().data_dir().join("keys/master.key");
    let restored = outer.path().join("restored");
    let refused = Program::new(&["restore", path(&file), "--data-dir", path(&restored)]).run();
    assert!(refused.failed(1).contains("--master-key"));
    let words = ["restore", path(&file), "--master-key", path(&master_key)];
    let checked = Program::new(&words).with(&["--check"]).run().ok();
    assert!(checked.starts_with("size "), "{checked}");
    let made = Program::new(&words).with(&["--data-dir", path(&restored)]);
    assert_eq!(made.run().ok(), checked);
    let verified = Program::new(&["audit", "verify", "--data-dir", path(&restored)]);
    assert_eq!(verified.run().ok(), checked);
    with_restored(&restored, |owner| {
        for key in &known {
            assert!(is_valid(owner, key), "a key that was answered for is gone");
        }
    });
    let again = made.run();
    assert!(again.failed(1).contains("not empty"));
}

#[test]
fn a_backup_of_a_stopped_folder_holds_all_that_a_server_needs() {
    let mut world = World::on(Launch::new().start());
    let key = make_key(&world.owner(), &json!({ "handle": unique("kept") })).string("token");
    let outer = tempfile::tempdir().expect("a folder");
    let file = outer.path().join("folder.backup");
    let folder = world.server().data_dir().to_owned();
    let words = ["backup", path(&file), "--data-dir", path(&folder)];
    let held = Program::new(&words).run().failed(1);
    assert!(held.contains("--url"), "{held}");
    assert!(!file.exists(), "half a backup is removed");
    world.server_mut().stop();
    Program::new(&words).run().ok();
    let again = Program::new(&words).run().failed(1);
    assert!(again.contains("not there yet"), "{again}");

    let restored = outer.path().join("restored");
    let restore = Program::new(&["restore", path(&file), "--data-dir", path(&restored)]);
    restore.run().ok();
    with_restored(&restored, |owner| assert!(is_valid(owner, &key)));

    let mut bytes = fs::read(&file).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let other = outer.path().join("other");
    let restore = Program::new(&["restore", path(&file), "--data-dir", path(&other)]);
    let refused = restore.run().failed(1);
    assert!(refused.contains("damaged"), "{refused}");
}

#[test]
fn n117_what_a_rebuild_cannot_read_any_more_is_named_and_given_up_only_on_demand() {
    let mut world = World::on(Launch::new().start());
    make_key(&world.owner(), &json!({ "handle": unique("lost") }));
    world.server_mut().stop();
    let folder = world.server().data_dir().to_owned();
    let outer = tempfile::tempdir().expect("a folder");
    let whole = outer.path().join("whole");
    let rebuild =
        |into: &Path| Program::new(&["rebuild", "--data-dir", path(&folder), "--into", path(into)]);
    let verified = Program::new(&["audit", "verify", "--data-dir", path(&folder)]);
    assert_eq!(rebuild(&whole).run().ok(), verified.run().ok());
    with_restored(&whole, |owner| {
        owner.get("/v1/me").expect(200);
    });

    fs::write(folder.join("events/db"), b"").expect("emptied");
    let less = outer.path().join("less");
    let refused = rebuild(&less).run().failed(1);
    assert!(refused.contains("--accept-end 0"), "{refused}");
}

#[test]
fn a_proof_is_checked_by_whoever_has_the_key_and_nothing_else() {
    let world = World::on(Launch::new().start());
    let auditor = world.key_with_scopes(&["audit:read"]);
    let outer = tempfile::tempdir().expect("a folder");
    let (proof, record) = (outer.path().join("proof"), outer.path().join("record"));
    let url = url(&world);
    Program::new(&["audit", "proof", "fetch", "1", "--url", &url])
        .with(&["--proof", path(&proof), "--record", path(&record)])
        .env("KEYLEDGER_API_KEY", &auditor)
        .run()
        .ok();
    let log_key = Program::new(&["audit", "key", "--issuer", &url])
        .with(&["--data-dir", path(world.server().data_dir())])
        .run()
        .ok();
    let log_key = log_key.trim();
    let told = world.owner().get("/v1/log").expect(200);
    assert_eq!(told.string("verifier_key"), log_key);
    let check = Program::new(&["audit", "proof", "check", "--log-key", log_key]).with(&[
        "--proof",
        path(&proof),
        "--record",
        path(&record),
    ]);
    let checked = check.run().ok();
    assert!(checked.starts_with("position 1\n"), "{checked}");
    for file in [&proof, &record] {
        let right = fs::read(file).expect("read");
        let mut other = right.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        fs::write(file, other).expect("written");
        check.run().failed(1);
        fs::write(file, right).expect("written");
    }
    check.run().ok();
}
