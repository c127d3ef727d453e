//! Credits of entitlement tokens, as they are spent: one for each good verification, one for each
//! request to our own API.

use std::io::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use keyledger_domain::api_key::Holder;
use keyledger_domain::credits::Credits;
use keyledger_domain::id::EntitlementId;
use keyledger_domain::{ApiKey, Directory};
use keyledger_ledger::credits_store::NotSpent;

use crate::app::App;
use crate::problem::Problem;

/// What is to be spent of.
#[derive(Clone, Copy)]
pub(crate) struct Purse {
    token: EntitlementId,
    credits: Credits,
}

impl Purse {
    /// Of the entitlement that holds a key, if its uses are counted.
    pub(crate) fn of(directory: &Directory, key: &ApiKey) -> Option<Self> {
        let token = match key.issued.holder {
            Holder::User { .. }
            | Holder::Service { .. }
            | Holder::Client { .. }
            | Holder::Delegate { .. } => return None,
            Holder::Entitlement { entitlement, .. } => entitlement,
        };
        let credits = directory.entitlement(token)?.credits?;
        Some(Self { token, credits })
    }
}

/// In how many seconds something may be there again, if it is known.
pub(crate) const fn retry_after_seconds(reason: NotSpent) -> Option<u64> {
    match reason {
        NotSpent::Exhausted {
            retry_after_seconds,
        } => retry_after_seconds,
        NotSpent::Busy => Some(1),
        NotSpent::Unknown => None,
    }
}

/// How many uses are left after none was spent, if it is known.
pub(crate) const fn remaining(reason: NotSpent) -> Option<u64> {
    match reason {
        NotSpent::Exhausted { .. } => Some(0),
        NotSpent::Busy | NotSpent::Unknown => None,
    }
}

/// Puts what is left behind the other members of an answer that is written already: it is known only
/// once the lock that the rest was written under is long gone.
pub(crate) fn append_remaining(answer: &mut Vec<u8>, left: u64) {
    if answer.pop_if(|last| *last == b'}').is_some() {
        // Writing into memory cannot fail.
        let _ = write!(answer, ",\"remaining\":{left}}}");
    }
}

fn not_spent(reason: NotSpent) -> Problem {
    let detail = match reason {
        NotSpent::Exhausted { .. } => "Nothing is left of the credits of this token.",
        NotSpent::Busy => "Too many uses of credits are waiting.",
        NotSpent::Unknown => "What is left of the credits of this token is not known.",
    };
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
    match retry_after_seconds(reason) {
        Some(seconds) => problem.with(RETRY_AFTER, seconds.to_string()),
        None => problem,
    }
}

impl App {
    /// Spends one credit, and gives what is left; it is durable then.
    ///
    /// # Errors
    /// Why not; nothing was spent then.
    pub(crate) async fn spend_credit(&self, purse: Purse) -> Result<u64, NotSpent> {
        self.credits_book()
            .spend(purse.token, purse.credits, self.now())
            .await
    }

    /// Spends one credit of whoever calls our own API.
    ///
    /// # Errors
    /// 429, with `Retry-After` where something comes back.
    pub(crate) async fn spend_credit_as_caller(&self, purse: Purse) -> Result<(), Problem> {
        let spent = self.spend_credit(purse).await;
        spent.map(drop).map_err(not_spent)
    }

    /// What is left to an entitlement, where that is known.
    pub(crate) fn credits_left(&self, token: EntitlementId, credits: &Credits) -> Option<u64> {
        self.credits_book().left(token, credits, self.now())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    #[test]
    fn that_nothing_is_left_is_told_only_where_it_is_known() {
        let exhausted = NotSpent::Exhausted {
            retry_after_seconds: Some(7),
        };
        for (reason, left, retry_after, words) in [
            (exhausted, Some(0), Some("7"), "Nothing is left"),
            (NotSpent::Busy, None, Some("1"), "Too many"),
            (NotSpent::Unknown, None, None, "not known"),
        ] {
            assert_eq!(remaining(reason), left);
            let problem = not_spent(reason);
            assert!(problem.detail().contains(words), "{problem}");
            let answer = problem.error_response();
            let told = answer.headers().get(RETRY_AFTER);
            let told = told.map(|seconds| seconds.to_str().expect("a number"));
            assert_eq!(told, retry_after);
        }
    }

    #[test]
    fn what_is_left_stands_behind_the_rest() {
        let mut answer = br#"{"valid":true}"#.to_vec();
        append_remaining(&mut answer, 7);
        let read: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(read, serde_json::json!({ "valid": true, "remaining": 7 }));
    }
}
