use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_port;
use crate::redact::redact;
use crate::server::Server;
use crate::setting;

/// The user that owns [`OWNER_ORG`] from the first ready answer on.
pub const OWNER_EMAIL: &str = "owner@example.com";
/// That user's password.
pub const OWNER_PASSWORD: &str = "correct horse battery staple 9";
/// The slug of the organization that the first start makes.
pub const OWNER_ORG: &str = "acme";

/// How a server is to be started: by default on a free loopback port, in a new folder, with the
/// owner of `acme` to be made.
#[derive(Debug, Clone)]
pub struct Launch {
    wrapper: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    data_dir: Option<PathBuf>,
    port: u16,
    listens_by_flag: bool,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit status, or `None` when a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote, cut short where it could be a secret.
    pub output: String,
}

impl Default for Launch {
    fn default() -> Self {
        Self::new()
    }
}

impl Launch {
    /// The defaults.
    pub fn new() -> Self {
        let env = [
            ("KEYLEDGER_BOOTSTRAP_EMAIL", OWNER_EMAIL),
            ("KEYLEDGER_BOOTSTRAP_PASSWORD", OWNER_PASSWORD),
            ("KEYLEDGER_BOOTSTRAP_ORG", OWNER_ORG),
        ];
        Self {
            wrapper: Vec::new(),
            args: Vec::new(),
            env: env
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            data_dir: None,
            port: free_port(),
            listens_by_flag: true,
        }
    }

    /// Without the first owner: the server is to print its set-up link.
    #[must_use]
    pub fn without_bootstrap(mut self) -> Self {
        self.env
            .retain(|(name, _)| !name.starts_with("KEYLEDGER_BOOTSTRAP_"));
        self
    }

    /// With an environment variable, in place of an earlier one of that name.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(set, _)| set != name);
        self.env.push((name.into(), value.into()));
        self
    }

    /// With limits that bear a thousand wrong credentials: for a server that many tests share.
    #[must_use]
    pub fn patient(self) -> Self {
        [
            "KEYLEDGER_LOGIN_FAILURES_FREE",
            "KEYLEDGER_LOGIN_SOURCE_FAILURES_FREE",
            "KEYLEDGER_LOGIN_NETWORK_FAILURES_PER_HOUR",
            "KEYLEDGER_LOGIN_FAILURES_PER_HOUR",
            "KEYLEDGER_WRONG_KEYS_BURST",
            "KEYLEDGER_WRONG_KEYS_PER_SECOND",
        ]
        .into_iter()
        .fold(self, |launch, name| launch.env(name, "100000"))
    }

    /// With one more argument behind `serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// In this folder, which the harness then leaves where it is.
    #[must_use]
    pub fn data_dir(mut self, folder: &Path) -> Self {
        self.data_dir = Some(folder.to_owned());
        self
    }

    /// On this loopback port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Address and folder given by environment instead of flags.
    #[must_use]
    pub fn configured_by_env(mut self) -> Self {
        self.listens_by_flag = false;
        self
    }

    /// Run by another program (`strace -D …`), which must become the server or leave it our child.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Server {
        Server::start(self)
    }

    /// Starts what is expected to stop by itself within `patience`, and waits for that.
    #[track_caller]
    pub fn run_to_its_end(self, patience: Duration) -> Finished {
        let room = tempfile::tempdir().expect("making a temporary folder");
        let log = room.path().join("server.log");
        let mut child = self.spawn(&room.path().join("data"), &log);
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = child.try_wait().expect("asking for the server's end") {
                return Finished {
                    code: status.code(),
                    output: redact(&read_lossy(&log)),
                };
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "it was to stop by itself within {patience:?}; its log:\n{}",
                    redact(&read_lossy(&log))
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn its_port(&self) -> u16 {
        self.port
    }

    pub(crate) fn given_data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// Starts the process; what it says is appended to `log`.
    pub(crate) fn spawn(&self, own_data_dir: &Path, log: &Path) -> Child {
        let binary = setting::binary();
        let data_dir = self.data_dir.as_deref().unwrap_or(own_data_dir);
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = match self.wrapper.split_first() {
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(&binary);
                command
            }
            None => Command::new(&binary),
        };
        // The developer's own settings must not leak into the server under test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYLEDGER_") {
                command.env_remove(name);
            }
        }
        command.arg("serve");
        if self.listens_by_flag {
            command
                .args(["--listen", &listen])
                .arg("--data-dir")
                .arg(data_dir);
        } else {
            command
                .env("KEYLEDGER_LISTEN", &listen)
                .env("KEYLEDGER_DATA_DIR", data_dir);
        }
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("opening the server's log");
        let err = out.try_clone().expect("sharing the server's log");
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", binary.display()))
    }
}

pub(crate) fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
