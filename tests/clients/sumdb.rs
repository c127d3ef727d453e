//! The log, verified by the packages that verify Go's checksum database (`sumdb/main.go`).

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyledger_tests::{
    Client, Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, Server, skip_loudly,
};
use serde_json::json;

/// Where Debian puts Go's packages.
const PACKAGES: &str = "/usr/share/gocode";

/// More than a tile has, so that there are whole tiles, partial ones, and a second level.
const EVENTS: usize = 300;

/// The built program; `None` where Go or its packages cannot be had.
fn program(folder: &Path) -> Option<PathBuf> {
    let packages = Path::new(PACKAGES).join("src/golang.org/x/mod/sumdb/tlog");
    let has_go = Command::new("go").arg("version").output().is_ok();
    if !has_go || !packages.exists() {
        let packages = "apt-get install golang-go golang-golang-x-mod-dev";
        skip_loudly("sumdb", packages);
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/sumdb/main.go");
    let program = folder.join("sumdb");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .env("GO111MODULE", "off")
        .env("GOPATH", PACKAGES)
        .env("GOCACHE", folder.join("cache"))
        .output()
        .expect("go runs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "go build: {said}");
    Some(program)
}

struct Log {
    server: Server,
    key: String,
    owner: Client,
    made: Cell<usize>,
}

impl Log {
    fn start() -> Self {
        let server = Launch::new().start();
        let password = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
        let key = password.post("/user/keys", &json!({ "handle": "auditor" }));
        let key = key.expect(201).string("token");
        let owner = server.client().x_api_key(&key);
        let made = Cell::default();
        Self {
            server,
            key,
            owner,
            made,
        }
    }

    /// Gives the position of the last event.
    fn make_events(&self, count: usize) -> String {
        let path = format!("/v1/orgs/{OWNER_ORG}/teams");
        let mut position = String::new();
        let first = self.made.replace(self.made.get() + count);
        for number in first..first + count {
            let made = self
                .owner
                .post(&path, &json!({ "name": format!("Team {number}") }))
                .expect(201);
            made.header("keyledger-position")
                .expect("its position")
                .clone_into(&mut position);
        }
        position
    }

    /// The checkpoint, once it has the event at this position.
    fn checkpoint_with(&self, position: &str) -> String {
        // It is asked for the proof of that event, which waits until there is one.
        let proof = format!("/v1/events/{position}/proof");
        self.owner.get(&proof).expect(200);
        let checkpoint = self.owner.get("/v1/log/checkpoint").expect(200);
        checkpoint.text().to_owned()
    }
}

#[test]
fn what_verifies_gos_checksums_verifies_the_log_and_finds_every_wrong_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(program) = program(folder.path()) else {
        return;
    };
    let log = Log::start();
    let position = log.make_events(EVENTS / 2);
    let older = folder.path().join("older");
    std::fs::write(&older, log.checkpoint_with(&position)).expect("written");
    let position = log.make_events(EVENTS / 2);
    log.checkpoint_with(&position);

    let about = log.owner.get("/v1/log").expect(200);
    let run = |wrong_bit: &str| {
        Command::new(&program)
            .args(["-wrong-bit", wrong_bit])
            .arg(format!("{}/v1/log", log.server.client().origin()))
            .arg(about.string("verifier_key"))
            .arg(&older)
            .arg(&position)
            .env("KEYLEDGER_KEY", &log.key)
            .output()
            .expect("it runs")
    };
    let good = run("");
    let said = String::from_utf8_lossy(&good.stdout);
    let refused = String::from_utf8_lossy(&good.stderr);
    assert!(good.status.success(), "{refused}");
    assert!(said.contains("every record is in it"), "{said}");
    assert!(said.contains("it extends that of"), "{said}");
    let proved = format!("event {position} is proved");
    assert!(said.contains(&proved), "{said}");

    for (wrong_bit, wanted) in [
        ("note", "checkpoint:"),
        ("tile", "tile"),
        ("bundle", "record"),
        ("older", "it does not extend the older one"),
        ("proof", "proof:"),
    ] {
        let bad = run(wrong_bit);
        let refused = String::from_utf8_lossy(&bad.stderr);
        assert_eq!(bad.status.code(), Some(1), "{wrong_bit}: {refused}");
        assert!(refused.contains(wanted), "{wrong_bit}: {refused}");
    }
}
