//! TLS of our own: which versions, which certificate, and a new one without a restart.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, raw, redact, setting};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};

/// How soon a changed file must be in use.
const RELOAD: Duration = Duration::from_secs(10);

/// A certificate that signs itself, and its key.
struct Pair {
    der: CertificateDer<'static>,
    certificate: String,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .expect("what a test needs");
    Pair {
        der: made.cert.der().clone(),
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// A server that speaks TLS; the ordinary harness asks in plain HTTP whether it is ready.
struct Secured {
    child: Child,
    port: u16,
    room: tempfile::TempDir,
}

impl Secured {
    fn start(pair: &Pair, more: &[&str]) -> Self {
        let room = tempfile::tempdir().expect("what a test needs");
        write(room.path(), pair);
        let port = keyledger_tests::free_port();
        let log = File::create(room.path().join("server.log")).expect("what a test needs");
        let child = Command::new(setting::binary())
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .arg("--data-dir")
            .arg(room.path().join("data"))
            .args(arguments(room.path()))
            .args(more)
            .env("KEYLEDGER_BOOTSTRAP_EMAIL", OWNER_EMAIL)
            .env("KEYLEDGER_BOOTSTRAP_PASSWORD", OWNER_PASSWORD)
            .env("KEYLEDGER_BOOTSTRAP_ORG", OWNER_ORG)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("what a test needs"))
            .stderr(log)
            .spawn()
            .expect("what a test needs");
        let server = Self { child, port, room };
        server.wait_until("it is ready", || server.log().contains("\"ready\""));
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.room.path().join("server.log")).expect("what a test needs")
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            let log = redact(&self.log());
            assert!(begun.elapsed() < RELOAD, "not until {what}:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a client that trusts this certificate is answered.
    fn get(&self, trusted: &Pair, path: &str) -> Result<(Option<ProtocolVersion>, String), String> {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        self.get_by(trusted, path, &versions)
    }

    fn get_by(
        &self,
        trusted: &Pair,
        path: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<(Option<ProtocolVersion>, String), String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).expect("what a test needs");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("what a test needs")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").expect("what a test needs");
        let connection = ClientConnection::new(Arc::new(config), name).expect("what a test needs");
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("what a test needs");
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("what a test needs");
        let mut stream = StreamOwned::new(connection, socket);
        let port = self.port;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        // Some servers leave without a word; what came before counts.
        let _ = stream.read_to_end(&mut answer);
        assert_ne!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok((stream.conn.protocol_version(), answer))
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn files(room: &Path) -> (PathBuf, PathBuf) {
    (room.join("certificate.pem"), room.join("key.pem"))
}

fn write(room: &Path, pair: &Pair) {
    let (certificate, key) = files(room);
    fs::write(certificate, &pair.certificate).expect("what a test needs");
    fs::write(key, &pair.key).expect("what a test needs");
}

fn arguments(room: &Path) -> Vec<String> {
    let (certificate, key) = files(room);
    let arguments = [
        "--tls-certificate".into(),
        certificate,
        "--tls-key".into(),
        key,
    ];
    arguments
        .map(|argument: PathBuf| argument.display().to_string())
        .to_vec()
}

#[test]
fn it_speaks_tls_and_takes_a_new_certificate_without_a_restart() {
    let first = pair();
    let server = Secured::start(&first, &[]);
    for (version, expected) in [
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
    ] {
        let (spoken, answer) = server.get_by(&first, "/health/ready", &[version]).unwrap();
        assert_eq!(spoken, Some(expected));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // Browsers are told to come back by TLS only, on pages and on refusals.
    for path in ["/login", "/v1/me"] {
        let (_, answer) = server.get(&first, path).unwrap();
        let answer = answer.to_ascii_lowercase();
        let header = "strict-transport-security: max-age=63072000; includesubdomains\r\n";
        assert!(answer.contains(header), "{path}: {answer:.400}");
    }
    // Whoever speaks plain HTTP gets nothing.
    assert_eq!(raw::status_of(server.port, "/health/live"), None);

    let second = pair();
    write(server.room.path(), &second);
    server.wait_until("the new certificate is in use", || {
        server.get(&second, "/health/live").is_ok()
    });
    assert!(
        server.get(&first, "/health/live").is_err(),
        "the old one is still given"
    );

    // Half a change, and rubbish: told, and the good one stays.
    let (certificate, key) = files(server.room.path());
    fs::write(&certificate, &first.certificate).unwrap();
    server.wait_until("the bad pair is told", || {
        server.log().contains("stays in use")
    });
    server.get(&second, "/health/live").unwrap();
    fs::write(&key, "rubbish").unwrap();
    let told = |log: String| log.matches("stays in use").count();
    server.wait_until("rubbish is told", || told(server.log()) == 2);
    server.get(&second, "/health/live").unwrap();
    assert!(!server.log().contains("PRIVATE KEY"));
    write(server.room.path(), &first);
    server.wait_until("the first one is back", || {
        server.get(&first, "/health/live").is_ok()
    });
}

#[test]
fn a_pair_that_does_not_fit_refuses_the_start_and_doctor_says_so() {
    let room = tempfile::tempdir().unwrap();
    let (first, second) = (pair(), pair());
    write(room.path(), &first);
    let (certificate, key) = files(room.path());
    fs::write(&key, second.key).unwrap();
    let arguments = arguments(room.path());
    let launch = arguments
        .iter()
        .fold(Launch::new(), |launch, argument| launch.arg(argument));
    let ended = launch.run_to_its_end(Duration::from_secs(10));
    assert_ne!(ended.code, Some(0));
    for name in [&certificate, &key] {
        assert!(
            ended.output.contains(&*name.display().to_string()),
            "{}",
            ended.output
        );
    }
    let doctor = || {
        let output = Command::new(setting::binary())
            .arg("doctor")
            .arg("--data-dir")
            .arg(room.path().join("data"))
            .args(&arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let says = doctor();
    assert!(says.contains("BAD   certificate: "), "{says}");
    fs::write(&key, first.key).unwrap();
    let says = doctor();
    assert!(says.contains("ok    certificate: "), "{says}");
}

#[test]
fn plain_http_beyond_loopback_is_refused_with_both_remedies() {
    let ended = Launch::new()
        .configured_by_env()
        .arg("--listen")
        .arg("0.0.0.0:0")
        .run_to_its_end(Duration::from_secs(10));
    assert_ne!(ended.code, Some(0));
    for remedy in ["--tls-certificate", "--tls-terminated-by-proxy"] {
        assert!(ended.output.contains(remedy), "{}", ended.output);
    }
}
