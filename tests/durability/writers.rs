//! Writers: each makes, rotates and revokes keys and services on one connection, one change after
//! the other, until the server is no more, and notes what was answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_PASSWORD, Reply, Rng, Server};
use serde_json::json;

use crate::books::{Book, Doubt, Held, Kind, side_by_side, token_in};

/// How many write side by side.
const WRITERS: usize = 8;

/// Older things that each writer's book is checked for after each restart.
const SAMPLES: usize = 12;

/// A server, its writers' books, and the numbers that decide what happens when.
pub(crate) struct Trial {
    pub(crate) server: Server,
    pub(crate) rng: Rng,
    owner_key: String,
    books: Vec<Book>,
    rounds: u64,
}

/// What came of a change that was sent.
enum Outcome {
    Answered(Reply),
    /// No whole answer, or one that says the server could not: nobody knows.
    Unknown,
}

impl Trial {
    pub(crate) fn begin(launch: Launch, what: &str) -> Self {
        let seed = Rng::seed_of_run();
        keyledger_tests::say(&format!("{what}: KEYLEDGER_SEED={seed}"));
        let server = launch.start();
        let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
        let owner_key = owner
            .post("/user/keys", &json!({ "handle": "writers" }))
            .expect(201)
            .string("token");
        let books = (0..WRITERS).map(|_| Book::default()).collect();
        Self {
            server,
            rng: Rng::seeded(seed),
            owner_key,
            books,
            rounds: 0,
        }
    }

    /// Lets the writers write, calls `disaster` after `moment`, and waits until the last has noticed.
    pub(crate) fn write_until(&mut self, moment: Duration, disaster: impl FnOnce(&mut Server)) {
        self.rounds += 1;
        let round = self.rounds;
        let seeds: Vec<u64> = self.books.iter().map(|_| self.rng.bits()).collect();
        let has_begun = AtomicBool::new(false);
        let has_begun = &has_begun;
        std::thread::scope(|scope| {
            for (number, (book, seed)) in self.books.iter_mut().zip(seeds).enumerate() {
                let owner = self.server.client().x_api_key(&self.owner_key);
                let prefix = format!("w{number}-{round}");
                scope.spawn(move || write(book, &owner, &prefix, Rng::seeded(seed), has_begun));
            }
            std::thread::sleep(moment);
            has_begun.store(true, Ordering::Release);
            disaster(&mut self.server);
        });
    }

    /// After a restart: settles what is in doubt, then checks what was promised.
    pub(crate) fn check_round(&mut self) {
        // Told apart from smaller losses: the very first change, from before the first disaster.
        let owner = self
            .server
            .client()
            .x_api_key(&self.owner_key)
            .get("/v1/me");
        assert_eq!(
            owner.status(),
            200,
            "the owner's own key is lost, and so perhaps everything"
        );
        let seed = self.rng.bits();
        side_by_side(
            &mut self.books,
            &self.server,
            &self.owner_key,
            |number, book, server, owner| {
                book.settle(server, owner);
                let mut rng = Rng::seeded(seed.wrapping_add(number as u64));
                book.check_round(server, owner, &mut rng, SAMPLES);
            },
        );
    }

    /// Checks every promise of every round, and that there were some.
    pub(crate) fn check_all(&mut self) {
        side_by_side(
            &mut self.books,
            &self.server,
            &self.owner_key,
            |_, book, server, owner| {
                book.check_all(server, owner);
            },
        );
        assert!(
            self.acknowledged() >= self.rounds,
            "the writers got hardly anything written"
        );
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.books.iter().map(|book| book.acknowledged).sum()
    }
}

fn write(book: &mut Book, owner: &Client, prefix: &str, mut rng: Rng, has_begun: &AtomicBool) {
    let mut made = 0_u32;
    while book.doubt.is_none() {
        let place = (!book.held.is_empty()).then(|| rng.index(book.held.len()));
        let place = place.filter(|place| book.held[*place].live.is_some());
        match (rng.below(100), place) {
            (0..25, Some(place)) => revoke(book, owner, place),
            (25..50, Some(place)) => rotate(book, owner, place),
            (number, _) => {
                made += 1;
                let kind = if number % 5 == 0 {
                    Kind::Service
                } else {
                    Kind::UserKey
                };
                make(book, owner, kind, format!("{prefix}-{made}"));
            }
        }
    }
    // Only the disaster may come between a change and its answer: anything else is a fault.
    assert!(
        has_begun.load(Ordering::Acquire),
        "a change was not answered though nothing had happened yet"
    );
}

fn make(book: &mut Book, owner: &Client, kind: Kind, name: String) {
    let body = match kind {
        Kind::UserKey => json!({ "handle": name }),
        Kind::Service => json!({ "name": name }),
    };
    match send(owner, "POST", kind.collection(), Some(&body), 201) {
        Outcome::Unknown => book.doubt = Some(Doubt::Made(kind, name)),
        Outcome::Answered(reply) => {
            let live = Some(token_in(&reply.json(), kind));
            book.acknowledged += 1;
            book.touched.push(book.held.len());
            book.held.push(Held {
                kind,
                name,
                live,
                dead: Vec::new(),
            });
        }
    }
}

fn revoke(book: &mut Book, owner: &Client, place: usize) {
    let held = &mut book.held[place];
    match send(owner, "DELETE", &held.path(), None, 204) {
        Outcome::Unknown => book.doubt = Some(Doubt::Revoked(place)),
        Outcome::Answered(_) => {
            held.dead.extend(held.live.take());
            book.acknowledged += 1;
            book.touched.push(place);
        }
    }
}

fn rotate(book: &mut Book, owner: &Client, place: usize) {
    let held = &mut book.held[place];
    let path = format!("{}/{}", held.path(), held.kind.rotation());
    match send(owner, "POST", &path, Some(&json!({})), 200) {
        Outcome::Unknown => book.doubt = Some(Doubt::Rotated(place)),
        Outcome::Answered(reply) => {
            held.dead
                .extend(held.live.replace(token_in(&reply.json(), held.kind)));
            book.acknowledged += 1;
            book.touched.push(place);
        }
    }
}

fn send(
    owner: &Client,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
    expected: u16,
) -> Outcome {
    match owner.try_send(method, path, body) {
        Err(_) => Outcome::Unknown,
        Ok(reply) if reply.status() >= 500 => Outcome::Unknown,
        Ok(reply) => Outcome::Answered(reply.expect(expected)),
    }
}
