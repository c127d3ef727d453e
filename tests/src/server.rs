use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;
use crate::launch::{Finished, Launch, read_lossy};
use crate::raw;
use crate::redact::redact;
use crate::setting;
use crate::watchdog::Watchdog;

/// How long a start may take until the server is ready.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// How long a server may take to finish its requests after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs, or ran: `kill`, `restart` and `stop` keep its port and its folder.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    /// `None` only while it is being dropped.
    room: Option<TempDir>,
    data_dir: PathBuf,
    running: Option<(Child, Watchdog)>,
}

impl Server {
    #[track_caller]
    pub(crate) fn start(launch: Launch) -> Self {
        let room = tempfile::Builder::new()
            .prefix("keyledger-test-")
            .tempdir()
            .expect("making a temporary folder");
        let data_dir = launch
            .given_data_dir()
            .map_or_else(|| room.path().join("data"), Path::to_owned);
        let mut server = Self {
            launch,
            room: Some(room),
            data_dir,
            running: None,
        };
        server.start_again();
        server
    }

    /// Starts it again after [`Server::kill`] or [`Server::stop`], and waits until it is ready.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.spawn();
        let deadline = Instant::now() + READY_PATIENCE;
        while raw::status_of(self.port(), "/health/ready") != Some(200) {
            let (child, _) = self.running.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().expect("asking for the server's end") {
                panic!(
                    "the server stopped at start ({status}); its log:\n{}",
                    self.log_tail()
                );
            }
            assert!(
                Instant::now() < deadline,
                "the server was not ready within {READY_PATIENCE:?}; its log:\n{}",
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts it and kills it `after` that, ready or not: a crash inside a start.
    pub fn start_and_kill(&mut self, after: Duration) {
        self.spawn();
        std::thread::sleep(after);
        self.kill();
    }

    fn spawn(&mut self) {
        assert!(self.running.is_none(), "the server runs already");
        let child = self.launch.spawn(&self.data_dir, &self.log_path());
        let watchdog = Watchdog::over(child.id(), self.room());
        self.running = Some((child, watchdog));
    }

    /// `kill -9`; nothing happens when it has ended already.
    pub fn kill(&mut self) {
        if let Some((mut child, watchdog)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
            watchdog.dismiss();
        }
    }

    /// `kill -9`, then a start from the same folder.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Sends SIGTERM and goes on at once; [`Server::wait`] waits for the end.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, Signal::TERM).expect("sending SIGTERM");
    }

    /// Waits for the end that [`Server::terminate`] asked for.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let (mut child, watchdog) = self.running.take().expect("a server that runs");
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("asking for the server's end") {
                watchdog.dismiss();
                return status;
            }
            if Instant::now() > deadline {
                self.running = Some((child, watchdog));
                panic!(
                    "the server did not stop within {STOP_PATIENCE:?}; its log:\n{}",
                    self.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM, and the exit status that it must lead to: 0.
    #[track_caller]
    pub fn stop(&mut self) {
        self.terminate();
        let status = self.wait();
        assert!(
            status.success(),
            "SIGTERM ends in {status}, not 0; its log:\n{}",
            self.log_tail()
        );
    }

    /// A client of it without credentials.
    pub fn client(&self) -> Client {
        Client::new(self.port())
    }

    /// Its loopback port.
    pub fn port(&self) -> u16 {
        self.launch.its_port()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("a server that runs").0.id()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The file with all that it said on standard output and error, over all its starts.
    pub fn log_path(&self) -> PathBuf {
        self.room().join("server.log")
    }

    /// All that it said. May hold what a test looks for: never print it, see [`Server::log_tail`].
    pub fn log(&self) -> String {
        read_lossy(&self.log_path())
    }

    /// The end of what it said, cut short where it could be a secret.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        redact(&lines[lines.len().saturating_sub(30)..].join("\n"))
    }

    /// Runs `keyledger WORDS --data-dir FOLDER` beside it.
    pub fn command(&self, words: &[&str]) -> Finished {
        let output = Command::new(setting::binary())
            .args(words)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .output()
            .expect("running a command of the binary");
        let said = [output.stdout, output.stderr].concat();
        Finished {
            code: output.status.code(),
            output: redact(&String::from_utf8_lossy(&said)),
        }
    }

    /// Asserts that `audit verify` finds nothing wrong; the server must be down.
    #[track_caller]
    pub fn assert_ledger_verifies(&self) {
        let verdict = self.command(&["audit", "verify"]);
        assert_eq!(
            verdict.code,
            Some(0),
            "`audit verify` says:\n{}",
            verdict.output
        );
    }

    fn room(&self) -> &Path {
        self.room.as_ref().expect("taken only by drop").path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking()
            && let Some(room) = self.room.take()
        {
            crate::say(&format!(
                "the failed test's server left its folder in {}",
                room.keep().display()
            ));
        }
    }
}
