//! The edge: what every request meets first and every answer last.
//!
//! One middleware rather than one for each thing it does: each would cost an allocation and a
//! virtual call for every request.

use core::future::{Future, Ready, ready};
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::{Error, HttpMessage};
use keyledger_domain::id::RequestId;

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
    type Response = ServiceResponse<B>;
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
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let id = self.ids.draw();
        request.extensions_mut().insert(id);
        drop_trailing_slash(&mut request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let headers = response.headers_mut();
            if let Ok(id) = HeaderValue::try_from(id.to_string()) {
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
            log(id, &response);
            Ok(response)
        })
    }
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

/// One line for a request that changed something or was refused; the look-ups, which are nearly
/// all, only at the level `debug`. The query is never logged: people put secrets there.
fn log<B>(id: RequestId, response: &ServiceResponse<B>) {
    let request = response.request();
    let status = response.status();
    let (method, path) = (request.method(), request.path());
    if status.is_server_error() {
        tracing::error!(request_id = %id, %method, path, status = status.as_u16(), "request failed");
    } else if status.is_client_error() {
        tracing::info!(request_id = %id, %method, path, status = status.as_u16(), "request refused");
    } else if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || path == crate::routes::VERIFY
    {
        tracing::debug!(request_id = %id, %method, path, status = status.as_u16(), "request");
    } else {
        tracing::info!(request_id = %id, %method, path, status = status.as_u16(), "request");
    }
}
