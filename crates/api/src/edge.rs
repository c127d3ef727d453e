//! The edge: what every request meets first and every answer last.
//!
//! One middleware rather than one for each thing it does: each would cost an allocation and a
//! virtual call for every request.

use core::future::{Future, Ready, ready};
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{self, Context, Poll};
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::{Error, ResponseError};
use keyledger_domain::id::RequestId;
use pin_project_lite::pin_project;

use crate::problem::Problem;
use crate::usage::passage::{self, Followed};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where the assets of the playground are relative to a path that ends in a slash.
const SLASH_MATTERS: &str = "/playground";

/// Draws request ids: unique, not secret, and without asking the system for each.
pub struct RequestIds {
    run: [u8; 8],
    next: AtomicU64,
}

impl RequestIds {
    /// Ids of this run of the server; `run` is random, so that no two runs give the same.
    pub const fn new(run: [u8; 8]) -> Self {
        Self {
            run,
            next: AtomicU64::new(0),
        }
    }

    fn draw(&self) -> RequestId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.run);
        bytes[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        // The two places that RFC 9562 takes for version and variant come from the random half and
        // from the counter's top, which no run reaches.
        RequestId::from_random(bytes)
    }
}

/// The middleware.
#[derive(Clone)]
pub struct Edge {
    ids: Arc<RequestIds>,
}

impl Edge {
    /// An edge that gives requests these ids.
    pub fn new(ids: Arc<RequestIds>) -> Self {
        Self { ids }
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
            ids: Arc::clone(&self.ids),
        }))
    }
}

/// See [`Edge`].
pub struct EdgeService<S> {
    inner: S,
    ids: Arc<RequestIds>,
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
        let id = self.ids.draw();
        drop_trailing_slash(&mut request);
        let (inner, refused) = if is_head_too_large(&request) {
            (None, Some(request))
        } else {
            (Some(passage::follow(id, self.inner.call(request))), None)
        };
        Answer { id, inner, refused }
    }
}

pin_project! {
    /// The answer on its way. Named rather than boxed: a box for every request is time.
    pub struct Answer<F> {
        id: RequestId,
        #[pin]
        inner: Option<Followed<F>>,
        // A request whose head was too large, until it is answered; nobody inside has seen it.
        refused: Option<ServiceRequest>,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = if let Some(mut inner) = this.inner.as_pin_mut() {
            let response = task::ready!(inner.as_mut().poll(context))?;
            passage::gathered(inner).count(&response);
            response.map_into_left_body()
        } else {
            let request = this.refused.take().expect("an answer is given once");
            let refusal = head_too_large().error_response();
            request.into_response(refusal).map_into_right_body()
        };
        finish(*this.id, &mut response);
        Poll::Ready(Ok(response))
    }
}

fn head_too_large() -> Problem {
    Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        format!("The head of a request may have at most {HEAD_BYTES_MAX} bytes."),
    )
}

/// What every answer carries, whoever made it.
fn finish<B>(id: RequestId, response: &mut ServiceResponse<B>) {
    let headers = response.headers_mut();
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
    log(id, response);
}

/// A trailing slash never matters and never redirects: a redirect drops bodies and can carry
/// headers to where they do not belong (STANDARDS §1.5 C9).
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

/// The largest head of a request, in bytes of names and values.
const HEAD_BYTES_MAX: usize = 32 * 1024;

fn is_head_too_large(request: &ServiceRequest) -> bool {
    let fields = request.headers().iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    bytes + request.uri().path().len() + request.query_string().len() > HEAD_BYTES_MAX
}

/// One line for a request that changed something or was refused; the look-ups, which are nearly
/// all, only at the level `debug`. It names the route, not the address: people put keys in paths
/// and queries by mistake, and a log is kept and shipped.
fn log<B>(id: RequestId, response: &ServiceResponse<B>) {
    let request = response.request();
    let status = response.status().as_u16();
    let method = request.method();
    let is_quiet = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || request.path() == crate::routes::VERIFY;
    if is_quiet && status < 400 && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let pattern = request.match_pattern();
    let route = pattern.as_deref().unwrap_or("none");
    match status {
        500.. => tracing::error!(request_id = %id, %method, route, status, "request failed"),
        400.. => tracing::info!(request_id = %id, %method, route, status, "request refused"),
        _ if is_quiet => tracing::debug!(request_id = %id, %method, route, status, "request"),
        _ => tracing::info!(request_id = %id, %method, route, status, "request"),
    }
}
