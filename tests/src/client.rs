use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use ureq::http::Request;

use crate::elsewhere;
use crate::reply::Reply;

/// An HTTP client of one server, on connections that it keeps alive. It follows no redirect, and
/// any status is an answer.
///
/// Carriers *add* a header: `client.x_api_key(a).bearer(b)` sends both, as an attacker might.
/// No `Debug`: it holds credentials.
#[derive(Clone)]
pub struct Client {
    port: u16,
    source: Option<Ipv4Addr>,
    agent: ureq::Agent,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client without credentials for the server on this loopback port.
    pub fn new(port: u16) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .new_agent();
        Self {
            port,
            source: None,
            agent,
            headers: Vec::new(),
        }
    }

    /// This client at another address of this machine, in 127.0.0.0/8; the server is where it was.
    #[must_use]
    pub fn at(&self, source: [u8; 4]) -> Self {
        let mut client = self.clone();
        client.source = Some(source.into());
        client
    }

    /// The origin that a browser names in the forms of this server's pages.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// This client with one more header on every request.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.into(), value.into()));
        client
    }

    /// With `Authorization: Basic user:password`.
    #[must_use]
    pub fn basic(&self, user: &str, password: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {pair}"))
    }

    /// With `X-Api-Key: key`.
    #[must_use]
    pub fn x_api_key(&self, key: &str) -> Self {
        self.header("X-Api-Key", key)
    }

    /// With `Authorization: token key`.
    #[must_use]
    pub fn token(&self, key: &str) -> Self {
        self.header("Authorization", &format!("token {key}"))
    }

    /// With `Authorization: Bearer key`.
    #[must_use]
    pub fn bearer(&self, key: &str) -> Self {
        self.header("Authorization", &format!("Bearer {key}"))
    }

    /// Sends a request; an error means that no whole answer came, so that nobody knows its outcome.
    ///
    /// # Errors
    /// The connection's, such as a server that was killed while it worked.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ureq::Error> {
        match body {
            None if self.source.is_some() => self.send_bytes(method, path, "", b""),
            Some(body) => self.send_bytes(
                method,
                path,
                "application/json",
                body.to_string().as_bytes(),
            ),
            None => self.run(
                method,
                path,
                self.request(method, path)
                    .body(())
                    .expect("a valid request"),
            ),
        }
    }

    /// Sends a body of any kind.
    ///
    /// # Errors
    /// See [`Client::try_send`].
    pub fn send_bytes(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        if let Some(source) = self.source {
            let mut headers = self.headers.clone();
            if !media_type.is_empty() {
                headers.push(("Content-Type".into(), media_type.into()));
            }
            let request = format!("{method} {path}");
            return Ok(elsewhere::send(
                source, self.port, &request, &headers, body,
            )?);
        }
        let request = self
            .request(method, path)
            .header("Content-Type", media_type)
            .body(body);
        self.run(method, path, request.expect("a valid request"))
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port));
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    fn run(
        &self,
        method: &str,
        path: &str,
        request: Request<impl ureq::AsSendBody>,
    ) -> Result<Reply, ureq::Error> {
        let request = self
            .agent
            .configure_request(request)
            .allow_non_standard_methods(true)
            .build();
        let mut response = self.agent.run(request)?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec()?;
        Ok(Reply::new(
            format!("{method} {path}"),
            status,
            headers,
            body,
        ))
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_send(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"))
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    /// OPTIONS.
    #[track_caller]
    pub fn options(&self, path: &str) -> Reply {
        self.send("OPTIONS", path, None)
    }

    /// POST of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(body))
    }

    /// POST of a form, as a page does.
    #[track_caller]
    pub fn post_form(&self, path: &str, fields: &[(String, String)]) -> Reply {
        let encoded: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
            .collect();
        self.send_bytes(
            "POST",
            path,
            "application/x-www-form-urlencoded",
            encoded.join("&").as_bytes(),
        )
        .unwrap_or_else(|error| panic!("POST {path}: no answer: {error}"))
    }

    /// PUT of JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, Some(body))
    }

    /// PATCH of JSON.
    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send("PATCH", path, Some(body))
    }

    /// DELETE without a body.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None)
    }

    /// Any method, with a body or without.
    #[track_caller]
    pub fn any(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.send(method, path, body)
    }
}

/// Percent-encoding of all but the unreserved characters (RFC 3986 §2.3).
fn percent(text: &str) -> String {
    let encoded = text.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    encoded.collect()
}
