//! What a worker has to send, sent together before it sleeps.
//!
//! A worker that sends each answer as soon as it is made wakes its peer for each, and runs the system's
//! way out and its own way in by turns, neither of which then stays in the nearest cache. With many
//! connections that is a tenth of all it does. So answers are put one behind the other, and when all
//! requests that had arrived are answered they are sent in one go (as Redis does before it sleeps, and
//! Seastar with flushes). Where one request is there alone, its answer waits for nothing.
//!
//! **What is put here is sent**, or its connection fails: also where the connection was let go of
//! meanwhile, as long as its peer takes it at once. A peer that does not is waited for apart from the
//! others, and holds at most [`UNSENT_BYTES_MAX`].

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io;
use std::rc::Rc;

use actix_web::rt::net::TcpStream;
use actix_web::rt::spawn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What one connection may have put here that is not sent yet, in bytes. An answer that is longer comes
/// in pieces, one each time that the worker sends.
const UNSENT_BYTES_MAX: usize = 16 << 10;
/// Room for so much is kept from one sending to the next, in bytes.
const ROOM_KEPT_BYTES: usize = 256 << 10;

/// The answers of one worker that are not sent yet.
#[derive(Default)]
pub(crate) struct Outbox {
    answers: RefCell<Answers>,
    /// Whether there is a task that sends them.
    has_sender: Cell<bool>,
}

#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
    /// Whose they are, in the order in which they lie there.
    parts: Vec<(Rc<RefCell<Line>>, Range<usize>)>,
    /// Wakes whoever sends them.
    sender: Option<Waker>,
}

impl Outbox {
    /// A connection whose answers go here.
    pub(crate) fn connect(self: &Rc<Self>, connection: TcpStream) -> Connection {
        if !self.has_sender.replace(true) {
            let outbox = Rc::clone(self);
            drop(spawn(outbox.send_always()));
        }
        let (reading, writing) = connection.into_split();
        Connection {
            reading,
            line: Rc::new(RefCell::new(Line::new(writing))),
            outbox: Rc::clone(self),
        }
    }

    fn put(&self, line: &Rc<RefCell<Line>>, bytes: &[u8]) {
        let mut answers = self.answers.borrow_mut();
        let start = answers.bytes.len();
        answers.bytes.extend_from_slice(bytes);
        let end = answers.bytes.len();
        answers.parts.push((Rc::clone(line), start..end));
        // It stands behind all that is ready to be done now.
        if start == 0
            && let Some(sender) = &answers.sender
        {
            sender.wake_by_ref();
        }
    }

    /// Sends whenever there is something, until its worker ends.
    async fn send_always(self: Rc<Self>) {
        poll_fn(|context| {
            self.send();
            let sender = &mut self.answers.borrow_mut().sender;
            if !sender
                .as_ref()
                .is_some_and(|sender| sender.will_wake(context.waker()))
            {
                *sender = Some(context.waker().clone());
            }
            Poll::<()>::Pending
        })
        .await;
    }

    fn send(&self) {
        let (mut bytes, mut parts) = {
            let mut answers = self.answers.borrow_mut();
            (
                core::mem::take(&mut answers.bytes),
                core::mem::take(&mut answers.parts),
            )
        };
        for (line, part) in parts.drain(..) {
            let is_stuck = line.borrow_mut().send(&bytes[part]);
            if is_stuck {
                drop(spawn(Line::send_rest(line)));
            }
        }
        bytes.clear();
        bytes.shrink_to(ROOM_KEPT_BYTES);
        let mut answers = self.answers.borrow_mut();
        // Nobody was polled in between who could have put anything there.
        answers.bytes = bytes;
        answers.parts = parts;
    }
}

/// The way to one peer.
struct Line {
    half: OwnedWriteHalf,
    /// What was put into the outbox and not tried yet, in bytes.
    put_bytes: usize,
    /// What the peer did not take. While there is any, a task waits for the peer to take it.
    rest: Vec<u8>,
    failed: Option<io::ErrorKind>,
    /// Wakes the connection, which has more to send.
    waiting: Option<Waker>,
    /// Whether the connection was let go of; then nobody is waited for.
    is_let_go: bool,
    /// Wakes the task that waits for the peer.
    rest_sender: Option<Waker>,
}

