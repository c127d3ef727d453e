//! `/dashboard`: who is signed in, and what they have.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use keyledger_domain::api_key::Ended;
use keyledger_domain::credential::preview;
use keyledger_domain::id::KeyId;
use keyledger_domain::user::User;
use keyledger_domain::user_key::KeyLabel;
use keyledger_domain::{Actor, Directory, Timestamp};
use serde::Deserialize;

use super::apps::AppRow;
use super::layout::{PageError, see_other, show};
use super::local_path::FRONT;
use super::session::SessionCaller;
use crate::app::App;

/// The most keys on the page; the API lists the rest.
const KEYS_MAX: usize = 100;

/// What stands where there is nothing to say.
const NOTHING: &str = "–";

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage {
    csrf: String,
    email: String,
    name: String,
    slug: String,
    organizations: Vec<OrganizationRow>,
    keys: Vec<KeyRow>,
    more_keys: usize,
    apps: Vec<AppRow>,
    sessions: usize,
    notice: Option<&'static str>,
}

struct OrganizationRow {
    slug: String,
    name: String,
    role: &'static str,
}

/// A key as anybody may see it: no part of its secret.
struct KeyRow {
    handle: String,
    preview: String,
    alias: String,
    created_on: String,
    expires_on: String,
    state: &'static str,
    is_good: bool,
}

impl KeyRow {
    fn of(directory: &Directory, key: KeyId, now: Timestamp) -> Option<Self> {
        let key = directory.user_key(key)?;
        let api_key = directory.api_key(key.credential)?;
        let issued = &api_key.issued;
        let standing = api_key.standing(now);
        Some(Self {
            is_good: standing.is_ok(),
            handle: match &key.label {
                KeyLabel::Handle(handle) => handle.to_string(),
                KeyLabel::OwnToken => "your own token".to_owned(),
            },
            preview: preview(issued.kind, issued.environment, issued.id),
            alias: key
                .alias
                .as_ref()
                .map_or_else(|| NOTHING.to_owned(), ToString::to_string),
            created_on: date_of(api_key.created_at),
            expires_on: api_key
                .expires_at
                .map_or_else(|| "never".to_owned(), date_of),
            state: match standing {
                Ok(()) => "good",
                Err(Ended::Revoked) => "revoked",
                Err(Ended::Disabled) => "switched off",
                Err(Ended::Expired) => "expired",
            },
        })
    }
}

/// The day of an instant, UTC.
pub(super) fn date_of(instant: Timestamp) -> String {
    let text = instant.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// How many sessions of a person are open. Those that ran out leave with the next login.
fn open_sessions(directory: &Directory, user: &User, now: Timestamp) -> usize {
    let open = user.sessions.iter().filter(|id| {
        let session = directory.session(**id);
        session.is_some_and(|session| now < session.expires_at)
    });
    open.count()
}

/// `?done=…`: what was done just before.
#[derive(Default, Deserialize)]
struct DashboardQuery {
    done: Option<String>,
}

/// What was done, in words of ours: an address could say anything.
fn notice(done: &str) -> Option<&'static str> {
    (done == "taken-back").then_some("The app can no longer act for you.")
}

/// `/`: to the front page.
pub(super) async fn show_front() -> HttpResponse {
    see_other(FRONT)
}

/// The front page.
pub(super) async fn show_dashboard(
    app: web::Data<App>,
    request: HttpRequest,
    signed_in: SessionCaller,
) -> Result<HttpResponse, PageError> {
    let query = web::Query::<DashboardQuery>::from_query(request.query_string());
    let query = query.map(web::Query::into_inner).unwrap_or_default();
    let page = {
        let directory = app.directory();
        let user = directory.user(signed_in.user).ok_or(PageError::Stranger)?;
        let all = user.own_token.iter().chain(user.keys.values());
        let keys: Vec<KeyRow> = all
            .take(KEYS_MAX)
            .filter_map(|key| KeyRow::of(&directory, *key, app.now()))
            .collect();
        let count = user.keys.len() + usize::from(user.own_token.is_some());
        let mut organizations: Vec<OrganizationRow> = directory
            .orgs_of(Actor::User(user.id))
            .filter_map(|org| {
                Some(OrganizationRow {
                    slug: org.slug.to_string(),
                    name: org.name.to_string(),
                    role: org.members.get(&user.id)?.as_str(),
                })
            })
            .collect();
        organizations.sort_by(|a, b| a.slug.cmp(&b.slug));
        // Personal fields are unknown once a person was erased; then nobody is signed in as them.
        let known = |text: Option<String>| text.ok_or(PageError::Stranger);
        DashboardPage {
            csrf: signed_in.csrf,
            email: known(user.email.known().map(ToString::to_string))?,
            name: known(user.name.known().map(ToString::to_string))?,
            slug: known(user.slug.known().map(ToString::to_string))?,
            organizations,
            more_keys: count - keys.len(),
            keys,
            apps: AppRow::all(&directory, user.id),
            sessions: open_sessions(&directory, user, app.now()),
            notice: query.done.as_deref().and_then(notice),
        }
    };
    Ok(show(StatusCode::OK, &page))
}
