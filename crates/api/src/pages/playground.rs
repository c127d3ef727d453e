//! `/playground/`: Swagger UI over our own definition, out of the binary.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::web::{self, Bytes};
use utoipa_swagger_ui::Config;

use super::layout::{PageError, see_other};
use crate::openapi;
use crate::pieces::InPieces;
use crate::problem::Problem;

/// Scripts and styles from here only; it asks nobody but this server. Its icons are `data:` images.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// What the page is told. Keys that somebody enters are forgotten with the page (ASVS 14.3.3), the
/// address of another definition is not taken from the query, and no outside validator is asked.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new([openapi::PATH])
        .use_base_layout()
        .deep_linking(true)
        .display_operation_id(true)
        .try_it_out_enabled(true)
        .filter(true)
        .persist_authorization(false)
        .query_config_enabled(false)
        .validator_url("none");
    Arc::new(config)
});

/// `/playground`: its files are relative to the address with the slash.
pub(super) async fn show_folder() -> HttpResponse {
    see_other("/playground/")
}

/// A file of it; the page itself where none is named.
pub(super) async fn show_file(file: web::Path<String>) -> Result<HttpResponse, PageError> {
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&CONFIG)).map_err(|error| {
        tracing::error!(%error, "the playground could not be put together");
        Problem::internal()
    })?;
    let Some(found) = found else {
        return Err(Problem::not_found().into());
    };
    let body = match found.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let is_text = found.content_type.starts_with("text/");
    let media_type = if is_text {
        format!("{}; charset=utf-8", found.content_type)
    } else {
        found.content_type
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CONTENT_SECURITY_POLICY, CSP))
        // It changes with the binary only; an hour keeps an upgrade from being overlooked for long.
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .body(InPieces::of(body)))
}
