use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends a server when the test program ends in whatever way, and clears its folder away.
///
/// A server shared by many tests sits in a `static`, whose `Drop` never runs; and the kernel's
/// parent-death signal would come when the *thread* that started the server ends, which for a test
/// is long before the program. So a small shell reads from a pipe that only this program holds: the
/// pipe's end is ours.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

const SCRIPT: &str =
    r#"read -r word; if [ "$word" != done ]; then kill -KILL "$1" 2>/dev/null; rm -rf -- "$2"; fi"#;

impl Watchdog {
    pub(crate) fn over(pid: u32, folder: &Path) -> Self {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog", &pid.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting `sh` to watch over the server");
        Self(child)
    }

    /// Sends the watchdog home: the server has ended, and its process id may be someone else's soon.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.0.wait();
    }
}
