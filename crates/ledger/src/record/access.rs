//! Stored events of how people get in, and are forgotten: passwords, sessions, erasures.

use keyledger_domain::erasure::PersonErased;
use keyledger_domain::session::{AllSessionsEnded, SessionEnded, SessionStarted};
use keyledger_domain::user::PasswordChanged;

use crate::record::form::{CommitmentBytes, event};
use crate::record::part::DigestV1;

event! {
    PasswordChanged as PasswordChangedV1 {
        user: [u8; 16],
    }
    personal of user {
        password: CommitmentBytes,
    }
}

event! {
    SessionStarted as SessionStartedV1 {
        session: [u8; 16],
        user: [u8; 16],
        digest: DigestV1,
        expires_at: i64,
    }
}

event! {
    SessionEnded as SessionEndedV1 {
        session: [u8; 16],
        user: [u8; 16],
    }
}

event! {
    AllSessionsEnded as AllSessionsEndedV1 {
        user: [u8; 16],
    }
}

event! {
    PersonErased as PersonErasedV1 {
        user: [u8; 16],
        invitations: Vec<[u8; 16]>,
    }
}
