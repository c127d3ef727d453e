//! The caller's browser sessions: `/v1/user/sessions`.

use actix_web::{HttpResponse, web};
use keyledger_domain::Refusal;
use keyledger_domain::session::EndAllSessions;

use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};

/// Log out everywhere: every session of mine ends, in every browser.
///
/// # Errors
/// 403 unless the password was shown as Basic: a stolen key must not shut its owner out of the pages.
#[utoipa::path(delete, path = "/v1/user/sessions", tag = "user", security(("basic" = [])),
    responses(
        (status = 204, description = "Ended, or there was none."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "Only the password opens this.")))]
pub async fn end_all_sessions(
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse, Problem> {
    if !caller.authority().is_password_backed() {
        return Err(Refusal::PasswordNeeded.into());
    }
    let committed = app.execute(&caller, EndAllSessions).await?;
    Ok(answer::gone(committed.position))
}
