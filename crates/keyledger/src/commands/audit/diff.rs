//! `keyledger audit diff`: what changed between two moments, by organisation.

use core::fmt::Write as _;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use keyledger_api::difference::{self, Change, Difference};
use keyledger_domain::Directory;
use keyledger_domain::id::OrgId;
use keyledger_ledger::Moment;
use serde::Serialize;

use super::past::ask;
use super::{Folder, Outcome};
use crate::escape::visible;

#[derive(Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    folder: Folder,
    /// The earlier moment: an instant such as 2027-01-31T09:00:00Z, or the position of a record.
    #[arg(long, value_name = "MOMENT")]
    from: Moment,
    /// The later moment [default: the last record].
    #[arg(long, value_name = "MOMENT")]
    to: Option<Moment>,
    /// The slug of one organisation [default: all].
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
}

/// A difference, and where.
#[derive(Serialize)]
struct Line<'a> {
    organization: &'a str,
    #[serde(flatten)]
    difference: Difference,
}

/// Runs it.
pub(crate) fn run(diff: &Diff) -> Outcome {
    let data_dir = diff.folder.path();
    let (before, after) = ask(&data_dir, |asking| {
        let before = asking.then(Some(diff.from))?;
        let after = asking.then(diff.to)?;
        if after.state.position() < before.state.position() {
            return Err("--to is before --from".into());
        }
        Ok((before.state, after.state))
    })?;
    let mut orgs: Vec<(&str, OrgId)> = [&before, &after]
        .into_iter()
        .flat_map(|state| orgs_of(state))
        .filter(|(slug, _)| {
            diff.organization
                .as_deref()
                .is_none_or(|wanted| wanted == *slug)
        })
        .collect();
    orgs.sort_unstable();
    orgs.dedup();
    let out = std::io::stdout().lock();
    let is_terminal = out.is_terminal();
    let mut out = BufWriter::new(out);
    for (organization, org) in orgs {
        for difference in difference::between(&before, &after, org, |_| true) {
            if is_terminal {
                out.write_all(words(organization, &difference).as_bytes())?;
                continue;
            }
            let line = Line {
                organization,
                difference,
            };
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn orgs_of(state: &Directory) -> impl Iterator<Item = (&str, OrgId)> {
    state.orgs().map(|org| (org.slug.as_str(), org.id))
}

/// A difference for people: what it is, and below it each field that differs.
fn words(organization: &str, difference: &Difference) -> String {
    let sign = match difference.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    };
    let name = difference.name.as_deref().unwrap_or("-");
    let mut told = format!(
        "{sign} {organization}  {} {}  {}\n",
        difference.kind.as_str(),
        visible(name),
        visible(&difference.id),
    );
    for field in &difference.fields {
        let (before, after) = (field.before.to_string(), field.after.to_string());
        let values = match difference.change {
            Change::Added => after,
            Change::Removed => before,
            Change::Changed => format!("{before} -> {after}"),
        };
        // A String takes everything.
        let _ = writeln!(told, "      {}: {}", field.field, visible(&values));
    }
    told
}

#[cfg(test)]
mod tests {
    use keyledger_api::difference::{FieldChange, ThingKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_with_what_was_and_what_is() {
        let difference = Difference {
            kind: ThingKind::Service,
            id: "5e0f".to_owned(),
            name: Some("ci".to_owned()),
            change: Change::Changed,
            fields: vec![FieldChange {
                field: "role",
                before: json!("member"),
                after: json!("manager"),
            }],
        };
        let told = words("acme", &difference);
        assert_eq!(
            told,
            "~ acme  service ci  5e0f\n      role: \"member\" -> \"manager\"\n"
        );
    }
}