impl Line {
    fn new(half: OwnedWriteHalf) -> Self {
        Self {
            half,
            put_bytes: 0,
            rest: Vec::new(),
            failed: None,
            waiting: None,
            is_let_go: false,
            rest_sender: None,
        }
    }

    fn unsent_bytes(&self) -> usize {
        self.put_bytes + self.rest.len()
    }

    /// Sends what was put into the outbox; gives whether it began to be stuck.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.put_bytes -= bytes.len();
        let was_stuck = !self.rest.is_empty();
        if was_stuck {
            self.rest.extend_from_slice(bytes);
        } else if self.failed.is_none() {
            match self.half.try_write(bytes) {
                Ok(sent) => self.rest.extend_from_slice(&bytes[sent..]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rest.extend_from_slice(bytes);
                }
                Err(error) => self.failed = Some(error.kind()),
            }
        }
        if self.is_let_go {
            self.rest.clear();
        }
        self.wake_who_waits();
        !was_stuck && !self.rest.is_empty()
    }

    fn wake_who_waits(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Sends the rest as the peer takes it.
    async fn send_rest(line: Rc<RefCell<Self>>) {
        poll_fn(|context| line.borrow_mut().poll_rest(context)).await;
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.rest.is_empty() && !self.is_let_go {
            let Poll::Ready(writable) = self.half.as_ref().poll_write_ready(context) else {
                self.rest_sender = Some(context.waker().clone());
                return Poll::Pending;
            };
            match writable.and_then(|()| self.half.try_write(&self.rest)) {
                Ok(sent) => drop(self.rest.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.failed = Some(error.kind());
                    self.rest = Vec::new();
                }
            }
            self.wake_who_waits();
        }
        self.rest = Vec::new();
        Poll::Ready(())
    }
}

