//! Floods of wrong passwords: what they cost, and whom they keep waiting.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyledger_tests::{Launch, OWNER_EMAIL, Server, say, skip_loudly};
use serde_json::json;

use crate::world::World;

/// How many passwords the server under test checks at once.
const PLACES: usize = 2;
/// What one of them takes while it is checked.
const PLACE_MIB: u64 = 19;

/// A server with that many places, and with limits that let every wrong password through to them.
fn unguarded() -> Server {
    Launch::new()
        .patient()
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

/// The statuses of so many wrong logins, sent over so many connections at once.
fn flood(server: &Server, logins: usize, connections: usize, source: [u8; 4]) -> Vec<u16> {
    let wrong = |n: usize| {
        let client = server.client().at(source);
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

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|its| **its == status).count()
}

/// How long verifying takes for 99 of 100, while something goes on.
fn p99_of_verify(world: &World, goes_on: impl Fn() -> bool) -> Duration {
    let key = world.service().string("key");
    let asker = world.owner();
    let mut times = Vec::new();
    while goes_on() {
        let began = Instant::now();
        let answer = asker
            .post("/v1/keys/verify", &json!({ "key": key }))
            .expect(200);
        assert_eq!(answer.string("code"), "valid");
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() * 99 / 100]
}

#[test]
fn n127_a_flood_of_wrong_logins_leaves_the_memory_as_it_was() {
    let server = unguarded();
    let Some(before) = resident_mib(server.pid()) else {
        skip_loudly(
            "memory after a flood of logins",
            "there is no /proc/PID/status",
        );
        return;
    };
    let statuses = flood(&server, 200, 60, [127, 0, 0, 1]);
    assert!(
        count(&statuses, 401) + count(&statuses, 503) == 200,
        "{statuses:?}"
    );
    assert!(
        count(&statuses, 401) > 60,
        "too few were hashed: {statuses:?}"
    );
    let after = resident_mib(server.pid()).unwrap();
    say(&format!(
        "memory before a flood of 200 wrong logins: {before} MiB; after it: {after} MiB"
    ));
    assert!(
        after < before + PLACES as u64 * PLACE_MIB + 40,
        "{before} MiB grew to {after} MiB"
    );
}

/// 500 at once: those who wait for a place and those who are turned away, and verifying beside it.
fn five_hundred(server: Server) -> (Vec<u16>, Duration) {
    let world = World::on(server);
    let quiet = std::cell::Cell::new(300);
    let without = p99_of_verify(&world, || quiet.replace(quiet.get() - 1) > 0);
    let is_flooded = AtomicBool::new(true);
    let began = Instant::now();
    let (statuses, with) = std::thread::scope(|scope| {
        let verifying =
            scope.spawn(|| p99_of_verify(&world, || is_flooded.load(Ordering::Relaxed)));
        let statuses = flood(world.server(), 500, 500, [127, 0, 7, 9]);
        is_flooded.store(false, Ordering::Relaxed);
        (statuses, verifying.join().expect("a thread that verifies"))
    });
    let took = began.elapsed();
    let figures = [401, 429, 503].map(|status| format!("{} x {status}", count(&statuses, status)));
    say(&format!(
        "500 wrong logins at once took {took:?}: {}; verify p99 {without:?} without, {with:?} beside them",
        figures.join(", ")
    ));
    (statuses, took)
}

#[test]
fn n127_of_five_hundred_wrong_logins_at_once_few_are_hashed_and_the_rest_is_told_so() {
    let places = PLACES.to_string();
    let guarded = Launch::new()
        .env("KEYLEDGER_PASSWORD_PLACES", &places)
        .start();
    let (statuses, took) = five_hundred(guarded);
    let hashed = count(&statuses, 401);
    let refused = count(&statuses, 429) + count(&statuses, 503);
    assert_eq!(hashed + refused, 500, "{statuses:?}");
    // Five are free; those at the other places begin before the fifth has failed; one a delay after.
    let delays = usize::try_from(took.as_secs()).expect("a short while") + 1;
    assert!(
        hashed >= 5 && hashed < 5 + PLACES + delays,
        "{hashed} were hashed"
    );
}

#[test]
fn n127_without_throttles_the_pool_alone_bounds_what_is_hashed() {
    let (statuses, _) = five_hundred(unguarded());
    let hashed = count(&statuses, 401);
    let others: Vec<&u16> = statuses
        .iter()
        .filter(|status| !matches!(status, 401 | 503))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(hashed >= 64, "the queue holds 64, and {hashed} were hashed");
}
