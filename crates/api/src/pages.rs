//! The pages for people: signing in, the front page, the first owner.
//!
//! They work without JavaScript and load nothing from elsewhere. What they show and change goes
//! through the same [`App`] as the routes; what is theirs alone is the session in a cookie
//! (`session`) and the hidden field in every form (`csrf`). A page reads no other credential:
//! an API key, which lies in scripts and logs, never opens one.

use actix_web::body::MessageBody;
use actix_web::dev::{HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, FormConfig, ServiceConfig};
use actix_web::{Error, HttpResponse, Resource, Route, guard};

use crate::app::App;
use crate::gate::STRICT_TRANSPORT_SECURITY;
use crate::openapi;
use layout::PageError;

mod apps;
pub(crate) mod assets;
pub(crate) mod authorize;
mod consent;
mod cookie;
mod csrf;
mod dashboard;
mod layout;
mod local_path;
mod login;
pub(crate) mod pending;
mod playground;
mod session;
mod set_up;
#[cfg(test)]
mod tests;

/// No script at all, nothing from elsewhere, no frame around us (ASVS 3.4.3, 3.4.6).
macro_rules! content_security_policy {
    ($form_action:literal) => {
        concat!(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'",
            $form_action,
            "; frame-ancestors 'none'; base-uri 'none'"
        )
    };
}

/// Of every page that says nothing else.
const CONTENT_SECURITY_POLICY: &str = content_security_policy!("");

/// The same of a page whose form leads to an app in the end.
fn content_security_policy(form_action: &str) -> String {
    format!(content_security_policy!(" {}"), form_action)
}

/// The longest form, in bytes. The longest of ours takes an authorization request along through the
/// login, in which nearly every character may be written as three.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Puts the pages together, the playground and the definition among them.
pub fn configure(config: &mut ServiceConfig) {
    config
        .app_data(FormConfig::default().limit(FORM_BYTES_MAX))
        .service(read("/", look().to(dashboard::show_front)))
        .service(read("/dashboard", look().to(dashboard::show_dashboard)))
        .service(page(
            web::resource(apps::TAKE_BACK).route(web::post().to(apps::take_back)),
            "POST",
        ))
        .service(form(
            "/login",
            look().to(login::show_login),
            web::post().to(login::log_in),
        ))
        .service(form(
            "/setup",
            look().to(set_up::show_set_up),
            web::post().to(set_up::set_up),
        ))
        .service(page(
            // No HEAD: what is allowed already gives a code, and nobody would read it.
            web::resource(local_path::AUTHORIZE)
                .route(web::get().to(authorize::ask))
                .route(web::post().to(authorize::decide)),
            "GET, POST",
        ))
        .service(page(
            web::resource("/logout").route(web::post().to(login::log_out)),
            "POST",
        ))
        .service(read(assets::STYLESHEET, look().to(assets::read_stylesheet)))
        .service(read(assets::ICON, look().to(assets::read_icon)))
        .service(read(openapi::PATH, look().to(openapi::read_definition)))
        .service(read("/playground", look().to(playground::show_folder)))
        .service(read(
            "/playground/{file:.*}",
            look().to(playground::show_file),
        ));
}

/// GET, and HEAD, which is the same without the body (RFC 9110 §9.3.2).
fn look() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A page that only shows.
fn read(path: &'static str, shown: Route) -> impl HttpServiceFactory {
    page(web::resource(path).route(shown), "GET, HEAD")
}

/// A page that shows a form and takes it.
fn form(path: &'static str, shown: Route, taken: Route) -> impl HttpServiceFactory {
    let resource = web::resource(path).route(shown).route(taken);
    page(resource, "GET, HEAD, POST")
}

fn page(resource: Resource, allow: &'static str) -> impl HttpServiceFactory {
    let other = move || async move { Err::<HttpResponse, _>(PageError::method_not_allowed(allow)) };
    resource
        .default_service(web::to(other))
        .wrap(from_fn(add_headers))
}

/// What every page carries, error pages too, unless it says otherwise itself.
async fn add_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let by_tls = request
        .app_data::<web::Data<App>>()
        .is_some_and(|app| app.settings().issuer.starts_with("https://"));
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    // Over plain HTTP it means nothing (RFC 6797 §7.2), and on loopback it would lock out others.
    if by_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
    }
    Ok(response)
}
