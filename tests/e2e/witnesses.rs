//! What leaves the host: checkpoints to a witness, which cosigns them, to a file, and to a web hook.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_PASSWORD, Server, Witness, free_port};
use serde_json::json;

use crate::world::{make_key, unique};

/// How long something may take that is to happen by itself.
const PATIENCE: Duration = Duration::from_mins(1);

#[track_caller]
fn wait_until(server: &Server, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            Instant::now() < deadline,
            "{what}: not so\n{}",
            server.log_tail()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn owner(server: &Server) -> Client {
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let key = make_key(&owner, &json!({ "handle": unique("log-reader") })).string("token");
    server.client().x_api_key(&key)
}

fn checkpoint(owner: &Client) -> String {
    owner
        .get("/v1/log/checkpoint")
        .expect(200)
        .text()
        .to_owned()
}

fn verifier_key(owner: &Client) -> String {
    owner.get("/v1/log").expect(200).string("verifier_key")
}

fn launch(witness: &Witness, port: u16) -> Launch {
    Launch::new()
        .port(port)
        .env("KEYLEDGER_WITNESSES", &witness.setting())
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp").success());
}

#[test]
fn a_checkpoint_is_cosigned_once_the_witness_knows_the_log_and_written_to_a_file() {
    let witness = Witness::start();
    let outer = tempfile::tempdir().expect("a folder");
    let file = outer.path().join("checkpoint");
    let mut server = launch(&witness, free_port())
        .env("KEYLEDGER_CHECKPOINT_FILE", file.to_str().expect("UTF-8"))
        .start();
    let owner = owner(&server);
    wait_until(&server, "a refusal", || {
        witness.told().iter().any(|told| told.status == 404)
    });
    assert!(!witness.has_cosigned(&checkpoint(&owner)));
    witness.know(&verifier_key(&owner));
    wait_until(&server, "a cosignature", || {
        witness.has_cosigned(&checkpoint(&owner))
    });
    let cosigned = checkpoint(&owner);
    let origin = cosigned.lines().next().expect("a line").to_owned();
    let below = cosigned.split_once("\n\n").expect("a note").1;
    assert!(
        below.starts_with(&format!("\u{2014} {origin} ")),
        "ours is first"
    );
    assert_eq!(below.lines().count(), 2);

    // It goes on from there with a proof, and after a start asks from which size on.
    make_key(&owner, &json!({ "handle": unique("more") }));
    wait_until(&server, "the next", || {
        let told = witness.told();
        told.iter().any(|told| told.status == 200 && told.old > 0)
    });
    server.stop();
    let before = witness.told().len();
    server.start_again();
    make_key(&owner, &json!({ "handle": unique("more") }));
    wait_until(&server, "a 409 and then the proof", || {
        let told = witness.told();
        let mut since = told[before..].iter();
        since.any(|told| told.status == 409) && since.any(|told| told.status == 200)
    });
    server.stop();
    let told = witness.told();
    assert!(told.iter().all(|told| told.status != 422), "{told:?}");
    // The last checkpoint left the host before the end.
    let last = fs::read_to_string(&file).expect("the file");
    let size = last.lines().nth(1).and_then(|line| line.parse().ok());
    assert_eq!(size, witness.size());
    assert_eq!(last.lines().next(), Some(&*origin));
}

#[test]
fn n120_a_forked_history_is_refused_by_the_witness_and_kept_as_evidence() {
    let witness = Witness::start();
    let port = free_port();
    let outer = tempfile::tempdir().expect("a folder");
    let [first, fork, older] = ["first", "fork", "older"].map(|name| outer.path().join(name));
    let mut server = Launch::new().port(port).data_dir(&first).start();
    let reader = owner(&server);
    witness.know(&verifier_key(&reader));
    server.stop();
    copy(&first, &fork);
    copy(&first, &older);

    // The one history, which the witness sees.
    let mut server = launch(&witness, port).data_dir(&first).start();
    for _ in 0..15 {
        make_key(&reader, &json!({ "handle": unique("kept") }));
    }
    wait_until(&server, "a cosignature", || {
        witness.has_cosigned(&checkpoint(&reader))
    });
    server.stop();
    let seen = witness.size();

    // An older copy that was put back: smaller than what the witness knows.
    let rolled_back = refused(&witness, port, &older, |_| ());
    assert!(rolled_back.contains("answered 409\n"), "{rolled_back}");
    // A copy that went on by itself: larger, and not an extension.
    let forked = refused(&witness, port, &fork, |reader| {
        for _ in 0..30 {
            make_key(reader, &json!({ "handle": unique("told-otherwise") }));
        }
    });
    assert!(forked.contains("answered 422\n"), "{forked}");
    assert_eq!(witness.size(), seen, "the witness stays with what it saw");

    // The first history goes on.
    let mut server = launch(&witness, port).data_dir(&first).start();
    make_key(&reader, &json!({ "handle": unique("goes-on") }));
    wait_until(&server, "the next cosignature", || {
        witness.size() > seen && witness.has_cosigned(&checkpoint(&reader))
    });
    assert!(!first.join("witness-evidence").exists());
    server.stop();
}

/// Serves a history that the witness refuses; the evidence that is kept.
fn refused(witness: &Witness, port: u16, folder: &Path, change: impl FnOnce(&Client)) -> String {
    // Its changes come first, so that the witness is told of all of them at once.
    let mut server = Launch::new().port(port).data_dir(folder).start();
    let reader = owner(&server);
    change(&reader);
    server.stop();
    let mut server = launch(witness, port).data_dir(folder).start();
    let evidence = folder.join("witness-evidence");
    wait_until(&server, "evidence", || evidence.exists());
    let log = "a witness knows another history of this log";
    wait_until(&server, "a line in the log", || server.log().contains(log));
    assert!(!witness.has_cosigned(&checkpoint(&reader)));
    server.stop();
    let files = fs::read_dir(&evidence).expect("the folder");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    let [file] = &files[..] else {
        panic!("one file of evidence, not {files:?}");
    };
    let text = fs::read_to_string(file).expect("the evidence");
    assert!(text.contains("\nto\nold "), "{text}");
    text
}

/// What a web hook was sent: the request line and headers, and the body.
type Sent = (String, String);

/// A web hook that answers the first requests with these statuses and all others with 204: its address, and
/// what it was sent.
fn web_hook(statuses: &'static [u16]) -> (String, Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (sent, received) = channel();
    thread::spawn(move || {
        let statuses = statuses.iter().copied().chain(std::iter::repeat(204));
        for (stream, status) in listener.incoming().flatten().zip(statuses) {
            take(stream, status, &sent);
        }
    });
    (
        format!("http://127.0.0.1:{port}/hooks/of-one-only"),
        received,
    )
}

fn take(stream: TcpStream, status: u16, sent: &Sender<Sent>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = reader.read_line(&mut head).expect("a line");
        assert_ne!(read, 0, "a request that ends in its head");
    }
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| {
        let value = line.strip_prefix("content-length:")?;
        value.trim().parse().ok()
    });
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).expect("a whole body");
    let body = String::from_utf8(body).expect("UTF-8");
    // Before the answer: whoever has it may end, and is looked at then. A test that is over looks at nothing.
    let _ = sent.send((head, body));
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} Told\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    .expect("answered");
}

