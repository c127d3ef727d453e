//! Stored events of the keys that sign tokens.

use keyledger_domain::signing::{SigningKeyCreated, SigningKeyRetired};

use crate::record::form::event;
use crate::record::part::PublicKeyV1;

event! {
    SigningKeyCreated as SigningKeyCreatedV1 {
        kid: String,
        public_key: PublicKeyV1,
        sealed: Vec<u8>,
        previous_retires_at: Option<i64>,
    }
}

event! {
    SigningKeyRetired as SigningKeyRetiredV1 {
        kid: String,
    }
}
