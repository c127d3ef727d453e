//! The body of a verification at a glance: one object, and texts in it that stand in JSON as they are.
//!
//! That is what nearly all bodies are, and a general parser takes as long over them as the look-up of
//! the key. It never says what is wrong: whatever is not of that form, right or wrong, is read once
//! more by `serde_json`, which says so.

use std::borrow::Cow;

use crate::json::is_plain;
use crate::routes::keys::VerifyKey;

/// The most scopes that are taken here; beyond it somebody else counts them.
const SCOPES_MAX: usize = 16;

/// What a body asks, if it can be seen at a glance.
pub(super) fn glance(body: &[u8]) -> Option<VerifyKey<'_>> {
    let mut rest = Rest(core::str::from_utf8(body).ok()?);
    let (mut key, mut scopes, mut ip) = (None, None, None);
    rest.take('{')?;
    loop {
        let name = rest.text()?;
        rest.take(':')?;
        // A member that stands there twice is wrong, and not for us to say.
        match name {
            "key" if key.is_none() => key = Some(Cow::Borrowed(rest.text()?)),
            "scopes" if scopes.is_none() => scopes = Some(rest.texts()?),
            "ip" if ip.is_none() => ip = Some(rest.text()?.to_owned()),
            _ => return None,
        }
        if rest.take(',').is_none() {
            break;
        }
    }
    rest.take('}')?;
    rest.trimmed().is_empty().then_some(VerifyKey {
        key: key?,
        scopes: scopes.unwrap_or_default(),
        ip,
    })
}

/// What is still to be read.
struct Rest<'b>(&'b str);

impl<'b> Rest<'b> {
    /// What comes after white space (RFC 8259 §2).
    fn trimmed(&self) -> &'b str {
        // Nearly always there is none.
        match self.0.as_bytes().first() {
            Some(b' ' | b'\t' | b'\n' | b'\r') => {
                self.0.trim_start_matches([' ', '\t', '\n', '\r'])
            }
            Some(_) | None => self.0,
        }
    }

    fn take(&mut self, mark: char) -> Option<()> {
        self.0 = self.trimmed().strip_prefix(mark)?;
        Some(())
    }

    /// A text in which nothing is escaped.
    fn text(&mut self) -> Option<&'b str> {
        self.take('"')?;
        let (text, rest) = self.0.split_once('"')?;
        self.0 = rest;
        is_plain(text).then_some(text)
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        self.take('[')?;
        let mut texts = Vec::new();
        if self.take(']').is_some() {
            return Some(texts);
        }
        while texts.len() < SCOPES_MAX {
            texts.push(self.text()?.to_owned());
            if self.take(',').is_none() {
                return self.take(']').map(|()| texts);
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
            r#"{"scopes":["é"],"ip":"::1","key":"k"}"#,
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
