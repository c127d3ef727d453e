//! Events as CSV (RFC 4180), in cells that no spreadsheet takes for a formula.

use std::io::{self, Write};

use super::entry::Entry;
use crate::escape::{visible, visible_json};

/// The header line.
const COLUMNS: [&str; 13] = [
    "position",
    "time",
    "type",
    "actor",
    "target",
    "organization",
    "credential",
    "source",
    "client",
    "request_id",
    "data",
    // Chosen by those who have them, and not unique: who it was, the columns in front say.
    "actor_name",
    "target_name",
];

pub(super) fn write_header(out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}\r\n", COLUMNS.join(","))
}

pub(super) fn write(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    let optional = |text: Option<&str>| cell(text.unwrap_or_default());
    let cells: [String; COLUMNS.len()] = [
        entry.position.to_string(),
        cell(&entry.time),
        cell(&entry.r#type),
        cell(&entry.actor),
        cell(&entry.target),
        optional(entry.organization.as_deref()),
        optional(entry.credential.as_deref()),
        optional(entry.source.as_deref()),
        optional(entry.client.as_deref()),
        cell(&entry.request_id),
        quoted(&visible_json(&entry.data.to_string())),
        optional(entry.actor_name()),
        optional(entry.target_name()),
    ];
    write!(out, "{}\r\n", cells.join(","))
}

/// A text as a cell. Spreadsheets calculate what begins like a formula, blanks in front or not: an
/// apostrophe tells them that it is a text.
fn cell(text: &str) -> String {
    let shown = visible(text);
    let begins_formula = text.starts_with(['\t', '\r', '\n'])
        || text.trim_start().starts_with([
            '=', '+', '-',
            '@', // The same signs in full width, which some spreadsheets take too.
            '＝', '＋', '－', '＠',
        ]);
    if begins_formula {
        quoted(&format!("'{shown}"))
    } else {
        quoted(&shown)
    }
}

/// In quotes, if it needs them.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, ',' | '"' | '\'' | ' ' | ';');
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn n118_no_cell_begins_a_formula_or_a_line() {
        for formula in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1",
        ] {
            let cell = cell(formula);
            assert!(cell.starts_with("\"'"), "{formula:?} is written {cell}");
            assert!(!cell.contains(['\r', '\n', '\t']), "{cell:?}");
        }
        assert_eq!(cell("user:1-2"), "user:1-2");
        assert_eq!(cell("say \"a\", b"), "\"say \"\"a\"\", b\"");
        assert_eq!(cell("\u{1b}[2J\u{202e}"), "\\u{1b}[2J\\u{202e}");
    }

    #[test]
    fn a_line_has_a_cell_for_each_column() {
        let entry: Entry = serde_json::from_value(json!({
            "position": 7, "type": "ScopeAdded", "time": "2026-01-02T03:04:05Z", "actor": "system",
            "target": "organization:1", "organization": "acme", "credential": null, "source": null,
            "client": "=cmd", "request_id": "r", "data": { "scope": "a:b", "n": [1, 2] },
            "actor_name": null, "target_name": "=Acme",
        }))
        .unwrap();
        let mut out = Vec::new();
        write_header(&mut out).unwrap();
        write(&entry, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "position,time,type,actor,target,organization,credential,source,client,request_id,data,\
             actor_name,target_name\r\n\
             7,2026-01-02T03:04:05Z,ScopeAdded,system,organization:1,acme,,,\"'=cmd\",r,\
             \"{\"\"n\"\":[1,2],\"\"scope\"\":\"\"a:b\"\"}\",,\"'=Acme\"\r\n"
        );
    }
}
