//! What a person has allowed a client to do for them. It can be taken back at any time, and with it
//! go all the tokens that were given for it.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{ClientId, OrgId, UserId};
use crate::position::Position;
use crate::refusal::{Noun, Refusal};
use crate::scope::{Scope, Scopes};
use crate::time::Timestamp;

/// What a person has allowed a client to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// All that they have allowed since they first did.
    pub scopes: Scopes,
    /// What of it they allowed since `remembered_since`: they need not be asked for it again.
    pub remembered: Scopes,
    /// Where their remembered yes began. One from before the client could be sent codes at another
    /// address is none.
    pub remembered_since: Position,
    /// Where it began: what was given for an earlier one, that was taken back, stays ended.
    pub since: Position,
    /// When it began.
    pub granted_at: Timestamp,
    /// When it was last asked for, by the person's saying yes or by a remembered yes.
    pub last_used_at: Timestamp,
}

/// Take back what one allowed a client to do. All its tokens for oneself end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeConsent {
    /// The client.
    pub client: ClientId,
}

/// A person took back what they had allowed a client to do; its tokens for them ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConsentRevoked {
    /// The person.
    pub user: UserId,
    /// The client.
    pub client: ClientId,
}

impl Directory {
    /// What a person has allowed a client to do.
    pub fn consent(&self, user: UserId, client: ClientId) -> Option<&Consent> {
        self.consents.get(&user)?.get(&client)
    }

    /// What they need not be asked for again. Whoever changed their password or logged out everywhere
    /// may have done so because somebody else said yes in their name; and nobody who said yes knew of
    /// an address that the client was given later.
    pub fn remembered_scopes(&self, user: UserId, client: ClientId) -> Option<&Scopes> {
        let consent = self.consent(user, client)?;
        let ended = self.families_ended.get(&user).copied();
        let is_of_today = ended.is_none_or(|ended| consent.since > ended)
            && consent.remembered_since > self.client(client)?.addresses_since;
        is_of_today.then_some(&consent.remembered)
    }

    /// What a person has allowed whom to do, by the client's identifier.
    pub fn consents_of(&self, user: UserId) -> impl Iterator<Item = (ClientId, &Consent)> {
        let of_user = self.consents.get(&user).into_iter().flatten();
        of_user.map(|(client, consent)| (*client, consent))
    }

    /// Only the person does it, and no key of theirs: a key that was stolen would at least not cut off
    /// the apps.
    pub(crate) fn decide_revoke_consent(
        &self,
        authority: &Authority,
        command: RevokeConsent,
    ) -> Result<Option<Event>, Refusal> {
        let Actor::User(user) = authority.actor else {
            return Err(Refusal::UsersOnly);
        };
        if !authority.is_password_backed() {
            return Err(Refusal::PasswordNeeded);
        }
        let client = command.client;
        self.consent(user, client)
            .ok_or(Refusal::Unknown(Noun::Consent))?;
        Ok(Some(Event::ConsentRevoked(ConsentRevoked { user, client })))
    }

    /// Notes that a person said yes, or that an earlier yes still held.
    pub(crate) fn insert_consent(
        &mut self,
        user: UserId,
        client: ClientId,
        scopes: &Scopes,
        record: &Record,
    ) {
        let begun = || Consent {
            scopes: Scopes::default(),
            remembered: Scopes::default(),
            remembered_since: record.position,
            since: record.position,
            granted_at: record.at,
            last_used_at: record.at,
        };
        let ended = self.families_ended.get(&user).copied();
        let addresses_since = self.clients.get(&client).map(|known| known.addresses_since);
        let of_user = self.consents.entry(user).or_default();
        let consent = of_user.entry(client).or_insert_with(begun);
        if ended.is_some_and(|ended| consent.since < ended) {
            *consent = begun();
        }
        if addresses_since.is_some_and(|since| consent.remembered_since < since) {
            consent.remembered = Scopes::default();
            consent.remembered_since = record.position;
        }
        let and_these = |before: &Scopes| {
            let all = before.iter().chain(scopes);
            all.cloned().collect::<Vec<Scope>>().into()
        };
        consent.scopes = and_these(&consent.scopes);
        consent.remembered = and_these(&consent.remembered);
        consent.last_used_at = record.at;
    }

    pub(crate) fn apply_consent_revoked(&mut self, event: ConsentRevoked) {
        if let Some(of_user) = self.consents.get_mut(&event.user) {
            of_user.remove(&event.client);
        }
    }

    /// Whoever leaves an organization takes back what they allowed its clients; who comes again is
    /// asked again.
    pub(crate) fn end_consents_in(&mut self, org: OrgId, user: UserId) {
        let clients = &self.clients;
        if let Some(of_user) = self.consents.get_mut(&user) {
            of_user.retain(|client, _| clients.get(client).is_none_or(|client| client.org != org));
        }
    }

    /// Ends all that clients may do for a person, and lets the consents be: they are asked for again
    /// by password. For a password that was changed, and for a log-out everywhere.
    pub(crate) fn end_families_of(&mut self, user: UserId, record: &Record) {
        self.families_ended.insert(user, record.position);
    }
}
