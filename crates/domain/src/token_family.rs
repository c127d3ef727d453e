//! All the tokens that come from one consent: a refresh token, the ones it replaced, and the access
//! tokens that were given for them.
//!
//! The public id of the refresh token stays through every rotation, as that of any key does, and is
//! the family's. Of the secrets that were used digests are kept: who shows one of them has stolen it,
//! or was stolen from, and the family ends (RFC 9700 §4.14.2). Who shows anything else has guessed,
//! and ends nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::access_token::NewAccessToken;
use crate::actor::Authority;
use crate::api_key::{Ended, Holder};
use crate::authorization_code::check_not_for_here;
use crate::client::{GrantType, RefreshRotation};
use crate::credential::{CredentialId, Environment};
use crate::digest::Digest;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::expiry::Expiring;
use crate::id::{ClientId, OrgId, UserId};
use crate::position::Position;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::scope::Scopes;
use crate::time::Timestamp;

/// How many used secrets a family remembers. One that is older is refused like a guess.
const USED_MAX: usize = 64;

/// What is recorded of a new refresh token; its public id is the family's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NewRefreshToken {
    /// What is kept of it.
    #[serde(skip)]
    pub digest: Digest,
}

/// The refresh token of a family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshToken {
    /// What is kept of the one that is good.
    pub digest: Digest,
    /// What is kept of those before it, the newest last.
    pub used: VecDeque<Digest>,
    /// Until when it may lie unused.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

impl RefreshToken {
    /// When it ends unless it is used before.
    pub fn ends_at(&self) -> Timestamp {
        self.idle_until.min(self.expires_at)
    }
}

/// The tokens that come from one consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFamily {
    /// Its identifier: the public id of its refresh token.
    pub id: CredentialId,
    /// The client's organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// Who said yes.
    pub user: UserId,
    /// Where the tokens belong.
    pub environment: Environment,
    /// What they may do at most.
    pub scopes: Scopes,
    /// For which servers they may be.
    pub resources: Vec<Resource>,
    /// Where the person's yes stands in the ledger.
    pub consented: Position,
    /// When the code was redeemed.
    pub issued_at: Timestamp,
    /// Its refresh token, if it has one.
    pub refresh: Option<RefreshToken>,
    /// When the last of all its tokens ends, as it is now.
    pub ends_at: Timestamp,
}

/// Exchange a refresh token for another access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokens {
    /// The family: the public id of what was shown.
    pub family: CredentialId,
    /// What was shown, digested as it is kept.
    pub shown: Digest,
    /// The access token.
    pub access_token: NewAccessToken,
    /// The refresh token that takes its place, where the client's rotate.
    pub refresh_token: Option<NewRefreshToken>,
}

/// End a family (RFC 7009 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeTokenFamily {
    /// The family.
    pub family: CredentialId,
}

/// A refresh token was exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokensRefreshed {
    /// The client's organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// Whose it is.
    pub user: UserId,
    /// The family.
    pub family: CredentialId,
    /// The access token.
    pub access_token: NewAccessToken,
    /// The refresh token that took the place of the one that was shown, where they rotate.
    pub refresh_token: Option<NewRefreshToken>,
}

/// Why a family ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FamilyEnd {
    /// Its client asked for it.
    Requested,
    /// The code it came from was shown again.
    CodeReplayed,
    /// A refresh token that was used before was shown again.
    RefreshTokenReused,
}

/// A family ended, and all its tokens with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TokenFamilyRevoked {
    /// The client's organization.
    pub org: OrgId,
    /// The client.
    pub client: ClientId,
    /// Whose it was.
    pub user: UserId,
    /// The family.
    pub family: CredentialId,
    /// Why.
    pub reason: FamilyEnd,
}

impl Directory {
    /// A family that was not ended and whose time is not over.
    pub fn family(&self, id: CredentialId) -> Option<&TokenFamily> {
        self.families.get(&id)
    }

    /// Whether what a person allowed a client at a position still stands: the client, the person's
    /// place in its organization, and the consent itself.
    pub(crate) fn stands(
        &self,
        user: UserId,
        client: ClientId,
        org: OrgId,
        consented: Position,
    ) -> Result<(), Ended> {
        let known = self.client(client).ok_or(Ended::Revoked)?;
        let consent = self.consent(user, client).ok_or(Ended::Revoked)?;
        let ended = self.families_ended.get(&user).copied();
        if consented < consent.since || ended.is_some_and(|ended| consented < ended) {
            return Err(Ended::Revoked);
        }
        let is_member = self.org(org).is_some_and(|org| org.has_active(user));
        if known.disabled_at.is_some() || !is_member {
            return Err(Ended::Disabled);
        }
        Ok(())
    }

    /// Whether a family's tokens are good, apart from their own time.
    ///
    /// # Errors
    /// [`Ended`], where the consent, the client or the person's membership is gone or switched off.
    pub fn standing_of_family(&self, family: &TokenFamily) -> Result<(), Ended> {
        self.stands(family.user, family.client, family.org, family.consented)
    }

