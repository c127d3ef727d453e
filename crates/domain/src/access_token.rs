//! Access tokens (RFC 6749 §1.4). Each is an [`ApiKey`] among the others, so that looking it up,
//! what it may do and what ended it are the same rules; here is what is theirs alone: that they
//! belong to a client, are for some servers, and leave the state when their time is over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::api_key::{ApiKey, Ended, Holder, NewApiKey};
use crate::client::{Client, GrantType};
use crate::credential::CredentialId;
use crate::digest::Digest;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::expiry::Expiring;
use crate::id::{ClientId, OrgId};
use crate::refusal::{Field, Reason, Refusal};
use crate::resource::Resource;
use crate::scope::Scopes;
use crate::time::Timestamp;

/// What is recorded of a new access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewAccessToken {
    /// Its public id, drawn by the caller; of a JWT its `jti`.
    pub id: CredentialId,
    /// What is kept of it, of a JWT as of any other: whoever shows anything but these very bytes is
    /// not let in.
    #[serde(skip)]
    pub digest: Digest,
    /// What it may do.
    pub scopes: Scopes,
    /// For which servers it is (RFC 8707); empty for this one.
    pub audience: Vec<Resource>,
    /// When it ends: it is good while now is before.
    pub expires_at: Timestamp,
}

/// For which servers a token is, where it is not for this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Audience(pub(crate) Arc<[Resource]>);

/// Give a client a token for itself (RFC 6749 §4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueClientToken {
    /// The token.
    pub access_token: NewAccessToken,
}

/// End an access token before its time (RFC 7009).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeAccessToken {
    /// The token.
    pub id: CredentialId,
}

/// A client was given a token for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientTokenIssued {
    /// Its organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// The token.
    pub access_token: NewAccessToken,
}

/// An access token was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AccessTokenRevoked {
    /// Its organization.
    pub org: OrgId,
    /// The client that it was issued to.
    pub client: ClientId,
    /// The token.
    pub id: CredentialId,
}

impl Directory {
    /// For which servers a token is; `None` for this one.
    pub fn audience_of(&self, id: CredentialId) -> Option<&[Resource]> {
        if self.audiences.is_empty() {
            return None;
        }
        self.audiences.get(&id).map(|audience| &*audience.0)
    }

    /// The client that an access token was issued to; `None` for any other key.
    pub fn client_of(&self, key: &ApiKey) -> Option<ClientId> {
        match key.issued.holder {
            Holder::Client { client, .. } => Some(client),
            Holder::Delegate { family, .. } => self.family(family).map(|family| family.client),
            Holder::User { .. } | Holder::Service { .. } | Holder::Entitlement { .. } => None,
        }
    }

    /// Whether what a token was issued for still stands: its client, and the consent of whoever it
    /// acts for. Any other key has nothing of the kind.
    pub(crate) fn standing_of_token(&self, key: &ApiKey) -> Result<(), Ended> {
        match key.issued.holder {
            Holder::User { .. } | Holder::Service { .. } | Holder::Entitlement { .. } => Ok(()),
            Holder::Client { client, .. } => match self.client(client) {
                None => Err(Ended::Revoked),
                Some(client) if client.disabled_at.is_some() => Err(Ended::Disabled),
                Some(_) => Ok(()),
            },
            Holder::Delegate { family, .. } => {
                let family = self.family(family).ok_or(Ended::Revoked)?;
                self.standing_of_family(family)
            }
        }
    }

    /// The client that asks, if it showed that it is one and may ask in this way.
    pub(crate) fn asking_client(
        &self,
        authority: &Authority,
        grant_type: GrantType,
    ) -> Result<&Client, Refusal> {
        let client = self.proved_client(authority)?;
        if client.has_grant(grant_type) {
            Ok(client)
        } else {
            Err(Refusal::GrantTypeNotAllowed)
        }
    }

    /// The client that asks, if it showed that it is one.
    pub(crate) fn proved_client(&self, authority: &Authority) -> Result<&Client, Refusal> {
        let (Actor::Client(client), crate::actor::Proof::Client { .. }) =
            (authority.actor, authority.proof)
        else {
            return Err(Refusal::ClientsOnly);
        };
        self.active_client(client).ok_or(Refusal::CredentialEnded)
    }

