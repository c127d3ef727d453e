//! A body must arrive in time: a client that drips it would hold its connection and its request.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;

use actix_web::http::StatusCode;
use tokio::time::{Sleep, sleep};

use crate::problem::Problem;

/// How long a body may take to arrive, in seconds, from where it is first missed. The largest one
/// that is read is 64 KiB.
pub(crate) const BODY_SECONDS: u64 = 10;

/// The body did not arrive in time.
#[derive(Debug)]
pub(crate) struct Late;

impl From<Late> for Problem {
    fn from(_: Late) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("The body must arrive within {BODY_SECONDS} seconds."),
        )
    }
}

/// The time that a body still has.
///
/// Nearly every body comes in one packet with its head. The framework asks for an answer as soon as it
/// has the head, hands the body on and asks again, all in one turn. So whoever misses a body for the
/// first time is not to be woken when it comes, which would cost each request a turn for nothing; and
/// the timer is made only when it is missed again. Where it is not asked for again in that turn (behind
/// another request that is still answered), the next packet does so, or the connection, which looks at
/// itself every few seconds.
#[derive(Default)]
pub(crate) enum TimeLeft {
    /// It was not missed yet.
    #[default]
    Unasked,
    /// It was missed once.
    Missed,
    /// It was missed again.
    Until(Pin<Box<Sleep>>),
}

impl TimeLeft {
    /// Whether the body was not missed yet.
    pub(crate) const fn is_unasked(&self) -> bool {
        matches!(self, Self::Unasked)
    }

    /// To be asked whenever the body is missed.
    pub(crate) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Late> {
        match self {
            Self::Unasked => {
                *self = Self::Missed;
                Poll::Pending
            }
            Self::Missed => {
                let mut timer = Box::pin(sleep(Duration::from_secs(BODY_SECONDS)));
                let late = timer.as_mut().poll(context).map(|()| Late);
                *self = Self::Until(timer);
                late
            }
            Self::Until(timer) => timer.as_mut().poll(context).map(|()| Late),
        }
    }
}

/// Reads a body, but not for ever.
pub(crate) async fn in_time<F: Future>(reading: F) -> Result<F::Output, Late> {
    let mut reading = pin!(reading);
    let mut time_left = TimeLeft::default();
    poll_fn(|context| {
        if let Poll::Ready(read) = reading.as_mut().poll(context) {
            return Poll::Ready(Ok(read));
        }
        time_left.poll_late(context).map(Err)
    })
    .await
}

#[cfg(test)]
mod tests {
    use core::future::{pending, ready};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn n126_a_body_that_drips_is_late() {
        assert!(matches!(in_time(ready(7)).await, Ok(7)));
        let begun = tokio::time::Instant::now();
        // Asked twice in one turn, as the framework does.
        let (late, ()) = tokio::join!(in_time(pending::<()>()), yield_now());
        assert!(late.is_err());
        assert_eq!(begun.elapsed().as_secs(), BODY_SECONDS);
    }
}
