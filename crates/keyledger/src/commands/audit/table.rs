//! Events as a table for people: a line an event, aligned, no wider than the terminal.

use std::io::{self, Write};

use keyledger_domain::Event;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::entry::Entry;
use crate::escape::visible;

const COLUMNS: [&str; 6] = ["POS", "TIME", "ACTOR", "TYPE", "TARGET", "SOURCE"];
/// What stands between two columns.
const GAP: &str = "  ";
/// Lines are aligned by so many at once; those behind go on with the same widths or wider ones.
const LINES_AT_ONCE: usize = 1_000;
/// The columns that give way where there is too little room, in turn, and to what width: first what an
/// id says more of than anybody reads, the end of the line last.
const GIVING_WAY: [(usize, usize); 3] = [(4, 16), (2, 13), (3, 18)];

/// Lines that wait until it is known how wide they are.
pub(super) struct Table {
    /// How many columns the terminal has; `None` where it is none.
    columns_max: Option<usize>,
    widths: [usize; COLUMNS.len()],
    lines: Vec<[String; COLUMNS.len()]>,
    has_header: bool,
}

impl Table {
    pub(super) fn new(columns_max: Option<usize>) -> Self {
        Self {
            columns_max,
            widths: COLUMNS.map(str::width),
            lines: Vec::new(),
            has_header: false,
        }
    }

    /// Leaves as much room as any event takes: of those that are still to come nobody knows how wide they
    /// are, and the columns are to stand where they stood.
    pub(super) fn make_room(&mut self) {
        let id = "00000000-0000-0000-0000-000000000000".len();
        let names = Event::NAMES.iter().map(|name| name.width());
        self.widths = [
            "1000000".len(),
            "2026-01-02T03:04:05Z".len(),
            "entitlement:".len() + id,
            names.max().unwrap_or_default(),
            "organization:".len() + id,
            "255.255.255.255".len(),
        ];
    }

    pub(super) fn add(&mut self, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
        let cells = [
            entry.position.to_string(),
            visible(&to_the_second(&entry.time)),
            visible(&entry.actor),
            visible(&entry.r#type),
            visible(&entry.target),
            visible(entry.source.as_deref().unwrap_or("-")),
        ];
        self.lines.push(cells);
        if self.lines.len() == LINES_AT_ONCE {
            self.write(out)?;
        }
        Ok(())
    }

    /// Writes the lines that wait.
    pub(super) fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        for line in &self.lines {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.width());
            }
        }
        let widths = self.widths_shown();
        if !self.has_header {
            self.has_header = true;
            self.write_line(&COLUMNS, &widths, out)?;
        }
        let lines = std::mem::take(&mut self.lines);
        for line in &lines {
            self.write_line(line, &widths, out)?;
        }
        Ok(())
    }

    fn widths_shown(&self) -> [usize; COLUMNS.len()] {
        let mut widths = self.widths;
        let Some(columns_max) = self.columns_max else {
            return widths;
        };
        for (column, at_least) in GIVING_WAY {
            let used = widths.iter().sum::<usize>() + GAP.len() * (COLUMNS.len() - 1);
            let too_much = used.saturating_sub(columns_max);
            let width = widths[column];
            widths[column] = width.saturating_sub(too_much).max(at_least.min(width));
        }
        widths
    }

    fn write_line(
        &self,
        cells: &[impl AsRef<str>; COLUMNS.len()],
        widths: &[usize; COLUMNS.len()],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let cell = cut(cell.as_ref(), *width);
            let blanks = width.saturating_sub(cell.width());
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        let line = cut(line.trim_end(), self.columns_max.unwrap_or(usize::MAX));
        writeln!(out, "{line}")
    }
}

/// An instant without the fraction of its second, which `audit show` tells.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) if fraction.ends_with('Z') => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

