//! `keyledger doctor`: what would go wrong, and what mends it, before it does.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use keyledger_domain::Timestamp;
use keyledger_ledger::folder::{FolderError, available_bytes};
use keyledger_ledger::paths::Paths;
use keyledger_ledger::verify::{self, VerifyError};

use super::{Outcome, certificate, say, with_causes};
use crate::clock;
use crate::config::{Config, ServeFlags, proxy_variables};
use crate::logging;
use crate::progress::ProgressShown;

/// Before this, a clock was never set: the day this program was begun.
const CLOCK_NOT_BEFORE: &str = "2026-11-01T00:00:00Z";

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// As it should be.
    Good(String),
    /// It works, but somebody should know.
    Note(String),
    /// It must be mended.
    Bad(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, words) = match self {
            Self::Good(words) => ("ok   ", words),
            Self::Note(words) => ("note ", words),
            Self::Bad(words) => ("BAD  ", words),
        };
        write!(f, "{mark} {words}")
    }
}

/// Looks at everything and prints what it found; fails if something must be mended.
pub(crate) fn run(flags: ServeFlags) -> Outcome {
    let config = match flags.resolve() {
        Ok(config) => config,
        Err(error) => {
            let words = with_causes(&error);
            say(Finding::Bad(format!("configuration: {words}")))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    logging::begin_warnings(config.log_format);
    let paths = Paths::new(&config.data_dir);
    let mut findings = vec![Finding::Good(format!(
        "configuration: issuer {}",
        config.issuer
    ))];
    findings.push(look_at_address(&config));
    findings.extend(look_at_proxies(&config));
    let everybody = config.everybody_is_a_proxy();
    findings.extend(everybody.map(|words| Finding::Note(format!("trusted proxies: {words}"))));
    if let Some(files) = &config.tls {
        findings.push(look_at_rights(&files.key, "TLS key", 0o640));
        findings.push(certificate::look(files, clock::wall()));
    }
    findings.extend(look_at_folder(&paths));
    findings.extend(look_at_room(&config));
    let last_record_at = look_at_store(&paths, &mut findings)?;
    findings.push(look_at_clock(clock::wall(), last_record_at));
    for finding in &findings {
        say(finding)?;
    }
    let bad = findings
        .iter()
        .any(|finding| matches!(finding, Finding::Bad(_)));
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn look_at_address(config: &Config) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::Good(format!("address: {} is free", config.listen)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::Note(format!(
            "address: something listens on {}; a server that is running, or another program",
            config.listen
        )),
        Err(error) => Finding::Bad(format!(
            "address: cannot listen on {}: {error}",
            config.listen
        )),
    }
}

/// A client on this machine that obeys these variables may send keys through a proxy.
fn look_at_proxies(config: &Config) -> Vec<Finding> {
    let variables = proxy_variables();
    let host = config.listen.ip().to_string();
    let exempt = variables
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("no_proxy"))
        .any(|(_, list)| {
            list.split(',')
                .any(|entry| matches!(entry.trim(), "*") || entry.trim() == host)
        });
    let proxied: Vec<_> = variables
        .iter()
        .filter(|(name, value)| !name.eq_ignore_ascii_case("no_proxy") && !value.is_empty())
        .map(|(name, _)| *name)
        .collect();
    if proxied.is_empty() || exempt {
        return vec![Finding::Good(
            "proxy settings: none that reach this server".to_owned(),
        )];
    }
    vec![Finding::Note(format!(
        "proxy settings: {} is set and no_proxy does not name {host}; curl and other clients here \
         may send their keys through that proxy. Add {host} to no_proxy",
        proxied.join(", ")
    ))]
}

fn look_at_folder(paths: &Paths) -> Vec<Finding> {
    let shown = paths.root().display();
    let mut findings = Vec::new();
    match std::fs::metadata(paths.root()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::Note(format!(
                "data folder: {shown} is not there yet; the first start makes it"
            ))];
        }
        Err(error) => return vec![Finding::Bad(format!("data folder: {shown}: {error}"))],
        Ok(metadata) if !metadata.is_dir() => {
            return vec![Finding::Bad(format!(
                "data folder: {shown} is not a folder"
            ))];
        }
        Ok(_) => {}
    }
    for (path, what, allowed) in [
        (paths.root().to_owned(), "data folder", 0o700),
        (paths.keys(), "key folder", 0o700),
        (paths.master_key(), "key file", 0o600),
        (paths.people_keys(), "key file", 0o600),
    ] {
        findings.push(look_at_rights(&path, what, allowed));
    }
    // It goes when the first owner is made.
    let setup_code = paths.setup_code();
    if setup_code.exists() {
        findings.push(look_at_rights(&setup_code, "set-up code", 0o600));
    }
    findings
}

