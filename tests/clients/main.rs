//! Clients that nobody here wrote against the built server: the crate `oauth2` here, those of other
//! languages in the folders beside it (`scripts/clients`), and nginx in front of an API.

mod nginx;
mod oauth2_crate;
