//! How a person is forgotten: `/v1/users/{id}/erase`.

use actix_web::{HttpResponse, web};
use keyledger_domain::erasure::ErasePerson;
use keyledger_domain::id::UserId;
use keyledger_domain::refusal::Noun;
use keyledger_domain::scope::built_in;
use keyledger_domain::{Directory, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::{Fields, Json};
use crate::caller::Caller;
use crate::problem::{Problem, ProblemBody};
use crate::usage::passage;

/// That it is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The slug or the address of the person, once more: nothing brings them back.
    #[schema(required, value_type = String, example = "ada@example.com")]
    confirm: Option<String>,
}

/// Who was forgotten.
#[derive(Serialize, ToSchema)]
pub struct ErasedView {
    /// The identifier, which is all that is left of them.
    id: String,
    /// When it was.
    #[schema(value_type = Option<String>, format = DateTime)]
    erased_at: Option<Timestamp>,
}

fn find(directory: &Directory, named: &str) -> Result<UserId, Refusal> {
    let user = match named.parse::<UserId>() {
        Ok(id) => directory.user(id),
        Err(_) => directory.user_by_slug(named),
    };
    user.map(|user| user.id)
        .ok_or(Refusal::Unknown(Noun::Member))
}

/// Forget a person for ever.
///
/// Their account goes, with their keys, sessions, memberships and what apps may do for them; services and
/// tokens that they made stay. The key under which their name, their addresses and their passwords were
/// sealed is destroyed before this is answered: no record, snapshot or older copy of the data opens them
/// any more, they read as `erased`, and every proof holds. A backup that has `keys/` of before has them
/// until it is destroyed itself.
///
/// Whoever owns every organization that the person is in does it, or the person, by password. Who is in
/// none is forgotten by whoever owns the first organization, which runs the server.
///
/// # Errors
/// 401, 403, 404, 409 for a last owner and for somebody who is in other organizations too, 422 without
/// the confirmation.
#[utoipa::path(post, path = "/v1/users/{id}/erase", tag = "members", request_body = Erasure,
    params(("id" = String, Path, description = "The person's id or slug.")),
    responses(
        (status = 200, body = ErasedView, description = "They are forgotten."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller does not own the organizations of the person; a key never erases its own holder."),
        (status = 404, body = ProblemBody, description = "No such person, or none in an organization of the caller's."),
        (status = 409, body = ProblemBody, description = "They are a last owner, or in organizations that are not the caller's."),
        (status = 422, body = ProblemBody, description = "The confirmation is not their slug or address.")))]
pub async fn erase_person(
    app: web::Data<App>,
    caller: Caller,
    named: web::Path<String>,
    Json(body): Json<Erasure>,
) -> Result<HttpResponse, Problem> {
    let user = {
        let directory = app.directory();
        let user = find(&directory, &named)?;
        passage::required(built_in::USERS_WRITE);
        directory.require_may_erase(caller.authority(), user)?;
        user
    };
    let body = body?;
    let mut fields = Fields::default();
    let confirm: Option<String> = fields.required("confirm", body.confirm.as_deref());
    let confirm = fields.take(confirm)?;
    let committed = app.execute(&caller, ErasePerson { user, confirm }).await?;
    app.decisions().forget(user);
    let erased_at = {
        let directory = app.directory();
        directory.user(user).and_then(|user| user.erased_at)
    };
    let id = user.to_string();
    Ok(answer::done(
        committed.position,
        &ErasedView { id, erased_at },
    ))
}
