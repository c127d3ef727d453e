//! What one request shows on its way through: which key let it in, and which rights it needed. It is
//! gathered where each is known and counted once, when the answer is there.
//!
//! It travels with the request's own future, so nothing has to be handed from one place to the next
//! and requests that take turns on a thread do not see each other's.

use core::cell::Cell;
use core::future::Future;
use core::net::IpAddr;
use core::pin::Pin;

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, USER_AGENT};
use actix_web::web;
use keyledger_domain::id::RequestId;
use keyledger_domain::scope::BuiltInSet;
use keyledger_domain::{CredentialId, Timestamp};
use keyledger_ledger::usage::Outcome;
use tokio::task::futures::TaskLocalFuture;

use crate::app::App;
use crate::caller::Origin;
use crate::usage::news::NewsOrigin;
use crate::usage::{Asked, Client, Showing};

/// A key that let a request in.
#[derive(Clone, Copy)]
struct Shown {
    id: CredentialId,
    source: Option<IpAddr>,
    at: Timestamp,
}

/// See the module's page.
pub(crate) struct Passage {
    request: RequestId,
    shown: Cell<Option<Shown>>,
    required: Cell<BuiltInSet>,
}

tokio::task_local! {
    static PASSAGE: Passage;
}

/// An answer on its way, with the passage beside it.
pub(crate) type Followed<F> = TaskLocalFuture<Passage, F>;

/// Follows a request through all that answers it.
pub(crate) fn follow<F: Future>(request: RequestId, answer: F) -> Followed<F> {
    let passage = Passage {
        request,
        shown: Cell::default(),
        required: Cell::default(),
    };
    PASSAGE.scope(passage, answer)
}

/// What was gathered, once the answer is there.
pub(crate) fn gathered<F: Future>(followed: Pin<&mut Followed<F>>) -> Passage {
    followed.take_value().expect("taken once")
}

/// The request that is being answered, which the edge gave its id.
pub(crate) fn request() -> RequestId {
    PASSAGE.with(|passage| passage.request)
}

/// Notes the key that let this request in. Outside of a request there is nobody to be counted.
pub(crate) fn shown(id: CredentialId, source: Option<IpAddr>, at: Timestamp) {
    let _ = PASSAGE.try_with(|passage| passage.shown.set(Some(Shown { id, source, at })));
}

/// Notes that this request needs a right.
pub(crate) fn required(right: &str) {
    let _ = PASSAGE.try_with(|passage| {
        let mut rights = passage.required.get();
        rights.add(right);
        passage.required.set(rights);
    });
}

impl Passage {
    /// Counts the request by its answer.
    pub(crate) fn count<B>(self, response: &ServiceResponse<B>) {
        let Some(shown) = self.shown.get() else {
            return;
        };
        let request = response.request();
        let Some(app) = request.app_data::<web::Data<App>>() else {
            return;
        };
        let status = response.status();
        let outcome = match status {
            // The key alone did not let it in: a service's under the wrong name, or one that ended
            // while it waited.
            StatusCode::UNAUTHORIZED => return,
            StatusCode::FORBIDDEN => Outcome::Forbidden,
            StatusCode::TOO_MANY_REQUESTS => Outcome::Throttled,
            _ => Outcome::Accepted,
        };
        let asked = if status.is_success() {
            Asked::Required(self.required.get())
        } else {
            Asked::Nothing
        };
        let showing = Showing {
            id: shown.id,
            at: shown.at,
            source: shown.source,
            client: Client::Agent(request.headers().get(USER_AGENT).map(HeaderValue::as_bytes)),
            outcome,
            asked,
        };
        app.usage().record(&showing, || {
            let origin = Origin::of_answered(self.request, request);
            NewsOrigin {
                request: origin.request(),
                client: origin.client(),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn requests_that_take_turns_do_not_see_each_other() {
        let id = RequestId::from_bytes([7; 16]);
        let mut one = core::pin::pin!(follow(id, async {
            required("files:read");
            tokio::task::yield_now().await;
            required("keys:read");
            assert_eq!(request(), id);
        }));
        let mut other = core::pin::pin!(follow(RequestId::from_bytes([8; 16]), async {
            required("files:write");
            tokio::task::yield_now().await;
        }));
        tokio::join!(one.as_mut(), other.as_mut());
        let (one, other) = (gathered(one), gathered(other));
        let names = |passage: &Passage| passage.required.get().names().collect::<Vec<_>>();
        assert_eq!(names(&one), ["files:read", "keys:read"]);
        assert_eq!(names(&other), ["files:write"]);
        // Outside of any it is no error.
        required("files:read");
    }
}
