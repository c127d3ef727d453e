//! Clients that take their time, thousands at once, while others are served.
//!
//! Number 126: every dawdler is let go within the stated limit, `verify` answers all through, and
//! memory does not grow with them. The limits themselves are the server's documented ones.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_PASSWORD, Server, say, skip_loudly};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

/// Connections that are open and say nothing.
const IDLE: usize = 5_000;
/// Connections of each kind that dawdle.
const DAWDLERS: usize = 10;
/// What a head and a body each have to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// From the first byte of a later request to the first byte of its answer.
const UNANSWERED: Duration = Duration::from_secs(30);
/// What an answer may lie in front of a peer that does not take it.
const STALLED: Duration = Duration::from_secs(10);
/// How often the server looks, and a machine that is busy with all this besides.
const SLACK: Duration = Duration::from_secs(8);
/// What memory may grow by, in kilobytes.
const GROWTH_MAX_KB: u64 = 100 * 1024;
/// How long the slowest verification may take meanwhile.
const SLOWEST: Duration = Duration::from_secs(2);

/// Raises this process's limit on open files, if it may.
fn may_open(files: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < files) {
        return false;
    }
    let raised = Rlimit {
        current: Some(files),
        maximum: limit.maximum,
    };
    limit.current.is_some_and(|now| now >= files) || setrlimit(Resource::Nofile, raised).is_ok()
}

fn resident_kb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kb.expect("a number of kilobytes")
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection that works");
    stream.set_nodelay(true).expect("a connection that works");
    stream
}

/// A connection on which one request was answered.
fn used(port: u16) -> TcpStream {
    let mut stream = connect(port);
    stream
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .expect("a connection that works");
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(b"}") {
        let count = stream.read(&mut piece).expect("a connection that works");
        assert_ne!(count, 0, "closed before the answer");
        answer.extend_from_slice(&piece[..count]);
    }
    stream
}

/// A way to take one's time.
#[derive(Clone)]
struct Dawdle {
    what: &'static str,
    /// Whether a request was answered on the connection before.
    is_used: bool,
    opening: Vec<u8>,
    /// Sent again and again, `pause` apart.
    drip: Vec<u8>,
    pause: Duration,
    reads: bool,
    limit: Duration,
    /// The status that the server must say before it closes; `None` where it may close silently.
    status: Option<&'static str>,
}

/// What became of a dawdler.
struct LetGo {
    after: Duration,
    answer: Vec<u8>,
}

impl Dawdle {
    fn run(&self, port: u16) -> Result<LetGo, String> {
        let mut stream = if self.is_used {
            used(port)
        } else {
            connect(port)
        };
        let short = Some(Duration::from_millis(20));
        stream
            .set_read_timeout(short)
            .expect("a connection that works");
        stream
            .set_write_timeout(short)
            .expect("a connection that works");
        stream
            .write_all(&self.opening)
            .expect("a connection that works");
        let begun = Instant::now();
        let mut answer = Vec::new();
        while begun.elapsed() < self.limit + SLACK {
            let is_gone = match stream.write(&self.drip) {
                Ok(_) => false,
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            };
            let mut piece = [0; 4096];
            let is_closed = self.reads
                && match stream.read(&mut piece) {
                    Ok(0) => true,
                    Ok(count) => {
                        answer.extend_from_slice(&piece[..count]);
                        false
                    }
                    Err(error) => {
                        !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                    }
                };
            if is_gone || is_closed {
                let after = begun.elapsed();
                return Ok(LetGo { after, answer });
            }
            thread::sleep(self.pause);
        }
        Err(format!(
            "{}: still open after {:?}",
            self.what,
            begun.elapsed()
        ))
    }

    fn check(&self, let_go: &LetGo) {
        if let Some(status) = self.status {
            let text = String::from_utf8_lossy(&let_go.answer);
            let begins = format!("HTTP/1.1 {status} ");
            assert!(text.starts_with(&begins), "{}: {text:.60}", self.what);
        }
    }
}

