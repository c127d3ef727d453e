//! `keyledger audit list | show | tail | export`, of a server and of the folder that it leaves.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout};

use keyledger_tests::credential::id_of;
use keyledger_tests::{Launch, OWNER_ORG, Program};
use serde_json::{Value, json};

use crate::world::{World, make_key, unique, world};

/// `keyledger audit WORDS` of the server of this world, with this key.
fn at_server(world: &World, key: &str, words: &[&str]) -> Program {
    Program::new(&["audit"])
        .with(words)
        .with(&["--url", &url(world)])
        .env("KEYLEDGER_API_KEY", key)
}

/// A key that reads the log.
fn auditor(world: &World) -> String {
    world.key_with_scopes(&["audit:read"])
}

fn in_folder(folder: &Path, words: &[&str]) -> Program {
    let folder = folder.to_str().expect("a path of UTF-8");
    Program::new(&["audit"])
        .with(words)
        .with(&["--data-dir", folder])
}

fn url(world: &World) -> String {
    format!("http://127.0.0.1:{}", world.server().port())
}

/// A server that is none of ours, for as long as the test runs.
struct Other {
    url: String,
}

impl Other {
    /// Answers each request with what is made of its first line.
    fn answering(answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = head.next().unwrap_or_default();
                while head.next().is_some_and(|line| !line.is_empty()) {}
                let (status, body) = answer(&first);
                let head = format!("Connection: close\r\nContent-Length: {}", body.len());
                // Whoever asked may be gone.
                let _ = write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}");
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
        }
    }
}

/// A page of events at these positions, as a server answers it.
fn page(positions: &[u64], next: Value) -> (&'static str, String) {
    let event = |position: &u64| {
        json!({
            "position": position, "type": "ScopeAdded", "time": "2026-01-02T03:04:05Z",
            "actor": "system", "target": "organization:1", "organization": null, "credential": null,
            "source": null, "client": null, "request_id": "r", "data": {}, "of_tomorrow": [position],
        })
    };
    let items: Vec<Value> = positions.iter().map(event).collect();
    (
        "200 OK",
        json!({ "items": items, "next": next }).to_string(),
    )
}

