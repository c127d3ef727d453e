//! Names: what a body calls a new thing, with the slug that the name gives, and what those are called
//! who hold keys.

use keyledger_domain::text::{DisplayName, Slug};
use keyledger_domain::{Actor, Directory};

use crate::body::Fields;
use crate::problem::Problem;

/// A name and its slug. The slug comes from the name where it is left out.
///
/// # Errors
/// 422, together with what was noted in `fields` before.
pub(crate) fn name_and_slug(
    name: Option<&str>,
    slug: Option<&str>,
    fields: &mut Fields,
) -> Result<(DisplayName, Slug), Problem> {
    let name: Option<DisplayName> = fields.required("name", name);
    let slug = match (slug, &name) {
        (Some(slug), _) => fields.optional("slug", Some(slug)),
        (None, Some(name)) => {
            let derived = Slug::from_name(name.as_str()).ok();
            if derived.is_none() {
                fields.refuse(
                    "name",
                    "has no ASCII letter or digit to make a slug of; choose a slug too",
                );
            }
            derived
        }
        (None, None) => None,
    };
    Ok((fields.take(name)?, fields.take(slug)?))
}

/// The slug or name of whoever holds a key; nothing of somebody who is gone or was erased.
pub(crate) fn holder_name(directory: &Directory, holder: Actor) -> Option<String> {
    match holder {
        Actor::System => None,
        Actor::User(id) => Some(directory.user(id)?.slug.known()?.to_string()),
        Actor::Service(id) => Some(directory.service(id)?.slug.to_string()),
        Actor::Entitlement(id) => Some(directory.entitlement(id)?.name.to_string()),
        Actor::Client(id) => Some(directory.client(id)?.settings.name.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: Option<&str>, slug: Option<&str>) -> Result<(String, String), Problem> {
        let (name, slug) = name_and_slug(name, slug, &mut Fields::default())?;
        Ok((name.to_string(), slug.to_string()))
    }

    #[test]
    fn a_name_gives_its_slug_unless_one_is_chosen() {
        let both = |name: &str, slug: &str| (name.to_owned(), slug.to_owned());
        assert_eq!(
            read(Some(" CI Pipeline "), None).unwrap(),
            both("CI Pipeline", "ci-pipeline")
        );
        assert_eq!(
            read(Some("日本"), Some("japan")).unwrap(),
            both("日本", "japan")
        );
    }

    #[test]
    fn what_is_not_right_is_told_by_its_field() {
        for (name, slug, field) in [
            (None, None, "name"),
            (Some("  "), Some("good"), "name"),
            (Some("日本"), None, "name"),
            (Some("Good"), Some("Not Good"), "slug"),
        ] {
            let problem = read(name, slug).unwrap_err();
            assert!(problem.detail().starts_with(field), "{}", problem.detail());
        }
    }
}
