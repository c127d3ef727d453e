//! The browser session: kept in the directory, shown by a cookie, opened by a password alone.
//!
//! ```text
//! __Host-keyledger-session=6f1c…-uuid.<43 base64url characters, 256 random bits>
//! ```
//!
//! The first part finds the session and is no secret; of the second the ledger keeps a keyed digest,
//! so that nobody who reads the ledger can sign in.

use core::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyledger_domain::id::{SessionId, UserId};
use keyledger_domain::session::{EndSession, StartSession};
use keyledger_domain::{Actor, Digest};
use zeroize::Zeroizing;

use super::cookie;
use super::csrf;
use super::layout::PageError;
use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::problem::Problem;

/// Somebody who is signed in. Only the cookie makes one: a key or password in a header is no
/// session.
pub(super) struct SessionCaller {
    /// The person, for commands.
    pub(super) caller: Caller,
    /// The person.
    pub(super) user: UserId,
    /// The session.
    pub(super) session: SessionId,
    /// The hidden field of the forms on their pages.
    pub(super) csrf: String,
}

impl SessionCaller {
    /// The session whose cookie a request carries, if it is good.
    pub(super) fn of(app: &App, request: &HttpRequest) -> Option<Self> {
        let value = cookie::read(request, cookie::SESSION)?;
        let (id, secret) = value.split_once('.')?;
        let id: SessionId = id.parse().ok()?;
        let user = {
            let directory = app.directory();
            let session = directory.session(id)?;
            let pepper_version = session.digest.pepper_version;
            let tag = app.peppers().tag(pepper_version, secret.as_bytes())?;
            let shown = Digest {
                pepper_version,
                tag,
            };
            let good = shown.matches(&session.digest) && app.now() < session.expires_at;
            if !good {
                return None;
            }
            directory.user(session.user)?.id
        };
        if !app.idle_sessions().use_one(id) {
            return None;
        }
        Some(Self {
            caller: Caller::with_session(Actor::User(user), id, Origin::of(request)),
            user,
            session: id,
            csrf: csrf::session_field(app, value),
        })
    }
}

impl FromRequest for SessionCaller {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let app = request
            .app_data::<web::Data<App>>()
            .expect("every page has the application");
        ready(Self::of(app, request).ok_or(PageError::Stranger))
    }
}

impl App {
    /// Opens a session for somebody who has just shown their password and gives the line that sets
    /// its cookie. Id and secret are new each time: a cookie planted before the login is worth
    /// nothing after it.
    ///
    /// # Errors
    /// 403 for a caller who showed anything but the password.
    pub(super) async fn start_session(&self, caller: &Caller) -> Result<String, Problem> {
        let session = SessionId::from_random(self.random()?);
        let secret = Zeroizing::new(self.random::<32>()?);
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
        let digest = self.digest(secret.as_bytes())?;
        self.execute(caller, StartSession { session, digest })
            .await?;
        let value = Zeroizing::new(format!("{session}.{}", *secret));
        Ok(cookie::give(cookie::SESSION, &value))
    }

    /// Ends a session; its cookie is no good from then on.
    ///
    /// # Errors
    /// 503 when nothing can be changed now.
    pub(super) async fn end_session(&self, of: &SessionCaller) -> Result<(), Problem> {
        let session = of.session;
        self.execute(&of.caller, EndSession { session }).await?;
        Ok(())
    }
}
