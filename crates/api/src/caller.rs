//! Who calls: turns the key or the password that a request carries into somebody who may act. The
//! session cookie of the pages is read beside them, in `pages/session.rs`.
//!
//! A handler that takes a [`Caller`] cannot be reached without good credentials; one that takes a
//! [`Visitor`] says in its signature that strangers are welcome, and still refuses a wrong
//! credential. [`App::execute`](crate::app::App::execute) takes nothing but a [`Caller`].

use core::future::Future;
use core::net::IpAddr;
use core::pin::Pin;
use core::task::{Context, Poll};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, ResponseError, dev::Payload, web};
use keyledger_domain::api_key::Shown;
use keyledger_domain::credential::masked;
use keyledger_domain::id::{RequestId, SessionId, UserId};
use keyledger_domain::text::Email;
use keyledger_domain::user::User;
use keyledger_domain::{
    Actor, Authority, ClientName, CredentialId, CredentialKind, Directory, PasswordHash, Proof,
};

use crate::app::App;
use crate::carrier::Carried;
use crate::credits::Purse;
use crate::decisions::Denial;
use crate::limits::Bound;
use crate::lookup;
use crate::passwords::Password;
use crate::problem::Problem;
use crate::usage::passage;

/// Where a request came from.
#[derive(Clone)]
pub struct Origin {
    request: RequestId,
    source: Option<IpAddr>,
    client: Option<HeaderValue>,
}

impl Origin {
    /// The origin of an HTTP request. Its id was drawn at the edge.
    pub fn of(request: &HttpRequest) -> Self {
        Self::of_answered(passage::request(), request)
    }

    /// The same once the answer is there, when the request is no longer being followed.
    pub(crate) fn of_answered(id: RequestId, request: &HttpRequest) -> Self {
        Self {
            request: id,
            source: request
                .peer_addr()
                .map(|address| address.ip().to_canonical()),
            client: request.headers().get(USER_AGENT).cloned(),
        }
    }

    /// What the server does of its own accord, before it serves anybody.
    pub(crate) fn of_the_server(id: [u8; 16]) -> Self {
        Self {
            request: RequestId::from_random(id),
            source: None,
            client: None,
        }
    }

    /// The request's id.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The address it came from.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// What the client calls itself; made only when it is needed, for a record.
    pub fn client(&self) -> Option<ClientName> {
        let bytes = self.client.as_ref()?.as_bytes();
        // People put keys everywhere; this is kept for as long as the ledger is.
        let Ok(name) = masked(&String::from_utf8_lossy(bytes)).parse::<ClientName>();
        Some(name)
    }
}

/// Somebody who showed who they are.
pub struct Caller {
    authority: Authority,
    origin: Origin,
}

impl Caller {
    /// The proof of who it is, for the domain.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where the request came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The server itself, for what it does on a stranger's request: setting up with the code,
    /// following an invitation. The command's own secret is the proof, and the domain checks it.
    pub(crate) fn system(origin: Origin) -> Self {
        Self {
            authority: Authority::SYSTEM,
            origin,
        }
    }

    /// The holder of a key whose secret was just shown.
    pub(crate) fn with_credential(
        actor: Actor,
        id: CredentialId,
        version: u32,
        origin: Origin,
    ) -> Self {
        Self {
            authority: Authority {
                actor,
                proof: Proof::Credential { id, version },
            },
            origin,
        }
    }

    /// An OAuth client that just showed who it is.
    pub(crate) fn with_client(actor: Actor, proof: Proof, origin: Origin) -> Self {
        Self {
            authority: Authority { actor, proof },
            origin,
        }
    }

    /// The owner of a session whose cookie was just shown.
    pub(crate) fn with_session(actor: Actor, id: SessionId, origin: Origin) -> Self {
        Self {
            authority: Authority {
                actor,
                proof: Proof::Session(id),
            },
            origin,
        }
    }

    /// Somebody who just showed their password.
    fn with_password(actor: Actor, origin: Origin) -> Self {
        Self {
            authority: Authority {
                actor,
                proof: Proof::Password,
            },
            origin,
        }
    }
}

/// Somebody, or nobody: for what strangers may read too.
pub struct Visitor {
    /// Who it is, if they said so.
    pub caller: Option<Caller>,
    /// Where the request came from.
    pub origin: Origin,
}

/// What an extractor gives back. A key is looked up at once and costs no box; a password, and the
/// first use of a new secret, take their time.
pub enum Extracted<T> {
    /// It is known already.
    Now(Option<Result<T, Problem>>),
    /// It takes its time.
    Later(Pin<Box<dyn Future<Output = Result<T, Problem>>>>),
}

