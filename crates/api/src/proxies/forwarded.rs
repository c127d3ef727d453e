//! `Forwarded`, read as RFC 7239 §4 writes it: the whole value or nothing of it.
//!
//! A proxy appends its element to whatever the client sent. If what the client sent may leave a
//! quoted string open, the proxy's own element ends up inside it, and the last element that is read is
//! the client's. So nothing is passed over: a value of which one character does not fit is refused,
//! wherever it stands. A client that opens a quote and leaves it to the proxy's own quotes to close it
//! gains nothing either: those come in pairs, so that the last of them opens a string that never ends.

use std::borrow::Cow;

/// What keeps a value from being a `Forwarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotForwarded {
    /// Neither a token nor a quoted string, where one must stand.
    #[error("a name or a value has a character that must be in quotes, or none at all")]
    Token,
    /// A quoted string without its end.
    #[error("a quoted string does not end")]
    OpenQuote,
    /// Something other than a separator behind a name or a value.
    #[error("something stands where only \"=\", \";\" or \",\" can")]
    Separator,
    /// RFC 7239 §4: each parameter once in an element.
    #[error("an element has the same parameter twice")]
    Twice,
}

/// The value of `for` in each element, from the left; `None` where an element has none.
///
/// Beyond the grammar, blanks are taken around a semicolon: many write them, and they make no other
/// reading of what stands beside them. Empty elements are taken as RFC 9110 §5.6.1.2 demands of
/// recipients.
///
/// # Errors
/// What does not fit the grammar, anywhere in it.
pub(super) fn nodes(value: &str) -> Result<Vec<Option<Cow<'_, str>>>, NotForwarded> {
    let mut rest = Rest(value);
    let mut nodes = Vec::new();
    loop {
        nodes.push(rest.element()?);
        if !rest.takes(b',') {
            break;
        }
    }
    if rest.0.is_empty() {
        Ok(nodes)
    } else {
        Err(NotForwarded::Separator)
    }
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`, up to the comma or the end.
    fn element(&mut self) -> Result<Option<Cow<'a, str>>, NotForwarded> {
        let mut names: Vec<&str> = Vec::new();
        let mut node = None;
        loop {
            self.skip_blanks();
            if !matches!(self.0.as_bytes().first(), None | Some(b';' | b',')) {
                let (name, value) = self.pair()?;
                if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    return Err(NotForwarded::Twice);
                }
                names.push(name);
                if name.eq_ignore_ascii_case("for") {
                    node = Some(value);
                }
                self.skip_blanks();
            }
            if !self.takes(b';') {
                return Ok(node);
            }
        }
    }

    /// `token "=" value`.
    fn pair(&mut self) -> Result<(&'a str, Cow<'a, str>), NotForwarded> {
        let name = self.token()?;
        if !self.takes(b'=') {
            return Err(NotForwarded::Separator);
        }
        let value = if self.takes(b'"') {
            self.quoted()?
        } else {
            Cow::Borrowed(self.token()?)
        };
        Ok((name, value))
    }

    /// RFC 9110 §5.6.2: at least one character, and none that separates.
    fn token(&mut self) -> Result<&'a str, NotForwarded> {
        let end = self.0.bytes().position(|byte| !is_token_byte(byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        if token.is_empty() {
            return Err(NotForwarded::Token);
        }
        self.0 = rest;
        Ok(token)
    }

    /// RFC 9110 §5.6.4: the content of a quoted string whose first quote was taken, without the
    /// backslashes. What may stand in it at all was asked of the whole header.
    fn quoted(&mut self) -> Result<Cow<'a, str>, NotForwarded> {
        let mut content = Cow::Borrowed("");
        loop {
            let end = self.0.find(['"', '\\']).ok_or(NotForwarded::OpenQuote)?;
            let (plain, rest) = self.0.split_at(end);
            content += plain;
            if let Some(rest) = rest.strip_prefix('"') {
                self.0 = rest;
                return Ok(content);
            }
            // A backslash, and the character that it keeps from meaning anything.
            let mut escaped = rest.chars();
            escaped.next();
            let meant = escaped.next().ok_or(NotForwarded::OpenQuote)?;
            content.to_mut().push(meant);
            self.0 = escaped.as_str();
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(char::from(byte));
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Result<Vec<Option<String>>, NotForwarded> {
        let nodes = nodes(value)?;
        Ok(nodes
            .into_iter()
            .map(|node| node.map(Cow::into_owned))
            .collect())
    }

    #[test]
    fn elements_are_read_as_the_grammar_says() {
        let some = |text: &str| Some(text.to_owned());
        for (value, expected) in [
            ("", vec![None]),
            (",", vec![None, None]),
            ("for=a", vec![some("a")]),
            ("FOR=a;proto=http", vec![some("a")]),
            ("proto=http;for=a;by=b", vec![some("a")]),
            ("for=a,for=b", vec![some("a"), some("b")]),
            ("for=a \t, \tfor=b ", vec![some("a"), some("b")]),
            ("for=a; proto=http ;by=b", vec![some("a")]),
            (";for=a;;by=b;", vec![some("a")]),
            ("for=a,,for=b", vec![some("a"), None, some("b")]),
            ("by=\"a, for=b;c\";for=d", vec![some("d")]),
            ("for=\"[::1]:80\"", vec![some("[::1]:80")]),
            ("for=\"\"", vec![some("")]),
            ("for=\"a\\\"\\\\\\b\"", vec![some("a\"\\b")]),
            ("fore=a;x-for=b", vec![None]),
        ] {
            assert_eq!(read(value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn n106_what_does_not_fit_the_grammar_is_refused_wherever_it_stands() {
        use NotForwarded::{OpenQuote, Separator, Token, Twice};
        for (bad, why) in [
            ("for=1.2.3.4;x=\"", OpenQuote),
            ("\"", Token),
            ("x=\"a", OpenQuote),
            ("x=\"a\\", OpenQuote),
            ("x=\"a\\\"", OpenQuote),
            ("x=\\\"", Token),
            ("x=a\\\"", Separator),
            ("x=a\\", Separator),
            ("\\", Token),
            ("x=a\"b\"", Separator),
            ("x=\"a\"b", Separator),
            ("x=\"a\"\"b\"", Separator),
            ("x=\"a\"=b", Separator),
            ("x", Separator),
            ("x=", Token),
            ("=x", Token),
            ("x =a", Separator),
            ("x= a", Token),
            ("x=a b", Separator),
            ("x=a=b", Separator),
            ("x=a;y", Separator),
            ("1.2.3.4", Separator),
            ("for=1.2.3.4:80", Separator),
            ("for=[::1]", Token),
            ("for=::1", Token),
            ("x=(a)", Token),
            ("x=a/b", Separator),
            ("x=\u{e9}", Token),
            ("for=a;for=b", Twice),
            ("for=a;By=b;bY=c", Twice),
        ] {
            for value in [
                bad.to_owned(),
                format!("{bad},for=198.51.100.9"),
                format!("for=198.51.100.9,{bad}"),
                format!("{bad}, for=\"198.51.100.9\""),
            ] {
                assert!(read(&value).is_err(), "{value}");
            }
            assert_eq!(read(bad), Err(why), "{bad}");
        }
    }

    /// What a proxy writes: `for` among other parameters, each a token or a quoted string, whose
    /// content may be anything (a proxy may pass on a `Host` that the client chose).
    fn element_of_a_proxy() -> impl Strategy<Value = String> {
        let quoted = |content: String| {
            let escaped = content.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\"")
        };
        let other = prop_oneof![
            "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}",
            "[ -~\t]{0,12}".prop_map(quoted),
            "[\",;=\\\\ a-c]{0,12}".prop_map(quoted),
        ];
        let own = prop_oneof![Just("for=198.51.100.9"), Just("for=\"198.51.100.9\"")];
        (
            own,
            proptest::option::of(other.clone()),
            proptest::option::of(other),
        )
            .prop_map(|(own, by, host)| {
                let by = by.map(|by| format!("by={by};")).unwrap_or_default();
                let host = host.map(|host| format!(";host={host}")).unwrap_or_default();
                format!("{by}{own}{host}")
            })
    }

    /// What a client writes: what the grammar is made of more often than not.
    fn words_of_a_client() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            Just("for=1.2.3.4"),
            Just("x=\""),
            Just("host=\"a"),
            Just("\""),
            Just("\\"),
            Just(";"),
            Just(","),
            Just("="),
            Just(" "),
            Just("a"),
            Just("\t"),
        ];
        prop_oneof![
            3 => proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
            1 => "[ -~\t]{0,40}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn n106_whatever_a_client_writes_the_appended_element_is_the_last_or_all_is_refused(
            client in words_of_a_client(),
            proxy in element_of_a_proxy(),
            comma in prop_oneof![Just(","), Just(", ")],
        ) {
            prop_assert_eq!(
                read(&proxy).map(|nodes| nodes.len()),
                Ok(1),
                "a proxy's own element is good"
            );
            if let Ok(nodes) = read(&format!("{client}{comma}{proxy}")) {
                let own = nodes.len() - 1;
                prop_assert_eq!(nodes[own].as_deref(), Some("198.51.100.9"));
                // What stands left of it is what the client's words are by themselves.
                prop_assert_eq!(read(&client), Ok(nodes[..own].to_vec()));
            }
        }
    }
}
