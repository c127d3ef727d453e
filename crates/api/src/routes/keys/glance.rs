//! The body of a verification at a glance: one object, and texts in it that stand in JSON as they are.
//!
//! That is what nearly all bodies are, and a general parser takes as long over them as the look-up of
//! the key. It never says what is wrong: whatever is not of that form, right or wrong, is read once
//! more by `serde_json`, which says so.

use std::borrow::Cow;

use crate::json::plain_ascii;
use crate::routes::keys::VerifyKey;

/// The most scopes that are taken here; beyond it somebody else counts them.
const SCOPES_MAX: usize = 16;

/// What a body asks, if it can be seen at a glance.
pub(super) fn glance(body: &[u8]) -> Option<VerifyKey<'_>> {
    let mut rest = Rest(body);
    let (mut key, mut scopes, mut ip) = (None, None, None);
    rest.take(b'{')?;
    loop {
        let name = rest.plain()?;
        rest.take(b':')?;
        // A member that stands there twice is wrong, and not for us to say.
        match name {
            b"key" if key.is_none() => key = Some(Cow::Borrowed(rest.text()?)),
            b"scopes" if scopes.is_none() => scopes = Some(rest.texts()?),
            b"ip" if ip.is_none() => ip = Some(rest.text()?.to_owned()),
            _ => return None,
        }
        match rest.trimmed().first()? {
            b',' => rest.take(b',')?,
            _ => break,
        }
    }
    rest.take(b'}')?;
    rest.trimmed().is_empty().then_some(VerifyKey {
        key: key?,
        scopes: scopes.unwrap_or_default(),
        ip,
    })
}

/// What is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    /// What comes after white space (RFC 8259 §2).
    fn trimmed(&self) -> &'b [u8] {
        let mut rest = self.0;
        while let [b' ' | b'\t' | b'\n' | b'\r', more @ ..] = rest {
            rest = more;
        }
        rest
    }

    fn take(&mut self, mark: u8) -> Option<()> {
        let (first, rest) = self.trimmed().split_first()?;
        self.0 = rest;
        (*first == mark).then_some(())
    }

    /// A text of ASCII in which nothing is escaped.
    fn plain(&mut self) -> Option<&'b [u8]> {
        self.take(b'"')?;
        let (text, rest) = self.0.split_at(plain_ascii(self.0));
        self.0 = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    fn text(&mut self) -> Option<&'b str> {
        core::str::from_utf8(self.plain()?).ok()
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        self.take(b'[')?;
        let mut texts = Vec::new();
        if self.trimmed().first() == Some(&b']') {
            self.take(b']')?;
            return Some(texts);
        }
        while texts.len() < SCOPES_MAX {
            texts.push(self.text()?.to_owned());
            match self.trimmed().first()? {
                b',' => self.take(b',')?,
                _ => return self.take(b']').map(|()| texts),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What `serde_json` reads, if it reads it at all.
    fn by_serde(body: &[u8]) -> Option<VerifyKey<'_>> {
        serde_json::from_slice(body).ok()
    }

    #[test]
    fn usual_bodies_are_seen_at_a_glance() {
        for body in [
            r#"{"key":"sk_live_a"}"#,
            r#"{"key": "sk_live_a", "scopes": ["files:read", "a:b"], "ip": "203.0.113.7"}"#,
            " {\n\t\"scopes\" : [ ] ,\r\n \"key\" : \"\" } ",
            r#"{"scopes":["a b"],"ip":"::1","key":"k"}"#,
        ] {
            let seen = glance(body.as_bytes());
            assert!(seen.is_some(), "{body}");
            assert_eq!(seen, by_serde(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn whatever_is_odd_is_left_to_the_parser() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"key":"a"} b"#,
            r#"{"key":"a",}"#,
            r#"{"key":"a" "ip":"b"}"#,
            r#"{"key":"a","key":"b"}"#,
            r#"{"key":"a","Key":"b"}"#,
            r#"{"key":"\u0061"}"#,
            r#"{"k\u0065y":"a"}"#,
            r#"{"key":"a","ip":null}"#,
            r#"{"key":"a","scopes":"b"}"#,
            r#"{"key":"a","scopes":["b",]}"#,
            r#"{"key":"a","scopes":[1]}"#,
            r#"{"key":null}"#,
            r#"{"key":"é"}"#,
            r#"{"scopes":[]}"#,
            "{\"key\":\"a\nb\"}",
            "{\"key\":\"a",
            "\u{feff}{\"key\":\"a\"}",
            "{\"key\":\u{a0}\"a\"}",
            "{\"key\":\u{b}\"a\"}",
        ] {
            assert_eq!(glance(body.as_bytes()), None, "{body:?}");
        }
        assert_eq!(glance(b"{\"key\":\"\xff\"}"), None);
        let many = json!({ "key": "a", "scopes": vec!["b"; SCOPES_MAX + 1] });
        assert_eq!(glance(many.to_string().as_bytes()), None);
    }

    proptest! {
        /// What is taken at a glance is what the parser reads, whatever comes.
        #[test]
        fn it_reads_what_serde_json_reads(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just(" "),
                    Just("\"key\""), Just("\"scopes\""), Just("\"ip\""), Just("\"a\""), Just("\"\\\""),
                    Just("\"key\":\"k\""), Just("\"scopes\":[\"s\"]"), Just("null"), Just("\n"),
                    Just("{\"key\":\"k\""), Just("é"),
                ],
                0..9,
            ),
            key in any::<String>(),
            scopes in proptest::collection::vec("[a-z:\"\\\\]{0,9}", 0..4),
        ) {
            let odd = parts.concat();
            if let Some(seen) = glance(odd.as_bytes()) {
                prop_assert_eq!(Some(seen), by_serde(odd.as_bytes()));
            }
            let whole = json!({ "key": key, "scopes": scopes }).to_string();
            if let Some(seen) = glance(whole.as_bytes()) {
                prop_assert_eq!(Some(seen), by_serde(whole.as_bytes()));
            }
        }
    }
}
