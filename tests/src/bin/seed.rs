//! Makes many user keys over HTTP and writes their tokens to a file, one a line: what the bench
//! fills a ledger with.
//!
//! `seed PORT COUNT CONNECTIONS FIRST FILE`, the key of an owner in the environment variable
//! `KEYLEDGER_BENCH_KEY`. Handles are `seed-N` from `seed-FIRST` on.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use keyledger_tests::{Client, setting};
use serde_json::json;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, count, connections, first, path] = &args[..] else {
        panic!("usage: seed PORT COUNT CONNECTIONS FIRST FILE");
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let owner_key = setting::text("KEYLEDGER_BENCH_KEY")
        .expect("KEYLEDGER_BENCH_KEY is to hold an owner's key");
    let port = u16::try_from(number(port)).expect("a port");
    let (count, connections) = (number(count), number(connections));
    let first = number(first);

    // Only for who runs the bench: the file holds keys in clear.
    let mut file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .expect("opening FILE");
    let next = AtomicU64::new(0);
    let (sender, tokens) = mpsc::channel::<String>();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            let owner = Client::new(port).x_api_key(&owner_key);
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count {
                        return;
                    }
                    let body = json!({
                        "handle": format!("seed-{}", first + place),
                        "scopes": ["files:read", "files:write"],
                    });
                    let token = owner.post("/user/keys", &body).expect(201).string("token");
                    sender
                        .send(token)
                        .expect("the writer of FILE lives as long as we do");
                }
            });
        }
        drop(sender);
        for token in tokens {
            writeln!(file, "{token}").expect("writing FILE");
        }
    });
}
