//! A server that runs somewhere, asked over HTTP with a key.
//!
//! The key goes to the address that was named and nowhere else: no redirect is followed, and plain
//! HTTP is spoken with this machine only.

mod server_sent;

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use ureq::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};
use zeroize::Zeroizing;

pub(crate) use self::server_sent::ServerSent;
use self::server_sent::ServerSentEvents;
use crate::escape::visible;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a stream may be quiet: ours says something every 15 s.
const QUIET_TIMEOUT: Duration = Duration::from_secs(45);
/// The longest answer that is read: a page of a thousand long events is some megabytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The longest refusal that is read.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;
/// How many characters of a refusal's words are shown.
const DETAIL_CHARS: usize = 300;
/// How often somebody who was asked to come again later does so.
const TRIES_LATER: u32 = 5;
/// The longest wait before the next try, in seconds.
const WAIT_SECONDS_MAX: u64 = 60;
/// How a stream of events is called.
const EVENT_STREAM: &str = "text/event-stream";
/// The longest key that is read, in bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// A key that may read, on its way from a file or the environment into a header.
pub(crate) struct Key(Zeroizing<String>);

/// Why there is no key to ask with.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// None was given.
    #[error(
        "a server wants a key: set KEYLEDGER_API_KEY, or name a file that holds it with --key-file"
    )]
    Missing,
    /// The file cannot be read.
    #[error("the key cannot be read from {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read the file.
    #[error(
        "{} can be read by others (mode {mode:03o}); run `chmod 600 {}`, and think about a new key",
        path.display(),
        path.display()
    )]
    ReadableByOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be a key, and is not shown.
    #[error("what was given as a key is not one line of visible ASCII characters")]
    NotAKey,
}

impl Key {
    /// A key that somebody gave.
    ///
    /// # Errors
    /// If it can be none.
    pub(crate) fn given(text: Zeroizing<String>) -> Result<Self, KeyError> {
        let key = text.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::NotAKey);
        }
        Ok(Self(Zeroizing::new(key.to_owned())))
    }

    /// The key that a file holds.
    ///
    /// # Errors
    /// If it cannot be read, if others may read it too, or if it is no key.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::ReadableByOthers {
                path: path.to_owned(),
                mode,
            });
        }
        // Reserved in one piece: growing would leave copies of the secret in freed memory.
        let room = usize::try_from(KEY_BYTES_MAX).unwrap_or_default() + 1;
        let mut text = Zeroizing::new(String::with_capacity(room));
        let read = file.take(KEY_BYTES_MAX).read_to_string(&mut text);
        if let Err(error) = read {
            return Err(if error.kind() == io::ErrorKind::InvalidData {
                KeyError::NotAKey
            } else {
                io(error)
            });
        }
        Self::given(text)
    }
}

/// Why an address is not one to ask at.
#[derive(Debug, Error)]
pub(crate) enum AddressError {
    /// It is no such address. It is not shown: somebody may have put a password into it.
    #[error("--url must be https://HOST[:PORT], without a user, a `?` or a `#`")]
    Malformed,
    /// It would send the key in the clear.
    #[error("a key is not sent over plain HTTP, except to this machine; use an https:// address")]
    Plain,
}

/// Why nothing can be trusted.
#[derive(Debug, Error)]
pub(crate) enum TrustError {
    /// The file cannot be read.
    #[error("the certificates of --ca-file cannot be read from {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has none.
    #[error("{} holds no certificate in PEM", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// This machine trusts nobody.
    #[error(
        "this machine has no list of certificate authorities; name a file of them with --ca-file"
    )]
    NoAuthorities,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    /// No whole answer came.
    #[error("no answer from {base}")]
    Unreachable {
        /// Where.
        base: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// It wants no such key.
    #[error(
        "{base} does not take the key (401: {detail}); look at KEYLEDGER_API_KEY or --key-file"
    )]
    Unauthenticated {
        /// Where.
        base: String,
        /// Its words.
        detail: String,
    },
    /// It refuses.
    #[error("{base} answers {status}: {detail}")]
    Refused {
        /// Where.
        base: String,
        /// The status code.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// It, or something in front of it, has no stream to follow.
    #[error("{base} has no stream of events")]
    NoStream {
        /// Where.
        base: String,
    },
    /// The answer is not of the form that was expected.
    #[error("{base} answers something else than a Keyledger server")]
    Foreign {
        /// Where.
        base: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl AskError {
    /// Whether the next try may find the server well again.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Unauthenticated { .. } | Self::NoStream { .. } | Self::Foreign { .. } => false,
        }
    }
}

