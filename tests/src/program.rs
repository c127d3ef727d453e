use std::process::{Child, Command, Output, Stdio};

use crate::setting;

/// A run of `keyledger` that is no server: its words, and what the environment says to it.
#[derive(Clone, Default)]
pub struct Program {
    words: Vec<String>,
    env: Vec<(String, String)>,
}

/// What a run came to. No `Debug`: it may hold what a test looks for.
pub struct Ran {
    /// The exit status, or `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it said besides.
    pub err: String,
}

impl Program {
    /// `keyledger WORDS`, without the settings of whoever runs the tests.
    pub fn new(words: &[&str]) -> Self {
        Self {
            words: words.iter().map(ToString::to_string).collect(),
            env: Vec::new(),
        }
    }

    /// With more words behind the others.
    #[must_use]
    pub fn with(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(ToString::to_string));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ran {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command().output().expect("running the binary");
        Ran {
            code: status.code(),
            out: String::from_utf8(stdout).expect("it prints UTF-8"),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Starts it; what it prints can be read, and whoever started it ends it.
    pub fn spawn(&self) -> Child {
        self.command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting the binary")
    }

    /// Runs it with an output that nobody reads; its exit status.
    pub fn run_unheard(&self) -> Option<i32> {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = self.command();
        command.stdout(writer).stderr(Stdio::null());
        command.status().expect("running the binary").code()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(setting::binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYLEDGER_") {
                command.env_remove(name);
            }
        }
        command
            .args(&self.words)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }
}

impl Ran {
    /// What it printed, if all went well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "it says: {}", crate::redact(&self.err));
        self.out
    }

    /// What it said, if it ended with this code and printed nothing.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(
            self.code,
            Some(code),
            "it says: {}",
            crate::redact(&self.err)
        );
        assert_eq!(self.out.len(), 0, "a failure prints nothing");
        self.err
    }
}