impl<T> Extracted<T> {
    const fn now(result: Result<T, Problem>) -> Self {
        Self::Now(Some(result))
    }
}

impl<T: Unpin> Future for Extracted<T> {
    type Output = Result<T, Problem>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(result) => Poll::Ready(result.take().expect("polled once")),
            Self::Later(result) => result.as_mut().poll(context),
        }
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let origin = Origin::of(request);
        let found = find(app_of(request), request, &origin);
        Extracted::Later(Box::pin(async move {
            let caller = found?.caller(&origin).await?;
            Ok(Self { caller, origin })
        }))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Self::of(request, app_of(request))
    }
}

impl Caller {
    /// Whoever sends a request, for those who have the application at hand: looking it up takes as long
    /// as looking up a key.
    pub(crate) fn of(request: &HttpRequest, app: &web::Data<App>) -> Extracted<Self> {
        let origin = Origin::of(request);
        match find(app, request, &origin) {
            Ok(Found::Caller(caller)) => Extracted::now(Ok(caller)),
            Ok(Found::Nobody) => Extracted::now(Err(Problem::not_authenticated())),
            Err(problem) => Extracted::now(Err(problem)),
            Ok(found @ (Found::FirstUse(..) | Found::Counted(..) | Found::Basic(..))) => {
                Extracted::Later(Box::pin(async move {
                    let caller = found.caller(&origin).await?;
                    caller.ok_or_else(Problem::not_authenticated)
                }))
            }
        }
    }
}

/// What a look at a request gives.
enum Found {
    Nobody,
    Caller(Caller),
    /// A new secret that was shown for the first time.
    FirstUse(web::Data<App>, Caller, CredentialId, u32),
    /// A token whose uses are counted, and its secret if it was shown for the first time.
    Counted(web::Data<App>, Caller, Option<(CredentialId, u32)>, Purse),
    /// A name, and what was shown for it: a service's key, or a password.
    Basic(HttpRequest, String, Password, Option<String>),
}

impl Found {
    async fn caller(self, origin: &Origin) -> Result<Option<Caller>, Problem> {
        match self {
            Self::Nobody => Ok(None),
            Self::Caller(caller) => Ok(Some(caller)),
            Self::FirstUse(app, caller, id, version) => {
                app.activate(origin, id, version).await?;
                Ok(Some(caller))
            }
            Self::Counted(app, caller, pending, purse) => {
                app.spend_credit_as_caller(purse).await?;
                if let Some((id, version)) = pending {
                    app.activate(origin, id, version).await?;
                }
                Ok(Some(caller))
            }
            Self::Basic(request, slug, _, Some(key)) => app_of(&request)
                .service_by_basic(&slug, &key, origin, &request)
                .await
                .map(Some),
            Self::Basic(request, username, password, None) => app_of(&request)
                .caller_by_password(&username, password, origin)
                .await
                .map(Some),
        }
    }
}

/// What a good key tells.
struct KeyShown {
    caller: Caller,
    /// The secret, if it was shown for the first time.
    pending: Option<(CredentialId, u32)>,
    /// What the caller pays with, if they do.
    purse: Option<Purse>,
}

fn find(app: &web::Data<App>, request: &HttpRequest, origin: &Origin) -> Result<Found, Problem> {
    Ok(match Carried::of(request)? {
        Carried::Nothing => Found::Nobody,
        Carried::Key(text) => {
            let KeyShown {
                caller,
                pending,
                purse,
            } = app.caller_by_shown(text, origin, request)?;
            match (pending, purse) {
                (pending, Some(purse)) => Found::Counted(app.clone(), caller, pending, purse),
                (None, None) => Found::Caller(caller),
                (Some((id, version)), None) => Found::FirstUse(app.clone(), caller, id, version),
            }
        }
        Carried::Basic {
            username,
            password,
            key,
        } => Found::Basic(request.clone(), username, password, key),
    })
}

pub(crate) fn app_of(request: &HttpRequest) -> &web::Data<App> {
    request.app_data().expect("every route has the application")
}

