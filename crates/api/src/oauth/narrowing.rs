//! What a request asks for, out of what it may have at most: scopes (RFC 6749 §3.3) and resources
//! (RFC 8707 §2). Nothing is ever left out silently but what is not asked for.

use keyledger_domain::{Resource, Scope, Scopes};

use crate::oauth::error::{ErrorCode, Refused};

/// The scopes that are asked for; all that are allowed where none is named.
///
/// # Errors
/// `invalid_scope` for the first that is not allowed or is none.
pub fn scopes_within(requested: Option<&str>, allowed: &Scopes) -> Result<Scopes, Refused> {
    // Somebody who asks for no more than blanks asks for nothing.
    let words = || {
        requested
            .unwrap_or_default()
            .split(' ')
            .filter(|word| !word.is_empty())
    };
    if words().next().is_none() {
        return if allowed.is_empty() {
            Err(Refused::new(
                ErrorCode::InvalidScope,
                "The client has no scopes to give by default.",
            ))
        } else {
            Ok(allowed.clone())
        };
    }
    // The text is the client's own word; it is not repeated unless it is a scope of its own.
    let find = |word: &str| {
        let scope = allowed.iter().find(|scope| scope.as_str() == word);
        scope.cloned().ok_or_else(|| {
            Refused::new(
                ErrorCode::InvalidScope,
                match word.parse::<Scope>() {
                    Ok(scope) => format!("The scope {scope} is not one that the client may have."),
                    Err(_) => "What was asked for is not a list of scopes.".to_owned(),
                },
            )
        })
    };
    words().map(find).collect()
}

/// The resources that are asked for, as they were registered; none for this server itself.
///
/// Without a resource a token is for this server, and the issuer named alone means the same. Named
/// beside another it is refused: a token that is good here too would let the other act as its
/// bearer at this API.
///
/// # Errors
/// `invalid_target` for one that is not allowed or is none.
pub fn resources_within<'r>(
    requested: impl IntoIterator<Item = &'r str>,
    allowed: &[Resource],
    issuer: &str,
) -> Result<Vec<Resource>, Refused> {
    let refused = |words| Err(Refused::new(ErrorCode::InvalidTarget, words));
    let (mut resources, mut is_here) = (Vec::new(), false);
    for text in requested {
        if text.strip_suffix('/').unwrap_or(text) == issuer {
            is_here = true;
        } else if let Some(resource) = allowed.iter().find(|resource| resource.matches(text)) {
            resources.push(resource.clone());
        } else {
            return refused("The resource is not one that the client may have tokens for.");
        }
    }
    if is_here && !resources.is_empty() {
        return refused("Ask for a token for this server alone.");
    }
    resources.sort_unstable();
    resources.dedup();
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(texts: &[&str]) -> Scopes {
        texts
            .iter()
            .map(|text| text.parse::<Scope>().unwrap())
            .collect()
    }

    #[test]
    fn scopes_are_narrowed_and_never_widened() {
        let allowed = scopes(&["files:read", "files:write", "acme:deploy"]);
        for (requested, given) in [
            (None, &["files:read", "files:write", "acme:deploy"][..]),
            (Some(""), &["files:read", "files:write", "acme:deploy"]),
            (Some(" "), &["files:read", "files:write", "acme:deploy"]),
            (Some("files:read"), &["files:read"]),
            (
                Some("files:write files:read"),
                &["files:read", "files:write"],
            ),
            (Some(" files:read  files:read "), &["files:read"]),
            (Some("acme:deploy"), &["acme:deploy"]),
        ] {
            assert_eq!(
                scopes_within(requested, &allowed),
                Ok(scopes(given)),
                "{requested:?}"
            );
        }
        for requested in [
            "users:read",
            "files:read users:read",
            "openid",
            "offline_access",
            "FILES:READ",
            "files:read,files:write",
            "files:read\tfiles:write",
            "files:read+files:write",
            "files",
            "files:*",
            "*",
            "\"",
            "\\",
            "files:read\u{a0}files:write",
            "__proto__",
            "sk_live_3kTMd9wQx_0123456789secret",
        ] {
            let refused = scopes_within(Some(requested), &allowed).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidScope, "{requested}");
            assert!(!refused.description.contains("secret"), "{refused:?}");
        }
        assert!(scopes_within(None, &Scopes::default()).is_err());
    }

    #[test]
    fn n019_a_resource_must_be_one_of_the_clients() {
        let allowed = [
            "https://a.example".parse().unwrap(),
            "https://b.example/x".parse().unwrap(),
        ];
        let issuer = "https://keys.example";
        let within =
            |requested: &[&str]| resources_within(requested.iter().copied(), &allowed, issuer);
        for (requested, given) in [
            (&[][..], &[][..]),
            (&["https://keys.example"], &[]),
            (&["https://keys.example/"], &[]),
            (&["https://a.example"], &["https://a.example"]),
            (&["https://a.example/"], &["https://a.example"]),
            (
                &[
                    "https://b.example/x",
                    "https://a.example",
                    "https://a.example/",
                ],
                &["https://a.example", "https://b.example/x"],
            ),
        ] {
            let resources = within(requested).unwrap();
            let texts: Vec<&str> = resources.iter().map(Resource::as_str).collect();
            assert_eq!(texts, given, "{requested:?}");
        }
        for requested in [
            &["https://c.example"][..],
            &["https://a.example#"],
            &["https://a.example/x"],
            &["https://a.example", "https://c.example"],
            &["https://a.example", "https://keys.example"],
            &["https://A.example"],
            &["a.example"],
            &["urn:a"],
            &["https://a.example https://b.example/x"],
        ] {
            let refused = within(requested).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidTarget, "{requested:?}");
        }
    }
}
