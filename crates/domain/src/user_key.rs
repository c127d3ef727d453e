//! Keys of people: named by a handle, or the user's one own token, which has no name.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::api_key::{Holder, NewApiKey};
use crate::credential::CredentialId;
use crate::digest::SealedSecret;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{KeyId, UserId};
use crate::personal::Personal;
use crate::refusal::{Field, Noun, Refusal};
use crate::scope::built_in;
use crate::text::{DisplayName, Handle};
use crate::time::Timestamp;

/// What a key is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLabel {
    /// The name that its owner chose.
    Handle(Handle),
    /// It is the one token that a user has without naming it.
    OwnToken,
}

/// A user's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKey {
    /// Its identifier.
    pub id: KeyId,
    /// Its owner.
    pub user: UserId,
    /// What it is called.
    pub label: KeyLabel,
    /// A longer name for people.
    pub alias: Option<DisplayName>,
    /// The credential itself.
    pub credential: CredentialId,
}

/// Make a key for oneself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateUserKey {
    /// Its identifier.
    pub key: KeyId,
    /// What it is called.
    pub label: KeyLabel,
    /// A longer name for people.
    pub alias: Option<DisplayName>,
    /// The secret sealed, so that its owner may read it again.
    pub sealed: Option<SealedSecret>,
    /// The credential itself.
    pub api_key: NewApiKey,
}

/// Give a key another name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameUserKey {
    /// The key.
    pub key: KeyId,
    /// The name, or none.
    pub alias: Option<DisplayName>,
}

/// Revoke a key for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeUserKey {
    /// The key.
    pub key: KeyId,
}

/// A user's key was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserKeyCreated {
    /// Its owner.
    pub user: UserId,
    /// Its identifier.
    pub key: KeyId,
    /// What it is called.
    pub label: KeyLabel,
    /// A longer name for people.
    pub alias: Option<DisplayName>,
    /// The secret sealed, so that its owner may read it again.
    #[serde(skip)]
    pub sealed: Option<Personal<SealedSecret>>,
    /// The credential itself.
    pub api_key: NewApiKey,
}

/// A user's key got another name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserKeyRenamed {
    /// The key.
    pub key: KeyId,
    /// The name, or none.
    pub alias: Option<DisplayName>,
}

/// A user's key was revoked for ever; its handle is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UserKeyRevoked {
    /// The key.
    pub key: KeyId,
}

impl Directory {
    /// A user's living key by its handle.
    pub fn key_by_handle(&self, user: UserId, handle: &str) -> Option<&UserKey> {
        self.user(user)?
            .keys
            .get(handle)
            .and_then(|id| self.user_key(*id))
    }

    pub(crate) fn decide_create_user_key(
        &self,
        authority: &Authority,
        command: CreateUserKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let Actor::User(user) = authority.actor else {
            return Err(Refusal::UsersOnly);
        };
        let CreateUserKey {
            key,
            label,
            alias,
            sealed,
            api_key,
        } = command;
        self.require_own(authority, built_in::KEYS_WRITE)?;
        let holder = Holder::User { user, key };
        self.check_may_mint(authority, holder, &api_key)?;
        // Whoever asks for their own token by password later gets the one that is there, so a
        // stolen key must not be able to put one of its own in that place.
        if label == KeyLabel::OwnToken && !authority.is_password_backed() {
            return Err(Refusal::PasswordNeeded);
        }
        self.check_new_api_key(holder, &api_key, now)?;
        let account = self.known_user(user);
        let taken = match &label {
            KeyLabel::Handle(handle) => account.keys.contains_key(handle),
            KeyLabel::OwnToken => account.own_token.is_some(),
        };
        if taken {
            return Err(Refusal::Taken(Field::Handle));
        }
        if self.user_key(key).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let retrievable = self.policy_for(holder).retrievable_keys;
        let sealed = sealed.filter(|_| retrievable).map(Personal::Known);
        let event = UserKeyCreated {
            user,
            key,
            label,
            alias,
            sealed,
            api_key,
        };
        Ok(Some(Event::UserKeyCreated(event)))
    }

    /// A key of one's own, as far as this proof of oneself sees it.
    fn own_key(&self, authority: &Authority, key: KeyId) -> Result<&UserKey, Refusal> {
        self.require_own(authority, built_in::KEYS_WRITE)?;
        self.user_key(key)
            .filter(|key| authority.actor == Actor::User(key.user))
            .filter(|key| self.sees_key(authority, key.credential))
            .ok_or(Refusal::Unknown(Noun::Key))
    }

    pub(crate) fn decide_rename_user_key(
        &self,
        authority: &Authority,
        command: RenameUserKey,
    ) -> Result<Option<Event>, Refusal> {
        let key = self.own_key(authority, command.key)?;
        if key.alias == command.alias {
            return Ok(None);
        }
        let event = UserKeyRenamed {
            key: command.key,
            alias: command.alias,
        };
        Ok(Some(Event::UserKeyRenamed(event)))
    }

    pub(crate) fn decide_revoke_user_key(
        &self,
        authority: &Authority,
        command: RevokeUserKey,
    ) -> Result<Option<Event>, Refusal> {
        let key = self.own_key(authority, command.key)?.id;
        Ok(Some(Event::UserKeyRevoked(UserKeyRevoked { key })))
    }

    fn user_key_mut(&mut self, id: KeyId) -> &mut UserKey {
        self.user_keys
            .get_mut(&id)
            .expect("an event names a key that exists")
    }

    pub(crate) fn apply_user_key_created(&mut self, event: &UserKeyCreated, record: &Record) {
        let holder = Holder::User {
            user: event.user,
            key: event.key,
        };
        self.insert_api_key(&event.api_key, holder, record);
        self.api_key_mut(event.api_key.id)
            .set_sealed(event.sealed.as_ref());
        let user = self.user_mut(event.user);
        match &event.label {
            KeyLabel::Handle(handle) => {
                user.keys.insert(handle.clone(), event.key);
            }
            KeyLabel::OwnToken => user.own_token = Some(event.key),
        }
        let key = UserKey {
            id: event.key,
            user: event.user,
            label: event.label.clone(),
            alias: event.alias.clone(),
            credential: event.api_key.id,
        };
        self.user_keys.insert(event.key, key);
    }

    pub(crate) fn apply_user_key_renamed(&mut self, event: &UserKeyRenamed) {
        self.user_key_mut(event.key).alias.clone_from(&event.alias);
    }

    pub(crate) fn apply_user_key_revoked(&mut self, event: UserKeyRevoked, at: Timestamp) {
        let key = self.take_user_key(event.key);
        self.revoke_api_key(key.credential, at);
    }

    /// Takes a key from its owner; what becomes of the credential is the caller's to say.
    pub(crate) fn take_user_key(&mut self, id: KeyId) -> UserKey {
        let key = self.user_keys.remove(&id);
        let key = key.expect("an event names a key that exists");
        let user = self.user_mut(key.user);
        match &key.label {
            KeyLabel::Handle(handle) => {
                user.keys.remove(handle);
            }
            KeyLabel::OwnToken => user.own_token = None,
        }
        key
    }
}