impl App {
    /// Whoever holds this key.
    ///
    /// # Errors
    /// 401, the same for an unknown, a wrong, a revoked, a disabled and an expired key, and for one
    /// used from the wrong place; 429 for one that was used as often as it may be, and when there were
    /// too many wrong ones. A good key is let in however many wrong ones came from the same place.
    fn caller_by_shown(
        &self,
        text: &str,
        origin: &Origin,
        request: &HttpRequest,
    ) -> Result<KeyShown, Problem> {
        let directory = self.directory();
        let now = self.now();
        let ours = self.ours();
        let found = lookup::find(&directory, &ours, text, origin.source, now);
        // One that is for another server lets nobody act as its bearer here (RFC 9068 §4).
        let found = found.and_then(|found| match directory.audience_of(found.0.issued.id) {
            None => Ok(found),
            Some(_) => Err(lookup::NoGood::OtherAudience),
        });
        let (key, which) = found.map_err(|reason| {
            self.count_refused(&directory, text, reason, origin, now);
            self.wrong_key(text, reason, origin)
        })?;
        let (actor, id) = (key.issued.holder.actor(), key.issued.id);
        // Tokens come by the million and are gone in an hour: nobody looks at what one of them did.
        if key.issued.kind != CredentialKind::AccessToken {
            passage::shown(id, origin.source, now);
        }
        let version = key.version_of(which);
        let pending = (which == Shown::Pending).then_some((id, version));
        let bound = Bound::of_caller(&directory, key, request);
        let purse = Purse::of(&directory, key);
        drop(directory);
        if let Some(bound) = bound {
            self.spend_as_caller(bound, request)?;
        }
        Ok(KeyShown {
            caller: Caller::with_credential(actor, id, version, origin.clone()),
            pending,
            purse,
        })
    }

    /// What whoever showed a key that is no good is told.
    fn wrong_key(&self, text: &str, why: lookup::NoGood, origin: &Origin) -> Problem {
        let counted = self.throttles().wrong_key(text, origin.source);
        counted.map_or_else(Problem::from, |()| {
            let claimed = claimed(text);
            Problem::invalid_token().because(Denial::Key { claimed, why })
        })
    }

    /// The service whose slug and key were carried as Basic. A user's key never goes as Basic.
    async fn service_by_basic(
        &self,
        slug: &str,
        key: &str,
        origin: &Origin,
        request: &HttpRequest,
    ) -> Result<Caller, Problem> {
        // A service has no credits.
        let shown = self
            .caller_by_shown(key, origin, request)
            .map_err(|problem| match problem.status_code() {
                StatusCode::UNAUTHORIZED => match problem.denial() {
                    Some(denial) => Problem::invalid_password().because(denial.clone()),
                    None => Problem::invalid_password(),
                },
                _ => problem,
            })?;
        let wrong_name = || {
            let claimed = claimed(key);
            Problem::invalid_password().because(Denial::Name { claimed })
        };
        let KeyShown {
            caller, pending, ..
        } = shown;
        let Actor::Service(id) = caller.authority.actor else {
            return Err(wrong_name());
        };
        let named = self
            .directory()
            .service(id)
            .is_some_and(|s| s.slug.as_str() == slug);
        if !named {
            return Err(wrong_name());
        }
        if let Some((id, version)) = pending {
            self.activate(origin, id, version).await?;
        }
        Ok(caller)
    }

    /// Whoever has this password.
    ///
    /// # Errors
    /// 401, the same for a wrong password and an unknown account, after the same work; 429 without any
    /// work when there were too many.
    pub(crate) async fn caller_by_password(
        &self,
        username: &str,
        password: Password,
        origin: &Origin,
    ) -> Result<Caller, Problem> {
        let (person, hash) = self.account(username);
        let attempt = self.throttles().attempt(username, person, origin.source);
        let good = self.passwords().check(password, hash, attempt).await?;
        match person {
            Some(user) if good => Ok(Caller::with_password(Actor::User(user), origin.clone())),
            // Also whose account is switched off, for their auditors.
            named => Err(Problem::invalid_password().because(Denial::Password(named))),
        }
    }

    /// Whose account has this email address or slug, and the hash of its password, if it may sign in.
    fn account(&self, username: &str) -> (Option<UserId>, Option<PasswordHash>) {
        let directory = self.directory();
        let user = user_named(&directory, username);
        // Who is switched off everywhere is told what a stranger is told, after the same work.
        let hash = user
            .filter(|user| directory.may_sign_in(user.id))
            .and_then(|user| user.password.known().cloned());
        (user.map(|user| user.id), hash)
    }
}

/// Whose account has this email address or slug.
pub(crate) fn user_named<'d>(directory: &'d Directory, username: &str) -> Option<&'d User> {
    match username.parse::<Email>() {
        Ok(email) => directory.user_by_email(email.as_str()),
        Err(_) => directory.user_by_slug(username),
    }
}

/// The public id that a text claims to have, if it has the form of a key.
fn claimed(text: &str) -> Option<CredentialId> {
    lookup::claimed_id(text)
}
