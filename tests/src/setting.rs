//! The environment that steers the tests: read here and nowhere else.

use std::path::PathBuf;

/// The value of an environment variable, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own settings; the product reads none of them"
)]
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The number in an environment variable, or `default` when it is not set.
pub fn number(name: &str, default: u64) -> u64 {
    text(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is to be a whole number, not `{value}`"))
    })
}

/// The binary under test: `KEYLEDGER_BIN`, or `release/keyledger` in cargo's target folder.
pub fn binary() -> PathBuf {
    if let Some(path) = text("KEYLEDGER_BIN") {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "KEYLEDGER_BIN names no file: {}",
            path.display()
        );
        return path;
    }
    let target = text("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")),
        PathBuf::from,
    );
    let path = target.join("release/keyledger");
    assert!(
        path.is_file(),
        "no binary at {}: run `scripts/test`, which builds it (or `cargo build --release -p keyledger`)",
        path.display()
    );
    path
}
