//! Request bodies: read whole within a limit, as JSON and nothing else, and checked field by field.

use core::convert::Infallible;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::str::FromStr;
use core::task::{self, Context, Poll, Waker};
use std::collections::BTreeMap;

use actix_web::error::QueryPayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_core::Stream;
use keyledger_domain::credential::is_within;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;

use crate::in_time::TimeLeft;
use crate::passwords::Password;
use crate::problem::Problem;

/// The largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

const REQUIRED: &str = "this field is required";

/// A JSON body, or what is wrong with it. An empty one counts as `{}`, so that a POST without
/// settings needs none.
///
/// It is never refused here but by the handler, with `let body = body?;` once it has asked what the
/// caller may do: the framework reads all arguments of a handler at once, and a stranger with a bad
/// body must be told that they are a stranger, and a caller without the right that they lack it.
pub struct Json<T>(pub Result<T, Problem>);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = Infallible;
    type Future = ReadJson<T>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ReadJson(Text::from_request(request, payload), PhantomData)
    }
}

/// Reads a [`Json`].
pub struct ReadJson<T>(ReadText, PhantomData<fn() -> T>);

impl<T: DeserializeOwned> Future for ReadJson<T> {
    type Output = Result<Json<T>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let text = task::ready!(self.0.poll_text(context));
        Poll::Ready(Ok(Json(text.parse())))
    }
}

/// A JSON body as it came, for a handler that reads it without copying.
pub struct Text(Result<Bytes, Problem>);

impl Text {
    /// Parses it. An empty one counts as `{}`.
    ///
    /// # Errors
    /// 400, 413, 415 or 422, whichever it is.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        match &self.0 {
            Ok(bytes) if bytes.is_empty() => parse(b"{}"),
            Ok(bytes) => parse(bytes),
            Err(problem) => Err(problem.clone()),
        }
    }
}

impl Text {
    /// What `look` sees in it, if anything: for the few bodies that are worth a reader of their own.
    pub(crate) fn glance<'a, T>(&'a self, look: impl FnOnce(&'a [u8]) -> Option<T>) -> Option<T> {
        self.0.as_ref().ok().and_then(|bytes| look(bytes))
    }
}

impl FromRequest for Text {
    type Error = Infallible;
    type Future = ReadText;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ReadText {
            media_type: check_media_type(request),
            body: read(request, payload),
        }
    }
}

/// Reads a [`Text`].
pub struct ReadText {
    media_type: Result<(), Problem>,
    body: ReadBody,
}

impl ReadText {
    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Text> {
        let bytes = task::ready!(Pin::new(&mut self.body).poll(context));
        let refused = core::mem::replace(&mut self.media_type, Ok(()));
        Poll::Ready(Text(bytes.and_then(|bytes| {
            if bytes.is_empty() {
                return Ok(bytes);
            }
            refused.map(|()| bytes)
        })))
    }
}

impl Future for ReadText {
    type Output = Result<Text, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_text(context).map(Ok)
    }
}

/// Reads the body up to [`BODY_BYTES_MAX`].
pub(crate) fn read(request: &HttpRequest, payload: &mut Payload) -> ReadBody {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    ReadBody {
        payload: payload.take(),
        so_far: SoFar::Nothing,
        time_left: TimeLeft::default(),
        is_too_large: announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64),
    }
}

/// Reads a body. The framework's own reader copies every body into a buffer of 8 KiB; nearly all
/// bodies are shorter than a packet, come with the head, and need not be copied at all.
pub struct ReadBody {
    payload: Payload,
    so_far: SoFar,
    time_left: TimeLeft,
    is_too_large: bool,
}

/// What has come of a body.
enum SoFar {
    Nothing,
    One(Bytes),
    Several(BytesMut),
}

impl SoFar {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Several(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, chunk: Bytes) {
        match self {
            Self::Nothing => *self = Self::One(chunk),
            Self::One(first) => {
                let mut bytes = BytesMut::with_capacity(first.len() + chunk.len());
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(&chunk);
                *self = Self::Several(bytes);
            }
            Self::Several(bytes) => bytes.extend_from_slice(&chunk),
        }
    }

    fn whole(&mut self) -> Bytes {
        match core::mem::replace(self, Self::Nothing) {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Several(bytes) => bytes.freeze(),
        }
    }
}

impl Future for ReadBody {
    type Output = Result<Bytes, Problem>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if this.is_too_large {
                return Poll::Ready(Err(body_too_large()));
            }
            let payload = Pin::new(&mut this.payload);
            let next = if this.time_left.is_unasked() {
                payload.poll_next(&mut Context::from_waker(Waker::noop()))
            } else {
                payload.poll_next(context)
            };
            let Poll::Ready(next) = next else {
                let late = this.time_left.poll_late(context);
                return late.map(|late| Err(late.into()));
            };
            match next {
                None => return Poll::Ready(Ok(this.so_far.whole())),
                Some(Ok(chunk)) => {
                    this.is_too_large = this.so_far.len() + chunk.len() > BODY_BYTES_MAX;
                    if !this.is_too_large {
                        this.so_far.push(chunk);
                    }
                }
                Some(Err(_)) => {
                    let problem = Problem::unreadable("The body could not be read to its end.");
                    return Poll::Ready(Err(problem));
                }
            }
        }
    }
}

