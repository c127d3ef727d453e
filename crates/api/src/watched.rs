//! A connection that waits for nobody for ever, and the crowd of all of them.
//!
//! The framework times the head of a connection's first request and its idleness, and nothing
//! else: a later head that drips, a body without an end after it was refused and an answer that is
//! not taken would each hold their connection until the peer tires. So the connection itself looks
//! every few seconds what became of it. It knows bytes and no HTTP, and that is enough: whoever has
//! sent something must have got something within [`UNANSWERED_SECONDS`], and whoever is being sent
//! something must take it. Idleness is seen here too: the framework would set a timer behind every
//! answer and take it back at the next request.

use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How often a connection looks at itself. Also how far each limit may be overstepped.
const TICK_SECONDS: u64 = 5;
/// How long it may take from the first byte of a request to the first byte of its answer. A head has
/// ten seconds, a body has ten, and what is left is ours.
pub(crate) const UNANSWERED_SECONDS: u64 = 30;
/// How long an answer may lie in front of a peer that takes less of it than [`TAKEN_BYTES`] a tick.
pub(crate) const STALLED_SECONDS: u64 = 10;
/// What a peer must take of a waiting answer between two looks, in bytes.
const TAKEN_BYTES: usize = 1024;

/// How long a connection may stay idle while there is room for others.
pub(crate) const KEEP_ALIVE_SECONDS: u64 = 75;

const KEEP_ALIVE_TICKS: u64 = KEEP_ALIVE_SECONDS / TICK_SECONDS;
const UNANSWERED_TICKS: u64 = UNANSWERED_SECONDS / TICK_SECONDS;
const STALLED_TICKS: u64 = STALLED_SECONDS / TICK_SECONDS;

/// How many connections are open, and how many may be.
///
/// Above three quarters, connections that are idle are closed at their next look, so that those who
/// keep thousands of them open keep nobody else out.
#[derive(Debug)]
pub(crate) struct Crowd {
    open: AtomicUsize,
    dense_from: usize,
}

impl Crowd {
    /// Nobody yet, of at most this many.
    pub(crate) const fn new(connections_max: usize) -> Self {
        Self {
            open: AtomicUsize::new(0),
            dense_from: connections_max - connections_max / 4,
        }
    }

    fn is_dense(&self) -> bool {
        self.open.load(Ordering::Relaxed) > self.dense_from
    }
}

/// One of the crowd, until it is dropped.
struct Place(Arc<Crowd>);

impl Place {
    fn take(crowd: Arc<Crowd>) -> Self {
        crowd.open.fetch_add(1, Ordering::Relaxed);
        Self(crowd)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is closed when its peer dawdles.
pub(crate) struct Watched<C> {
    connection: C,
    place: Place,
    /// One timer for the life of the connection: setting one for each request would cost more than
    /// all that is done here.
    timer: Pin<Box<Sleep>>,
    /// Whether the timer knows whom to wake.
    is_set: bool,
    /// Whether it was found idle: then it is read to its end.
    is_over: bool,
    doings: Doings,
}

/// What happened on a connection.
#[derive(Default)]
struct Doings {
    /// Something was read, and nothing written since.
    is_unanswered: bool,
    /// The peer does not take what is written.
    is_blocked: bool,
    /// Something was read or written since the last look.
    is_busy: bool,
    /// What was written since the last look, in bytes.
    written_bytes: usize,
    /// Looks that found it unanswered. The first comes within a tick of the first byte.
    unanswered_ticks: u64,
    /// Looks that found that too little was taken, each for a whole tick.
    stalled_ticks: u64,
    /// Looks that found that nothing happened and nothing is awaited.
    idle_ticks: u64,
}

/// What a look comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// The connection may live on.
    Fine,
    /// Nobody needs it: it ends as if the peer had ended it.
    Idle,
    /// The peer dawdles: it is cut off.
    Dawdling,
}

impl Doings {
    fn read(&mut self) {
        self.is_unanswered = true;
        self.is_busy = true;
    }

    fn wrote(&mut self, bytes: usize) {
        self.is_unanswered = false;
        self.unanswered_ticks = 0;
        self.is_blocked = false;
        self.is_busy = true;
        self.written_bytes += bytes;
    }

    fn tick(&mut self, is_dense: bool) -> Look {
        if self.is_busy || self.is_unanswered || self.is_blocked {
            self.idle_ticks = 0;
        } else {
            self.idle_ticks += 1;
        }
        self.unanswered_ticks += u64::from(self.is_unanswered);
        if self.is_blocked && self.written_bytes < TAKEN_BYTES {
            self.stalled_ticks += 1;
        } else {
            self.stalled_ticks = 0;
        }
        self.is_busy = false;
        self.written_bytes = 0;
        if self.unanswered_ticks > UNANSWERED_TICKS || self.stalled_ticks >= STALLED_TICKS {
            return Look::Dawdling;
        }
        let ticks_borne = if is_dense { 1 } else { KEEP_ALIVE_TICKS };
        if self.idle_ticks >= ticks_borne {
            return Look::Idle;
        }
        Look::Fine
    }
}

impl<C> Watched<C> {
    /// Watches over a connection that was just accepted.
    pub(crate) fn new(connection: C, crowd: Arc<Crowd>) -> Self {
        Self {
            connection,
            place: Place::take(crowd),
            timer: Box::pin(sleep(Duration::from_secs(TICK_SECONDS))),
            is_set: false,
            is_over: false,
            doings: Doings::default(),
        }
    }