fn size_of(checkpoint: &str) -> u64 {
    let line = checkpoint.lines().nth(1).expect("a size");
    line.parse().expect("a number")
}

#[test]
fn a_web_hook_that_fails_is_told_again_and_then_of_each_checkpoint() {
    // A redirect is no answer either: nobody else is told.
    let (url, received) = web_hook(&[500, 307]);
    let mut server = Launch::new()
        .env("KEYLEDGER_CHECKPOINT_WEBHOOK", &url)
        .start();
    let next = || received.recv_timeout(PATIENCE).expect("a checkpoint");
    let owner = owner(&server);
    let origin = owner.get("/v1/log").expect(200).string("origin");
    let mut told: Vec<Sent> = (0..3).map(|_| next()).collect();
    make_key(&owner, &json!({ "handle": unique("told") }));
    let wanted = owner.get("/health/ready").expect(200).json()["position"]
        .as_u64()
        .expect("a position");
    while size_of(&told.last().expect("some").1) < wanted {
        told.push(next());
    }
    make_key(&owner, &json!({ "handle": unique("last") }));
    server.stop();
    // The last checkpoint left the host before the end.
    told.extend(received.try_iter());
    let last = fs::read_to_string(server.data_dir().join("checkpoint")).expect("the last");
    assert_eq!(told.last().expect("some").1, last);
    for (head, note) in &told {
        assert!(head.starts_with("POST /hooks/of-one-only HTTP/1.1\r\n"));
        assert!(
            head.to_ascii_lowercase()
                .contains("content-type: text/plain; charset=utf-8\r\n"),
            "{head}"
        );
        let (text, signatures) = note.split_once("\n\n").expect("a note");
        assert_eq!(text.lines().next(), Some(&*origin));
        assert!(signatures.starts_with(&format!("\u{2014} {origin} ")));
    }
    let sizes: Vec<u64> = told.iter().map(|(_, note)| size_of(note)).collect();
    assert!(sizes.is_sorted(), "{sizes:?}");
    // What was taken is not sent again.
    assert!(sizes[2..].is_sorted_by(|a, b| a < b), "{sizes:?}");
    let log = server.log();
    assert!(log.contains("a checkpoint did not arrive off this host"));
    assert!(!log.contains("of-one-only"), "an address may be a secret");
}