fn body_too_large() -> Problem {
    let words = format!("The body may have at most {BODY_BYTES_MAX} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words)
}

/// A JSON body must say that it is one, which a form in a page of somebody else's cannot.
pub(crate) fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let given = request.headers().get(CONTENT_TYPE);
    // What nearly everybody writes.
    if given.is_some_and(|value| value.as_bytes() == b"application/json") {
        return Ok(());
    }
    let essence = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Send the body as JSON, with the header Content-Type: application/json.",
    ))
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    // serde takes a list for an object too, its members by their order; nobody means that.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(Problem::field("body", "must be a JSON object"));
    }
    // Following the path costs time, and nearly every body is right.
    serde_json::from_slice(bytes).or_else(|_| parse_with_path(bytes))
}

/// Parses once more, to tell where it goes wrong.
fn parse_with_path<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let parsed = parsed.map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        match reason.classify() {
            serde_json::error::Category::Data => {
                let words = without_place(&reason);
                let path = without_strange_names(&path);
                let name = named_in(&words).map_or_else(
                    || path.clone(),
                    |name| {
                        // serde tells of a field that is missing at the level above it.
                        if path == "." {
                            name.to_owned()
                        } else if path.rsplit('.').next() == Some(name) {
                            path.clone()
                        } else {
                            format!("{path}.{name}")
                        }
                    },
                );
                let name = if name == "." { "body".to_owned() } else { name };
                Problem::field(name, words)
            }
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => {
                Problem::unreadable(format!("The body is not JSON: {}.", without_place(&reason)))
            }
        }
    })?;
    json.end()
        .map_err(|_| Problem::unreadable("The body has something behind its JSON."))?;
    Ok(parsed)
}

/// The field that serde misses or does not know.
fn named_in(words: &str) -> Option<&str> {
    let rest = words
        .strip_prefix("missing field `")
        .or_else(|| words.strip_prefix("unknown field `"))?;
    rest.split('`').next()
}

/// serde's words, without the line and column, and without the value: it may be a secret.
fn without_place(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    match (
        words.split_once(": string \""),
        words.split_once(", expected"),
    ) {
        (Some((kind, _)), Some((_, expected))) => format!("{kind}: string, expected{expected}"),
        _ => without_unknown_name(words),
    }
}

/// The longest name of a member that is said again; ours are shorter.
const MEMBER_NAME_CHARS: usize = 24;

