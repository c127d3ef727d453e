//! `keyledger audit diff`: what changed between two moments, by organization. A folder tells it of all
//! organizations, a server of the one that is named.

use core::fmt::Write as _;
use std::error::Error;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use keyledger_api::difference;
use keyledger_domain::Directory;
use keyledger_domain::id::OrgId;
use keyledger_ledger::Moment;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Outcome;
use super::log::{Found, Place};
use super::past::ask;
use crate::escape::{visible, visible_json};
use crate::remote::Remote;

#[derive(Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    place: Place,
    /// The earlier moment: an instant such as 2027-01-31T09:00:00Z, or the position of a record.
    #[arg(long, value_name = "MOMENT")]
    from: Moment,
    /// The later moment [default: the last record].
    #[arg(long, value_name = "MOMENT")]
    to: Option<Moment>,
    /// The slug of one organization [default: all; a server must be told which].
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
}

/// A difference as it is told, with its organization.
type Line = Map<String, Value>;

/// What a server tells.
#[derive(Deserialize)]
struct Answer {
    items: Vec<Line>,
    is_cut: bool,
}

/// Runs it.
pub(crate) fn run(diff: &Diff) -> Outcome {
    let (lines, is_cut) = match diff.place.find()? {
        Found::Folder(folder) => (of_folder(&folder, diff)?, false),
        Found::Server(remote) => of_server(&remote, diff)?,
    };
    let out = std::io::stdout().lock();
    let is_terminal = out.is_terminal();
    let mut out = BufWriter::new(out);
    for line in &lines {
        if is_terminal {
            out.write_all(words(line).as_bytes())?;
        } else {
            serde_json::to_writer(&mut out, line)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    if is_cut {
        return Err(
            "there are more than the server tells at once; ask about a shorter time".into(),
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn of_server(remote: &Remote, diff: &Diff) -> Result<(Vec<Line>, bool), Box<dyn Error>> {
    let organization = diff.organization.as_deref();
    let organization = organization.ok_or("name one organization with --organization")?;
    // It becomes a part of an address.
    if organization.is_empty()
        || !organization
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        return Err("--organization must be a slug, such as acme".into());
    }
    let mut asked = vec![("from", diff.from.to_string())];
    asked.extend(diff.to.map(|to| ("to", to.to_string())));
    let path = format!("/v1/orgs/{organization}/differences");
    let Answer { mut items, is_cut } = remote.get(&path, &asked)?;
    for line in &mut items {
        line.insert("organization".to_owned(), organization.into());
    }
    Ok((items, is_cut))
}

fn of_folder(folder: &Path, diff: &Diff) -> Result<Vec<Line>, Box<dyn Error>> {
    let (before, after) = ask(folder, |asking| {
        let before = asking.then(Some(diff.from))?;
        let after = asking.then(diff.to)?;
        if after.state.position() < before.state.position() {
            return Err("--to is before --from".into());
        }
        Ok((before.state, after.state))
    })?;
    let is_wanted = |slug: &str| {
        diff.organization
            .as_deref()
            .is_none_or(|wanted| wanted == slug)
    };
    let mut orgs: Vec<(&str, OrgId)> = [&before, &after]
        .into_iter()
        .flat_map(|state| orgs_of(state))
        .filter(|(slug, _)| is_wanted(slug))
        .collect();
    orgs.sort_unstable();
    orgs.dedup();
    if let (Some(wanted), []) = (&diff.organization, &orgs[..]) {
        return Err(format!("there was no organization {wanted} at either moment").into());
    }
    let mut lines = Vec::new();
    for (organization, org) in orgs {
        for difference in difference::between(&before, &after, org, |_| true) {
            if let Value::Object(mut line) = serde_json::to_value(difference)? {
                line.insert("organization".to_owned(), organization.into());
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

fn orgs_of(state: &Directory) -> impl Iterator<Item = (&str, OrgId)> {
    state.orgs().map(|org| (org.slug.as_str(), org.id))
}

/// A difference for people: what it is, and below it each field that differs.
fn words(line: &Line) -> String {
    let word = |name: &str| visible(line.get(name).and_then(Value::as_str).unwrap_or("-"));
    let change = word("change");
    let sign = match change.as_str() {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    };
    let (organization, kind) = (word("organization"), word("kind"));
    let (name, id) = (word("name"), word("id"));
    let mut told = format!("{sign} {organization}  {kind} {name}  {id}\n");
    let fields = line.get("fields").and_then(Value::as_array);
    for field in fields.into_iter().flatten() {
        let (before, after) = (field["before"].to_string(), field["after"].to_string());
        let values = match sign {
            '+' => after,
            '-' => before,
            _ => format!("{before} -> {after}"),
        };
        let name = visible(field["field"].as_str().unwrap_or_default());
        // A String takes everything.
        let _ = writeln!(told, "      {name}: {}", visible_json(&values));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn n118_a_difference_is_told_with_what_was_and_what_is_and_moves_nothing() {
        let line = json!({
            "organization": "acme", "kind": "service", "id": "5e0f", "name": "ci\u{1b}[1m",
            "change": "changed",
            "fields": [{"field": "role", "before": "member", "after": "mana\u{202e}ger"}],
        });
        let Value::Object(line) = line else {
            panic!("an object");
        };
        assert_eq!(
            words(&line),
            "~ acme  service ci\\u{1b}[1m  5e0f\n      role: \"member\" -> \"mana\\u202eger\"\n"
        );
    }
}
