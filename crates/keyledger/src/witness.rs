//! A witness (C2SP tlog-witness): it remembers the last checkpoint of this log that it saw and cosigns one
//! only if that extends it. So nobody is told another history under its name, the operator's own included.

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use keyledger_ledger::cosignature::WitnessKey;
use keyledger_ledger::note::{NotANote, SignedNote};
use keyledger_ledger::publisher::{PublicLog, Published};
use keyledger_ledger::tree::TreeError;
use ring::digest::{SHA256, digest};
use ureq::Agent;

use crate::outside::{Answer, DeliveryError, Recipient, post, replace};

/// Where a witness is, and the key that it cosigns with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WitnessSetting {
    /// Its address, without a slash at its end; `/add-checkpoint` is put behind it.
    pub(crate) url: String,
    /// Its key.
    pub(crate) key: WitnessKey,
}

impl WitnessSetting {
    /// Reads `URL+name+id+key`. An address with a plus sign in it cannot be written so.
    ///
    /// # Errors
    /// If it is not of this form.
    pub(crate) fn parse(given: &str) -> Result<Self, NotANote> {
        let (url, key) = given.split_once('+').ok_or(NotANote::VerifierKey)?;
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            key: key.parse()?,
        })
    }
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// It cosigned: these are its lines.
    Cosigned(Vec<String>),
    /// It knows the log at this size, from which it wants the proof.
    From(u64),
    /// It knows another history than ours.
    AtOdds,
    /// It answered for a cosignature, and there is none of its key.
    NotCosigned,
    /// It refuses for a reason that says nothing of the history.
    Refused(u16),
}

/// A witness that is told of checkpoints.
pub(crate) struct Witness {
    setting: WitnessSetting,
    agent: Agent,
    evidence: PathBuf,
    /// The size at which it knows the log, as far as we know.
    known: u64,
    /// It knows another history: asking again would change nothing but the size of the log.
    is_at_odds: bool,
}

impl Witness {
    /// The witness; what it answers against us is kept in this folder.
    pub(crate) fn new(setting: &WitnessSetting, agent: Agent, evidence: PathBuf) -> Self {
        Self {
            setting: setting.clone(),
            agent,
            evidence,
            known: 0,
            is_at_odds: false,
        }
    }

    /// What it means that a witness answers this to a proof from `old` on.
    fn meaning(&self, old: u64, published: &Published, answer: &Answer) -> Meaning {
        match answer.status {
            200 => {
                let note = SignedNote::parse(&published.checkpoint);
                let text = note.map_or("", |note| note.unverified_text());
                let lines = answer.text.lines();
                let lines: Vec<_> = lines
                    .filter(|line| self.setting.key.verify(line, text).is_some())
                    .map(ToOwned::to_owned)
                    .collect();
                if lines.is_empty() {
                    Meaning::NotCosigned
                } else {
                    Meaning::Cosigned(lines)
                }
            }
            // A size that we have not come to: ours was put back. The very size that we proved from: it has
            // another root there (C2SP tlog-witness).
            409 => match answer.text.trim_end_matches('\n').parse::<u64>() {
                Ok(size) if size > published.size => Meaning::AtOdds,
                Ok(size) if size == old && old == published.size => Meaning::AtOdds,
                Ok(size) if size != old => Meaning::From(size),
                Ok(_) | Err(_) => Meaning::Refused(409),
            },
            // The proof is made of files that were compared with the records: its tree is another one.
            422 => Meaning::AtOdds,
            status => Meaning::Refused(status),
        }
    }

    /// Keeps what it was told and what it answered; the same twice is one file.
    fn keep_evidence(&self, request: &str, answer: &Answer) -> io::Result<PathBuf> {
        let Answer { status, text } = answer;
        let name = self.setting.key.name();
        let evidence = format!("witness {name}\nanswered {status}\n{text}\nto\n{request}");
        let mut tag = String::new();
        for byte in &digest(&SHA256, evidence.as_bytes()).as_ref()[..8] {
            // Writing to a String cannot fail.
            let _ = write!(tag, "{byte:02x}");
        }
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.evidence)?;
        let path = self.evidence.join(tag);
        replace(&path, &evidence)?;
        Ok(path)
    }

    fn told_otherwise(&mut self, published: &Published, request: &str, answer: &Answer) {
        self.is_at_odds = true;
        let witness = self.setting.key.name();
        let size = published.size;
        match self.keep_evidence(request, answer) {
            Ok(path) => tracing::error!(
                witness, size, status = answer.status, evidence = %path.display(),
                "a witness knows another history of this log: an older copy was put back, or there are two"
            ),
            Err(error) => tracing::error!(
                witness, size, status = answer.status, %error,
                "a witness knows another history of this log, and the evidence could not be written"
            ),
        }
    }
}

