//! The rules of Keyledger, and nothing else.
//!
//! [`decide`] says what a command leads to, [`Directory::apply`] what an event leaves behind. Both
//! are pure: no clock, no randomness, no disk, no network, and so the same for ever. This crate
//! knows nothing of how records are stored (`keyledger-ledger`) or asked for (`keyledger-api`).
//!
//! # Glossary, in reading order
//!
//! | word | meaning |
//! |---|---|
//! | [`Actor`], [`Authority`] | who acts; and how they showed it |
//! | [`Command`] | what is asked for, imperative (`RotateApiKey`) |
//! | [`Refusal`] | why not, a fact (`RotationUnderWay`) |
//! | [`Event`], [`Record`] | what happened, past tense (`ApiKeyRotated`); and where, when, by whom |
//! | [`Directory`] | what is true after a record: organizations, people, services, keys |
//! | [`ApiKey`] | a credential of somebody else's API: held by a user, a service or an entitlement |
//! | [`Scope`], [`Role`] | what a credential may do at most; what its holder may |
//! | [`RateLimit`], [`Credits`](credits::Credits) | how often a key may be used; how many times at all |
//! | [`Plaintext`] | a secret in clear; it never reaches a command, an event or a record |

pub mod access_token;
pub mod actor;
pub mod api_key;
pub mod audit_read;
pub mod authorization_code;
mod bar;
pub mod by_credential;
pub mod client;
pub mod command;
pub mod consent;
pub mod credential;
pub mod credits;
pub mod digest;
pub mod directory;
pub mod entitlement;
pub mod erasure;
pub mod event;
pub mod expiry;
pub mod holders;
pub mod id;
pub mod key_use;
pub mod loss;
pub mod member;
pub mod offboarding;
mod operator;
pub mod org;
pub mod personal;
pub mod policy;
mod position;
pub mod rate_limit;
pub mod redirect_uri;
pub mod refusal;
pub mod resource;
pub mod revocation;
pub mod rights;
pub mod role;
pub mod scope;
pub mod service;
pub mod session;
pub mod signing;
pub mod target;
pub mod team;
#[cfg(test)]
mod tests;
pub mod text;
pub mod time;
pub mod token_family;
pub mod uri;
pub mod user;
pub mod user_key;

pub use actor::{Actor, Authority, ClientName, Origin, Proof};
pub use api_key::ApiKey;
pub use command::{Command, decide};
pub use credential::{CredentialId, CredentialKind, Environment, Plaintext};
pub use digest::{Digest, PasswordHash, SealedSecret};
pub use directory::Directory;
pub use event::{Event, Record};
pub use personal::Personal;
pub use position::Position;
pub use rate_limit::RateLimit;
pub use redirect_uri::RedirectUri;
pub use refusal::Refusal;
pub use resource::Resource;
pub use role::Role;
pub use scope::{Scope, Scopes};
pub use target::Target;
pub use time::Timestamp;