fn dawdles(service: &str) -> Vec<Dawdle> {
    let verify = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: {service}\r\nContent-Type: application/json\r\n"
    );
    let one = |what, is_used, opening: String, limit, status| Dawdle {
        what,
        is_used,
        opening: opening.into_bytes(),
        drip: b" ".to_vec(),
        pause: Duration::from_millis(480),
        reads: true,
        limit,
        status,
    };
    let head = "GET /v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ".to_owned();
    let visit = "A".repeat(43);
    let form = format!(
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: __Host-keyledger-visit={visit}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
    );
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", " ".repeat(size)).into_bytes();
    let stranger = "POST /v1/keys/verify HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    vec![
        one(
            "a first head that drips",
            false,
            head.clone(),
            ARRIVAL,
            Some("408"),
        ),
        one("a later head that drips", true, head, UNANSWERED, None),
        one(
            "a body that drips",
            false,
            format!("{verify}Content-Length: 1000\r\n\r\n"),
            ARRIVAL,
            Some("408"),
        ),
        // It is answered in time; what still drips then counts as another request.
        Dawdle {
            drip: chunk(1),
            ..one(
                "a body in chunks that drips on after its 408",
                true,
                format!("{verify}Transfer-Encoding: chunked\r\n\r\n"),
                ARRIVAL + UNANSWERED,
                Some("408"),
            )
        },
        one("a form that drips", false, form, ARRIVAL, Some("408")),
        Dawdle {
            drip: chunk(1000),
            pause: Duration::from_millis(5),
            ..one(
                "a body without an end",
                false,
                format!("{verify}Transfer-Encoding: chunked\r\n\r\n"),
                UNANSWERED,
                Some("413"),
            )
        },
        Dawdle {
            drip: chunk(1000),
            pause: Duration::from_millis(5),
            ..one(
                "a stranger's body without an end",
                false,
                format!("{stranger}Transfer-Encoding: chunked\r\n\r\n"),
                UNANSWERED,
                Some("401"),
            )
        },
        Dawdle {
            drip: b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(100),
            pause: Duration::from_millis(100),
            reads: false,
            ..one(
                "answers that nobody takes",
                false,
                String::new(),
                STALLED,
                None,
            )
        },
    ]
}

fn server_with_keys(launch: Launch) -> (Server, String, String) {
    let server = launch.start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let key = owner
        .post("/user/keys", &json!({ "handle": "load" }))
        .expect(201)
        .string("token");
    let service = owner
        .post("/v1/orgs/acme/services", &json!({ "name": "Gateway" }))
        .expect(201)
        .string("key");
    (server, key, service)
}

