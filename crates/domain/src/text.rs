//! Words that people choose: each kind has one grammar, checked once, where it comes in.

use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

/// Why a chosen word is not accepted. The sentence names the remedy.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidText {
    /// Nothing is left of it once the blanks are taken away.
    #[error("may not be blank")]
    Blank,
    /// It is longer than its kind allows.
    #[error("may have at most {at_most} characters")]
    TooLong {
        /// The limit, in characters.
        at_most: usize,
    },
    /// It has a control character, or one that hides or reorders others.
    #[error("may not contain control or invisible characters")]
    Control,
    /// It is not of the form of a handle or slug.
    #[error("must be lower-case letters and digits, in groups joined by single hyphens")]
    NotASlug,
    /// It is not an email address that we take.
    #[error("must be an email address such as ada@example.com, in ASCII")]
    NotAnEmail,
}

/// Declares a checked text newtype, cheap to clone because both folds of the state share it.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                $check(text).map(|checked| Self(checked.into()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// The name of an organization, team, service or user in paths: `^[a-z0-9]+(-[a-z0-9]+)*$`.
    Slug, slug
}
text! {
    /// The name that a user gives a key; the same grammar as a [`Slug`].
    Handle, slug
}
text! {
    /// A name for people to read: one line, at most 128 characters.
    DisplayName, display_name
}
text! {
    /// A longer text for people to read: at most 1,024 characters, lines allowed.
    Description, description
}
text! {
    /// An email address in its one canonical spelling.
    ///
    /// Lower case, ASCII, no dot after the domain: so two accounts never look alike, and there is
    /// no second spelling of one account to log in with.
    Email, email
}

const SLUG_CHARS: usize = 64;
const DISPLAY_NAME_CHARS: usize = 128;
const DESCRIPTION_CHARS: usize = 1_024;
/// RFC 5321 §4.5.3.1.3 gives a path 256 octets, angle brackets included.
const EMAIL_CHARS: usize = 254;

fn slug(text: &str) -> Result<String, InvalidText> {
    if text.is_empty() {
        return Err(InvalidText::Blank);
    }
    if text.len() > SLUG_CHARS {
        return Err(InvalidText::TooLong {
            at_most: SLUG_CHARS,
        });
    }
    let well_formed = text.split('-').all(|group| {
        !group.is_empty()
            && group
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    if well_formed {
        Ok(text.to_owned())
    } else {
        Err(InvalidText::NotASlug)
    }
}

fn display_name(text: &str) -> Result<String, InvalidText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidText::Blank);
    }
    visible(text, DISPLAY_NAME_CHARS, &[])
}

fn description(text: &str) -> Result<String, InvalidText> {
    visible(text.trim(), DESCRIPTION_CHARS, &['\n', '\t'])
}

fn visible(text: &str, at_most: usize, also: &[char]) -> Result<String, InvalidText> {
    if text.chars().count() > at_most {
        return Err(InvalidText::TooLong { at_most });
    }
    // Bidirectional controls and zero-width characters make one name look like another.
    let hides = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if text
        .chars()
        .any(|c| (c.is_control() && !also.contains(&c)) || hides(c))
    {
        return Err(InvalidText::Control);
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, InvalidText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidText::Blank);
    }
    if text.len() > EMAIL_CHARS {
        return Err(InvalidText::TooLong {
            at_most: EMAIL_CHARS,
        });
    }
    let (local, domain) = text.rsplit_once('@').ok_or(InvalidText::NotAnEmail)?;
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    // RFC 5322 dot-atom, without quoted strings; RFC 1034 labels for the domain.
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let local_ok = local
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(atom));
    let domain_ok = domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    if !local_ok || !domain_ok {
        return Err(InvalidText::NotAnEmail);
    }
    Ok(format!("{local}@{domain}").to_ascii_lowercase())
}

impl Slug {
    /// The slug that a name gives: its letters and digits, everything else a hyphen.
    ///
    /// # Errors
    /// [`InvalidText::NotASlug`] when the name has no ASCII letter or digit at all.
    pub fn from_name(name: &str) -> Result<Self, InvalidText> {
        let mut slug = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == SLUG_CHARS {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        if slug.is_empty() {
            Err(InvalidText::NotASlug)
        } else {
            Ok(Self(slug.into()))
        }
    }

    /// This slug with `-number` behind it, shortened where it would grow too long.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Self {
        let tail = format!("-{number}");
        let head = &self.0[..self.0.len().min(SLUG_CHARS - tail.len())];
        Self(format!("{}{tail}", head.trim_end_matches('-')).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_handles() {
        for good in ["a", "my-key", "ci-2", "0", &"x".repeat(64)] {
            assert!(good.parse::<Handle>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "a_b",
            "a b",
            "é",
            "a/b",
            "..",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<Handle>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_gives_its_slug() {
        for (name, slug) in [
            ("CI Pipeline", "ci-pipeline"),
            ("  A  & B ", "a-b"),
            ("Ünit 7", "nit-7"),
        ] {
            assert_eq!(Slug::from_name(name).unwrap().as_str(), slug);
        }
        assert_eq!(Slug::from_name("日本"), Err(InvalidText::NotASlug));
        let long = Slug::from_name(&"ab ".repeat(60)).unwrap();
        assert!(long.numbered(12).as_str().parse::<Slug>().is_ok());
    }

    #[test]
    fn n095_one_account_has_one_spelling() {
        for spelling in ["Ada@Example.com", "ada@example.com.", " ADA@EXAMPLE.COM "] {
            assert_eq!(
                spelling.parse::<Email>().unwrap().as_str(),
                "ada@example.com"
            );
        }
        for bad in [
            "",
            "ada",
            "@x.y",
            "a@",
            "a..b@x.y",
            "a b@x.y",
            "ada@exämple.com",
            "ada\u{301}@x.y",
            "a@-x.y",
            "a@x..y",
            "a@x\n.y",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_hide_nothing() {
        for bad in [
            "",
            "  ",
            "a\u{202e}b",
            "a\r\nb",
            "a\u{0}b",
            "a\u{1b}[0m",
            &"x".repeat(129),
        ] {
            assert!(bad.parse::<DisplayName>().is_err(), "{bad:?}");
        }
        assert_eq!(" Ada ".parse::<DisplayName>().unwrap().as_str(), "Ada");
    }
}
