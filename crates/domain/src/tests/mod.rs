//! The rules as tables: given a world that events made, when somebody asks for something at some
//! time, then this happens or this is why not.
//!
//! One file a noun, one line a case. In each table the refusals stand in their order of precedence,
//! so that it can be read off: 401, 404, 403, 422, 409, and what is granted last.

mod api_key;
mod audit_read;
mod bar;
mod credits;
mod directory;
mod entitlement;
mod erasure;
mod key_use;
mod loss;
mod member;
mod oauth;
mod offboarding;
mod org;
mod policy;
mod properties;
mod rate_limit;
mod rights;
mod service;
mod session;
mod signing;
mod team;
mod user;
mod user_key;
mod world;
