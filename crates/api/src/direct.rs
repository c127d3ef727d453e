//! The two look-ups that nearly all requests are, answered without being routed.
//!
//! Finding the address among all of ours, asking its guards and boxing the answer at each step takes as
//! long as the look-up itself. What is served is the same handler with the same arguments as by the
//! table of [`routes`](crate::routes), which still has them: for their other methods, their other
//! addresses and the definition.

use core::future::Future;
use core::pin::Pin;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse};

use crate::body::Text;
use crate::caller::{Caller, app_of};
use crate::problem::Problem;
use crate::routes::{self, keys, me};

/// An answer on its way.
pub(crate) type Direct = Pin<Box<dyn Future<Output = Result<ServiceResponse, Error>>>>;

/// Begins to answer one of the two; gives any other request back.
pub(crate) fn begin(request: ServiceRequest) -> Result<Direct, ServiceRequest> {
    match (request.method(), request.path()) {
        (&Method::POST, routes::VERIFY) => Ok(Box::pin(verify(request))),
        (&Method::GET, routes::ME) => Ok(Box::pin(me(request))),
        _ => Err(request),
    }
}

async fn verify(request: ServiceRequest) -> Result<ServiceResponse, Error> {
    let (request, mut payload) = request.into_parts();
    let answer = async {
        let app = app_of(&request);
        let caller = Caller::of(&request, app).await?;
        let body = Text::from_request(&request, &mut payload).await;
        let body = body.unwrap_or_else(|never| match never {});
        keys::verdict_on(app, &caller, body).await
    };
    let answer = answer.await;
    Ok(answered(request, answer))
}

async fn me(request: ServiceRequest) -> Result<ServiceResponse, Error> {
    let (request, _) = request.into_parts();
    let answer = async {
        let app = app_of(&request);
        let caller = Caller::of(&request, app).await?;
        me::read_me(app.clone(), caller).await
    };
    let answer = answer.await;
    Ok(answered(request, answer))
}

fn answered(request: HttpRequest, answer: Result<HttpResponse, Problem>) -> ServiceResponse {
    let answer = answer.unwrap_or_else(HttpResponse::from_error);
    ServiceResponse::new(request, answer)
}