    /// Checks what a new token is to be, against what it may be at most.
    pub(crate) fn check_new_token(
        &self,
        client: &Client,
        new: &NewAccessToken,
        scopes: &Scopes,
        resources: &[Resource],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if let Some(scope) = new.scopes.first_beyond(scopes) {
            return Err(Refusal::ScopeNotAllowed(scope.clone()));
        }
        // A consent outlives a change of its client, what the client may ask for does not.
        if let Some(scope) = new.scopes.first_beyond(&client.settings.scopes) {
            return Err(Refusal::ScopeNotAllowed(scope.clone()));
        }
        if new.audience.iter().any(|one| !resources.contains(one)) {
            return Err(Refusal::ResourceNotAllowed);
        }
        // By the clock of whoever asked, which may be a little ahead of the ledger's or behind it.
        let seconds = u64::from(client.settings.access_token_seconds);
        if new.expires_at > now.plus_seconds(seconds + 60) {
            return Err(Refusal::BeyondOwnLifetime);
        }
        if new.expires_at <= now {
            return Err(Refusal::invalid(Field::ExpiresAt, Reason::InThePast));
        }
        if self.is_credential_taken(new.id) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(())
    }

    pub(crate) fn decide_issue_client_token(
        &self,
        authority: &Authority,
        command: IssueClientToken,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let client = self.asking_client(authority, GrantType::ClientCredentials)?;
        let access_token = command.access_token;
        let settings = &client.settings;
        let (scopes, resources) = (&settings.scopes, &settings.resources);
        self.check_new_token(client, &access_token, scopes, resources, now)?;
        // Nobody is there who could be offline (OpenID Connect Core §11).
        if let Some(scope) = access_token
            .scopes
            .iter()
            .find(|scope| scope.is_for_people())
        {
            return Err(Refusal::ScopeNotAllowed(scope.clone()));
        }
        Ok(Some(Event::ClientTokenIssued(ClientTokenIssued {
            org: client.org,
            client: client.id,
            access_token,
        })))
    }

    /// The client it was issued to ends it. Of another client's token nothing is said, and nothing
    /// happens to it (RFC 7009 §2.1, §2.2).
    pub(crate) fn decide_revoke_access_token(
        &self,
        authority: &Authority,
        command: RevokeAccessToken,
    ) -> Result<Option<Event>, Refusal> {
        let client = self.proved_client(authority)?;
        let own = self
            .api_key(command.id)
            .filter(|key| self.client_of(key) == Some(client.id) && key.revoked_at().is_none());
        Ok(own.map(|_| {
            Event::AccessTokenRevoked(AccessTokenRevoked {
                org: client.org,
                client: client.id,
                id: command.id,
            })
        }))
    }

    pub(crate) fn insert_access_token(
        &mut self,
        new: &NewAccessToken,
        holder: Holder,
        client: ClientId,
        record: &Record,
    ) {
        let client = self.client(client);
        let environment = client
            .expect("an event names a client that exists")
            .environment;
        let key = NewApiKey {
            id: new.id,
            environment,
            digest: new.digest,
            scopes: Some(new.scopes.clone()),
            expires_at: Some(new.expires_at),
            allowed_cidrs: Arc::from([]),
            rate_limit: None,
        };
        self.insert_api_key(&key, holder, record);
        if !new.audience.is_empty() {
            let audience = Audience(new.audience.as_slice().into());
            self.audiences.insert(new.id, audience);
        }
        self.expire_at(new.expires_at, Expiring::AccessToken(new.id));
    }

    pub(crate) fn apply_client_token_issued(&mut self, event: &ClientTokenIssued, record: &Record) {
        let ClientTokenIssued { org, client, .. } = *event;
        let holder = Holder::Client { org, client };
        self.insert_access_token(&event.access_token, holder, client, record);
    }

    /// It stays until its time is over, as a dead one: so that it is told what became of it.
    pub(crate) fn apply_access_token_revoked(&mut self, event: AccessTokenRevoked, at: Timestamp) {
        self.api_key_mut(event.id).set_revoked_at(Some(at));
    }
}
