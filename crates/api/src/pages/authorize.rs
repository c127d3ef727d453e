//! `/oauth/authorize` (RFC 6749 §4.1): an app sends a person here, and they are sent back with the
//! answer.
//!
//! ```text
//! GET   the request is read        wrong before its way back is known: a page; after: sent back
//!       nobody is signed in        /login, and here again
//!       allowed before, or none    sent back
//!       else                       the page that asks; the request waits here, not in its form
//! POST  yes or no                  taken out, decided on what is true now, sent back
//! ```
//!
//! Every way back is a 303, so that no form travels on with its fields (RFC 9700 §4.12), and says who
//! sends it (RFC 9207).

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use keyledger_domain::authorization_code::IssueAuthorizationCode;
use keyledger_domain::client::{Client, GrantType, PkcePolicy};
use keyledger_domain::scope::built_in;
use keyledger_domain::{
    Actor, CredentialKind, Directory, Environment, Plaintext, Position, Scope, Scopes,
};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::consent::{ConsentPage, Destination, Lasts, RightRow, form_action};
use super::csrf::{Bond, PageForm, Posted};
use super::layout::{PageError, see_other};
use super::local_path::{AUTHORIZE, LocalPath};
use super::login::{login_again_then, login_then};
use super::pending::PendingId;
use super::session::SessionCaller;
use crate::app::App;
use crate::oauth::authorize_request::{AuthorizeRequest, KnownClient, NoRequest};
use crate::oauth::client_authentication::client_named;
use crate::oauth::error::{ErrorCode, Refused};
use crate::problem::Problem;

/// What waits for a person's answer.
pub(crate) struct Asked {
    request: AuthorizeRequest,
    /// What the page offered. Nothing beyond it is granted, whatever the person may do by then.
    offered: Scopes,
    /// Where the ledger stood when they were shown it.
    judged_at: Position,
}

/// The form as it comes back.
#[derive(Deserialize)]
pub(super) struct ConsentForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    request: String,
    decision: Decision,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Allow,
    Deny,
}