fn look_at_rights(path: &Path, what: &str, allowed: u32) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & !allowed == 0 {
                Finding::Good(format!("{what}: {shown} is for its owner only ({mode:o})"))
            } else {
                Finding::Bad(format!(
                    "{what}: {shown} is open to others ({mode:o}); chmod {allowed:o} {shown}"
                ))
            }
        }
        Err(error) => Finding::Bad(format!("{what}: {shown}: {error}")),
    }
}

fn look_at_room(config: &Config) -> Vec<Finding> {
    let reserve = config.reserve_bytes;
    match available_bytes(&config.data_dir) {
        Ok(available) if available < reserve => vec![Finding::Bad(format!(
            "disk: {available} bytes are free, fewer than the reserve of {reserve}: changes are refused"
        ))],
        Ok(available) => vec![Finding::Good(format!("disk: {available} bytes are free"))],
        // The folder that is not there was told already.
        Err(_) => Vec::new(),
    }
}

/// Gives the time of the last record.
fn look_at_store(
    paths: &Paths,
    findings: &mut Vec<Finding>,
) -> Result<Option<Timestamp>, io::Error> {
    if !paths.head().exists() {
        return Ok(None);
    }
    let mut shown = ProgressShown::begin("Verifying the ledger");
    let verified = verify::verify(paths.root(), None, &mut |progress| shown.show(progress));
    shown.end();
    match verified {
        Ok(verified) => {
            findings.push(Finding::Good(format!(
                "store: {} records, root {}",
                verified.size, verified.root
            )));
            Ok((verified.size > 0).then_some(verified.last_record_at))
        }
        Err(VerifyError::Folder(FolderError::FolderInUse { .. })) => {
            findings.push(Finding::Note(
                "store: a server has it; stop it to look inside, or ask GET /health/ready"
                    .to_owned(),
            ));
            Ok(None)
        }
        Err(error) => {
            findings.push(Finding::Bad(format!(
                "store: {}",
                super::with_causes(&error)
            )));
            Ok(None)
        }
    }
}

fn look_at_clock(now: Timestamp, last_record_at: Option<Timestamp>) -> Finding {
    let begun: Timestamp = CLOCK_NOT_BEFORE.parse().unwrap_or_default();
    if now < begun {
        return Finding::Bad(format!(
            "clock: it says {now}, which is long ago; set it, by NTP best"
        ));
    }
    match last_record_at {
        Some(last) if now < last => Finding::Bad(format!(
            "clock: it says {now}, before the last record of {last}; set it, by NTP best"
        )),
        Some(_) | None => Finding::Good(format!("clock: {now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_or_was_set_back_is_found() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2027-01-01T00:00:00Z");
        assert!(matches!(
            look_at_clock(at("1970-01-01T00:00:07Z"), None),
            Finding::Bad(_)
        ));
        assert!(matches!(
            look_at_clock(now, Some(now.plus_seconds(60))),
            Finding::Bad(_)
        ));
        assert!(matches!(look_at_clock(now, Some(now)), Finding::Good(_)));
    }

    #[test]
    fn a_set_up_code_that_others_may_read_is_found() {
        let folder = std::env::temp_dir().join(format!("keyledger-code-{}", std::process::id()));
        let paths = Paths::new(&folder);
        std::fs::create_dir_all(paths.keys()).unwrap();
        let tells_of_code = || {
            let findings = look_at_folder(&paths);
            let of_code = |finding: &Finding| finding.to_string().contains("setup.key");
            findings.into_iter().find(of_code)
        };
        assert_eq!(tells_of_code(), None, "there need not be one");
        std::fs::write(paths.setup_code(), "code").unwrap();
        let set = |mode| {
            std::fs::set_permissions(paths.setup_code(), PermissionsExt::from_mode(mode)).unwrap();
        };
        set(0o644);
        assert!(matches!(tells_of_code(), Some(Finding::Bad(_))));
        set(0o600);
        assert!(matches!(tells_of_code(), Some(Finding::Good(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn rights_wider_than_the_owner_are_found() {
        let folder = std::env::temp_dir().join(format!("keyledger-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let set =
            |mode| std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
        set(0o755);
        assert!(matches!(
            look_at_rights(&folder, "folder", 0o700),
            Finding::Bad(_)
        ));
        set(0o700);
        assert!(matches!(
            look_at_rights(&folder, "folder", 0o700),
            Finding::Good(_)
        ));
        std::fs::remove_dir(&folder).unwrap();
    }
}
