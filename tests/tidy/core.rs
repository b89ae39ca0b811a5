//! What the core must not touch: it decides, others act.

use super::{files_with, none};

/// A word that may not occur, and what to do instead.
const FORBIDDEN: [(&str, &str); 15] = [
    ("Instant", "take a `Timestamp` as an argument"),
    ("SystemTime", "take a `Timestamp` as an argument"),
    ("async", "return an effect as an output"),
    ("await", "return an effect as an output"),
    ("tokio", "return an effect as an output"),
    ("futures", "return an effect as an output"),
    ("libp2p", "name peers by `PeerId`"),
    ("HashMap", "a seed must replay: use a BTreeMap"),
    ("HashSet", "a seed must replay: use a BTreeSet"),
    ("thread", "return an effect as an output"),
    ("thread_rng", "take the seeded generator of the machine"),
    ("thread_local", "no globals"),
    ("println", "use tracing"),
    ("eprintln", "use tracing"),
    ("process", "return an effect as an output"),
];

/// Paths of the standard library that do input or output.
const FORBIDDEN_PATHS: [&str; 5] = ["std::fs", "std::net", "std::env", "std::io", "std::time::Instant"];

/// The code of a line: what stands before a comment, without string literals.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

#[test]
fn the_core_has_no_clock_no_thread_no_socket() {
    let mut findings = Vec::new();
    let mut seen = 0;
    for file in files_with(&[".rs"]) {
        if !file.path.starts_with("sdk/neuromesh-core/src/") {
            continue;
        }
        seen += 1;
        // Its tests take the number of seeds from the environment, and print the one that failed.
        let test = file.path.ends_with("tests.rs") || file.path.contains("/tests/");
        for (number, line) in file.text.lines().enumerate() {
            let code = code(line);
            let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for (word, instead) in FORBIDDEN {
                if words.contains(&word) && !(test && word.ends_with("println")) {
                    findings.push(format!("{}:{}: `{word}`: {instead}", file.path, number + 1));
                }
            }
            for path in FORBIDDEN_PATHS {
                if code.contains(path) && !(test && ["std::env", "std::io"].contains(&path)) {
                    findings.push(format!("{}:{}: `{path}`: return an effect as an output", file.path, number + 1));
                }
            }
        }
    }
    none("neuromesh-core decides and does nothing else", findings);
    assert!(seen > 0, "the core has moved");
}