impl PageForm for ConsentForm {
    const BOND: Bond = Bond::Session;

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// What a login leads on to.
pub(super) struct Onward {
    /// The app's name.
    pub(super) client: String,
    /// What the policy of the page must name: the login itself may lead to the app, by way of here.
    pub(super) form_action: String,
}

impl Onward {
    /// Of a page of ours that somebody wants to see after the login, if it is this one.
    pub(super) fn of(app: &App, next: &LocalPath) -> Option<Self> {
        let (path, query) = next.as_str().split_once('?')?;
        if path != AUTHORIZE {
            return None;
        }
        let request = read(app, query).ok()?;
        let directory = app.directory();
        Some(Self {
            client: directory.client(request.client)?.settings.name.to_string(),
            form_action: form_action(&request.registered_uri),
        })
    }
}

/// What a person can give an app, as things are now.
struct Offer {
    scopes: Scopes,
    /// Why nothing can be given.
    barred: Option<&'static str>,
    /// Whether they gave all of it before, and need not be asked.
    is_remembered: bool,
    /// Where the ledger stood when this was looked at.
    judged_at: Position,
}

impl Offer {
    /// What a person may not do themselves is not offered: the app would get nothing of it, and the
    /// page would say that it does.
    fn of(
        directory: &Directory,
        client: &Client,
        request: &AuthorizeRequest,
        signed_in: &SessionCaller,
    ) -> Self {
        let org = directory.org(client.org);
        let Some(org) = org.filter(|org| org.has_active(signed_in.user)) else {
            return Self {
                scopes: Scopes::default(),
                barred: Some("Your account is not active in this organization."),
                is_remembered: false,
                judged_at: directory.position(),
            };
        };
        let own = directory.rights_of(Actor::User(signed_in.user), org);
        let may_give = |scope: &&Scope| own.contains(scope.as_str());
        let scopes: Scopes = request.scopes.iter().filter(may_give).cloned().collect();
        // To go on for longer with nothing is nothing.
        let is_right = |scope: &Scope| scope.as_str() != built_in::OFFLINE_ACCESS;
        let asks_for_rights = request.scopes.iter().any(is_right);
        let has_none = scopes.is_empty() || (asks_for_rights && !scopes.iter().any(is_right));
        let remembered = directory.remembered_scopes(signed_in.user, client.id);
        let covers = remembered.is_some_and(|given| scopes.first_beyond(given).is_none());
        Self {
            is_remembered: covers
                && !has_none
                && client.may_be_remembered(&request.redirect_uri)
                // What was said yes to named its servers; another one is asked for again.
                && request.resources.is_empty(),
            barred: has_none.then_some("You have none of the rights that it asks for."),
            scopes,
            judged_at: directory.position(),
        }
    }
}

/// Reads a request of a client that is switched on.
fn read(app: &App, query: &str) -> Result<AuthorizeRequest, NoRequest> {
    let directory = app.directory();
    let find = |text: &str| {
        let client = directory.active_client(client_named(text)?)?;
        let settings = &client.settings;
        Some(KnownClient {
            id: client.id,
            redirect_uris: &settings.redirect_uris,
            scopes: &settings.scopes,
            resources: &settings.resources,
            may_have_codes: client.has_grant(GrantType::AuthorizationCode),
            must_have_challenge: settings.pkce == PkcePolicy::Required,
        })
    };
    AuthorizeRequest::read(query, find, &app.settings().issuer)
}

/// Somebody was sent here by an app.
pub(super) async fn ask(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let query = request.query_string();
    let asked = match read(&app, query) {
        Ok(asked) => asked,
        Err(NoRequest::Page(reason)) => return Err(unusable(reason.to_string())),
        Err(NoRequest::Back(back)) => return Ok(see_other(&back.location)),
    };
    let issuer = &app.settings().issuer;
    let prompt = asked.prompt;
    let back = |code, words: &'static str| {
        let refused = asked.refused(Refused::new(code, words), issuer);
        Ok(see_other(&refused.location))
    };
    let signed_in = SessionCaller::of(&app, &request);
    let Some(signed_in) = signed_in.filter(|_| !prompt.is_login) else {
        if prompt.is_none {
            return back(ErrorCode::LoginRequired, "Nobody is signed in.");
        }
        let next = LocalPath::to_authorize(query, |name, value| {
            // Asked for once: whoever comes back has just shown their password.
            (name == "prompt").then(|| without_login(value))
        });
        let next = next.ok_or_else(|| unusable(TOO_LONG))?;
        let login = if prompt.is_login {
            login_again_then(&next)
        } else {
            login_then(&next)
        };
        return Ok(see_other(&login));
    };
    let offer = {
        let directory = app.directory();
        let client = directory.active_client(asked.client).ok_or_else(gone)?;
        Offer::of(&directory, client, &asked, &signed_in)
    };
    if prompt.is_none && offer.barred.is_some() {
        return back(ErrorCode::AccessDenied, "The person cannot allow this.");
    }
    if offer.is_remembered && !prompt.is_consent {
        return grant(&app, &signed_in, &asked, offer.scopes, offer.judged_at).await;
    }
    if prompt.is_none {
        return back(ErrorCode::ConsentRequired, "The person must be asked.");
    }
    show(&app, signed_in, asked, offer, query)
}

const TOO_LONG: &str = "The address that brought you here is too long to come back to after signing \
     in. Sign in first, and then start in the app again.";

const ANSWERED: &str = "This was answered already, or it is too old. Nothing was changed. Start in \
     the app again.";

fn without_login(prompt: &str) -> String {
    let words = prompt.split(' ').filter(|word| *word != "login");
    words.collect::<Vec<_>>().join(" ")
}

/// Nobody can be sent back: the person is told.
fn unusable(words: impl Into<String>) -> PageError {
    PageError::new(StatusCode::BAD_REQUEST, words)
}

/// An app, or an address of it, that was there a moment ago.
fn gone() -> PageError {
    unusable(
        "The application, or the addresses it may want you back at, were changed a moment ago. Start in the app again.",
    )
}

