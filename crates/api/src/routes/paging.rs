//! Where a page begins, by name or by id.

use core::str::FromStr;
use std::ops::Bound;

use crate::answer::PageQuery;
use crate::problem::Problem;

/// Where a page of things begins whose cursor is a slug or handle. Any text will do: it is compared
/// and never looked up.
pub(crate) fn behind_name(page: &PageQuery) -> Bound<&str> {
    page.after().map_or(Bound::Unbounded, Bound::Excluded)
}

/// Where a page of things begins whose cursor is an id.
///
/// # Errors
/// 422 for an `after` that is no id.
pub(crate) fn behind<T: FromStr>(page: &PageQuery) -> Result<Bound<T>, Problem> {
    let Some(after) = page.after() else {
        return Ok(Bound::Unbounded);
    };
    let id = after.parse().map(Bound::Excluded);
    id.map_err(|_| Problem::field("after", "must be the `next` of the page before"))
}
