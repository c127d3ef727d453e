//! Browser sessions: opened by a password and by nothing else, kept here and not in the cookie.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority, Proof};
use crate::digest::Digest;
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{SessionId, UserId};
use crate::refusal::{Field, Refusal};
use crate::time::Timestamp;

/// The longest life of a session, whatever happens in it: 12 hours, in seconds.
pub const SESSION_SECONDS: u64 = 12 * 3_600;

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its identifier.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What is kept of the cookie's secret.
    pub digest: Digest,
    /// When it was opened.
    pub started_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Open a session for somebody who has just shown their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSession {
    /// Its identifier.
    pub session: SessionId,
    /// What is kept of the cookie's secret.
    pub digest: Digest,
}

/// End a session of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndSession {
    /// The session.
    pub session: SessionId,
}

/// End every session of one's own: log out everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndAllSessions;

/// A session was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionStarted {
    /// Its identifier.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What is kept of the cookie's secret.
    #[serde(skip)]
    pub digest: Digest,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// A session was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SessionEnded {
    /// The session.
    pub session: SessionId,
    /// Whose it was.
    pub user: UserId,
}

/// Somebody logged out everywhere: every session of theirs ended, the one that asked too, and every
/// token that apps had for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AllSessionsEnded {
    /// Whose they were.
    pub user: UserId,
}

impl Directory {
    /// A key never opens the website: only the password itself does.
    pub(crate) fn decide_start_session(
        &self,
        authority: &Authority,
        command: StartSession,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let (Actor::User(user), Proof::Password) = (authority.actor, authority.proof) else {
            return Err(Refusal::PasswordNeeded);
        };
        if self.session(command.session).is_some() {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(Some(Event::SessionStarted(SessionStarted {
            session: command.session,
            user,
            digest: command.digest,
            expires_at: now.plus_seconds(SESSION_SECONDS),
        })))
    }

    /// Ending a session that is gone already is success (as RFC 7009 §2.2 has it for tokens). A key
    /// neither opens nor closes the website.
    pub(crate) fn decide_end_session(
        &self,
        authority: &Authority,
        command: EndSession,
    ) -> Result<Option<Event>, Refusal> {
        if !authority.is_password_backed() {
            return Err(Refusal::PasswordNeeded);
        }
        let own = self
            .session(command.session)
            .filter(|s| authority.actor == Actor::User(s.user));
        Ok(own.map(|s| {
            Event::SessionEnded(SessionEnded {
                session: s.id,
                user: s.user,
            })
        }))
    }

    /// Of somebody who has a session open, or allowed an app something. A stolen key must not throw its owner out of the website,
    /// where they would revoke it.
    pub(crate) fn decide_end_all_sessions(
        &self,
        authority: &Authority,
    ) -> Result<Option<Event>, Refusal> {
        let (Actor::User(user), true) = (authority.actor, authority.is_password_backed()) else {
            return Err(Refusal::PasswordNeeded);
        };
        let is_in = self
            .user(user)
            .is_some_and(|user| !user.sessions.is_empty());
        let has_apps = self.consents_of(user).next().is_some();
        Ok((is_in || has_apps).then_some(Event::AllSessionsEnded(AllSessionsEnded { user })))
    }

    pub(crate) fn apply_session_started(&mut self, event: &SessionStarted, at: Timestamp) {
        // Sessions that ran out leave with the next login, so that they do not gather for ever.
        let open = self.known_user(event.user).sessions.iter();
        let ended: Vec<SessionId> = open
            .filter(|id| {
                let session = self.sessions.get(id);
                session.is_some_and(|session| session.expires_at <= at)
            })
            .copied()
            .collect();
        for id in &ended {
            self.sessions.remove(id);
        }
        let user = self.user_mut(event.user);
        for id in &ended {
            user.sessions.remove(id);
        }
        user.sessions.insert(event.session);
        let session = Session {
            id: event.session,
            user: event.user,
            digest: event.digest,
            started_at: at,
            expires_at: event.expires_at,
        };
        self.sessions.insert(event.session, session);
    }

    pub(crate) fn apply_session_ended(&mut self, event: SessionEnded) {
        self.sessions.remove(&event.session);
        self.user_mut(event.user).sessions.remove(&event.session);
    }

    /// What apps were given ends too: whoever had the browser may have allowed one of their own.
    pub(crate) fn apply_all_sessions_ended(&mut self, event: AllSessionsEnded, record: &Record) {
        self.end_families_of(event.user, record);
        self.end_sessions_of(event.user);
    }

    /// Ends every session of a person, whatever the reason.
    pub(crate) fn end_sessions_of(&mut self, user: UserId) {
        for session in core::mem::take(&mut self.user_mut(user).sessions) {
            self.sessions.remove(&session);
        }
    }
}
