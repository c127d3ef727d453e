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
    let after = after_id(page.after())?;
    Ok(after.map_or(Bound::Unbounded, Bound::Excluded))
}

/// The id of the last thing of the page before.
///
/// # Errors
/// 422 for one that is no id.
pub(crate) fn after_id<T: FromStr>(after: Option<&str>) -> Result<Option<T>, Problem> {
    let id = after.map(str::parse).transpose();
    id.map_err(|_| Problem::field("after", "must be the `next` of the page before"))
}
