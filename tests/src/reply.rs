use std::fmt;

use serde_json::Value;

use crate::redact::redact;

/// `detail` of a credential that authenticates nobody.
pub const INVALID_TOKEN: &str = "Invalid token.";
/// `detail` of a Basic pair, or an email and password, that belongs to nobody.
pub const INVALID_PASSWORD: &str = "Invalid username/password.";
/// `detail` where a credential is needed and none was sent.
pub const NOT_PROVIDED: &str = "Authentication credentials were not provided.";

/// An answer. Its `Debug` and its panics cut short whatever could be a secret.
pub struct Reply {
    request: String,
    status: u16,
    headers: Vec<(String, String)>,
    bytes: Vec<u8>,
    /// The bytes as text, as far as they are.
    body: String,
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "an assertion is often the last thing that is wanted of an answer"
)]
impl Reply {
    pub(crate) fn new(
        request: String,
        status: u16,
        headers: Vec<(String, String)>,
        bytes: Vec<u8>,
    ) -> Self {
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Self {
            request,
            status,
            headers,
            bytes,
            body,
        }
    }

    /// The body as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    /// All headers of this name, in whatever case.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let same = self
            .headers
            .iter()
            .filter(|(its, _)| its.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The names of all headers, sorted, for comparing two refusals.
    pub fn header_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort();
        names
    }

    /// The body as it came.
    pub fn text(&self) -> &str {
        &self.body
    }

    /// Whether the body holds this text.
    pub fn contains(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in {self:?}"))
    }

    /// A member of the JSON object, `null` when it is not there.
    #[track_caller]
    pub fn member(&self, name: &str) -> Value {
        self.json().get(name).cloned().unwrap_or_default()
    }

    /// A member that must be a text with something in it.
    #[track_caller]
    pub fn string(&self, name: &str) -> String {
        match self.member(name) {
            Value::String(text) if !text.is_empty() => text,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                panic!("no text in `{name}` of {self:?}")
            }
        }
    }

    /// Asserts the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts that the status is one of these.
    #[track_caller]
    pub fn expect_one_of(self, statuses: &[u16]) -> Self {
        assert!(
            statuses.contains(&self.status),
            "not one of {statuses:?}: {self:?}"
        );
        self
    }

    /// Asserts a 401 as every 401 must be: `detail` word for word, a challenge (RFC 9110 §15.5.2), JSON, and
    /// nothing that a cache may keep.
    #[track_caller]
    pub fn expect_401(self, detail: &str) -> Self {
        assert_eq!(self.status, 401, "{self:?}");
        assert_eq!(self.string("detail"), detail, "{self:?}");
        assert!(
            self.header("WWW-Authenticate").is_some(),
            "a 401 names a challenge: {self:?}"
        );
        assert!(
            self.header("Content-Type")
                .is_some_and(|media| media.contains("json")),
            "{self:?}"
        );
        assert!(
            self.header("Cache-Control")
                .is_some_and(|rule| rule.contains("no-store")),
            "{self:?}"
        );
        self
    }

    /// Asserts a 403 that names the scope that was missing (RFC 6750 §3.1).
    #[track_caller]
    pub fn expect_missing_scope(self, scope: &str) -> Self {
        assert_eq!(self.status, 403, "{self:?}");
        assert!(
            self.contains(scope),
            "a 403 names the missing scope {scope}: {self:?}"
        );
        self
    }

    /// Asserts a 422 whose `fields` has this one.
    #[track_caller]
    pub fn expect_field(self, field: &str) -> Self {
        assert_eq!(self.status, 422, "{self:?}");
        assert!(
            self.member("fields").get(field).is_some(),
            "`fields` names {field}: {self:?}"
        );
        self
    }

    /// What two refusals must have in common: all of the answer that does not name the request.
    #[track_caller]
    pub fn likeness(&self) -> (u16, Value, Vec<String>) {
        let mut body = self.json();
        if let Some(members) = body.as_object_mut() {
            for volatile in ["decision", "request_id", "instance"] {
                members.remove(volatile);
            }
        }
        (self.status, body, self.header_names())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = redact(&self.body).chars().take(600).collect();
        write!(f, "{} -> {} {}", redact(&self.request), self.status, body)
    }
}
