//! A witness (C2SP tlog-witness) that somebody else runs, written after the specifications and with no code of
//! the product: it knows a log by its key, remembers what it cosigned last, and proves what it is told.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::rng::Rng;

type Hash = [u8; 32];

/// What a request was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The status code.
    pub status: u16,
    /// The size that the proof began at.
    pub old: u64,
    /// The size of the checkpoint.
    pub size: u64,
}

/// A witness on a loopback port, until the test process ends.
#[derive(Clone)]
pub struct Witness {
    port: u16,
    mind: Arc<Mutex<Mind>>,
}

struct Mind {
    pair: Ed25519KeyPair,
    /// Name and public key of the log that it knows.
    log: Option<(String, Vec<u8>)>,
    /// What it cosigned last.
    last: Option<(u64, Hash)>,
    told: Vec<Told>,
}

const NAME: &str = "witness.test";

impl Witness {
    /// One that knows no log yet, and answers 404.
    pub fn start() -> Self {
        let mut seed = [0; 32];
        let mut rng = Rng::seeded(u64::from(std::process::id()));
        seed.fill_with(|| u8::try_from(rng.below(256)).expect("below 256"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let witness = Self {
            port: listener.local_addr().expect("its address").port(),
            mind: Arc::new(Mutex::new(Mind {
                pair: Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed"),
                log: None,
                last: None,
                told: Vec::new(),
            })),
        };
        let mind = Arc::clone(&witness.mind);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever goes away in the middle is none of its concern.
                let _ = serve(stream, &mind);
            }
        });
        witness
    }

    /// The setting that names it: address, plus sign, key.
    pub fn setting(&self) -> String {
        let mind = self.mind.lock().expect("whole");
        let key = [&[4][..], mind.pair.public_key().as_ref()].concat();
        let id = key_id(NAME, &key)
            .map(|byte| format!("{byte:02x}"))
            .concat();
        let port = self.port;
        format!(
            "http://127.0.0.1:{port}+{NAME}+{id}+{}",
            STANDARD.encode(key)
        )
    }

    /// Makes it know a log by the key that the log gives out.
    pub fn know(&self, verifier_key: &str) {
        let mut parts = verifier_key.splitn(3, '+');
        let (name, key) = (parts.next().expect("a name"), parts.nth(1).expect("a key"));
        let key = STANDARD.decode(key).expect("base64");
        self.mind.lock().expect("whole").log = Some((name.to_owned(), key[1..].to_vec()));
    }

    /// All that it answered until now.
    pub fn told(&self) -> Vec<Told> {
        self.mind.lock().expect("whole").told.clone()
    }

    /// The size of what it cosigned last.
    pub fn size(&self) -> Option<u64> {
        self.mind.lock().expect("whole").last.map(|last| last.0)
    }

    /// Whether a checkpoint has a cosignature of it that holds.
    pub fn has_cosigned(&self, checkpoint: &str) -> bool {
        let (text, lines) = checkpoint.split_once("\n\n").expect("a note");
        let start = format!("\u{2014} {NAME} ");
        let Some(blob) = lines.lines().find_map(|line| line.strip_prefix(&start)) else {
            return false;
        };
        let blob = STANDARD.decode(blob).expect("base64");
        let seconds = u64::from_be_bytes(blob[4..12].try_into().expect("eight bytes"));
        let message = format!("cosignature/v1\ntime {seconds}\n{text}\n");
        let mind = self.mind.lock().expect("whole");
        let key = UnparsedPublicKey::new(&ED25519, mind.pair.public_key().as_ref().to_vec());
        key.verify(message.as_bytes(), &blob[12..]).is_ok()
    }
}

impl Mind {
    fn answer(&mut self, request: &str) -> Option<(u16, String)> {
        let (head, checkpoint) = request.split_once("\n\n")?;
        let mut head = head.lines();
        let old: u64 = head.next()?.strip_prefix("old ")?.parse().ok()?;
        let proof: Vec<Hash> = head.map(hash).collect::<Option<_>>()?;
        let (text, signatures) = checkpoint.split_once("\n\n")?;
        let mut lines = text.lines();
        let origin = lines.next()?;
        let size: u64 = lines.next()?.parse().ok()?;
        let root = hash(lines.next()?)?;
        let text = format!("{text}\n");
        let (status, body) = self.judge(origin, &text, signatures, (old, size, root), &proof);
        self.told.push(Told { status, old, size });
        Some((status, body))
    }

