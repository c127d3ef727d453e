//! `POST /v1/keys/verify`: an API asks whether the key it was shown is good.

mod glance;

use core::net::IpAddr;
use std::borrow::Cow;

use actix_web::{HttpResponse, web};
use keyledger_domain::scope::built_in;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::body::{Fields, Text};
use crate::caller::Caller;
use crate::credits;
use crate::problem::{Problem, ProblemBody};
use crate::usage::passage;
use crate::verify::{self, Code, Question, Verdict};

/// The most scopes that may be asked for at once.
const SCOPES_MAX: usize = 64;

/// The key that was shown, and what it must be good for.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub struct VerifyKey<'b> {
    /// The key as it was shown.
    #[serde(borrow)]
    #[schema(value_type = String)]
    key: Cow<'b, str>,
    /// The scopes it must have, all of them.
    #[serde(default)]
    #[schema(example = json!(["files:read"]))]
    scopes: Vec<String>,
    /// The address it was shown from, for keys with an allow-list.
    #[schema(example = "203.0.113.7")]
    ip: Option<String>,
}

/// Is this key good?
///
/// Each valid answer is counted on the limit of the key that was shown, if it has one; others are not.
///
/// # Errors
/// 401 and 403 for the caller; whatever is wrong with the key itself is a 200 that says so.
#[utoipa::path(post, path = "/v1/keys/verify", tag = "keys", request_body = VerifyKey,
    responses(
        (status = 200, body = Verdict, description = "The answer, good or bad."),
        (status = 401, body = ProblemBody, description = "The caller is not known."),
        (status = 403, body = ProblemBody, description = "The caller lacks keys:verify."),
        (status = 422, body = ProblemBody, description = "A field is not right.")))]
pub async fn verify_key(
    app: web::Data<App>,
    caller: Caller,
    body: Text,
) -> Result<HttpResponse, Problem> {
    verdict_on(&app, &caller, body).await
}

/// [`verify_key`] for whoever has the application and the caller and need not hand them over.
///
/// # Errors
/// The same.
pub(crate) async fn verdict_on(
    app: &App,
    caller: &Caller,
    body: Text,
) -> Result<HttpResponse, Problem> {
    let body: VerifyKey<'_> = match body.glance(glance::glance) {
        Some(body) => body,
        None => app.told(caller, built_in::KEYS_VERIFY, body.parse())?,
    };
    let mut fields = Fields::default();
    let ip = body.ip.as_deref().and_then(|ip| {
        let parsed = ip.parse::<IpAddr>().ok();
        if parsed.is_none() {
            fields.refuse("ip", "must be an IPv4 or IPv6 address");
        }
        parsed
    });
    if body.scopes.len() > SCOPES_MAX {
        fields.refuse("scopes", format!("may name at most {SCOPES_MAX}"));
    }
    app.told(caller, built_in::KEYS_VERIFY, fields.check())?;
    let question = Question {
        key: &body.key,
        scopes: &body.scopes,
        ip,
        now: app.now(),
    };
    // Written out under the lock, so that nothing of the state need be copied: readers do not keep
    // each other out, and a writer waits for a microsecond.
    let (mut verdict, pending, bound, purse, counted) = {
        passage::required(built_in::KEYS_VERIFY);
        let directory = app.directory();
        let answer = verify::verify(
            &directory,
            &app.ours_to_count(),
            caller.authority(),
            &question,
        )?;
        if answer.verdict.code == Code::NotFound {
            app.throttles().wrong_key_elsewhere(&body.key);
        }
        (
            answer.verdict.write()?,
            answer.pending,
            answer.bound,
            answer.purse,
            answer.key.map(|key| (key, answer.verdict.code)),
        )
    };
    let throttled = bound.and_then(|bound| app.rate_limits().spend(bound).err());
    let spent = match purse.filter(|_| throttled.is_none()) {
        // In a box of its own, as below.
        Some(purse) => Some(Box::pin(app.spend_credit(purse)).await),
        None => None,
    };
    let is_refused = throttled.is_some() || matches!(spent, Some(Err(_)));
    if let Some((key, code)) = counted {
        let code = if is_refused { Code::RateLimited } else { code };
        app.usage().record_verified(key, code, &question, caller);
    }
    if let Some(throttled) = throttled {
        verdict = Verdict::rate_limited(throttled.retry_after_seconds()).write()?;
    } else if let Some(Err(reason)) = spent {
        verdict = Verdict::not_spent(reason).write()?;
    } else if let Some((id, version)) = pending {
        // The new secret of a rotation is shown for the first time, to an API that asks us.
        // In a box of its own: it is large and rare, and every request's future would carry it.
        Box::pin(app.activate(caller.origin(), id, version)).await?;
    }
    if let Some(Ok(left)) = spent {
        credits::append_remaining(&mut verdict, left);
    }
    Ok(answer::found(verdict))
}
