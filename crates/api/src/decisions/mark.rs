//! The id of its decision, put on every 401 and 403 on its way out.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web;
use keyledger_domain::id::RequestId;

use super::{Decision, DecisionId, Denial};
use crate::app::App;
use crate::problem::Problem;

const KEYLEDGER_DECISION: HeaderName = HeaderName::from_static("keyledger-decision");

/// Whether an answer with this status is one that somebody may ask about.
pub(crate) const fn is_denial(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Keeps why this answer is a 401 or a 403, and says in its header and its body under which id.
pub(crate) fn mark<B: MessageBody>(
    request_id: RequestId,
    mut response: ServiceResponse<EitherBody<B>>,
) -> (ServiceResponse<EitherBody<B>>, Option<DecisionId>) {
    let request = response.request();
    let Some(app) = request.app_data::<web::Data<App>>() else {
        return (response, None);
    };
    let error = response.response().error();
    let problem = error.and_then(|error| error.as_error::<Problem>());
    let decision = {
        // What is no error, such as the login page shown once more, tells it beside the answer.
        let beside = response.response().extensions();
        let denial = problem
            .and_then(Problem::denial)
            .or_else(|| beside.get::<Denial>());
        Decision::of(app, request_id, request, denial)
    };
    let id = app.decisions().keep(decision);
    let mut buffer = [0; 32];
    let text = id.encode(&mut buffer);
    let body = problem.map(|problem| problem.body(Some(text)));
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(KEYLEDGER_DECISION, value);
    }
    let response = match body {
        Some(body) => response.map_body(|_, _| EitherBody::right(BoxBody::new(body))),
        None => response,
    };
    (response, Some(id))
}