/// Whether this could be meant as the name of a member, and is no secret that stands in its place.
fn is_member_name(text: &str) -> bool {
    text.len() <= MEMBER_NAME_CHARS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// serde's words on an unknown name, without that name if it is of another form than ours: people
/// paste keys into the wrong place, and an answer is logged by who asked.
fn without_unknown_name(words: &str) -> String {
    let unknown = |what: &str| {
        let rest = words.strip_prefix(what)?.strip_prefix(" `")?;
        // The names that were expected stand in quotes too, behind the unknown one.
        let (name, end) = match rest.rfind("`, expected") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        (!is_member_name(name)).then(|| format!("{what}{end}"))
    };
    ["unknown field", "unknown variant"]
        .into_iter()
        .find_map(unknown)
        .unwrap_or_else(|| words.to_owned())
}

/// The way to a field, up to the first name that is of another form than ours.
fn without_strange_names(path: &str) -> String {
    let known = |part: &&str| is_member_name(part.split('[').next().unwrap_or_default());
    let kept: Vec<&str> = path.split('.').take_while(known).collect();
    if kept.iter().all(|part| part.is_empty()) {
        return ".".to_owned();
    }
    kept.join(".")
}

/// A query that cannot be read.
pub(crate) fn unreadable_query(error: &QueryPayloadError) -> Problem {
    let words = error.to_string();
    let words = words
        .strip_prefix("Query deserialize error: ")
        .unwrap_or(&words);
    Problem::unreadable(format!(
        "The query is not right: {}.",
        without_unknown_name(words)
    ))
}

/// Collects what is wrong with the fields of a body, so that all of it is told at once.
#[derive(Default)]
pub struct Fields {
    wrong: BTreeMap<String, Vec<String>>,
}

impl Fields {
    /// Notes that a field is not right.
    pub fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        self.wrong
            .entry(name.to_owned())
            .or_default()
            .push(reason.into());
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr<Err: core::fmt::Display>,
    {
        if text.is_none() {
            self.refuse(name, REQUIRED);
        }
        self.optional(name, text)
    }

    /// A field that may be left out.
    pub fn optional<T>(&mut self, name: &str, text: Option<&str>) -> Option<T>
    where
        T: FromStr<Err: core::fmt::Display>,
    {
        let text = text?;
        // Names and descriptions are kept and shown; nobody means to publish a key.
        if is_within(text) {
            self.refuse(name, "may not contain a key or token");
            return None;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(name, reason.to_string());
                None
            }
        }
    }

    /// A field with one of a few words.
    pub fn word<T: FromStr>(&mut self, name: &str, text: Option<&str>, words: &str) -> Option<T> {
        let text = text?;
        if let Ok(value) = text.parse() {
            return Some(value);
        }
        self.refuse(name, format!("must be {words}"));
        None
    }

    /// A list in which each must be right.
    pub fn each<T>(&mut self, name: &str, texts: &[String]) -> Vec<T>
    where
        T: FromStr<Err: core::fmt::Display>,
    {
        let mut values = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            match text.parse::<T>() {
                Ok(value) => values.push(value),
                Err(reason) => self.refuse(&format!("{name}[{i}]"), reason.to_string()),
            }
        }
        values
    }

    /// What is read later, or is right or wrong whatever it looks like. It must be there.
    pub fn given<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.refuse(name, REQUIRED);
        }
        value
    }

    /// A password that somebody shows, right or wrong. It must be there.
    pub fn password(&mut self, name: &str, text: Option<String>) -> Option<Password> {
        self.given(name, text).map(Password::new)
    }

    /// A password that somebody chose. It must be there.
    pub fn new_password(&mut self, name: &str, text: Option<String>) -> Option<Password> {
        let password = self.password(name, text)?;
        match password.check_new() {
            Ok(()) => Some(password),
            Err(reason) => {
                self.refuse(name, reason);
                None
            }
        }
    }

    /// All is right so far.
    ///
    /// # Errors
    /// A 422 that names every field that is not.
    pub fn check(&mut self) -> Result<(), Problem> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(Problem::fields(core::mem::take(&mut self.wrong)))
    }

    /// The value of a required field, once [`Fields::check`] has passed.
    ///
    /// # Errors
    /// The same 422, should the field have been wrong.
    pub fn take<T>(&mut self, value: Option<T>) -> Result<T, Problem> {
        self.check()?;
        value.ok_or_else(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::task::Wake;

    use actix_http::h1;
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;
    use serde::Deserialize;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Goal: a body that comes in the turn of its head costs no second turn, and one that comes later
    /// wakes whoever waits for it.
    #[actix_web::test]
    async fn only_a_body_that_is_missed_twice_wakes_anybody() {
        let request = TestRequest::post().to_http_request();
        for misses in [1, 2, 3] {
            let (mut sender, payload) = h1::Payload::create(false);
            let mut reading = read(&request, &mut Payload::H1 { payload });
            let bell = Arc::new(Bell::default());
            let waker = Waker::from(Arc::clone(&bell));
            let mut context = Context::from_waker(&waker);
            for _ in 0..misses {
                assert!(Pin::new(&mut reading).poll(&mut context).is_pending());
            }
            sender.feed_data(Bytes::from_static(b"{}"));
            sender.feed_eof();
            let woken = bell.0.load(Ordering::Relaxed);
            assert_eq!(woken, usize::from(misses > 1), "after {misses}");
            let Poll::Ready(Ok(body)) = Pin::new(&mut reading).poll(&mut context) else {
                panic!("it is there");
            };
            assert_eq!(body, "{}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[expect(dead_code, reason = "only the reading is tested")]
        key: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only the reading is tested")]
        scopes: Vec<u8>,
    }

    #[test]
    fn what_is_wrong_is_named_and_secrets_are_not_repeated() {
        for (body, status, words) in [
            ("{}", 422, "key: missing field `key`"),
            (
                r#"{"key":"x","role":"owner"}"#,
                422,
                "role: unknown field `role`, expected `key` or `scopes`",
            ),
            (
                r#"{"sk_live_aaaaaaaaa_0123456789secret":1}"#,
                422,
                "body: unknown field, expected `key` or `scopes`",
            ),
            (
                r#"{"my `secret`, expected":1}"#,
                422,
                "body: unknown field, expected",
            ),
            (
                r#"{"key":7}"#,
                422,
                "key: invalid type: integer `7`, expected a string",
            ),
            (
                r#"{"key":"x","scopes":["sk_live_secret"]}"#,
                422,
                "scopes[0]: invalid type: string, expected u8",
            ),
            (r#" ["x"]"#, 422, "body: must be a JSON object"),
            ("null", 422, "body: must be a JSON object"),
            (r#"{"key":"x"} {}"#, 400, "behind its JSON"),
            (r#"{"key":"#, 400, "not JSON"),
            (r#"{"key":"x","key":"y"}"#, 422, "duplicate field"),
        ] {
            let problem = parse::<Wish>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.status_code().as_u16(), status, "{body}");
            assert!(
                problem.detail().contains(words),
                "{body} gave {}",
                problem.detail()
            );
            assert!(!problem.detail().contains("sk_live"));
            assert!(!problem.detail().contains("secret"));
            assert!(!problem.detail().contains("role.role"));
        }
    }
}