impl Recipient for Witness {
    fn name(&self) -> String {
        self.setting.key.name().to_owned()
    }

    fn deliver(&mut self, log: &PublicLog, published: &Published) -> Result<(), DeliveryError> {
        if self.is_at_odds {
            return Ok(());
        }
        let url = format!("{}/add-checkpoint", self.setting.url);
        let mut is_second = false;
        loop {
            let request = request(log, self.known, published)?;
            let answer = post(&self.agent, &url, &request)?;
            match self.meaning(self.known, published, &answer) {
                Meaning::Cosigned(lines) => {
                    self.known = published.size;
                    for line in lines {
                        log.cosign(published.size, &line);
                    }
                    return Ok(());
                }
                Meaning::From(size) => {
                    self.known = size;
                    // Others may have told it of more just now; a second time is for later.
                    if is_second {
                        return Err(DeliveryError::Refused { status: 409 });
                    }
                    is_second = true;
                }
                Meaning::AtOdds => {
                    self.told_otherwise(published, &request, &answer);
                    return Ok(());
                }
                Meaning::NotCosigned => return Err(DeliveryError::NotCosigned),
                Meaning::Refused(status) => return Err(DeliveryError::Refused { status }),
            }
        }
    }
}

/// What `add-checkpoint` takes: the old size, the proof from it on, and the checkpoint.
fn request(log: &PublicLog, old: u64, published: &Published) -> Result<String, TreeError> {
    // Of a size that we have not come to there is no proof; the witness then says what it knows.
    let proof = log.consistency(old, published)?.unwrap_or_default();
    let mut request = format!("old {old}\n");
    for hash in proof {
        // Writing to a String cannot fail.
        let _ = writeln!(request, "{hash}");
    }
    request.push('\n');
    request.push_str(&published.checkpoint);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use keyledger_ledger::merkle::Hash;

    use super::*;

    const WITNESS: &str =
        "https://w.example/at/+w.example+4a98ebc3+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

    fn meaning(old: u64, status: u16, text: &str) -> Meaning {
        let setting = WitnessSetting::parse(WITNESS).unwrap();
        assert_eq!(setting.url, "https://w.example/at");
        let agent = Agent::new_with_defaults();
        let witness = Witness::new(&setting, agent, PathBuf::new());
        let published = Published {
            size: 7,
            root: Hash::from_bytes([0; 32]),
            checkpoint: "log\n7\nAAAA\n\n\u{2014} log AAAAAAAA\n".to_owned(),
        };
        let text = text.to_owned();
        witness.meaning(old, &published, &Answer { status, text })
    }

    #[test]
    fn a_size_that_we_have_not_come_to_or_another_root_is_another_history() {
        assert_eq!(meaning(0, 409, "5\n"), Meaning::From(5));
        assert_eq!(meaning(0, 409, "7\n"), Meaning::From(7));
        assert_eq!(meaning(5, 409, "0\n"), Meaning::From(0));
        assert_eq!(meaning(7, 409, "7\n"), Meaning::AtOdds);
        assert_eq!(meaning(0, 409, "8\n"), Meaning::AtOdds);
        assert_eq!(meaning(5, 422, ""), Meaning::AtOdds);
    }

    #[test]
    fn what_says_nothing_of_the_history_is_no_evidence() {
        assert_eq!(meaning(5, 409, "5\n"), Meaning::Refused(409));
        for text in ["", "-1\n", "many\n", "18446744073709551616\n"] {
            assert_eq!(meaning(0, 409, text), Meaning::Refused(409), "{text}");
        }
        for status in [400, 403, 404, 429, 500, 503] {
            assert_eq!(meaning(0, status, "8\n"), Meaning::Refused(status));
        }
        for text in ["", "\u{2014} w.example AAAAAAAA\n"] {
            assert_eq!(meaning(0, 200, text), Meaning::NotCosigned, "{text}");
        }
    }
}
