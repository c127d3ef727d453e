//! The sync of the store's file comes before the answer: read off the system calls themselves.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD, skip_loudly};
use serde_json::json;

const CALLS: &str = "trace=read,recvfrom,readv,recvmsg,write,pwrite64,writev,sendto,sendmsg,fdatasync,fsync,sync_file_range";

/// One line of the trace: which thread, and the rest.
fn threads_and_calls(trace: &str) -> Vec<(&str, &str)> {
    trace
        .lines()
        .filter_map(|line| {
            line.split_once(' ')
                .map(|(thread, call)| (thread, call.trim_start()))
        })
        .collect()
}

/// Whether `call` writes to the store's own file.
fn writes_store(call: &str) -> bool {
    (call.starts_with("pwrite64(") || call.starts_with("write("))
        && call.split(',').next().is_some_and(is_store)
}

/// Whether the first argument names the store's file, and not one of those beside it, which may be lost.
fn is_store(call: &str) -> bool {
    call.contains("/events/db>")
}

/// Places in the trace where an `fdatasync` (or `fsync`) of the store's file began and returned 0.
fn syncs_of_store(calls: &[(&str, &str)]) -> Vec<(usize, usize)> {
    let mut syncs = Vec::new();
    for (begun, (thread, call)) in calls.iter().enumerate() {
        let name = call.split('(').next().unwrap_or_default();
        if !(matches!(name, "fdatasync" | "fsync") && is_store(call)) {
            continue;
        }
        if call.ends_with("= 0") {
            syncs.push((begun, begun));
        } else if call.ends_with("<unfinished ...>") {
            let resumed = format!("<... {name} resumed>");
            let later = calls.iter().enumerate().skip(begun);
            let mut returns =
                later.filter(|(_, (its, call))| its == thread && call.starts_with(&resumed));
            syncs.extend(
                returns
                    .next()
                    .filter(|(_, (_, call))| call.ends_with("= 0"))
                    .map(|(at, _)| (begun, at)),
            );
        }
    }
    syncs
}

/// The trace, once strace, which outlives the server by a moment, has written its last line.
fn finished_trace(path: &Path) -> String {
    for _ in 0..500 {
        let trace = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        if trace
            .lines()
            .last()
            .is_some_and(|line| line.contains("+++ exited with 0 +++"))
        {
            return trace;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("strace did not finish its trace");
}

#[test]
fn the_stores_file_is_synced_before_the_answer_goes_out() {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "-e", "trace=none", "true"])
        .status();
    if !works.is_ok_and(|status| status.success()) {
        return skip_loudly(
            "the order of sync and answer",
            "strace is missing or may not trace here",
        );
    }
    let room = tempfile::tempdir().unwrap();
    let trace_path = room.path().join("trace");
    let trace_file = trace_path.to_string_lossy().into_owned();
    // -D: strace is the grandchild, so that the server stays our own child.
    let strace = [
        "strace",
        "-D",
        "-f",
        "-y",
        "-s",
        "200",
        "-e",
        CALLS,
        "-o",
        &trace_file,
        "--",
    ];
    let mut server = Launch::new().under(&strace).start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    owner
        .post("/user/keys", &json!({ "handle": "traced-change" }))
        .expect(201);
    server.stop();

    let trace = finished_trace(&trace_path);
    let calls = threads_and_calls(&trace);
    let place = |from: usize, what: &str, is_it: &dyn Fn(&str) -> bool| {
        let found = calls
            .iter()
            .enumerate()
            .skip(from)
            .find(|(_, (_, call))| is_it(call));
        found
            .unwrap_or_else(|| panic!("no {what} in the trace of {} calls", calls.len()))
            .0
    };
    let request = place(0, "request", &|call| call.contains("POST /user/keys"));
    let answer = place(request, "answer", &|call| {
        call.contains("HTTP/1.1 201") && (call.starts_with("send") || call.starts_with("write"))
    });
    let between = &calls[request..answer];
    let last_write = between.iter().rposition(|(_, call)| writes_store(call));
    let last_write =
        request + last_write.expect("the change was written to the store's file before the answer");
    let is_synced = syncs_of_store(&calls)
        .iter()
        .any(|(begun, returned)| *begun > last_write && *returned < answer);
    assert!(
        is_synced,
        "no successful fdatasync of the store's file between its last write and the answer"
    );
}