fn lines(out: &str) -> Vec<Value> {
    let lines = out.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

/// Whether a terminal, an editor or a spreadsheet would do something at this character.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\r')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Lets happen what somebody hostile would have logged.
fn hostile(world: &World) {
    let agent = format!("=HYPERLINK(\"x\"),\t{}", "x".repeat(10_000));
    let owner = world.owner().header("User-Agent", &agent);
    let service = json!({ "name": "=2+5+cmd|' /C calc'!A0", "description": "a\nb\"c" });
    owner
        .post(&format!("/v1/orgs/{OWNER_ORG}/services"), &service)
        .expect(201);
    make_key(&owner, &json!({ "handle": unique("hostile") }));
}

#[test]
fn a_server_and_the_folder_that_it_leaves_tell_the_same() {
    let mut world = World::on(Launch::new().start());
    hostile(&world);
    let service = world.service();
    let target = format!("service:{}", service.string("id"));
    let key = auditor(&world);
    let shown = make_key(&world.owner(), &json!({ "handle": unique("shows") })).string("token");
    make_key(
        &world.with_key(&shown),
        &json!({ "handle": unique("by-key") }),
    );
    let credential = id_of(&shown).to_owned();
    let questions: [&[&str]; 16] = [
        &["export", "--after", "0"],
        &["list", "--limit", "3"],
        &["list", "--type", "ServiceCreated", "--format", "table"],
        &["list", "--target", &target],
        &["list", "--actor", "owner", "--organization", OWNER_ORG],
        &["list", "--since", "2001-01-01T00:00:00Z", "--after", "2"],
        &["list", "--until", "2001-01-01T00:00:00Z", "--format", "csv"],
        &["show", "1"],
        &["show", "2", "--format", "ocsf"],
        &["export", "--format", "csv", "--type", "UserKeyCreated"],
        &["export", "--format", "ocsf"],
        &["export", "--until", "2099-01-01T00:00:00Z"],
        &["list", "--credential", &credential],
        &["list", "--source", "127.0.0.1", "--type", "User*"],
        &["list", "--source", "127.0.0.0/8", "--type", "User*"],
        &["export", "--after", "2", "--before", "5"],
    ];
    let ask = |words: &&[&str]| at_server(&world, &key, words).run().ok();
    let told: Vec<String> = questions.iter().map(ask).collect();
    world.server_mut().stop();
    let folder = world.server().data_dir().to_owned();
    // That a key was used first is told in the log a little later than its use.
    let of_use =
        |line: &&str| !line.contains("ApiKeyFirstUsed") && !line.contains("NetworkFirstSeen");
    for (words, told) in questions.iter().zip(&told) {
        let found = in_folder(&folder, words).run().ok();
        let found: Vec<&str> = found.lines().filter(of_use).collect();
        let told: Vec<&str> = told.lines().filter(of_use).collect();
        assert!(found == told, "{words:?} differ");
    }
    let events = lines(&told[0]);
    assert!(events.len() > 5 && lines(&told[1]).len() == 3);
    assert_eq!(lines(&told[3]).len(), 1);
    assert_eq!(lines(&told[7])[0], events[0]);
    assert_eq!(told[6].lines().count(), 1, "a header and nothing else");
    assert!(!told[12].is_empty() && !told[13].is_empty());
    for event in lines(&told[12]) {
        assert_eq!(event["credential"], *credential);
    }
    for event in lines(&told[13]) {
        assert_eq!(event["source"], "127.0.0.1");
    }
    assert_eq!(told[14], told[13]);
    let between: Vec<_> = lines(&told[15])
        .iter()
        .map(|event| event["position"].as_u64())
        .collect();
    assert_eq!(between, [Some(3), Some(4)]);
    world.server().assert_ledger_verifies();
    world.server_mut().start_again();
    assert_eq!(world.owner().get("/v1/me").status(), 200);
}

/// A `tail` that runs, until it is dropped.
struct Tail {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The position of the last event that it printed.
    behind: u64,
}

impl Tail {
    fn of(program: &Program) -> Self {
        let mut child = program.spawn();
        let out = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            child,
            out,
            behind: 0,
        }
    }

    /// What it prints next, which is behind what it printed before.
    #[track_caller]
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("its output is text");
        let event: Value = serde_json::from_str(&line).expect("a line is an event");
        let position = event["position"].as_u64().expect("a position");
        assert!(position > self.behind, "in order, each once");
        self.behind = position;
        event
    }

    /// Reads on until an event tells this.
    #[track_caller]
    fn until(&mut self, word: &str) {
        while !self.next()["data"].to_string().contains(word) {}
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_begins_with_the_last_and_goes_on_with_what_happens() {
    let key = auditor(world());
    make_key(&world().owner(), &json!({ "handle": unique("before") }));
    let words = [
        "tail",
        "-n",
        "1",
        "--type",
        "UserKeyCreated",
        "--actor",
        "owner",
    ];
    let mut tail = Tail::of(&at_server(world(), &key, &words));
    let first = tail.next();
    assert_eq!(first["type"], "UserKeyCreated");
    let ours = unique("after");
    make_key(&world().owner(), &json!({ "handle": ours }));
    tail.until(&ours);
}

#[test]
fn tail_goes_on_when_the_server_is_there_again() {
    let mut world = World::on(Launch::new().start());
    let key = auditor(&world);
    let mut tail = Tail::of(&at_server(&world, &key, &["tail", "--after", "1"]));
    tail.until("world");
    let handles = ["killed", "stopped"].map(unique);
    for handle in &handles {
        if handle.starts_with("killed") {
            world.server_mut().restart();
        } else {
            world.server_mut().stop();
            world.server_mut().start_again();
        }
        make_key(&world.owner(), &json!({ "handle": handle }));
        tail.until(handle);
    }
}

#[test]
fn tail_asks_again_and_again_where_there_is_no_stream() {
    let other = Other::answering(|line| {
        if line.contains("/health/ready") {
            ("200 OK", json!({ "position": 1 }).to_string())
        } else if line.contains("/stream") {
            (
                "404 Not Found",
                json!({ "detail": "Not found." }).to_string(),
            )
        } else if line.contains("after=0") {
            page(&[1], Value::Null)
        } else if line.contains("after=1&") {
            page(&[2, 3], Value::Null)
        } else {
            page(&[4], Value::Null)
        }
    });
    let program = Program::new(&["audit", "tail", "--url", &other.url]);
    let mut tail = Tail::of(&program.env("KEYLEDGER_API_KEY", "sk_live_word"));
    let positions: Vec<_> = (0..4).map(|_| tail.next()["position"].as_u64()).collect();
    assert_eq!(positions, [Some(1), Some(2), Some(3), Some(4)]);
}

#[test]
fn pages_are_followed_as_long_as_they_lead_on() {
    let other = Other::answering(|line| {
        if line.contains("after=0") {
            page(&[1, 2], json!("5"))
        } else if line.contains("after=5") {
            page(&[], json!("9"))
        } else if line.contains("after=9") {
            page(&[10], json!("9"))
        } else {
            ("404 Not Found", "{}".to_owned())
        }
    });
    let export = Program::new(&["audit", "export", "--url", &other.url]);
    let events = lines(&export.env("KEYLEDGER_API_KEY", "sk_live_word").run().ok());
    let positions: Vec<_> = events
        .iter()
        .map(|event| event["position"].as_u64())
        .collect();
    assert_eq!(positions, [Some(1), Some(2), Some(10)]);
    assert_eq!(
        events[2]["of_tomorrow"],
        json!([10]),
        "what is not known is kept"
    );
}

#[test]
fn tail_of_a_folder_shows_the_last_and_ends() {
    let mut world = World::on(Launch::new().start());
    for _ in 0..3 {
        make_key(&world.owner(), &json!({ "handle": unique("key") }));
    }
    world.server_mut().stop();
    let folder = world.server().data_dir();
    let all = lines(&in_folder(folder, &["export"]).run().ok());
    let tail = lines(&in_folder(folder, &["tail", "-n", "2"]).run().ok());
    assert_eq!(tail, all[all.len() - 2..]);
    let after = (all.len() - 1).to_string();
    let tail = lines(&in_folder(folder, &["tail", "--after", &after]).run().ok());
    assert_eq!(tail, all[all.len() - 1..]);
    let none = in_folder(folder, &["tail", "-n", "0"]).run().ok();
    assert_eq!(none, "");
}

#[test]
fn a_list_says_where_it_goes_on() {
    let key = auditor(world());
    let ran = at_server(world(), &key, &["list", "--limit", "2"]).run();
    assert!(ran.err.contains("--after 2"), "{}", ran.err);
    assert_eq!(lines(&ran.ok()).len(), 2);
    let rest = at_server(world(), &key, &["list", "--after", "2", "--limit", "1"]);
    assert_eq!(lines(&rest.run().ok())[0]["position"], 3);
}

#[test]
fn a_wrong_key_is_told_without_the_key() {
    let good = auditor(world());
    let (public, secret) = good.rsplit_once('_').expect("a key");
    let wrong = format!("{public}_{}", secret.chars().rev().collect::<String>());
    for words in [&["list"][..], &["show", "1"], &["tail"], &["export"]] {
        let said = at_server(world(), &wrong, words).run().failed(1);
        assert!(
            said.contains("401") && said.contains("KEYLEDGER_API_KEY"),
            "{words:?}"
        );
        assert!(
            !said.contains(&wrong[wrong.len() - 20..]),
            "{words:?} tells the key"
        );
    }
    let narrow = world().key_with_scopes(&["files:read"]);
    let said = at_server(world(), &narrow, &["list"]).run().failed(1);
    assert!(
        said.contains("403") && said.contains("audit:read"),
        "{said}"
    );
}

#[test]
fn a_key_comes_from_a_file_of_its_owner_or_the_environment_and_no_argument() {
    let room = tempfile::tempdir().expect("a folder");
    let path = room.path().join("key");
    let write = |mode| {
        std::fs::write(&path, format!("{}\n", auditor(world()))).expect("writing a key");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("setting its mode");
    };
    let words = ["audit", "show", "1", "--url", &url(world())];
    let file = path.to_str().expect("a path of UTF-8");
    let program = Program::new(&words).with(&["--key-file", file]);
    write(0o600);
    assert_eq!(lines(&program.run().ok()).len(), 1);
    write(0o644);
    let said = program.run().failed(1);
    assert!(said.contains("644") && said.contains("chmod 600"), "{said}");

    let said = Program::new(&words).run().failed(2);
    assert!(
        said.contains("KEYLEDGER_API_KEY") && said.contains("--key-file"),
        "{said}"
    );
    Program::new(&words).with(&["--key", "k"]).run().failed(2);
    let plain = Program::new(&["audit", "list", "--url", "http://keys.example.com"]);
    let said = plain.env("KEYLEDGER_API_KEY", "k").run().failed(2);
    assert!(said.contains("https"), "{said}");
    let both = Program::new(&["audit", "list"])
        .env("KEYLEDGER_URL", &url(world()))
        .env("KEYLEDGER_DATA_DIR", file);
    both.run().failed(2);
    Program::new(&words)
        .with(&["--data-dir", file])
        .run()
        .failed(2);
}

#[test]
fn a_folder_that_a_server_has_says_how_to_ask_the_server() {
    let folder = world().server().data_dir();
    for words in [&["list"][..], &["show", "1"], &["tail"], &["export"]] {
        let said = in_folder(folder, words).run().failed(1);
        assert!(said.contains("--url"), "{words:?}: {said}");
    }
    let nowhere = tempfile::tempdir().expect("a folder");
    let said = in_folder(nowhere.path(), &["list"]).run().failed(1);
    assert!(said.contains("there is no ledger"), "{said}");
    let left = std::fs::read_dir(nowhere.path()).expect("reading it");
    assert_eq!(left.count(), 0, "looking makes nothing");
}

#[test]
fn a_position_or_filter_that_cannot_be_says_so() {
    let key = auditor(world());
    let said = at_server(world(), &key, &["show", "999999999"])
        .run()
        .failed(1);
    assert!(said.contains("no event at position 999999999"), "{said}");
    let said = at_server(world(), &key, &["list", "--type", "Nothing"]);
    assert!(said.run().failed(1).contains("type"));
    let said = at_server(world(), &key, &["list", "--source", "nowhere"]);
    assert!(said.run().failed(1).contains("source"));
    at_server(world(), &key, &["list", "--limit", "0"])
        .run()
        .failed(2);
    at_server(world(), &key, &["export", "--format", "table"])
        .run()
        .failed(2);
}

#[test]
fn n118_what_hostile_people_are_called_is_one_harmless_line_in_each_form() {
    hostile(world());
    let key = auditor(world());
    let count = |format: &str| {
        let words = ["export", "--type", "ServiceCreated", "--format", format];
        let out = at_server(world(), &key, &words).run().ok();
        assert!(!out.chars().any(acts), "{format}");
        (out.lines().count(), out)
    };
    let words = [
        "list",
        "--type",
        "ServiceCreated",
        "--format",
        "table",
        "--limit",
        "1000",
    ];
    let table = at_server(world(), &key, &words).run().ok();
    assert!(!table.chars().any(acts));
    let (events, jsonl) = count("jsonl");
    assert!(
        events > 0 && jsonl.contains("=HYPERLINK"),
        "the attack was tried"
    );
    for line in lines(&jsonl) {
        let client = line["client"].as_str().unwrap_or_default();
        assert!(client.chars().count() <= 256);
    }
    let (_, csv) = count("csv");
    assert!(
        csv.contains("\"'=HYPERLINK(\"\"x\"\")"),
        "defused and quoted"
    );
    for line in csv.lines() {
        assert!(!line.contains(",=") && !line.contains(",\"="), "{line}");
    }
    let (_, ocsf) = count("ocsf");
    assert!(lines(&ocsf).iter().all(|event| event["class_uid"] == 3004));
}

#[test]
fn n118_a_server_that_is_none_of_ours_does_nothing_to_the_terminal() {
    let key = "sk_live_abcdefghi_0123456789012345678901234567890123456789";
    let body = json!({ "detail": format!("\u{1b}[2J\u{202e}{key}") }).to_string();
    let harmless = json!({ "detail": "\u{1b}[2J\u{202e}gone" }).to_string();
    for (status, body, shown) in [
        ("401 Unauthorized", body.as_str(), "401"),
        (
            "403 Forbidden",
            harmless.as_str(),
            "\\u{1b}[2J\\u{202e}gone",
        ),
        ("200 OK", "<html>", "something else"),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", "", "moved"),
    ] {
        let body = body.to_owned();
        let other = Other::answering(move |_| (status, body.clone()));
        let program = Program::new(&["audit", "list", "--url", &other.url]);
        let said = program.env("KEYLEDGER_API_KEY", key).run().failed(1);
        assert!(said.contains(shown), "{status}: {said}");
        assert!(!said.chars().any(acts), "{status}");
        assert!(!said.contains(key), "{status}: the key is told");
    }
}

#[test]
fn whoever_stops_listening_leaves_a_folder_that_was_stopped_well() {
    let mut world = World::on(Launch::new().start());
    world.server_mut().stop();
    let folder = world.server().data_dir();
    for words in [&["export"][..], &["list"], &["tail"]] {
        assert_eq!(
            in_folder(folder, words).run_unheard(),
            Some(141),
            "{words:?}"
        );
        assert!(folder.join("events.manifest").exists(), "{words:?}");
    }
    world.server().assert_ledger_verifies();
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let words = ["completions", shell];
        assert_eq!(Program::new(&words).run_unheard(), Some(141), "{shell}");
        let script = Program::new(&words).run().ok();
        for word in ["tail", "show", "key-file", "ocsf"] {
            assert!(script.contains(word), "{shell} knows no {word}");
        }
    }
}
