//! People: their account, and the password that opens it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority, Proof};
use crate::credential::CredentialId;
use crate::digest::PasswordHash;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{KeyId, OrgId, SessionId, UserId};
use crate::personal::Personal;
use crate::refusal::Refusal;
use crate::text::{DisplayName, Email, Handle, Slug};
use crate::time::Timestamp;

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its identifier.
    pub id: UserId,
    /// What they log in with.
    pub email: Personal<Email>,
    /// Their name for people.
    pub name: Personal<DisplayName>,
    /// Their name in addresses, unique on this server.
    pub slug: Personal<Slug>,
    /// Their password, as argon2id left it.
    pub password: Personal<PasswordHash>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Where they are a member.
    pub orgs: BTreeSet<OrgId>,
    /// Their living keys by handle.
    pub keys: BTreeMap<Handle, KeyId>,
    /// Their own token, if it was ever asked for.
    pub own_token: Option<KeyId>,
    /// Their open browser sessions.
    pub sessions: BTreeSet<SessionId>,
    /// When they were forgotten.
    pub erased_at: Option<Timestamp>,
}

/// The account to be made for somebody new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// Its identifier.
    pub user: UserId,
    /// What they log in with.
    pub email: Email,
    /// Their name for people.
    pub name: DisplayName,
    /// Their password, as argon2id left it.
    pub password: PasswordHash,
}

/// The personal part of an event that made an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// What they log in with.
    pub email: Personal<Email>,
    /// Their name for people.
    pub name: Personal<DisplayName>,
    /// Their name in addresses.
    pub slug: Personal<Slug>,
    /// Their password, as argon2id left it.
    #[serde(skip)]
    pub password: Personal<PasswordHash>,
}

/// Give one's account another password. All its sessions end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePassword {
    /// The new password, as argon2id left it.
    pub password: PasswordHash,
}

/// A password was changed, and all sessions of the account ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PasswordChanged {
    /// Whose.
    pub user: UserId,
    /// The new password, as argon2id left it.
    #[serde(skip)]
    pub password: Personal<PasswordHash>,
}

impl Directory {
    /// What is recorded of a new account: its slug is the address's local part, numbered until
    /// nobody else has it.
    pub(crate) fn registration(&self, new: NewUser) -> Registration {
        let local = new.email.as_str().split('@').next().unwrap_or_default();
        let base = Slug::from_name(local)
            .unwrap_or_else(|_| "user".parse().expect("a literal slug is well-formed"));
        let mut slug = base.clone();
        let mut number = 2;
        while self.user_slugs.contains_key(slug.as_str()) {
            slug = base.numbered(number);
            number += 1;
        }
        Registration {
            email: Personal::Known(new.email),
            name: Personal::Known(new.name),
            slug: Personal::Known(slug),
            password: Personal::Known(new.password),
        }
    }

    /// A key never changes the password, or a stolen one would take the account: only the password
    /// itself does.
    pub(crate) fn decide_change_password(
        &self,
        authority: &Authority,
        command: ChangePassword,
    ) -> Result<Option<Event>, Refusal> {
        let Actor::User(user) = authority.actor else {
            return Err(Refusal::UsersOnly);
        };
        if authority.proof != Proof::Password {
            return Err(Refusal::PasswordNeeded);
        }
        let password = Personal::Known(command.password);
        Ok(Some(Event::PasswordChanged(PasswordChanged {
            user,
            password,
        })))
    }

    pub(crate) fn insert_user(&mut self, id: UserId, registration: &Registration, at: Timestamp) {
        if let Some(email) = registration.email.known() {
            self.emails.insert(email.clone(), id);
        }
        if let Some(slug) = registration.slug.known() {
            self.user_slugs.insert(slug.clone(), id);
        }
        let user = User {
            id,
            email: registration.email.clone(),
            name: registration.name.clone(),
            slug: registration.slug.clone(),
            password: registration.password.clone(),
            created_at: at,
            orgs: BTreeSet::new(),
            keys: BTreeMap::new(),
            own_token: None,
            sessions: BTreeSet::new(),
            erased_at: None,
        };
        let before = self.users.insert(id, user);
        assert!(before.is_none(), "two users have the id {id}");
    }

    pub(crate) fn apply_password_changed(&mut self, event: &PasswordChanged, record: &Record) {
        self.end_families_of(event.user, record);
        self.user_mut(event.user).password = event.password.clone();
        self.end_sessions_of(event.user);
    }

    /// The credential of a user's key.
    pub fn credential_of(&self, key: KeyId) -> Option<CredentialId> {
        self.user_key(key).map(|key| key.credential)
    }
}
