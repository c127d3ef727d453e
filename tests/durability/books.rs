//! What the writers were promised, and whether the server keeps it.

use keyledger_tests::{Client, Rng, Server};
use serde_json::Value;

/// What kind of thing a writer holds; each has its own routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    UserKey,
    Service,
}

/// One thing that was made, and every token that it ever had.
pub(crate) struct Held {
    pub(crate) kind: Kind,
    /// Handle or slug.
    pub(crate) name: String,
    /// The token that must authenticate; `None` once it was revoked.
    pub(crate) live: Option<String>,
    /// Tokens that must never authenticate again.
    pub(crate) dead: Vec<String>,
}

/// A change that was sent and not answered: it may have happened or not, but not in part.
pub(crate) enum Doubt {
    /// Whether the thing of this name was made.
    Made(Kind, String),
    /// Whether the thing at this place of the book was revoked.
    Revoked(usize),
    /// Whether the thing at this place of the book was rotated.
    Rotated(usize),
}

/// One writer's book. Writers share nothing, so each knows the order of its own changes.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) held: Vec<Held>,
    pub(crate) doubt: Option<Doubt>,
    /// Places in `held` that this round changed.
    pub(crate) touched: Vec<usize>,
    /// Changes that were answered, over all rounds.
    pub(crate) acknowledged: u64,
}

impl Kind {
    pub(crate) fn collection(self) -> &'static str {
        match self {
            Self::UserKey => "/user/keys",
            Self::Service => "/v1/orgs/acme/services",
        }
    }

    pub(crate) fn rotation(self) -> &'static str {
        match self {
            Self::UserKey => "rotate",
            Self::Service => "refresh",
        }
    }

    /// The member of an answer that holds the token.
    pub(crate) fn secret_member(self) -> &'static str {
        match self {
            Self::UserKey => "token",
            Self::Service => "key",
        }
    }
}

impl Held {
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.kind.collection(), self.name)
    }

    /// Asserts that the server knows it as the writer was told.
    fn assert_kept(&self, server: &Client, owner: &Client) {
        let status = |token: &str| server.x_api_key(token).get("/v1/me").status();
        if let Some(live) = &self.live {
            assert_eq!(
                status(live),
                200,
                "{:?} {} was made or rotated, and its token is lost",
                self.kind,
                self.name
            );
        } else {
            let gone = owner.get(&self.path()).status();
            assert_eq!(
                gone, 404,
                "{:?} {} was revoked and is there again",
                self.kind, self.name
            );
        }
        for dead in &self.dead {
            assert_eq!(
                status(dead),
                401,
                "an ended token of {:?} {} is good again",
                self.kind,
                self.name
            );
        }
    }
}

impl Book {
    /// Looks which way the change in doubt went, asserts that it went one way wholly, and then
    /// revokes what it was about, so that the book is certain again.
    pub(crate) fn settle(&mut self, server: &Client, owner: &Client) {
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        let status = |token: &str| server.x_api_key(token).get("/v1/me").status();
        match doubt {
            Doubt::Made(kind, name) => {
                let made = Held {
                    kind,
                    name,
                    live: None,
                    dead: Vec::new(),
                };
                owner.delete(&made.path()).expect_one_of(&[204, 404]);
                owner.get(&made.path()).expect(404);
                self.held.push(made);
            }
            Doubt::Revoked(place) => {
                let held = &mut self.held[place];
                let token = held.live.take().expect("only what is live is revoked");
                let expected = if owner.get(&held.path()).status() == 404 {
                    401
                } else {
                    200
                };
                assert_eq!(
                    status(&token),
                    expected,
                    "{:?} {} was revoked in part",
                    held.kind,
                    held.name
                );
                owner.delete(&held.path()).expect_one_of(&[204, 404]);
                held.dead.push(token);
                self.touched.push(place);
            }
            Doubt::Rotated(place) => {
                let held = &mut self.held[place];
                let token = held.live.take().expect("only what is live is rotated");
                // Rotated or not, the thing itself is there.
                owner.get(&held.path()).expect(200);
                let known = status(&token);
                assert!(matches!(known, 200 | 401), "{known}");
                owner.delete(&held.path()).expect(204);
                held.dead.push(token);
                self.touched.push(place);
            }
        }
    }

    /// Checks all that this round changed, and some of what earlier rounds did.
    pub(crate) fn check_round(
        &mut self,
        server: &Client,
        owner: &Client,
        rng: &mut Rng,
        samples: usize,
    ) {
        let mut places = std::mem::take(&mut self.touched);
        if !self.held.is_empty() {
            places.extend((0..samples).map(|_| rng.index(self.held.len())));
        }
        places.sort_unstable();
        places.dedup();
        for place in places {
            self.held[place].assert_kept(server, owner);
        }
    }

    /// Checks everything.
    pub(crate) fn check_all(&self, server: &Client, owner: &Client) {
        for held in &self.held {
            held.assert_kept(server, owner);
        }
    }
}

/// Runs `work` on every book at once, each with a client of its own; a failed one fails the test.
pub(crate) fn side_by_side(
    books: &mut [Book],
    server: &Server,
    owner_key: &str,
    work: impl Fn(usize, &mut Book, &Client, &Client) + Sync,
) {
    let work = &work;
    std::thread::scope(|scope| {
        for (number, book) in books.iter_mut().enumerate() {
            let anonymous = server.client();
            scope.spawn(move || work(number, book, &anonymous, &anonymous.x_api_key(owner_key)));
        }
    });
}

/// The token in an answer, if there is a whole one.
pub(crate) fn token_in(body: &Value, kind: Kind) -> String {
    body[kind.secret_member()]
        .as_str()
        .expect("an answered change has its token")
        .to_owned()
}
