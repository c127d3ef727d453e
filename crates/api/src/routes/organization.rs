//! The organization that a path names, and those in which the caller may do something.

use keyledger_domain::id::OrgId;
use keyledger_domain::org::Org;
use keyledger_domain::refusal::Noun;
use keyledger_domain::{Directory, Refusal};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::usage::passage;

/// The organization with this slug, in which the caller has this right.
///
/// # Errors
/// 404, the same for one that does not exist and one that the caller is not in; then 403.
pub(crate) fn require<'d>(
    directory: &'d Directory,
    caller: &Caller,
    slug: &str,
    right: &'static str,
) -> Result<&'d Org, Refusal> {
    passage::required(right);
    let org = directory
        .org_by_slug(slug)
        .ok_or(Refusal::Unknown(Noun::Organization))?;
    directory.require(caller.authority(), org.id, right)?;
    Ok(org)
}

/// The organization with this slug, if the caller may know of it.
///
/// # Errors
/// 404, the same for one that does not exist and one that the caller is not in.
pub(crate) fn visible<'d>(
    directory: &'d Directory,
    caller: &Caller,
    slug: &str,
) -> Result<&'d Org, Refusal> {
    let org = directory
        .org_by_slug(slug)
        .ok_or(Refusal::Unknown(Noun::Organization))?;
    directory.require_visible(caller.authority(), org.id)?;
    Ok(org)
}

/// The organizations in which the caller has this right, the oldest first; or the one with this
/// slug, if the caller named one.
///
/// # Errors
/// As [`require`] for a named one; 403 where there is none at all.
pub(crate) fn all<'d>(
    directory: &'d Directory,
    caller: &Caller,
    named: Option<&str>,
    right: &'static str,
) -> Result<Vec<&'d Org>, Refusal> {
    passage::required(right);
    if let Some(slug) = named {
        return require(directory, caller, slug, right).map(|org| vec![org]);
    }
    let authority = caller.authority();
    directory.require_anywhere(authority, right)?;
    let mut orgs: Vec<&Org> = directory
        .orgs_open_to(authority)
        .filter(|org| directory.require(authority, org.id, right).is_ok())
        .collect();
    orgs.sort_unstable_by_key(|org| (org.created_at, &org.slug));
    Ok(orgs)
}

impl App {
    /// [`require`] for a change: asked before the body is looked at, so that nobody learns what
    /// would be right where they may do nothing. The domain asks again when it decides.
    pub(crate) fn require_in(
        &self,
        caller: &Caller,
        slug: &str,
        right: &'static str,
    ) -> Result<OrgId, Problem> {
        let directory = self.directory();
        Ok(require(&directory, caller, slug, right)?.id)
    }

    /// What a body holds, or what is wrong with it; the latter only for whoever could send a good
    /// one. The others are told that they may not.
    pub(crate) fn told<T>(
        &self,
        caller: &Caller,
        right: &'static str,
        body: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if body.is_err() {
            let directory = self.directory();
            directory.require_anywhere(caller.authority(), right)?;
        }
        body
    }
}