/// Shows the page that asks, and lets the request wait for its answer.
fn show(
    app: &App,
    signed_in: SessionCaller,
    request: AuthorizeRequest,
    offer: Offer,
    query: &str,
) -> Result<HttpResponse, PageError> {
    let pending = PendingId::from_random(app.random()?);
    // Of an app on the person's machine with the port that it listens at now.
    let going = request.redirect_uri.parse();
    let going = going.unwrap_or_else(|_| request.registered_uri.clone());
    let page = {
        let directory = app.directory();
        let client = directory.active_client(request.client).ok_or_else(gone)?;
        let org = directory.org(client.org).ok_or_else(gone)?;
        let user = directory.user(signed_in.user).ok_or(PageError::Stranger)?;
        let known = |text: Option<String>| text.ok_or(PageError::Stranger);
        let settings = &client.settings;
        let refreshed = client.gives_refresh_token(&offer.scopes);
        let row = |scope| RightRow::of(&directory, client.org, scope);
        let is_withheld = |scope: &&Scope| !offer.scopes.contains(scope.as_str());
        ConsentPage {
            csrf: signed_in.csrf.clone(),
            request: pending.field(),
            next: LocalPath::to_authorize(query, |_, _| None),
            client: settings.name.to_string(),
            organization: org.name.to_string(),
            is_test: client.environment == Environment::Test,
            name: known(user.name.known().map(ToString::to_string))?,
            email: known(user.email.known().map(ToString::to_string))?,
            barred: offer.barred,
            rights: offer.scopes.iter().map(row).collect(),
            withheld: request
                .scopes
                .iter()
                .filter(is_withheld)
                .map(ToString::to_string)
                .collect(),
            lasts: Lasts {
                access_seconds: settings.access_token_seconds.into(),
                refresh_seconds: refreshed.then(|| {
                    (
                        settings.refresh_seconds.into(),
                        settings.refresh_idle_seconds.into(),
                    )
                }),
            }
            .words(),
            resources: request.resources.iter().map(ToString::to_string).collect(),
            destination: Destination::of(&going),
        }
    };
    let response = page.show(&form_action(&request.registered_uri))?;
    let asked = Asked {
        request,
        offered: offer.scopes,
        judged_at: offer.judged_at,
    };
    app.pending().hold(pending, signed_in.session, asked);
    Ok(response)
}

/// Somebody said yes or no.
pub(super) async fn decide(
    app: web::Data<App>,
    request: HttpRequest,
    Posted(posted): Posted<ConsentForm>,
) -> Result<HttpResponse, PageError> {
    let signed_in = SessionCaller::of(&app, &request).ok_or(PageError::Stranger)?;
    let asked = posted.request.parse().ok();
    let asked = asked.and_then(|id| app.pending().take(id, signed_in.session));
    let Asked {
        request,
        offered,
        judged_at,
    } = asked.ok_or_else(|| unusable(ANSWERED))?;
    let offer = {
        let directory = app.directory();
        let client = directory.active_client(request.client).ok_or_else(gone)?;
        // An address that was taken off the list while somebody thought about it gets nothing more.
        let mut registered = client.settings.redirect_uris.iter();
        // One that was put on it would be part of a yes that they never gave.
        if !registered.any(|uri| uri.matches(&request.redirect_uri))
            || client.addresses_since > judged_at
        {
            return Err(gone());
        }
        Offer::of(&directory, client, &request, &signed_in)
    };
    // What was shown, as far as they may still give it.
    let both = |scope: &&Scope| offered.contains(scope.as_str());
    let scopes: Scopes = offer.scopes.iter().filter(both).cloned().collect();
    match posted.decision {
        Decision::Allow if offer.barred.is_none() && !scopes.is_empty() => {
            grant(&app, &signed_in, &request, scopes, judged_at).await
        }
        Decision::Allow | Decision::Deny => {
            let refused = Refused::new(ErrorCode::AccessDenied, "The person did not allow it.");
            let back = request.refused(refused, &app.settings().issuer);
            Ok(see_other(&back.location))
        }
    }
}

/// Gives the app a code, by way of the browser.
async fn grant(
    app: &App,
    signed_in: &SessionCaller,
    request: &AuthorizeRequest,
    scopes: Scopes,
    judged_at: Position,
) -> Result<HttpResponse, PageError> {
    let code = app
        .issue_code(signed_in, request, scopes, judged_at)
        .await?;
    let code = Zeroizing::new(code.expose_once());
    let location = request.granted(&code, &app.settings().issuer);
    Ok(see_other(&location))
}

impl App {
    /// Issues a code for what somebody has just allowed, or allowed before.
    ///
    /// # Errors
    /// As the rules refuse it: the client, its address or the person's rights may have changed since
    /// they were looked at.
    async fn issue_code(
        &self,
        signed_in: &SessionCaller,
        request: &AuthorizeRequest,
        scopes: Scopes,
        judged_at: Position,
    ) -> Result<Plaintext, Problem> {
        let environment = {
            let directory = self.directory();
            let known = directory.active_client(request.client);
            known.ok_or_else(Problem::not_found)?.environment
        };
        let code = self.draw(CredentialKind::AuthorizationCode, environment, None)?;
        let command = IssueAuthorizationCode {
            client: request.client,
            code: code.id(),
            digest: self.digest(code.as_bytes())?,
            scopes,
            resources: request.resources.clone(),
            redirect_uri: request.redirect_uri.clone(),
            is_redirect_uri_sent: request.was_redirect_uri_sent,
            code_challenge: request.code_challenge,
            judged_at,
        };
        self.execute(&signed_in.caller, command).await?;
        Ok(code)
    }
}