/// A server and the key that it is asked with.
pub(crate) struct Remote {
    agent: Agent,
    base: String,
    key: Key,
}

impl Remote {
    /// The server at this address. Nothing is asked yet.
    ///
    /// # Errors
    /// If the address is none to ask at.
    pub(crate) fn at(
        url: &str,
        ca_file: Option<&Path>,
        key: Key,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let address = Address::parse(url)?;
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT));
        let builder = if address.is_encrypted {
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::from(authorities(ca_file)?.into_iter()))
                .unversioned_rustls_crypto_provider(Arc::new(
                    rustls::crypto::ring::default_provider(),
                ));
            builder.tls_config(tls.build())
        } else {
            // A proxy would be told the key.
            builder.proxy(None)
        };
        Ok(Self {
            agent: builder.build().new_agent(),
            base: address.base,
            key,
        })
    }

    /// Asks for what is at a path of the API.
    ///
    /// # Errors
    /// If no answer comes, or another than was asked for. Whoever is asked to come again later does,
    /// some times.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, AskError> {
        let mut tries = 0;
        loop {
            let mut response = self.send(path, query)?;
            let status = response.status().as_u16();
            if response.status().is_success() {
                return self.read(&mut response);
            }
            if !matches!(status, 429 | 503) || tries == TRIES_LATER {
                return Err(self.refused(status, &mut response));
            }
            let seconds = retry_after(&response).unwrap_or(1 << tries);
            tracing::warn!(seconds, status, "the server asks to come again later");
            std::thread::sleep(Duration::from_secs(seconds.min(WAIT_SECONDS_MAX)));
            tries += 1;
        }
    }

    /// Asks for what is at a path, whatever its length and form, and gives it as it comes.
    ///
    /// # Errors
    /// If no answer comes, or a refusal.
    pub(crate) fn download(&self, path: &str) -> Result<impl Read + use<>, AskError> {
        let request = self.request(path, &[], "*/*")?;
        let request = request
            .config()
            .timeout_global(None)
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(QUIET_TIMEOUT))
            .build();
        let mut response = request.call().map_err(|error| self.unreachable(error))?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        Err(self.refused(status, &mut response))
    }

    /// Takes what is sent, as it is sent, until the server ends it.
    ///
    /// # Errors
    /// If there is no stream, if it breaks off, or whatever keeps `take` from taking.
    pub(crate) fn follow(
        &self,
        path: &str,
        query: &[(&str, String)],
        take: &mut dyn FnMut(ServerSent) -> Result<(), Box<dyn StdError>>,
    ) -> Result<(), Box<dyn StdError>> {
        let request = self.request(path, query, EVENT_STREAM)?;
        let request = request
            .config()
            .timeout_global(None)
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(QUIET_TIMEOUT))
            .build();
        let mut response = request.call().map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(self.refused(status, &mut response).into());
        }
        let media_type = response.headers().get(CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(|it| it.starts_with(EVENT_STREAM)) {
            let base = self.base.clone();
            return Err(AskError::NoStream { base }.into());
        }
        let reader = BufReader::new(response.into_body().into_reader());
        let mut events = ServerSentEvents::of(reader);
        while let Some(event) = events.next().map_err(|error| self.unreachable(error))? {
            take(event)?;
        }
        Ok(())
    }

    fn send(&self, path: &str, query: &[(&str, String)]) -> Result<Response<Body>, AskError> {
        let request = self.request(path, query, "application/json")?;
        request.call().map_err(|error| self.unreachable(error))
    }

    fn request(
        &self,
        path: &str,
        query: &[(&str, String)],
        accept: &str,
    ) -> Result<RequestBuilder<WithoutBody>, AskError> {
        // Of visible ASCII, which every header takes.
        let key = HeaderValue::from_str(&self.key.0);
        let mut key = key.map_err(|error| self.unreachable(ureq::http::Error::from(error)))?;
        key.set_sensitive(true);
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = query
            .iter()
            .fold(request, |request, (name, value)| request.query(name, value));
        Ok(request
            .header("X-Api-Key", key)
            .header(ACCEPT, accept)
            .header(USER_AGENT, concat!("keyledger/", env!("CARGO_PKG_VERSION"))))
    }

    fn read<T: DeserializeOwned>(&self, response: &mut Response<Body>) -> Result<T, AskError> {
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let bytes = body
            .read_to_vec()
            .map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.foreign(error))
    }

    /// What it sent is not what a server of ours sends.
    pub(crate) fn foreign(&self, source: serde_json::Error) -> AskError {
        AskError::Foreign {
            base: self.base.clone(),
            source,
        }
    }

    fn unreachable(&self, error: impl Into<ureq::Error>) -> AskError {
        AskError::Unreachable {
            base: self.base.clone(),
            source: Box::new(error.into()),
        }
    }

    /// What a refusal says, made harmless: it may come from something between us and the server.
    fn refused(&self, status: u16, response: &mut Response<Body>) -> AskError {
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
        }
        let body = response.body_mut().with_config().limit(REFUSAL_BYTES_MAX);
        let bytes = body.read_to_vec().unwrap_or_default();
        let problem: Option<Problem> = serde_json::from_slice(&bytes).ok();
        let detail = problem
            .map(|problem| problem.detail)
            .filter(|detail| !detail.contains(self.key.0.as_str()))
            .unwrap_or_else(|| "it says nothing of use".to_owned());
        let detail = visible(&detail.chars().take(DETAIL_CHARS).collect::<String>());
        let base = self.base.clone();
        match status {
            401 => AskError::Unauthenticated { base, detail },
            300..=399 => AskError::Refused {
                base,
                status,
                detail: "it has moved elsewhere; name the address where it is".to_owned(),
            },
            _ => AskError::Refused {
                base,
                status,
                detail,
            },
        }
    }
}

