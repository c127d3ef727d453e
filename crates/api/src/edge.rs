//! The edge: what every request meets first and every answer last.
//!
//! One middleware rather than one for each thing it does: each would cost an allocation and a
//! virtual call for every request.

use core::cell::RefCell;
use core::future::{Future, Ready, ready};
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{self, Context, Poll};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::{Error, HttpResponse};
use keyledger_domain::id::RequestId;
use pin_project_lite::pin_project;

use crate::cors::Leave;
use crate::decisions::{self, DecisionId};
use crate::direct::{self, Direct};
use crate::gate::Gate;
use crate::limits;
use crate::panicked::{self, caught};
use crate::usage::passage::{self, Followed};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where the assets of the playground are relative to a path that ends in a slash.
const SLASH_MATTERS: &str = "/playground";

/// Draws request ids, without asking the system for each. Nobody who was told some can tell another:
/// each record has one in it, and whoever could guess it could try what else a record holds against the
/// hash that the tree has of it.
pub struct RequestIds {
    seed: [u8; 32],
    workers: AtomicU64,
}

impl RequestIds {
    /// Ids of this run of the server; `seed` is random and secret.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            workers: AtomicU64::new(0),
        }
    }

    /// The ids of one more worker.
    fn of_worker(&self) -> WorkerIds {
        let worker = self.workers.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&worker.to_be_bytes());
        WorkerIds {
            stream: hasher.finalize_xof(),
            drawn: [0; DRAWN_BYTES],
            used: DRAWN_BYTES,
        }
    }
}

/// How much is drawn at once: 256 ids.
const DRAWN_BYTES: usize = 256 * 16;

/// The ids of one worker: what BLAKE3 makes of the seed and the worker's number, as long as it lasts.
struct WorkerIds {
    stream: blake3::OutputReader,
    drawn: [u8; DRAWN_BYTES],
    used: usize,
}

impl WorkerIds {
    fn draw(&mut self) -> RequestId {
        if self.used == DRAWN_BYTES {
            self.stream.fill(&mut self.drawn);
            self.used = 0;
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.drawn[self.used..self.used + 16]);
        self.used += 16;
        RequestId::from_random(bytes)
    }
}

/// The middleware.
#[derive(Clone)]
pub struct Edge {
    ids: Arc<RequestIds>,
    gate: Arc<Gate>,
}

impl Edge {
    /// An edge that gives requests these ids.
    pub fn new(ids: Arc<RequestIds>) -> Self {
        Self {
            ids,
            gate: Arc::default(),
        }
    }

    /// The same with another gate.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<Gate>) -> Self {
        self.gate = gate;
        self
    }
}

impl<S, B> Transform<S, ServiceRequest> for Edge
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = EdgeService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(EdgeService {
            inner,
            ids: RefCell::new(self.ids.of_worker()),
            gate: Rc::new(Gate::clone(&self.gate)),
        }))
    }
}

/// See [`Edge`].
pub struct EdgeService<S> {
    inner: S,
    ids: RefCell<WorkerIds>,
    /// This worker's own: counting who has it among workers would cost each request.
    gate: Rc<Gate>,
}

impl<S, B> EdgeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    fn begin(&self, request: ServiceRequest) -> Answering<S::Future> {
        match direct::begin(request) {
            Ok(direct) => Answering::Directly { direct },
            Err(request) => {
                let routed = self.inner.call(request);
                Answering::Routed { routed }
            }
        }
    }
}

impl<S, B> Service<ServiceRequest> for EdgeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let id = self.ids.borrow_mut().draw();
        drop_trailing_slash(&mut request);
        let (leave, inner, refused) = match self.gate.admit(&mut request) {
            Ok(leave) => {
                let call = caught(|| passage::follow(id, self.begin(request)));
                (leave, call.ok(), None)
            }
            Err(refusal) => (Leave::default(), None, Some(Box::new((request, *refusal)))),
        };
        Answer {
            id,
            gate: Rc::clone(&self.gate),
            leave,
            inner,
            refused,
        }
    }
}

pin_project! {
    // The answer of whoever answers.
    #[project = AnsweringProjection]
    enum Answering<F> {
        Directly { direct: Direct },
        Routed { #[pin] routed: F },
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweringProjection::Directly { direct } => direct
                .as_mut()
                .poll(context)
                .map_ok(ServiceResponse::map_into_right_body),
            AnsweringProjection::Routed { routed } => routed
                .poll(context)
                .map_ok(ServiceResponse::map_into_left_body),
        }
    }
}

