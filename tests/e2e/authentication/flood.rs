//! Floods of wrong passwords: what they cost, and whom they keep waiting.

use keyledger_tests::{Client, Launch, OWNER_EMAIL, Server, say, skip_loudly};

/// How many passwords the server under test checks at once.
const PLACES: u64 = 2;
/// What one of them takes while it is checked.
const PLACE_MIB: u64 = 19;

fn server() -> Server {
    Launch::new()
        .env("KEYLEDGER_PASSWORD_PLACES", &PLACES.to_string())
        .start()
}

/// The memory that a process has in RAM, in MiB; `None` where the system does not tell.
fn resident_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_024)
}

/// The statuses of so many wrong logins, sent from so many connections at once.
fn flood(server: &Server, logins: usize, connections: usize) -> Vec<u16> {
    let wrong = |n: usize| {
        let client: Client = server.client();
        client.basic(OWNER_EMAIL, &format!("wrong password {n}"))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|thread| {
                scope.spawn(move || {
                    let mine = (thread..logins).step_by(connections);
                    mine.map(|n| wrong(n).get("/v1/me").status())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let answers = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread that sends"));
        answers.collect()
    })
}

#[test]
fn n127_a_flood_of_wrong_logins_leaves_the_memory_as_it_was() {
    let server = server();
    let Some(before) = resident_mib(server.pid()) else {
        skip_loudly(
            "memory after a flood of logins",
            "there is no /proc/PID/status",
        );
        return;
    };
    let statuses = flood(&server, 200, 60);
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 401 | 429 | 503)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&401), "nothing was hashed: {statuses:?}");
    let after = resident_mib(server.pid()).unwrap();
    say(&format!(
        "memory before a flood of 200 wrong logins: {before} MiB; after: {after} MiB"
    ));
    assert!(
        after < before + PLACES * PLACE_MIB + 40,
        "{before} MiB grew to {after} MiB"
    );
}