/// A connection that reads for itself and sends with the others of its worker.
pub(crate) struct Connection {
    reading: OwnedReadHalf,
    line: Rc<RefCell<Line>>,
    outbox: Rc<Outbox>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut line = self.line.borrow_mut();
        line.is_let_go = true;
        if let Some(sender) = line.rest_sender.take() {
            sender.wake();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reading).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut line = self.line.borrow_mut();
        if let Some(kind) = line.failed {
            return Poll::Ready(Err(kind.into()));
        }
        let room = UNSENT_BYTES_MAX.saturating_sub(line.unsent_bytes());
        if room == 0 {
            line.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        let bytes = &bytes[..bytes.len().min(room)];
        line.put_bytes += bytes.len();
        self.outbox.put(&self.line, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// What is put into the outbox is on its way; nobody has to wait for it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let failed = self.line.borrow().failed;
        Poll::Ready(failed.map_or(Ok(()), |kind| Err(kind.into())))
    }

    /// Sends what lies in the outbox at once: the framework is not done with a connection before it is
    /// shut down, and says at each look until then that its time is over.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_put = self.line.borrow().put_bytes > 0;
        if is_put {
            self.outbox.send();
        }
        let mut line = self.line.borrow_mut();
        if let Some(kind) = line.failed {
            return Poll::Ready(Err(kind.into()));
        }
        if line.unsent_bytes() > 0 {
            line.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut line.half).poll_shutdown(context)
    }
}
#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::rc::Weak;

    use actix_web::rt::System;
    use actix_web::rt::net::TcpListener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    /// A connection of a worker, and its peer.
    async fn pair(outbox: &Rc<Outbox>) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let (peer, accepted) = tokio::join!(peer, listener.accept());
        (outbox.connect(accepted.unwrap().0), peer.unwrap())
    }

    fn unsent_bytes(connection: &Connection) -> usize {
        connection.line.borrow().unsent_bytes()
    }

    /// Writes until nothing more is taken for a while; gives how much was, in bytes.
    async fn fill(connection: &mut Connection) -> usize {
        let (piece, mut filled) = ([7; 10_000], 0);
        let patience = Duration::from_millis(100);
        while let Ok(written) = timeout(patience, connection.write(&piece)).await {
            filled += written.unwrap();
        }
        filled
    }

    #[test]
    fn what_several_connections_send_arrives_whole_and_in_order() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            let mut tasks = Vec::new();
            for number in 0..8_usize {
                let (mut connection, mut peer) = pair(&outbox).await;
                let bytes: Vec<u8> = (0..number * 100_000 + 10)
                    .map(|place| (place * 31 + number).to_le_bytes()[0])
                    .collect();
                tasks.push(spawn(async move {
                    let write = async {
                        // The first is as short as an answer, the others as long as a file.
                        let (short, long) = bytes.split_at(10);
                        connection.write_all(short).await.unwrap();
                        connection.write_all(long).await.unwrap();
                        connection.shutdown().await.unwrap();
                    };
                    let mut arrived = Vec::new();
                    let ((), read) = tokio::join!(write, peer.read_to_end(&mut arrived));
                    assert_eq!(read.unwrap(), bytes.len());
                    assert!(arrived == bytes, "of connection {number}");
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    }

    #[test]
    fn answers_leave_together_when_all_that_was_ready_is_done() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            let mut pairs = Vec::new();
            for _ in 0..3 {
                pairs.push(pair(&outbox).await);
            }
            yield_now().await;
            for (connection, _) in &mut pairs {
                assert_eq!(connection.write(b"answer").await.unwrap(), 6);
                connection.flush().await.unwrap();
            }
            assert_eq!(outbox.answers.borrow().parts.len(), 3);
            for (connection, peer) in &mut pairs {
                let mut answer = [0; 6];
                peer.read_exact(&mut answer).await.unwrap();
                assert_eq!((&answer, unsent_bytes(connection)), (b"answer", 0));
            }
        });
    }

    #[test]
    fn a_peer_that_takes_nothing_holds_little_and_disturbs_nobody() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            let (mut stuck, mut lazy) = pair(&outbox).await;
            let filled = fill(&mut stuck).await;
            assert_eq!(unsent_bytes(&stuck), UNSENT_BYTES_MAX);
            let (mut other, mut quick) = pair(&outbox).await;
            other.write_all(b"answer").await.unwrap();
            let mut answer = [0; 6];
            quick.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"answer");
            // Nothing of it was lost once it is taken after all.
            let mut arrived = vec![0; filled];
            lazy.read_exact(&mut arrived).await.unwrap();
            assert!(arrived.iter().all(|byte| *byte == 7));
            stuck.write_all(b"more").await.unwrap();
            stuck.shutdown().await.unwrap();
            let mut rest = Vec::new();
            lazy.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"more");
        });
    }

    /// Goal: a head that dripped too long is told so once, and its connection ends.
    #[test]
    fn whoever_ends_waits_for_no_other() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            let (mut connection, mut peer) = pair(&outbox).await;
            let mut context = Context::from_waker(Waker::noop());
            let written = Pin::new(&mut connection).poll_write(&mut context, b"too slow");
            assert!(matches!(written, Poll::Ready(Ok(8))));
            let ended = Pin::new(&mut connection).poll_shutdown(&mut context);
            assert!(matches!(ended, Poll::Ready(Ok(()))), "{ended:?}");
            let mut arrived = Vec::new();
            peer.read_to_end(&mut arrived).await.unwrap();
            assert_eq!(arrived, b"too slow");
        });
    }

    #[test]
    fn what_was_put_is_sent_though_its_connection_was_let_go_of() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            let (mut connection, mut peer) = pair(&outbox).await;
            connection.write_all(b"answer").await.unwrap();
            drop(connection);
            let mut arrived = Vec::new();
            peer.read_to_end(&mut arrived).await.unwrap();
            assert_eq!(arrived, b"answer");
        });
    }

    #[test]
    fn nobody_waits_for_a_peer_whose_connection_was_let_go_of() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            let (mut connection, mut peer) = pair(&outbox).await;
            let filled = fill(&mut connection).await;
            let line: Weak<RefCell<Line>> = Rc::downgrade(&connection.line);
            drop(connection);
            yield_now().await;
            yield_now().await;
            assert!(line.upgrade().is_none(), "it is still waited for");
            let mut arrived = Vec::new();
            peer.read_to_end(&mut arrived).await.unwrap();
            assert_eq!(arrived.len(), filled - UNSENT_BYTES_MAX);
        });
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_to_who_writes() {
        System::new().block_on(async {
            let outbox = Rc::<Outbox>::default();
            for is_stuck in [false, true] {
                let (mut connection, peer) = pair(&outbox).await;
                if is_stuck {
                    fill(&mut connection).await;
                }
                drop(peer);
                let write = async { while connection.write(b"answer").await.is_ok() {} };
                timeout(Duration::from_secs(10), write).await.unwrap();
                assert!(connection.flush().await.is_err());
                assert!(connection.shutdown().await.is_err());
            }
        });
    }
}