/// How many seconds the server asks for.
fn retry_after(response: &Response<Body>) -> Option<u64> {
    let value = response.headers().get(RETRY_AFTER)?;
    value.to_str().ok()?.parse().ok()
}

/// Who vouches for servers: those in the file, or whom this machine trusts.
fn authorities(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, TrustError> {
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|source| TrustError::Io {
            path: path.to_owned(),
            source,
        })?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                Ok(_) | Err(_) => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(TrustError::Empty {
                path: path.to_owned(),
            });
        }
        return Ok(certificates);
    }
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return Err(TrustError::NoAuthorities);
    }
    Ok(found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect())
}

/// Where a server is.
struct Address {
    /// Scheme, host, port and the path in front of ours, without a `/` at the end.
    base: String,
    is_encrypted: bool,
}

impl Address {
    fn parse(url: &str) -> Result<Self, AddressError> {
        let uri: Uri = url.parse().map_err(|_| AddressError::Malformed)?;
        let authority = uri.authority().ok_or(AddressError::Malformed)?;
        let is_plain_text = url.chars().all(|c| c.is_ascii_graphic());
        if !is_plain_text || authority.as_str().contains('@') || url.contains(['?', '#']) {
            return Err(AddressError::Malformed);
        }
        let is_encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(AddressError::Malformed),
        };
        if !is_encrypted && !is_loopback(authority.host()) {
            return Err(AddressError::Plain);
        }
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            is_encrypted,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || number
            .parse::<Ipv4Addr>()
            .map(IpAddr::V4)
            .is_ok_and(|ip| ip.is_loopback())
        || number
            .parse::<Ipv6Addr>()
            .map(IpAddr::V6)
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;
    use std::thread::JoinHandle;

    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    #[test]
    fn a_key_goes_in_the_clear_to_this_machine_only() {
        for good in [
            "https://keys.example.com",
            "https://keys.example.com:8443/behind/",
            "http://127.0.0.1:8080",
            "http://127.4.4.4",
            "http://[::1]:8080/",
            "http://localhost:8080",
        ] {
            let address = Address::parse(good);
            assert!(address.is_ok_and(|it| good.starts_with(&it.base)), "{good}");
        }
        for plain in [
            "http://keys.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
        ] {
            assert!(
                matches!(Address::parse(plain), Err(AddressError::Plain)),
                "{plain}"
            );
        }
        for malformed in [
            "keys.example.com",
            "ftp://keys.example.com",
            "https://me:word@keys.example.com",
            "https://keys.example.com?a=b",
            "https://keys.example.com/#a",
            "https://",
            "",
        ] {
            assert!(
                matches!(Address::parse(malformed), Err(AddressError::Malformed)),
                "{malformed}"
            );
        }
    }

