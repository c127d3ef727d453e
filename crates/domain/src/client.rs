//! OAuth clients (RFC 6749 §2): the applications that ask for tokens, for themselves or for people.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::credential::{CredentialId, Environment};
use crate::digest::Digest;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{ClientId, OrgId};
use crate::position::Position;
use crate::redirect_uri::RedirectUri;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::resource::Resource;
use crate::scope::{Scopes, built_in, is_delegable};
use crate::signing::SigningAlgorithm;
use crate::text::DisplayName;
use crate::time::Timestamp;

/// The most redirect URIs, and the most resources, that a client may have.
pub const URIS_MAX: usize = 32;

/// The longest life of an access token: a day, in seconds. What it may do is looked up at each
/// request, so a longer one would only be worth more to a thief.
pub const ACCESS_TOKEN_SECONDS_MAX: u32 = 24 * 3_600;

/// The longest life of a refresh token: a year, in seconds.
pub const REFRESH_SECONDS_MAX: u32 = 366 * 24 * 3_600;

/// The longest grace of a client secret that was replaced: 30 days, in seconds.
pub const SECRET_GRACE_SECONDS_MAX: u64 = 30 * 24 * 3_600;

/// Whether a client can keep a secret (RFC 6749 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientType {
    /// It runs where nobody else looks, and has a secret.
    Confidential,
    /// It runs in browsers or on people's devices, and has none.
    Public,
}

/// How a client may ask for a token (RFC 6749 §1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// For a person who said yes (RFC 6749 §4.1).
    AuthorizationCode,
    /// For itself (RFC 6749 §4.4).
    ClientCredentials,
    /// With a refresh token (RFC 6749 §6).
    RefreshToken,
}

/// Whether a client must prove that the code it redeems is its own (RFC 7636). A challenge that was
/// sent is enforced in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PkcePolicy {
    /// A request without a challenge is refused.
    Required,
    /// A confidential client may leave it out.
    Optional,
}

/// When a client is given a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshPolicy {
    /// With every code.
    Always,
    /// When the scope `offline_access` was asked for and granted.
    OfflineAccess,
    /// Never.
    Never,
}

/// Whether a refresh gives a new refresh token (RFC 9700 §2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefreshRotation {
    /// It does; the old one shown again ends them all.
    Rotate,
    /// It does not; only for clients that have a secret.
    Keep,
}

/// What an access token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessTokenFormat {
    /// `at_live_…`, which says nothing to anybody but this server.
    Opaque,
    /// A signed JWT (RFC 9068), which other servers can check by themselves.
    Jwt,
}

/// What a client is and may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSettings {
    /// Its name for people, who read it when they are asked to consent.
    pub name: DisplayName,
    /// How it may ask.
    pub grant_types: BTreeSet<GrantType>,
    /// Where a person may be sent back to, with a code.
    pub redirect_uris: Vec<RedirectUri>,
    /// What it may ask for at most; what it gets when it names nothing.
    pub scopes: Scopes,
    /// For which servers its tokens may be, besides this one (RFC 8707).
    pub resources: Vec<Resource>,
    /// Whether a code needs a challenge.
    pub pkce: PkcePolicy,
    /// When it is given a refresh token.
    pub refresh_tokens: RefreshPolicy,
    /// Whether a refresh gives a new one.
    pub refresh_rotation: RefreshRotation,
    /// What its access tokens look like.
    pub access_token_format: AccessTokenFormat,
    /// What they are signed with, where they are signed.
    pub signing_algorithm: SigningAlgorithm,
    /// How long an access token is good.
    pub access_token_seconds: u32,
    /// How long a refresh token may lie unused.
    pub refresh_idle_seconds: u32,
    /// How long a person's consent can be refreshed at all, from the redeeming of the code on.
    pub refresh_seconds: u32,
}

/// A secret of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// Its public id.
    pub id: CredentialId,
    /// What is kept of it.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it was replaced: it is good while now is before.
    pub until: Option<Timestamp>,
}

/// A secret to be given to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NewClientSecret {
    /// Its public id, drawn by the caller.
    pub id: CredentialId,
    /// What is kept of it.
    #[serde(skip)]
    pub digest: Digest,
}

