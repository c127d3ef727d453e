//! What others chose to be called, written so that no terminal, editor or log obeys it.

use std::fmt::Write as _;

/// Whether a character does something instead of being seen: moves a cursor, ends a line, turns the
/// reading direction around, or takes no place at all.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            // Letters that nobody sees, in which a text can hide another.
            | '\u{e0000}'..='\u{e007f}')
}

/// The text, with each such character told by its number: `\u{1b}`.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The same JSON, with each such character escaped as JSON does it. They stand in strings alone, so
/// it is the same value as before.
pub(crate) fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // Line breaks between the members are the form that was asked for; inside of strings there are
        // none.
        if acts(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOSTILE: &str =
        "a\r\nb\u{1b}[31m\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\t\"é漢";

    #[test]
    fn n118_nothing_that_acts_is_left_in_a_text() {
        let shown = visible(HOSTILE);
        assert!(!shown.chars().any(acts), "{shown:?}");
        assert!(shown.contains("\\u{1b}[31m") && shown.contains("\\u{202e}"));
        assert!(shown.ends_with("\"é漢"), "what is seen stays as it is");
    }

    #[test]
    fn n118_json_is_the_same_value_with_nothing_that_acts() {
        let value = json!({ "client": HOSTILE, "data": { HOSTILE: [HOSTILE] } });
        let plain = visible_json(&value.to_string());
        assert!(!plain.chars().any(acts), "{plain:?}");
        assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
        let pretty = visible_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!pretty.chars().any(|c| acts(c) && c != '\n'), "{pretty:?}");
        assert_eq!(serde_json::from_str::<Value>(&pretty).unwrap(), value);
    }
}