    /// Answers one connection over TLS; the head that it was sent, if anybody got that far.
    fn secured(
        certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    ) -> (u16, JoinHandle<Option<String>>) {
        let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).ok()?;
                head.push(byte[0]);
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n7")
                .unwrap();
            String::from_utf8(head).ok()
        });
        (port, server)
    }

    #[test]
    fn a_key_goes_to_a_server_that_somebody_trusted_vouches_for() {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let trusted = folder.path().join("ca.pem");
        std::fs::write(&trusted, certificate.cert.pem()).unwrap();
        let other = folder.path().join("other.pem");
        let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&other, stranger.cert.pem()).unwrap();
        for (ca_file, is_trusted) in [(&trusted, true), (&other, false)] {
            let (port, server) = secured(&certificate);
            let key = Key::given(Zeroizing::new("sk_live_word".to_owned())).unwrap();
            let url = format!("https://localhost:{port}");
            let remote = Remote::at(&url, Some(ca_file), key).unwrap();
            let answer = remote.get::<u8>("/v1/events", &[("type", "a&b".to_owned())]);
            let head = server.join().unwrap();
            assert_eq!(answer.is_ok_and(|answer| answer == 7), is_trusted);
            assert_eq!(head.is_some(), is_trusted, "nothing is told to a stranger");
            if let Some(head) = head {
                assert!(
                    head.starts_with("GET /v1/events?type=a%26b HTTP/1.1\r\n"),
                    "{head}"
                );
                assert!(head.to_lowercase().contains("x-api-key: sk_live_word\r\n"));
            }
        }
        let empty = Remote::at(
            "https://localhost",
            Some(&folder.path().join("none.pem")),
            Key::given(Zeroizing::new("k".to_owned())).unwrap(),
        );
        assert!(empty.is_err(), "no list of whom to trust");
    }

    #[test]
    fn a_key_file_is_its_owners_alone_and_holds_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("sk_live_word\n", 0o600);
        assert!(Key::read(&path).is_ok_and(|key| key.0.as_str() == "sk_live_word"));
        for mode in [0o640, 0o604, 0o660] {
            write("sk_live_word\n", mode);
            let refused = Key::read(&path).err();
            assert!(
                matches!(refused, Some(KeyError::ReadableByOthers { mode: its, .. }) if its == mode)
            );
        }
        for text in ["", "two words", "two\nlines", "caf\u{e9}", "esc\u{1b}"] {
            write(text, 0o600);
            let refused = Key::read(&path).err();
            assert!(matches!(refused, Some(KeyError::NotAKey)), "{text:?}");
        }
    }
}