pin_project! {
    /// The answer on its way. Named rather than boxed: a box for every request is time.
    pub struct Answer<F> {
        id: RequestId,
        gate: Rc<Gate>,
        leave: Leave,
        // Nothing where the gate refused, or where the very call panicked.
        #[pin]
        inner: Option<Followed<Answering<F>>>,
        // A request that the gate refused, and its answer; nobody inside has seen it.
        refused: Option<Box<(ServiceRequest, HttpResponse)>>,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = if let Some(mut inner) = this.inner.as_pin_mut() {
            let answered = caught(|| {
                let response = task::ready!(inner.as_mut().poll(context))?;
                passage::gathered(inner).count(&response);
                Poll::Ready(Ok::<_, Error>(response))
            });
            let Ok(answered) = answered else {
                return Poll::Ready(Err(panicked_answer(*this.id, this.gate)));
            };
            task::ready!(answered)?
        } else if let Some(refused) = this.refused.take() {
            let (request, refusal) = *refused;
            request.into_response(refusal).map_into_right_body()
        } else {
            return Poll::Ready(Err(panicked_answer(*this.id, this.gate)));
        };
        let mut decision = None;
        if decisions::is_denial(response.status()) {
            (response, decision) = decisions::mark(*this.id, response);
        }
        let is_refusal = response.status().as_u16() >= 400;
        let told = limits::told(response.request());
        let headers = response.headers_mut();
        if let Some(told) = told {
            told.write(headers);
        }
        if is_refusal {
            this.gate.say_with_refusal(headers);
        }
        this.leave.say(headers);
        finish(*this.id, headers);
        log(*this.id, decision, &response);
        Poll::Ready(Ok(response))
    }
}

/// The answer to a request whose handler panicked. Which page asked is not told again: the request is
/// gone, and so is what it was allowed.
fn panicked_answer(id: RequestId, gate: &Gate) -> Error {
    tracing::error!(request_id = %id, status = 500, "a handler panicked");
    panicked::answer(|headers| {
        gate.say_with_refusal(headers);
        finish(id, headers);
    })
}

/// What every answer carries, whoever made it.
fn finish(id: RequestId, headers: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::from_str(id.encode(&mut RequestId::buffer())) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Answers hold keys and personal data; what may be kept says so itself.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// A trailing slash never matters and never redirects: a redirect drops bodies and can carry
/// headers to where they do not belong.
fn drop_trailing_slash(request: &mut ServiceRequest) {
    let path = request.path();
    if path.len() < 2 || !path.ends_with('/') || path.starts_with(SLASH_MATTERS) {
        return;
    }
    let short = path.trim_end_matches('/');
    let short = if short.is_empty() { "/" } else { short };
    let target = match request.query_string() {
        "" => short.to_owned(),
        query => format!("{short}?{query}"),
    };
    let Ok(target) = PathAndQuery::try_from(target) else {
        return;
    };
    let mut parts = request.head().uri.clone().into_parts();
    parts.path_and_query = Some(target);
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// One line for a request that changed something or was refused; the look-ups, which are nearly
/// all, only at the level `debug`. It names the route, not the address: people put keys in paths
/// and queries by mistake, and a log is kept and shipped.
fn log<B>(id: RequestId, decision: Option<DecisionId>, response: &ServiceResponse<B>) {
    let request = response.request();
    let status = response.status().as_u16();
    let method = request.method();
    let is_quiet = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || request.path() == crate::routes::VERIFY;
    if is_quiet && status < 400 && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    write_line(id, decision, response, is_quiet);
}

/// Apart, so that it does not lie between what every look-up goes through.
#[cold]
fn write_line<B>(
    id: RequestId,
    decision: Option<DecisionId>,
    response: &ServiceResponse<B>,
    is_quiet: bool,
) {
    let request = response.request();
    let status = response.status().as_u16();
    let (method, pattern) = (method_name(request.method()), request.match_pattern());
    let route = pattern.as_deref().unwrap_or("none");
    match status {
        500.. => tracing::error!(request_id = %id, method, route, status, "request failed"),
        400.. => {
            let decision = decision.map(tracing::field::display);
            tracing::info!(request_id = %id, method, route, status, decision, "request refused");
        }
        _ if is_quiet => tracing::debug!(request_id = %id, method, route, status, "request"),
        _ => tracing::info!(request_id = %id, method, route, status, "request"),
    }
}

/// A method by its name, if it is one that is known: whatever else stands in its place, a key perhaps,
/// is not repeated.
pub(crate) const fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Goal: of two ids of one worker, of one run or of two, none tells of the other.
    #[test]
    fn request_ids_have_nothing_in_common() {
        let runs = [1, 2].map(|run| RequestIds::new([run; 32]));
        let workers = runs
            .iter()
            .flat_map(|run| [run.of_worker(), run.of_worker()]);
        let mut halves = HashSet::new();
        for mut worker in workers {
            for _ in 0..600 {
                let id = worker.draw().to_bytes();
                let (first, second) = id.split_at(8);
                assert!(halves.insert(first.to_vec()) && halves.insert(second.to_vec()));
            }
        }
    }
}
