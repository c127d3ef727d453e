//! Whether the server runs, and whether it takes changes.

use actix_web::{HttpResponse, web};

use crate::app::App;
use crate::problem::Problem;

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()),
    responses((status = 200, description = "The process answers.")))]
pub async fn read_live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "live" }))
}

/// The ledger is replayed and takes changes. While it is being replayed this is a 503.
///
/// # Errors
/// 503 during the replay, and once a write failed: the process is about to stop.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()),
    responses(
        (status = 200, description = "The ledger is replayed and takes changes."),
        (status = 503, description = "The ledger is being replayed, or a write failed and the process is about to stop.")))]
pub async fn read_ready(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    if !app.is_writable() {
        return Err(Problem::unavailable("The ledger takes no changes."));
    }
    let position = app.directory().position().get();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ready", "position": position })))
}
