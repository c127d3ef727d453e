//! The bare handler that the bench holds Keyledger against: actix-web, one worker, a constant JSON of a
//! given size, and nothing else.
//!
//! `bare PORT VERIFY_BYTES ME_BYTES` answers `POST /v1/keys/verify` after reading the body, and `GET
//! /v1/me`. Its sizes are those of Keyledger's own answers, so that both send as much.

use actix_web::{App, HttpResponse, HttpServer, web};

/// The bodies that it answers with.
#[derive(Clone)]
struct Bodies {
    verify: web::Bytes,
    me: web::Bytes,
}

/// A JSON object of exactly so many bytes (at least 12).
fn json_of(bytes: usize) -> web::Bytes {
    let frame = r#"{"filler":""}"#;
    format!(
        r#"{{"filler":"{}"}}"#,
        "x".repeat(bytes.saturating_sub(frame.len()))
    )
    .into()
}

fn answer(body: &web::Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(body.clone())
}

async fn verify(bodies: web::Data<Bodies>, _body: web::Bytes) -> HttpResponse {
    answer(&bodies.verify)
}

async fn me(bodies: web::Data<Bodies>) -> HttpResponse {
    answer(&bodies.me)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<usize>().expect("a number"));
    let mut number = || {
        numbers
            .next()
            .expect("usage: bare PORT VERIFY_BYTES ME_BYTES")
    };
    let port = u16::try_from(number()).expect("a port");
    let bodies = Bodies {
        verify: json_of(number()),
        me: json_of(number()),
    };
    HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(bodies.clone()))
            .route("/v1/keys/verify", web::post().to(verify))
            .route("/v1/me", web::get().to(me))
    })
    .workers(1)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
