//! Clients that nobody here wrote against the built server: the crate `oauth2` here, those of other
//! languages in the folders beside it (`scripts/clients`), nginx in front of an API, and what verifies logs.

mod nginx;
mod oauth2_crate;
mod sumdb;
