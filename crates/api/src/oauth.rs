//! OAuth 2.0 (RFC 6749, as RFC 9700 wants it used): what its endpoints read, and how they refuse.
//!
//! Reading order: [`parameters`] and [`client_authentication`] are what a request to an endpoint
//! brings, [`authorize_request`] what a browser brings; [`narrowing`] and [`pkce`] are rules that
//! several of them share; [`error`] is how all of them say no. [`jwt`] are access tokens that others
//! can check by themselves, [`signing`] the keys for it, [`jwk`] how these are told;
//! [`metadata`] is what clients find out by themselves.

use actix_web::dev::HttpServiceFactory;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, web};

use crate::oauth::error::OauthError;
use crate::resource::Paths;

mod asking_client;
pub mod authorize_request;
pub mod client_authentication;
pub mod error;
pub mod introspect;
pub mod jwk;
pub mod jwt;
pub mod metadata;
pub mod narrowing;
pub mod parameters;
pub mod pkce;
pub mod revoke;
pub mod signing;
pub mod token;

/// An endpoint that is only ever posted to (RFC 6749 §3.2): what stands in an address is kept in
/// histories and logs. Every other method is 405.
pub fn post_only<F, Args>(paths: Paths, handler: F) -> impl HttpServiceFactory
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(paths.to_vec())
        .route(web::post().to(handler))
        .default_service(web::to(|_: HttpRequest| async {
            Err::<HttpResponse, _>(OauthError::not_posted())
        }))
}