/// An OAuth client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its identifier, the `client_id`.
    pub id: ClientId,
    /// Whose it is. Its tokens reach no other organization.
    pub org: OrgId,
    /// Whether it has a secret.
    pub client_type: ClientType,
    /// Where its tokens belong.
    pub environment: Environment,
    /// What it is and may ask for.
    pub settings: ClientSettings,
    /// Its secrets, the newest first: one, and during a rotation the one before.
    pub secrets: Vec<ClientSecret>,
    /// Where it was last given an address to which its codes may be sent. Nobody who said yes before
    /// knew of that one.
    pub addresses_since: Position,
    /// Since when it is switched off.
    pub disabled_at: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Who registered it; it lives on without them.
    pub created_by: Actor,
}

impl Client {
    /// Its secrets that are good now.
    pub fn live_secrets(&self, now: Timestamp) -> impl Iterator<Item = &ClientSecret> {
        self.secrets
            .iter()
            .filter(move |secret| now.is_before(secret.until))
    }

    /// Whether it may ask in this way.
    pub fn has_grant(&self, grant_type: GrantType) -> bool {
        self.settings.grant_types.contains(&grant_type)
    }

    /// Whether somebody who consented once need not be asked again. Who pretends to be a public
    /// client is not told from it (RFC 6749 §10.2, RFC 8252 §8.6).
    pub fn may_be_remembered(&self, redirect_uri: &str) -> bool {
        self.client_type == ClientType::Confidential && redirect_uri.starts_with("https://")
    }

    /// Whether a code for these scopes leads to a refresh token.
    pub fn gives_refresh_token(&self, scopes: &Scopes) -> bool {
        self.has_grant(GrantType::RefreshToken)
            && match self.settings.refresh_tokens {
                RefreshPolicy::Always => true,
                RefreshPolicy::OfflineAccess => scopes.contains(built_in::OFFLINE_ACCESS),
                RefreshPolicy::Never => false,
            }
    }
}

/// Register a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterClient {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub client: ClientId,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// Where its tokens belong.
    pub environment: Environment,
    /// Its secret, if it can keep one.
    pub secret: Option<NewClientSecret>,
    /// What it is and may ask for.
    pub settings: ClientSettings,
}

/// Change what a client is and may ask for. `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeClient {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// What is to change.
    pub changes: ClientChanges,
}

/// What is to change of a client; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientChanges {
    /// Its name for people.
    pub name: Option<DisplayName>,
    /// How it may ask.
    pub grant_types: Option<BTreeSet<GrantType>>,
    /// Where a person may be sent back to.
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// What it may ask for at most.
    pub scopes: Option<Scopes>,
    /// For which servers its tokens may be.
    pub resources: Option<Vec<Resource>>,
    /// Whether a code needs a challenge.
    pub pkce: Option<PkcePolicy>,
    /// When it is given a refresh token.
    pub refresh_tokens: Option<RefreshPolicy>,
    /// Whether a refresh gives a new one.
    pub refresh_rotation: Option<RefreshRotation>,
    /// What its access tokens look like.
    pub access_token_format: Option<AccessTokenFormat>,
    /// What they are signed with.
    pub signing_algorithm: Option<SigningAlgorithm>,
    /// How long an access token is good.
    pub access_token_seconds: Option<u32>,
    /// How long a refresh token may lie unused.
    pub refresh_idle_seconds: Option<u32>,
    /// How long a consent can be refreshed at all.
    pub refresh_seconds: Option<u32>,
}

impl ClientChanges {
    fn applied_to(self, before: &ClientSettings) -> ClientSettings {
        let ClientSettings {
            name,
            grant_types,
            redirect_uris,
            scopes,
            resources,
            pkce,
            refresh_tokens,
            refresh_rotation,
            access_token_format,
            signing_algorithm,
            access_token_seconds,
            refresh_idle_seconds,
            refresh_seconds,
        } = before.clone();
        ClientSettings {
            name: self.name.unwrap_or(name),
            grant_types: self.grant_types.unwrap_or(grant_types),
            redirect_uris: self.redirect_uris.unwrap_or(redirect_uris),
            scopes: self.scopes.unwrap_or(scopes),
            resources: self.resources.unwrap_or(resources),
            pkce: self.pkce.unwrap_or(pkce),
            refresh_tokens: self.refresh_tokens.unwrap_or(refresh_tokens),
            refresh_rotation: self.refresh_rotation.unwrap_or(refresh_rotation),
            access_token_format: self.access_token_format.unwrap_or(access_token_format),
            signing_algorithm: self.signing_algorithm.unwrap_or(signing_algorithm),
            access_token_seconds: self.access_token_seconds.unwrap_or(access_token_seconds),
            refresh_idle_seconds: self.refresh_idle_seconds.unwrap_or(refresh_idle_seconds),
            refresh_seconds: self.refresh_seconds.unwrap_or(refresh_seconds),
        }
    }
}

