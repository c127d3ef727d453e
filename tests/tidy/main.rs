//! House rules as an ordinary test: the layers, and the words that hide what a room is for.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the checkout can be read")
        .to_path_buf()
}

/// The names of the normal and build dependencies in a crate's manifest.
fn dependencies(krate: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("crates").join(krate).join("Cargo.toml"))
        .expect("the checkout can be read");
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = matches!(line, "[dependencies]" | "[build-dependencies]");
        } else if inside && let Some(name) = line.split(['.', '=', ' ']).next() {
            names.push(name.to_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the checkout can be read") {
            let path = entry.expect("the checkout can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("crates"), &mut found);
    walk(&root().join("tests"), &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Goal: an arrow upwards, or a framework in the wrong crate, fails here and says why.
#[test]
fn dependencies_run_downwards_only() {
    let forbidden: [(&str, &[&str]); 4] = [
        (
            "domain",
            &[
                "keyledger-ledger",
                "keyledger-api",
                "keyledger",
                "tokio",
                "actix-web",
                "sled",
                "bincode",
                "ring",
                "serde_json",
            ],
        ),
        (
            "ledger",
            &[
                "keyledger-api",
                "keyledger",
                "actix-web",
                "serde_json",
                "chrono",
            ],
        ),
        ("api", &["keyledger", "sled", "bincode"]),
        ("keyledger", &["sled", "bincode", "actix-web"]),
    ];
    for (krate, names) in forbidden {
        let has = dependencies(krate);
        assert!(!has.is_empty(), "no dependencies were read for {krate}");
        for name in names {
            assert!(
                !has.iter().any(|own| own == name),
                "{krate} must not know {name}: see ARCHITECTURE.md"
            );
        }
    }
}

/// Goal: the domain crate asks nobody for the time, for randomness or for the disk.
#[test]
fn the_domain_is_pure() {
    let pure = root().join("crates/domain/src");
    for path in sources().iter().filter(|path| path.starts_with(&pure)) {
        let text = fs::read_to_string(path).expect("the checkout can be read");
        for word in [
            "std::fs",
            "std::net::Tcp",
            "std::time",
            "std::env",
            "std::thread",
            "std::process",
        ] {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn no_room_has_a_name_that_says_nothing() {
    for path in sources() {
        let stem = path
            .file_stem()
            .expect("the checkout can be read")
            .to_string_lossy()
            .into_owned();
        for word in ["util", "utils", "common", "manager", "helpers", "misc"] {
            assert_ne!(
                stem,
                word,
                "{} says nothing of what is in it",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["todo", "!("],
        ["#[ign", "ore"],
        ["unimpl", "emented!("],
    ];
    for path in sources() {
        let text = fs::read_to_string(&path).expect("the checkout can be read");
        for word in words.map(|halves| halves.concat()) {
            assert!(!text.contains(&word), "{} has {word}", path.display());
        }
    }
}

/// Goal: who meets a test named after an attack finds what the attack is.
#[test]
fn attacks_that_tests_are_named_after_are_explained() {
    let page = fs::read_to_string(root().join("tests/ATTACKS.md")).expect("the page");
    let (attacks, _) = page
        .split_once("\n## Promises")
        .expect("a section behind the attacks");
    let mut found = 0;
    for source in sources() {
        let text = fs::read_to_string(&source).expect("the checkout can be read");
        for name in text.split("fn n").skip(1) {
            let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
            let Ok(number) = digits.parse::<u32>() else {
                continue;
            };
            if name[digits.len()..].starts_with('_') {
                found += 1;
                let row = format!("\n| {number} |");
                assert!(attacks.contains(&row), "{}: n{number}", source.display());
            }
        }
    }
    assert!(found > 100, "only {found} such tests were found");
}
