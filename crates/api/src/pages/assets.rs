//! The two files that the pages load, from here and from nowhere else.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// Where the stylesheet is.
pub(super) const STYLESHEET: &str = "/style.css";
/// Where the icon is.
pub(super) const ICON: &str = "/icon.svg";

const STYLE: &str = include_str!("../../templates/style.css");
const DRAWING: &str = include_str!("../../templates/icon.svg");

/// The stylesheet's address with its hash: another version has another address, so that it may be
/// kept for ever.
static STYLESHEET_LINK: LazyLock<String> = LazyLock::new(|| {
    let hash = blake3::hash(STYLE.as_bytes()).to_hex();
    format!("{STYLESHEET}?v={}", &hash[..12])
});

/// The address for the templates.
pub(super) fn stylesheet() -> &'static str {
    &STYLESHEET_LINK
}

/// The stylesheet.
pub(super) async fn read_stylesheet() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/css; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(STYLE)
}

/// The icon.
pub(super) async fn read_icon() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "image/svg+xml"))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .body(DRAWING)
}