    fn judge(
        &mut self,
        origin: &str,
        text: &str,
        signatures: &str,
        (old, size, root): (u64, u64, Hash),
        proof: &[Hash],
    ) -> (u16, String) {
        let Some((_, key)) = self.log.as_ref().filter(|(name, _)| name == origin) else {
            return (404, "unknown log\n".to_owned());
        };
        let start = format!("\u{2014} {origin} ");
        let is_signed = signatures.lines().any(|line| {
            let blob = line.strip_prefix(&start);
            let blob = blob.and_then(|blob| STANDARD.decode(blob).ok());
            let key = UnparsedPublicKey::new(&ED25519, key);
            blob.is_some_and(|blob| key.verify(text.as_bytes(), &blob[4..]).is_ok())
        });
        if !is_signed {
            return (403, "not signed by the log\n".to_owned());
        }
        if old > size {
            return (400, "old is larger\n".to_owned());
        }
        let (known, known_root) = self.last.unwrap_or((0, hash_of(b"")));
        if old != known || (old == size && root != known_root) {
            return (409, format!("{known}\n"));
        }
        if !extends(known, known_root, size, root, proof) {
            return (422, "the proof does not hold\n".to_owned());
        }
        self.last = Some((size, root));
        (200, self.cosign(text))
    }

    #[expect(clippy::disallowed_methods, reason = "a witness tells its own time")]
    fn cosign(&self, text: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.expect("after 1970").as_secs();
        let signed = self
            .pair
            .sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes());
        let key = [&[4][..], self.pair.public_key().as_ref()].concat();
        let blob = [
            &key_id(NAME, &key)[..],
            &seconds.to_be_bytes(),
            signed.as_ref(),
        ]
        .concat();
        let mut line = String::new();
        writeln!(line, "\u{2014} {NAME} {}", STANDARD.encode(blob)).expect("into a string");
        line
    }
}

/// Whether one tree extends another (RFC 6962 §2.1.2), by taking the proof apart as it was made.
fn extends(old: u64, old_root: Hash, size: u64, root: Hash, proof: &[Hash]) -> bool {
    if old == 0 || old == size {
        return proof.is_empty() && (old == 0 || old_root == root);
    }
    let mut rest = proof.to_vec();
    roots(old, size, true, old_root, &mut rest)
        .is_some_and(|found| found == (old_root, root) && rest.is_empty())
}

/// The roots of the first `old` and of all `size` leaves of a subtree; the proof is used up from its end.
fn roots(
    old: u64,
    size: u64,
    is_known: bool,
    known: Hash,
    proof: &mut Vec<Hash>,
) -> Option<(Hash, Hash)> {
    if old == size {
        let hash = if is_known { known } else { proof.pop()? };
        return Some((hash, hash));
    }
    let left_size = 1 << (size - 1).ilog2();
    let sibling = proof.pop()?;
    if old <= left_size {
        let (before, now) = roots(old, left_size, is_known, known, proof)?;
        Some((before, node(&now, &sibling)))
    } else {
        let (before, now) = roots(old - left_size, size - left_size, false, known, proof)?;
        Some((node(&sibling, &before), node(&sibling, &now)))
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    hash_of(&[&[1], &left[..], right].concat())
}

fn hash_of(bytes: &[u8]) -> Hash {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().try_into().expect("32 bytes")
}

fn hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}

fn key_id(name: &str, key: &[u8]) -> [u8; 4] {
    let hash = hash_of(&[name.as_bytes(), b"\n", key].concat());
    [hash[0], hash[1], hash[2], hash[3]]
}

fn serve(stream: TcpStream, mind: &Mutex<Mind>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    let is_right = line.starts_with("POST /add-checkpoint HTTP/1.1");
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = String::from_utf8_lossy(&body);
    let answer = mind.lock().expect("whole").answer(&request);
    let (status, text) = answer
        .filter(|_| is_right)
        .unwrap_or((400, "not understood\n".to_owned()));
    let length = text.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} Told\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )
}
