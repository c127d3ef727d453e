//! The apps that a person allowed to act for them, and the button that takes it back.

use actix_web::{HttpRequest, HttpResponse, web};
use keyledger_domain::consent::RevokeConsent;
use keyledger_domain::id::{ClientId, UserId};
use keyledger_domain::{Directory, Scope};
use serde::Deserialize;

use super::csrf::{Bond, PageForm, Posted};
use super::dashboard::date_of;
use super::layout::{PageError, see_other};
use super::session::SessionCaller;
use crate::app::App;
use crate::problem::Problem;

/// Where the buttons lead.
pub(super) const TAKE_BACK: &str = "/dashboard/apps";

/// An app on the front page.
pub(super) struct AppRow {
    /// What the form names it by.
    pub(super) client: ClientId,
    /// Its name, as whoever registered it chose it.
    pub(super) name: String,
    /// Where it gets its answers: two may have the same name.
    pub(super) address: String,
    /// The organization that registered it.
    pub(super) organization: String,
    /// All that it may do.
    pub(super) scopes: String,
    /// Since when.
    pub(super) since: String,
    /// When it last asked.
    pub(super) last_asked_on: String,
}

impl AppRow {
    /// The apps of a person, by their names.
    pub(super) fn all(directory: &Directory, user: UserId) -> Vec<Self> {
        let allowed = directory.consents_of(user);
        let mut rows: Vec<Self> = allowed
            .filter_map(|(id, consent)| {
                let client = directory.client(id)?;
                let scopes: Vec<&str> = consent.scopes.iter().map(Scope::as_str).collect();
                Some(Self {
                    client: id,
                    name: client.settings.name.to_string(),
                    address: client
                        .settings
                        .redirect_uris
                        .first()
                        .map_or_else(String::new, |uri| uri.origin_for_display().to_owned()),
                    organization: directory.org(client.org)?.name.to_string(),
                    scopes: scopes.join(" "),
                    since: date_of(consent.granted_at),
                    last_asked_on: date_of(consent.last_used_at),
                })
            })
            .collect();
        rows.sort_by(|a, b| (&a.name, a.client).cmp(&(&b.name, b.client)));
        rows
    }
}

/// The form of a button.
#[derive(Deserialize)]
pub(super) struct TakeBackForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    client: String,
}

impl PageForm for TakeBackForm {
    const BOND: Bond = Bond::Session;

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// Takes back what an app may do: all its tokens for the person end.
pub(super) async fn take_back(
    app: web::Data<App>,
    request: HttpRequest,
    Posted(posted): Posted<TakeBackForm>,
) -> Result<HttpResponse, PageError> {
    let signed_in = SessionCaller::of(&app, &request).ok_or(PageError::Stranger)?;
    let client = posted.client.parse().map_err(|_| Problem::not_found())?;
    app.execute(&signed_in.caller, RevokeConsent { client })
        .await?;
    Ok(see_other("/dashboard?done=taken-back"))
}