    pub(crate) fn decide_refresh_tokens(
        &self,
        authority: &Authority,
        command: RefreshTokens,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let client = self.asking_client(authority, GrantType::RefreshToken)?;
        let family = self
            .family(command.family)
            .filter(|family| family.client == client.id)
            .ok_or(Refusal::InvalidGrant)?;
        let refresh = family.refresh.as_ref().ok_or(Refusal::InvalidGrant)?;
        if refresh.digest != command.shown {
            // All are compared, whichever it was.
            let matches = refresh.used.iter().filter(|used| **used == command.shown);
            return if matches.count() > 0 {
                Ok(Some(Event::TokenFamilyRevoked(TokenFamilyRevoked {
                    org: family.org,
                    client: family.client,
                    user: family.user,
                    family: family.id,
                    reason: FamilyEnd::RefreshTokenReused,
                })))
            } else {
                Err(Refusal::InvalidGrant)
            };
        }
        if now >= refresh.ends_at() || self.standing_of_family(family).is_err() {
            return Err(Refusal::InvalidGrant);
        }
        let access_token = command.access_token;
        self.check_new_token(
            client,
            &access_token,
            &family.scopes,
            &family.resources,
            now,
        )?;
        check_not_for_here(&access_token, &family.resources)?;
        let rotates = client.settings.refresh_rotation == RefreshRotation::Rotate;
        if rotates && command.refresh_token.is_none() {
            // The client was changed between the drawing and the deciding.
            return Err(Refusal::InvalidGrant);
        }
        Ok(Some(Event::TokensRefreshed(TokensRefreshed {
            org: family.org,
            client: family.client,
            user: family.user,
            family: family.id,
            access_token,
            refresh_token: command.refresh_token.filter(|_| rotates),
        })))
    }

    /// The client it was issued to ends it, or the person it acts for.
    pub(crate) fn decide_revoke_token_family(
        &self,
        authority: &Authority,
        command: RevokeTokenFamily,
    ) -> Result<Option<Event>, Refusal> {
        let client = self.proved_client(authority)?;
        let own = self
            .family(command.family)
            .filter(|family| family.client == client.id);
        Ok(own.map(|family| {
            Event::TokenFamilyRevoked(TokenFamilyRevoked {
                org: family.org,
                client: family.client,
                user: family.user,
                family: family.id,
                reason: FamilyEnd::Requested,
            })
        }))
    }

    /// Gives a family a refresh token, the first or the next, and so more time.
    pub(crate) fn give_refresh_token(
        &mut self,
        id: CredentialId,
        new: Option<NewRefreshToken>,
        access_token: &NewAccessToken,
        record: &Record,
    ) {
        let family = self.families.get_mut(&id);
        let family = family.expect("an event names a family that exists");
        let client = self.clients.get(&family.client);
        let settings = &client
            .expect("an event names a client that exists")
            .settings;
        let idle_until = record.at.plus_seconds(settings.refresh_idle_seconds.into());
        match (&mut family.refresh, new) {
            (Some(refresh), new) => {
                refresh.idle_until = idle_until;
                if let Some(new) = new {
                    let before = core::mem::replace(&mut refresh.digest, new.digest);
                    refresh.used.push_back(before);
                    if refresh.used.len() > USED_MAX {
                        refresh.used.pop_front();
                    }
                }
            }
            (none @ None, Some(new)) => {
                *none = Some(RefreshToken {
                    digest: new.digest,
                    used: VecDeque::new(),
                    idle_until,
                    expires_at: record.at.plus_seconds(settings.refresh_seconds.into()),
                });
            }
            (None, None) => {}
        }
        let refresh_ends_at = family.refresh.as_ref().map(RefreshToken::ends_at);
        let before = family.ends_at;
        family.ends_at = before
            .max(access_token.expires_at)
            .max(refresh_ends_at.unwrap_or_default());
        let ends_at = family.ends_at;
        self.expiring.remove(&(before, Expiring::Family(id)));
        self.expire_at(ends_at, Expiring::Family(id));
    }

    pub(crate) fn apply_tokens_refreshed(&mut self, event: &TokensRefreshed, record: &Record) {
        let holder = Holder::Delegate {
            org: event.org,
            user: event.user,
            family: event.family,
        };
        self.insert_access_token(&event.access_token, holder, event.client, record);
        self.give_refresh_token(
            event.family,
            event.refresh_token,
            &event.access_token,
            record,
        );
    }

    /// Its access tokens are not looked for: without their family they are good for nothing, and they
    /// leave when their time is over.
    pub(crate) fn apply_token_family_revoked(&mut self, event: TokenFamilyRevoked) {
        let family = self.families.remove(&event.family);
        let family = family.expect("an event names a family that exists");
        self.expiring
            .remove(&(family.ends_at, Expiring::Family(family.id)));
    }

    pub(crate) fn expire_family(&mut self, id: CredentialId, now: Timestamp) {
        if self
            .families
            .get(&id)
            .is_some_and(|family| family.ends_at <= now)
        {
            self.families.remove(&id);
        }
    }
}