/// Delete a client. Its tokens end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteClient {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
}

/// Switch a client off or on again, and its tokens with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchClient {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// Whether it is to be off.
    pub disabled: bool,
}

/// Give a client another secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotateClientSecret {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// The new secret.
    pub secret: NewClientSecret,
    /// How long the old one stays good; 0 for not at all.
    pub grace_seconds: u64,
}

/// A client was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientRegistered {
    /// Its organization.
    pub org: OrgId,
    /// Its identifier.
    pub client: ClientId,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// Where its tokens belong.
    pub environment: Environment,
    /// Its secret, if it can keep one.
    pub secret: Option<NewClientSecret>,
    /// What it is and may ask for.
    pub settings: ClientSettings,
}

/// A client was changed; all its settings as they are from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientChanged {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// What it is and may ask for.
    pub settings: ClientSettings,
}

/// A client was deleted, and all its tokens ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientDeleted {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
}

/// A client was switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientDisabled {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
}

/// A client was switched on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientEnabled {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
}

/// A client was given another secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientSecretRotated {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// The new secret.
    pub secret: NewClientSecret,
    /// How long the one before it stays good; any older one ends now.
    pub grace_seconds: u64,
}

impl Directory {
    /// A client, switched off or not.
    pub fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(&id)
    }

    /// The clients of an organization, by their identifiers.
    pub fn clients_of(&self, org: OrgId) -> impl Iterator<Item = &Client> {
        let of_org = self.clients_of_orgs.get(&org).into_iter().flatten();
        of_org.filter_map(|id| self.client(*id))
    }

    /// A client that is switched on.
    pub fn active_client(&self, id: ClientId) -> Option<&Client> {
        self.client(id)
            .filter(|client| client.disabled_at.is_none())
    }

    /// The client that `authority` wants to change, as far as it may know of it.
    fn managed_client(
        &self,
        authority: &Authority,
        org: OrgId,
        client: ClientId,
    ) -> Result<&Client, Refusal> {
        self.require(authority, org, built_in::CLIENTS_WRITE)?;
        self.client(client)
            .filter(|client| client.org == org && self.sees(authority, client.environment))
            .ok_or(Refusal::Unknown(Noun::Client))
    }

    pub(crate) fn decide_register_client(
        &self,
        authority: &Authority,
        command: RegisterClient,
    ) -> Result<Option<Event>, Refusal> {
        let org = command.org;
        self.require(authority, org, built_in::CLIENTS_WRITE)?;
        if self.environment_of(authority) == Environment::Test
            && command.environment == Environment::Live
        {
            return Err(Refusal::LiveFromTest);
        }
        // Its tokens have no end but their own, so what is limited makes none (it would outlive it).
        self.check_unbounded(authority)?;
        self.check_grantable(authority, org, &command.settings.scopes)?;
        self.check_settings(org, command.client_type, &command.settings)?;
        let taken = |secret: NewClientSecret| self.is_credential_taken(secret.id);
        if self.client(command.client).is_some() || command.secret.is_some_and(taken) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let RegisterClient {
            org,
            client,
            client_type,
            environment,
            secret,
            settings,
        } = command;
        Ok(Some(Event::ClientRegistered(ClientRegistered {
            org,
            client,
            client_type,
            environment,
            // Whoever cannot keep a secret is given none.
            secret: secret.filter(|_| client_type == ClientType::Confidential),
            settings,
        })))
    }

    pub(crate) fn decide_change_client(
        &self,
        authority: &Authority,
        command: ChangeClient,
    ) -> Result<Option<Event>, Refusal> {
        let ChangeClient {
            org,
            client,
            changes,
        } = command;
        let known = self.managed_client(authority, org, client)?;
        let settings = changes.applied_to(&known.settings);
        if settings == known.settings {
            return Ok(None);
        }
        // Where its codes are sent to is worth as much as what it may do.
        self.check_unbounded(authority)?;
        self.check_grantable(authority, org, &settings.scopes)?;
        self.check_settings(org, known.client_type, &settings)?;
        Ok(Some(Event::ClientChanged(ClientChanged {
            org,
            client,
            settings,
        })))
    }

    pub(crate) fn decide_delete_client(
        &self,
        authority: &Authority,
        command: DeleteClient,
    ) -> Result<Option<Event>, Refusal> {
        let DeleteClient { org, client } = command;
        self.managed_client(authority, org, client)?;
        Ok(Some(Event::ClientDeleted(ClientDeleted { org, client })))
    }

    pub(crate) fn decide_switch_client(
        &self,
        authority: &Authority,
        command: SwitchClient,
    ) -> Result<Option<Event>, Refusal> {
        let SwitchClient {
            org,
            client,
            disabled,
        } = command;
        let known = self.managed_client(authority, org, client)?;
        Ok(match (known.disabled_at.is_some(), disabled) {
            (false, true) => Some(Event::ClientDisabled(ClientDisabled { org, client })),
            (true, false) => {
                // Waking it gives all that it can do.
                self.check_unbounded(authority)?;
                self.check_grantable(authority, org, &known.settings.scopes)?;
                Some(Event::ClientEnabled(ClientEnabled { org, client }))
            }
            (true, true) | (false, false) => None,
        })
    }

    pub(crate) fn decide_rotate_client_secret(
        &self,
        authority: &Authority,
        command: RotateClientSecret,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let RotateClientSecret {
            org,
            client,
            secret,
            grace_seconds,
        } = command;
        let known = self.managed_client(authority, org, client)?;
        // Whoever holds its secret can do all that it can.
        self.check_unbounded(authority)?;
        self.check_grantable(authority, org, &known.settings.scopes)?;
        if grace_seconds > SECRET_GRACE_SECONDS_MAX {
            let reason = Reason::AtMost(SECRET_GRACE_SECONDS_MAX);
            return Err(Refusal::invalid(Field::GraceSeconds, reason));
        }
        if known.client_type == ClientType::Public {
            return Err(Refusal::PublicClient);
        }
        // At once always helps in an emergency; anything gentler would cut a promised grace short.
        if grace_seconds > 0 && known.live_secrets(now).count() > 1 {
            return Err(Refusal::RotationUnderWay);
        }
        if self.is_credential_taken(secret.id) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(Some(Event::ClientSecretRotated(ClientSecretRotated {
            org,
            client,
            secret,
            grace_seconds,
        })))
    }

    /// Whether a client can be what these settings say.
    fn check_settings(
        &self,
        org: OrgId,
        client_type: ClientType,
        settings: &ClientSettings,
    ) -> Result<(), Refusal> {
        let invalid = |field, reason| Err(Refusal::invalid(field, reason));
        let has = |grant_type| settings.grant_types.contains(&grant_type);
        let is_public = client_type == ClientType::Public;
        if settings.grant_types.is_empty() {
            return invalid(Field::GrantTypes, Reason::NoGrantType);
        }
        if is_public && has(GrantType::ClientCredentials) {
            return invalid(Field::GrantTypes, Reason::NeedsSecret("client_credentials"));
        }
        if has(GrantType::RefreshToken) && !has(GrantType::AuthorizationCode) {
            return invalid(Field::GrantTypes, Reason::RefreshWithoutCode);
        }
        if has(GrantType::AuthorizationCode) && settings.redirect_uris.is_empty() {
            return invalid(Field::RedirectUris, Reason::NoRedirectUri);
        }
        for (field, count) in [
            (Field::RedirectUris, settings.redirect_uris.len()),
            (Field::Resources, settings.resources.len()),
        ] {
            if count > URIS_MAX {
                return invalid(field, Reason::AtMost(URIS_MAX as u64));
            }
        }
        if settings.scopes.is_empty() {
            return invalid(Field::Scopes, Reason::NoScope);
        }
        self.check_known(org, &settings.scopes)?;
        if let Some(scope) = settings.scopes.iter().find(|scope| !is_delegable(scope)) {
            return invalid(Field::Scopes, Reason::NotForOauth(scope.clone()));
        }
        if is_public && settings.pkce == PkcePolicy::Optional {
            return invalid(Field::Pkce, Reason::PublicNeedsPkce);
        }
        if is_public && settings.refresh_rotation == RefreshRotation::Keep {
            return invalid(Field::RefreshRotation, Reason::NeedsSecret("keep"));
        }
        for (field, seconds, max) in [
            (
                Field::AccessTokenSeconds,
                settings.access_token_seconds,
                ACCESS_TOKEN_SECONDS_MAX,
            ),
            (
                Field::RefreshIdleSeconds,
                settings.refresh_idle_seconds,
                REFRESH_SECONDS_MAX,
            ),
            (
                Field::RefreshSeconds,
                settings.refresh_seconds,
                REFRESH_SECONDS_MAX,
            ),
        ] {
            if seconds == 0 {
                return invalid(field, Reason::AtLeast(1));
            }
            if seconds > max {
                return invalid(field, Reason::AtMost(max.into()));
            }
        }
        Ok(())
    }

    pub(crate) fn apply_client_registered(&mut self, event: &ClientRegistered, record: &Record) {
        let secrets = event.secret.map(|secret| ClientSecret {
            id: secret.id,
            digest: secret.digest,
            created_at: record.at,
            until: None,
        });
        if let Some(secret) = event.secret {
            self.client_secrets.insert(secret.id, event.client);
        }
        let client = Client {
            id: event.client,
            org: event.org,
            client_type: event.client_type,
            environment: event.environment,
            settings: event.settings.clone(),
            secrets: secrets.into_iter().collect(),
            addresses_since: record.position,
            disabled_at: None,
            created_at: record.at,
            created_by: record.origin.actor,
        };
        self.clients_of_orgs
            .entry(event.org)
            .or_default()
            .insert(event.client);
        self.clients.insert(event.client, client);
    }

    fn client_mut(&mut self, id: ClientId) -> &mut Client {
        self.clients
            .get_mut(&id)
            .expect("an event names a client that exists")
    }

    pub(crate) fn apply_client_changed(&mut self, event: &ClientChanged, record: &Record) {
        let client = self.client_mut(event.client);
        let before = &client.settings.redirect_uris;
        // One that was only taken away leads nobody anywhere else.
        if event
            .settings
            .redirect_uris
            .iter()
            .any(|uri| !before.contains(uri))
        {
            client.addresses_since = record.position;
        }
        client.settings = event.settings.clone();
    }

    /// Its tokens are not looked for: without their client they are good for nothing, and they leave
    /// when their time is over.
    pub(crate) fn apply_client_deleted(&mut self, event: ClientDeleted) {
        let client = self.clients.remove(&event.client);
        let client = client.expect("an event names a client that exists");
        for secret in &client.secrets {
            self.client_secrets.remove(&secret.id);
        }
        if let Some(of_org) = self.clients_of_orgs.get_mut(&client.org) {
            of_org.remove(&client.id);
        }
        for of_user in self.consents.values_mut() {
            of_user.remove(&client.id);
        }
    }

    pub(crate) fn apply_client_disabled(&mut self, event: ClientDisabled, at: Timestamp) {
        self.client_mut(event.client).disabled_at = Some(at);
    }

    pub(crate) fn apply_client_enabled(&mut self, event: ClientEnabled) {
        self.client_mut(event.client).disabled_at = None;
    }

    pub(crate) fn apply_client_secret_rotated(
        &mut self,
        event: ClientSecretRotated,
        at: Timestamp,
    ) {
        let client = self.client_mut(event.client);
        let before = client.secrets.drain(..).collect::<Vec<_>>();
        client.secrets.push(ClientSecret {
            id: event.secret.id,
            digest: event.secret.digest,
            created_at: at,
            until: None,
        });
        let mut ended = before.into_iter();
        if event.grace_seconds > 0
            && let Some(last) = ended.next()
        {
            let until = Some(at.plus_seconds(event.grace_seconds));
            client.secrets.push(ClientSecret { until, ..last });
        }
        for secret in ended {
            self.client_secrets.remove(&secret.id);
        }
        self.client_secrets.insert(event.secret.id, event.client);
    }
}
