//! Places for work that would block: so many at once, so many more that wait, and the next is
//! turned away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use keyledger_ledger::step_back::step_back;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::problem::Problem;
use crate::seats::{Account, Seats};

/// How long a place without a job keeps what lies ready for the next.
const REST_AFTER: Duration = Duration::from_secs(2);

/// What a place keeps from one job to the next. Each place makes its own, on its own thread.
pub(crate) trait Desk: Default + 'static {
    /// Nobody waits for the place: nothing of the last job may stay behind.
    fn tidy(&mut self);
}

/// For jobs that need nothing.
impl Desk for () {
    fn tidy(&mut self) {}
}

type Job<D> = Box<dyn FnOnce(&mut D) + Send>;

/// A bounded number of places, with a bounded queue before them.
///
/// Each place is a thread of its own: what a job needs at hand lies there once, however many jobs
/// come, and never moves to another thread.
pub(crate) struct Places<D> {
    jobs: Sender<Job<D>>,
    /// Those who work and those who wait.
    admitted: Arc<Semaphore>,
}

impl<D: Desk> Places<D> {
    /// So many places, and so many who may wait for one.
    pub(crate) fn new(places: usize, waiting_max: usize) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..places {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || work_off::<D>(&queue));
        }
        let admitted = Arc::new(Semaphore::new(places + waiting_max));
        Self { jobs, admitted }
    }

    /// Does a job on a thread that answers no requests, once there is a place.
    ///
    /// # Errors
    /// 503 when too many wait already; the sentence is `busy`.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        busy: &'static str,
        job: impl FnOnce(&mut D) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| Problem::unavailable(busy))?;
        let (answer, done) = oneshot::channel();
        // The place in the queue goes with the job: a request that is given up frees it no sooner.
        let job: Job<D> = Box::new(move |desk| {
            let result = job(desk);
            drop(admitted);
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        });
        let stopping = || Problem::unavailable("The server is stopping; try again.");
        self.jobs.send(job).map_err(|_| stopping())?;
        done.await.map_err(|_| stopping())
    }
}

/// Waits for the next job, but not for long. Only one thread waits for it; the others wait for the
/// lock.
fn wait<D>(queue: &Mutex<Receiver<Job<D>>>) -> Result<Job<D>, RecvTimeoutError> {
    let queue = queue
        .try_lock_for(REST_AFTER)
        .ok_or(RecvTimeoutError::Timeout)?;
    queue.recv_timeout(REST_AFTER)
}

/// Does one job after the other until the last [`Places`] is gone.
fn work_off<D: Desk>(queue: &Mutex<Receiver<Job<D>>>) {
    step_back();
    let mut desk = D::default();
    loop {
        // Where somebody else waits with the lock, there is no job either.
        let waiting = queue.try_lock().and_then(|queue| queue.try_recv().ok());
        let job = if let Some(job) = waiting {
            job
        } else {
            desk.tidy();
            match wait(queue) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    // A server at rest needs no desks; the next job finds a new one.
                    desk = D::default();
                    match queue.lock().recv() {
                        Ok(job) => job,
                        Err(RecvError) => return,
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        if catch_unwind(AssertUnwindSafe(|| job(&mut desk))).is_err() {
            // Whatever the job left half done goes with its desk.
            desk = D::default();
            tracing::error!("a job panicked; its request was answered with 503");
        }
    }
}

/// [`Places`] of which each account has its part only.
pub(crate) struct SharedPlaces<D> {
    places: Places<D>,
    seats: Arc<Seats>,
}

impl<D: Desk> SharedPlaces<D> {
    /// One place, so many who may wait for it, and so many of one account who work or wait.
    pub(crate) fn new(waiting_max: usize, each_max: usize) -> Self {
        Self {
            places: Places::new(1, waiting_max),
            seats: Seats::new(1 + waiting_max, each_max),
        }
    }

    /// Does a job of an account, once there is a place.
    ///
    /// # Errors
    /// 503 when too many wait already, or too many of this account; the sentence is `busy`.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        account: Account,
        busy: &'static str,
        job: impl FnOnce(&mut D) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let seat = self.seats.take(account);
        let seat = seat.ok_or_else(|| Problem::unavailable(busy))?;
        self.places
            .work(busy, move |desk| {
                let result = job(desk);
                // It goes with the job: a request that is given up frees it no sooner.
                drop(seat);
                result
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use keyledger_domain::id::UserId;

    use super::*;

    #[actix_web::test]
    async fn one_works_one_waits_and_the_third_is_turned_away() {
        let places = Arc::new(Places::<()>::new(1, 1));
        let (release, released) = channel::<()>();
        let working = {
            let places = Arc::clone(&places);
            actix_web::rt::spawn(async move {
                places.work("busy", move |()| released.recv().is_ok()).await
            })
        };
        let waiting = {
            let places = Arc::clone(&places);
            actix_web::rt::spawn(async move { places.work("busy", |()| true).await })
        };
        while places.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let third = places.work("busy", |()| true).await;
        assert_eq!(third.expect_err("no place is left").detail(), "busy");
        release.send(()).expect("the first works still");
        assert!(working.await.expect("it ran").expect("it had a place"));
        assert!(waiting.await.expect("it ran").expect("it got a place"));
        assert!(
            places
                .work("busy", |()| true)
                .await
                .expect("a place is free")
        );
    }

    fn person(number: u8) -> Account {
        Account::Person(UserId::from_bytes([number; 16]))
    }

    /// Goal: one account can make itself wait, and nobody else.
    #[actix_web::test]
    async fn who_asks_too_much_is_turned_away_and_others_are_not() {
        let places = Arc::new(SharedPlaces::<()>::new(8, 3));
        let (release, released) = channel::<()>();
        let work = |account, job: Box<dyn FnOnce() + Send>| {
            let places = Arc::clone(&places);
            actix_web::rt::spawn(async move { places.work(account, "busy", |()| job()).await })
        };
        let mut of_one = vec![work(
            person(1),
            Box::new(move || released.recv().expect("it is let go on")),
        )];
        of_one.extend((0..2).map(|_| work(person(1), Box::new(|| ()))));
        while places.seats.taken_by(person(1)) < 3 {
            tokio::task::yield_now().await;
        }
        let fourth = work(person(1), Box::new(|| ())).await.expect("it ran");
        assert_eq!(fourth.expect_err("it has its part").detail(), "busy");
        let other = work(person(2), Box::new(|| ()));
        tokio::task::yield_now().await;
        release.send(()).expect("the first works still");
        assert!(other.await.expect("it ran").is_ok());
        for job in of_one {
            assert!(job.await.expect("it ran").is_ok());
        }
    }
}