/// Verifies until told to stop; how long each took.
fn verify_until(done: &AtomicBool, client: &Client, key: &str) -> Vec<Duration> {
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let verdict = client
            .post("/v1/keys/verify", &json!({ "key": key }))
            .expect(200);
        assert_eq!(verdict.member("valid"), true);
        took.push(begun.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    took
}

#[test]
fn n126_dawdlers_are_let_go_and_others_are_served() {
    let files = u64::try_from(IDLE + 1_000).unwrap();
    if !may_open(files) {
        return skip_loudly(
            "n126 (5,000 idle connections)",
            &format!("this machine does not allow {files} open files"),
        );
    }
    let (server, key, service) = server_with_keys(Launch::new());
    let port = server.port();
    let before_kb = resident_kb(&server);
    let idle: Vec<TcpStream> = (0..IDLE).map(|_| used(port)).collect();
    let with_idle_kb = resident_kb(&server);

    let done = AtomicBool::new(false);
    let (took, slowest_kb) = thread::scope(|scope| {
        let client = server.client().x_api_key(&service);
        let (done, key) = (&done, key.as_str());
        let verifier = scope.spawn(move || verify_until(done, &client, key));
        let mut running = Vec::new();
        for dawdle in dawdles(&service) {
            for _ in 0..DAWDLERS {
                let mine = dawdle.clone();
                running.push((dawdle.clone(), scope.spawn(move || mine.run(port))));
            }
        }
        let mut highest_kb = 0;
        while running.iter().any(|(_, thread)| !thread.is_finished()) {
            highest_kb = highest_kb.max(resident_kb(&server));
            thread::sleep(Duration::from_millis(200));
        }
        done.store(true, Ordering::Relaxed);
        let mut longest: Vec<(&str, Duration)> = Vec::new();
        for (dawdle, thread) in running {
            let let_go = thread.join().unwrap().unwrap_or_else(|why| panic!("{why}"));
            dawdle.check(&let_go);
            match longest.last_mut() {
                Some((what, after)) if *what == dawdle.what => *after = let_go.after.max(*after),
                Some(_) | None => longest.push((dawdle.what, let_go.after)),
            }
        }
        for (what, after) in longest {
            say(&format!(
                "  {what}: let go within {:.1} s",
                after.as_secs_f64()
            ));
        }
        (verifier.join().unwrap(), highest_kb)
    });
    let mut sorted = took;
    sorted.sort();
    let (count, slowest) = (sorted.len(), sorted[sorted.len() - 1]);
    say(&format!(
        "  {count} verifications meanwhile, median {:.1} ms, slowest {:.0} ms",
        sorted[count / 2].as_secs_f64() * 1e3,
        slowest.as_secs_f64() * 1e3
    ));
    say(&format!(
        "  memory: {before_kb} kB before, {with_idle_kb} kB with {IDLE} idle connections, at most {slowest_kb} kB"
    ));
    assert!(count > 500, "only {count} verifications");
    assert!(slowest < SLOWEST, "the slowest took {slowest:?}");
    assert!(slowest_kb.saturating_sub(before_kb) < GROWTH_MAX_KB);
    // They were idle for less than the keep-alive time, so each still works.
    let mut last = idle.into_iter().next_back().unwrap();
    last.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn n126_idle_connections_make_room_when_it_is_dense() {
    let launch = Launch::new().arg("--max-connections").arg("64");
    let (server, key, service) = server_with_keys(launch);
    // More than three quarters of the room, and then all of it.
    let crowd: Vec<TcpStream> = (0..60).map(|_| used(server.port())).collect();
    let begun = Instant::now();
    let client = server.client().x_api_key(&service);
    for _ in 0..20 {
        let others: Vec<Client> = (0..4)
            .map(|_| server.client().x_api_key(&service))
            .collect();
        for client in others.iter().chain([&client]) {
            client
                .post("/v1/keys/verify", &json!({ "key": key }))
                .expect(200);
        }
        thread::sleep(Duration::from_millis(800));
    }
    let mut closed = 0;
    for mut stream in crowd {
        stream.set_nonblocking(true).unwrap();
        closed += usize::from(matches!(stream.read(&mut [0; 16]), Ok(0)));
    }
    say(&format!(
        "  {closed} of 60 idle connections closed in {:.0} s at most, with room for 64",
        begun.elapsed().as_secs_f64()
    ));
    assert!(closed >= 12, "only {closed} made room");
}

/// Goal: a crowd that asks for the longest answers there are without a credential, and takes none of them,
/// holds next to nothing. Method: each asks for both many times at once; what the server has in memory is
/// looked at until the first is let go.
#[test]
fn n126_answers_that_nobody_takes_are_not_kept_for_each() {
    const CROWD: usize = 200;
    let server = Launch::new().start();
    let longest = ["/openapi.json", "/playground/swagger-ui-bundle.js"];
    let client = server.client();
    let bodies = longest.map(|path| client.get(path).expect(200).bytes().len());
    let head = |path| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let asked = longest.map(head).concat().repeat(8);
    let before_kb = resident_kb(&server);
    let crowd: Vec<TcpStream> = (0..CROWD)
        .map(|_| {
            let mut stream = connect(server.port());
            stream
                .write_all(asked.as_bytes())
                .expect("a connection that works");
            stream
        })
        .collect();
    let mut highest_kb = 0;
    let begun = Instant::now();
    while begun.elapsed() < STALLED / 2 {
        highest_kb = highest_kb.max(resident_kb(&server));
        thread::sleep(Duration::from_millis(100));
    }
    say(&format!(
        "  memory: {before_kb} kB before, at most {highest_kb} kB with {CROWD} that take nothing of {bodies:?} bytes"
    ));
    // Each began to be answered: what the system holds for it of an answer is there to be read.
    for mut stream in crowd {
        let mut begun = [0; 15];
        stream.read_exact(&mut begun).expect("an answer");
        assert_eq!(&begun, b"HTTP/1.1 200 OK");
    }
    assert!(highest_kb.saturating_sub(before_kb) < GROWTH_MAX_KB);
}
