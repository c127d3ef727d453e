//! Power cuts: the data folder lies on an ext4 image of its own, which is shut down without its
//! journal being flushed, under eight writers. As root and on Linux only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keyledger_tests::{Launch, say, setting, skip_loudly};
use tempfile::TempDir;

use crate::writers::Trial;

/// How many cuts without `KEYLEDGER_CUTS`.
const CUTS: u64 = 20;

/// Larger than the free space below which the server refuses changes. The file is sparse.
const IMAGE_BYTES: u64 = 2 << 30;

/// An ext4 file system in a file, mounted.
struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
    /// Holds both; removed after the unmounting in `Drop`.
    _room: TempDir,
}

impl Disk {
    /// Makes and mounts one, or says why this machine cannot.
    fn new() -> Result<Self, String> {
        run(Command::new("python3").arg("--version"))?;
        let room = tempfile::tempdir().map_err(|error| error.to_string())?;
        let disk = Self {
            image: room.path().join("disk.img"),
            mount_point: room.path().join("mounted"),
            _room: room,
        };
        std::fs::create_dir(&disk.mount_point).map_err(|error| error.to_string())?;
        let image = std::fs::File::create(&disk.image).map_err(|error| error.to_string())?;
        image
            .set_len(IMAGE_BYTES)
            .map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F"])
            .arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&self.image)
            .arg(&self.mount_point))
    }

    fn unmount(&self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.mount_point))
    }

    fn cut_power(&self) -> Result<(), String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("durability/cut_power.py");
        run(Command::new("python3").arg(script).arg(&self.mount_point))
    }

    /// Mounting replays the journal, as a machine does when it comes up again.
    fn come_up_again(&self) {
        self.unmount()
            .expect("unmounting the disk that was cut off");
        self.mount().expect("mounting the disk again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.mount_point));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// A disk whose power can be cut and that shows the cut, or the reason why there is none here.
fn disk_to_cut() -> Result<Disk, String> {
    let disk = Disk::new()?;
    let unsynced = disk.mount_point.join("never-synced");
    std::fs::write(&unsynced, b"lost").map_err(|error| error.to_string())?;
    disk.cut_power()?;
    disk.come_up_again();
    // A cut that loses nothing would prove nothing.
    assert!(
        !unsynced.exists(),
        "the cut kept what nobody synced: it is no power cut"
    );
    Ok(disk)
}

#[test]
fn every_answered_change_survives_a_power_cut() {
    let disk = match disk_to_cut() {
        Ok(disk) => disk,
        Err(why) => return skip_loudly("power cuts", &why),
    };
    let cuts = setting::number("KEYLEDGER_CUTS", CUTS);
    let launch = Launch::new()
        .patient()
        .arg("--segment-records=64")
        .data_dir(&disk.mount_point.join("data"));
    let mut trial = Trial::begin(launch, "power cuts");
    for _ in 0..cuts {
        let moment = Duration::from_millis(20 + trial.rng.below(400));
        trial.write_until(moment, |server| {
            disk.cut_power().expect("cutting the power");
            // A moment in which the server meets a disk that is gone: it must not answer "done" now.
            std::thread::sleep(Duration::from_millis(10));
            server.kill();
        });
        disk.come_up_again();
        trial.server.assert_ledger_verifies();
        trial.server.start_again();
        trial.check_round();
    }
    trial.check_all();
    trial.server.stop();
    trial.server.assert_ledger_verifies();
    say(&format!(
        "power cuts: {cuts} cuts, {} answered changes, all kept",
        trial.acknowledged()
    ));
}