/// The text, or its beginning and a `…`, in at most so many columns of a terminal.
fn cut(text: &str, columns_max: usize) -> String {
    if text.width() <= columns_max {
        return text.to_owned();
    }
    let mut room = columns_max.saturating_sub(1);
    let mut shown = String::new();
    for c in text.chars() {
        let width = c.width().unwrap_or_default();
        if width > room {
            break;
        }
        room -= width;
        shown.push(c);
    }
    if columns_max > 0 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::escape::acts;

    fn entry(position: u64, actor: &str, source: &str) -> Entry {
        serde_json::from_value(json!({
            "position": position, "type": "ApiKeysRevocationUndone", "time": "2026-01-02T03:04:05.123456Z",
            "actor": actor, "target": "service:5e0f2b5c-53f7-4d2a-a1d5-5b8b2f0d7c11",
            "organization": null, "credential": null, "source": source, "client": null,
            "request_id": "r", "data": {},
        }))
        .unwrap()
    }

    fn table(columns_max: Option<usize>, entries: &[Entry]) -> Vec<String> {
        let mut table = Table::new(columns_max);
        let mut out = Vec::new();
        for entry in entries {
            table.add(entry, &mut out).unwrap();
        }
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_stand_below_each_other() {
        let entries = [
            entry(7, "system", "203.0.113.7"),
            entry(12_345, "漢字", "-"),
        ];
        let lines = table(None, &entries);
        let column = |line: &str, word: &str| line[..line.find(word).unwrap()].width();
        assert_eq!(lines.len(), 3);
        for line in &lines[1..] {
            assert_eq!(column(line, "Api"), column(&lines[0], "TYPE"), "{line}");
            assert_eq!(column(line, "service:"), column(&lines[0], "TARGET"));
        }
        assert!(lines[1].ends_with("203.0.113.7"));
    }

    #[test]
    fn n118_every_event_is_one_line_and_no_wider_than_the_terminal() {
        let hostile = format!("\u{1b}[31m\r\n\u{202e}\"{}漢", "x".repeat(10_000));
        let entries = [
            entry(1, &hostile, &hostile),
            entry(
                2,
                "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10",
                "2001:db8::1",
            ),
        ];
        for columns_max in [0, 1, 20, 80, 120, 200] {
            let lines = table(Some(columns_max), &entries);
            assert_eq!(lines.len(), 3, "{columns_max}");
            for line in lines {
                assert!(line.width() <= columns_max, "{columns_max}: {line}");
                assert!(!line.chars().any(acts), "{line:?}");
            }
        }
        assert_eq!(table(None, &entries).len(), 3);
    }

    #[test]
    fn lines_that_come_later_stand_below_the_first() {
        for columns_max in [None, Some(110), Some(200)] {
            let mut table = Table::new(columns_max);
            table.make_room();
            let mut out = Vec::new();
            for (position, actor) in [
                (7, "system"),
                (123_456, &*format!("user:{}", "0".repeat(36))),
            ] {
                table
                    .add(&entry(position, actor, "10.0.0.1"), &mut out)
                    .unwrap();
                table.write(&mut out).unwrap();
            }
            let text = String::from_utf8(out).unwrap();
            let mut columns = text.lines().map(|line| {
                let (before, _) = line
                    .split_once(" 10.0.0.1")
                    .or(line.split_once(" SOURCE"))
                    .unwrap();
                before.width()
            });
            let first = columns.next().unwrap();
            assert!(columns.all(|column| column == first), "{text}");
        }
    }

    #[test]
    fn a_time_is_told_to_the_second() {
        assert_eq!(
            to_the_second("2026-01-02T03:04:05.123Z"),
            "2026-01-02T03:04:05Z"
        );
        assert_eq!(
            to_the_second("2026-01-02T03:04:05Z"),
            "2026-01-02T03:04:05Z"
        );
        assert_eq!(to_the_second("1 microsecond. Or"), "1 microsecond. Or");
    }

    #[test]
    fn a_narrow_terminal_shows_who_and_what_before_the_rest() {
        let entries = [entry(
            2,
            "user:0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10",
            "10.0.0.1",
        )];
        let line = &table(Some(100), &entries)[1];
        assert!(
            line.contains("user:0b6f") && line.contains("service:5e0f"),
            "{line}"
        );
        assert!(line.contains("10.0.0.1"), "{line}");
    }
}