    /// Looks, if it is time to. Nearly always it is not, and this is two loads.
    fn watch(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.is_set && !self.timer.is_elapsed() {
            return Ok(());
        }
        self.is_set = true;
        while self.timer.as_mut().poll(context).is_ready() {
            match self.doings.tick(self.place.0.is_dense()) {
                Look::Fine => {}
                Look::Idle => self.is_over = true,
                Look::Dawdling => return Err(io::ErrorKind::TimedOut.into()),
            }
            let next = Instant::now() + Duration::from_secs(TICK_SECONDS);
            self.timer.as_mut().reset(next);
        }
        Ok(())
    }

    fn note_write(&mut self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.doings.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.doings.is_blocked = true,
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Watched<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch(context)?;
        if this.is_over {
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut this.connection).poll_read(context, buffer);
        if buffer.filled().len() > filled {
            this.doings.read();
        }
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Watched<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch(context)?;
        let written = Pin::new(&mut this.connection).poll_write(context, bytes);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch(context)?;
        let written = Pin::new(&mut this.connection).poll_write_vectored(context, slices);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch(context)?;
        let flushed = Pin::new(&mut this.connection).poll_flush(context);
        this.doings.is_blocked |= flushed.is_pending();
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch(context)?;
        let ended = Pin::new(&mut this.connection).poll_shutdown(context);
        // What was not sent yet has to be taken first.
        this.doings.is_blocked |= ended.is_pending();
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks a connection survives while this happens between each two.
    fn looks(is_dense: bool, mut between: impl FnMut(&mut Doings)) -> usize {
        let mut doings = Doings::default();
        (0..100)
            .take_while(|_| {
                between(&mut doings);
                doings.tick(is_dense) == Look::Fine
            })
            .count()
    }

    #[test]
    fn n126_a_request_that_drips_is_cut_off_and_one_that_is_answered_is_not() {
        assert_eq!(looks(false, Doings::read), 6);
        let answered = |doings: &mut Doings| {
            doings.read();
            doings.wrote(100);
        };
        assert_eq!(looks(false, answered), 100);
        assert_eq!(looks(true, answered), 100, "who works is not sent away");
    }

    #[test]
    fn n126_an_answer_that_is_not_taken_is_cut_off_and_a_slow_one_is_not() {
        let taking = |bytes| {
            looks(false, move |doings| {
                doings.wrote(bytes);
                doings.is_blocked = true;
            })
        };
        assert_eq!(taking(0), 1);
        assert_eq!(taking(TAKEN_BYTES - 1), 1);
        assert_eq!(taking(TAKEN_BYTES), 100);
    }

    #[test]
    fn n126_idle_connections_go_after_their_time_or_where_it_is_dense() {
        assert_eq!(looks(false, |_| ()), 14, "the fifteenth ends 75 s");
        assert_eq!(looks(true, |_| ()), 0);
        let mut looked = 0;
        let now_and_then = |doings: &mut Doings| {
            looked += 1;
            if looked % 15 == 0 {
                doings.read();
                doings.wrote(100);
            }
        };
        assert_eq!(looks(false, now_and_then), 100);
        let mut crowd = Crowd::new(8);
        for (open, is_dense) in [(0, false), (6, false), (7, true)] {
            *crowd.open.get_mut() = open;
            assert_eq!(crowd.is_dense(), is_dense, "{open} of 8");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn n126_the_timer_wakes_a_connection_on_which_nothing_happens() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let crowd = Arc::new(Crowd::new(100));
        let (mut near, far) = tokio::io::duplex(64);
        let mut watched = Watched::new(far, Arc::clone(&crowd));
        near.write_all(b"GET / HT").await.unwrap();
        let begun = Instant::now();
        let mut read = Vec::new();
        let error = watched.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let seconds = begun.elapsed().as_secs();
        let limit = UNANSWERED_SECONDS + TICK_SECONDS;
        assert!((UNANSWERED_SECONDS..=limit).contains(&seconds), "{seconds}");
        assert_eq!(crowd.open.load(Ordering::Relaxed), 1);
        drop(watched);
        assert_eq!(crowd.open.load(Ordering::Relaxed), 0);
    }

    /// Attack: asking for an answer, not taking it, and waiting for the server to end the connection.
    #[tokio::test(start_paused = true)]
    async fn n126_a_connection_that_ends_waits_for_no_peer_that_takes_nothing() {
        use tokio::io::AsyncWriteExt;
        struct Stuck;
        impl AsyncWrite for Stuck {
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(Ok(bytes.len()))
            }
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Pending
            }
        }
        let mut watched = Watched::new(Stuck, Arc::new(Crowd::new(100)));
        watched.write_all(b"an answer").await.unwrap();
        let begun = Instant::now();
        let error = watched.shutdown().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let seconds = begun.elapsed().as_secs();
        let limit = STALLED_SECONDS + 2 * TICK_SECONDS;
        assert!((STALLED_SECONDS..=limit).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_read_to_its_end() {
        use tokio::io::AsyncReadExt;
        let (_near, far) = tokio::io::duplex(64);
        let mut watched = Watched::new(far, Arc::new(Crowd::new(100)));
        let begun = Instant::now();
        let mut read = Vec::new();
        assert_eq!(watched.read_to_end(&mut read).await.unwrap(), 0);
        let seconds = begun.elapsed().as_secs();
        let limit = KEEP_ALIVE_SECONDS + TICK_SECONDS;
        assert!((KEEP_ALIVE_SECONDS..=limit).contains(&seconds), "{seconds}");
    }
}
