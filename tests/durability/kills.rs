//! `kill -9` at random moments under eight writers.

use std::time::Duration;

use keyledger_tests::{Launch, Server, say, setting};

use crate::writers::Trial;

/// How many kills without `KEYLEDGER_KILLS`.
const KILLS: u64 = 40;

/// A ledger is verified as a whole after every so many kills.
const KILLS_PER_VERIFICATION: u64 = 25;

#[test]
fn n119_every_answered_change_survives_kill_9() {
    let kills = setting::number("KEYLEDGER_KILLS", KILLS);
    // Sealed in so small pieces, a kill often comes amid a seal.
    let launch = Launch::new().patient().arg("--segment-records=64");
    let mut trial = Trial::begin(launch, "kill -9");
    for kill in 1..=kills {
        let moment = Duration::from_millis(20 + trial.rng.below(130));
        trial.write_until(moment, Server::kill);
        if kill % KILLS_PER_VERIFICATION == 0 {
            trial.server.assert_ledger_verifies();
        }
        // One start in five is killed itself: recovery must survive a crash as well.
        if trial.rng.below(5) == 0 {
            let into_the_start = Duration::from_millis(trial.rng.below(40));
            trial.server.start_and_kill(into_the_start);
        }
        trial.server.start_again();
        trial.check_round();
    }
    trial.check_all();
    trial.server.kill();
    trial.server.assert_ledger_verifies();
    say(&format!(
        "kill -9: {kills} kills, {} answered changes, all kept",
        trial.acknowledged()
    ));
}
