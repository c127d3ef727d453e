//! `keyledger audit at`: what a credential could do at a moment, and why not. A folder tells it of all
//! organizations, a server of those whose audit log the key reads.

use core::fmt::Write as _;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use keyledger_api::routes::credentials::{CredentialView, find};
use keyledger_ledger::Moment;
use serde_json::Value;

use super::Outcome;
use super::log::{Found, Place};
use super::past::ask;
use crate::escape::visible;

#[derive(Args)]
pub(crate) struct At {
    #[command(flatten)]
    place: Place,
    /// The public id of the credential, as its preview shows it, or the id of the key, service or entitlement
    /// token that holds it.
    #[arg(long, value_name = "ID")]
    credential: String,
    /// The moment: an instant such as 2027-01-31T09:00:00Z, or the position of a record [default: the last
    /// record].
    #[arg(long = "at", value_name = "MOMENT")]
    moment: Option<Moment>,
}

/// Runs it.
pub(crate) fn run(at: &At) -> Outcome {
    // It becomes a part of an address.
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if at.credential.is_empty() || !at.credential.chars().all(is_id) {
        return Err(
            "--credential is no id: name the nine characters of the preview, or a UUID".into(),
        );
    }
    let told: Value = match at.place.find()? {
        Found::Folder(folder) => of_folder(&folder, at)?,
        Found::Server(remote) => {
            let path = format!("/v1/credentials/{}", at.credential);
            let moment = at.moment.map(|moment| ("at", moment.to_string()));
            remote.get(&path, moment.as_slice())?
        }
    };
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        out.write_all(words(&told).as_bytes())?;
    } else {
        serde_json::to_writer(&mut out, &told)?;
        out.write_all(b"\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn of_folder(folder: &Path, at: &At) -> Result<Value, Box<dyn Error>> {
    ask(folder, |asking| {
        let then = asking.then(at.moment)?;
        let key = find(&then.state, &at.credential).ok_or_else(|| {
            let position = then.state.position();
            format!("after record {position} there was no such credential")
        })?;
        let view = CredentialView::of(&then.state, key, then.at, |_| true);
        Ok(serde_json::to_value(&view)?)
    })
}

/// A credential in some lines for people.
fn words(told: &Value) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, value: String| {
        // A String takes everything.
        let _ = writeln!(lines, "{name:<14}{}", visible(&value));
    };
    line("credential", plain(&told["preview"]));
    let name = plain(&told["holder_name"]);
    line("holder", format!("{} ({name})", plain(&told["holder"])));
    let position = plain(&told["position"]);
    line(
        "moment",
        format!("{}, after record {position}", plain(&told["time"])),
    );
    line("standing", plain(&told["standing"]));
    line("scopes", plain(&told["scopes"]));
    for field in ["expires_at", "allowed_cidrs", "rate_limit"] {
        if !matches!(&told[field], Value::Null) {
            line(field, plain(&told[field]));
        }
    }
    for reach in told["organizations"].as_array().into_iter().flatten() {
        let organization = plain(&reach["organization"]);
        let (standing, role) = (plain(&reach["standing"]), plain(&reach["role"]));
        line("in", format!("{organization}: {standing}, role {role}"));
        for scope in reach["scopes"].as_array().into_iter().flatten() {
            line("", plain(scope));
        }
    }
    lines
}

/// A text without its quotes; anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn n118_a_credential_is_told_in_lines_that_hold_nothing_else() {
        let told = json!({
            "preview": "sv_live_3kTMd9wQx_****", "holder": "service:1", "holder_name": "ci\n\u{1b}[1m",
            "time": "2027-01-31T09:00:00Z", "position": 7, "standing": "valid", "scopes": null,
            "organizations": [{"organization": "acme", "role": "member", "standing": "open", "scopes": ["files:read"]}],
        });
        let words = words(&told);
        assert_eq!(words.lines().count(), 7, "{words}");
        assert!(words.contains("acme: open, role member"));
        assert!(!words.contains('\u{1b}'));
    }
}
