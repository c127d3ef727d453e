//! A panic in a handler is one failed request: it is answered with a plain 500, and the connection
//! and all others live on.
//!
//! No lock is poisoned by it (`parking_lot` has no such thing). A reader that panics lets its lock go
//! and leaves the state as it was; the state is written by the committer's thread alone, and a panic
//! there ends the process, so nobody is ever served a state that was changed by half.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use actix_web::error::InternalError;
use actix_web::http::header::HeaderMap;
use actix_web::{Error, ResponseError};

use crate::problem::Problem;

/// A handler panicked; where, its hook has told.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Does something that may panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What the work had borrowed is not looked at again: the request is answered and gone.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// The answer to a request whose handler panicked. The request itself is gone with it, so this is
/// the framework's kind of error that brings its own answer.
pub(crate) fn answer(adorn: impl FnOnce(&mut HeaderMap)) -> Error {
    let mut response = Problem::internal().error_response();
    adorn(response.headers_mut());
    InternalError::from_response("a handler panicked", response).into()
}
