//! What lies where, and under which name.

use std::collections::BTreeSet;

use neuromesh_tests::project_files;

use super::{files_with, none};

/// The top level is fixed.
const TOP_LEVEL: [&str; 17] = [
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "README.md",
    "demo-web",
    "js",
    "node-native",
    "sdk",
    "tests",
    "wasm",
    // Configuration that its tool looks for here under a visible name.
    "clippy.toml deny.toml rustfmt.toml",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] =
    ["utils", "util", "helpers", "helper", "common", "manager", "misc", "shared", "lib2", "stuff"];

/// A file longer than this is two files.
const MAX_LINES: usize = 700;

#[test]
fn the_top_level_is_fixed() {
    let allowed: BTreeSet<&str> = TOP_LEVEL.iter().flat_map(|names| names.split(' ')).collect();
    let found: BTreeSet<String> =
        project_files().iter().map(|file| file.path.split('/').next().unwrap_or_default().to_owned()).collect();
    let extra = found.iter().filter(|name| !name.starts_with('.') && !allowed.contains(name.as_str()));
    none("these do not belong at the top level", extra.cloned().collect());
}

#[test]
fn files_are_short() {
    let code = files_with(&[".rs", ".ts", ".tsx", ".mjs", ".js", ".css", ".py", ".sh"]);
    let long = code.iter().filter(|file| file.text.lines().count() > MAX_LINES);
    let describe = |file: &neuromesh_tests::SourceFile| format!("{}: {} lines", file.path, file.text.lines().count());
    none(&format!("files of more than {MAX_LINES} lines"), long.map(describe).collect());
}

#[test]
fn modules_are_named_after_what_they_hold() {
    let mut findings = Vec::new();
    for file in files_with(&[".rs", ".ts", ".tsx", ".mjs"]) {
        let parts: Vec<&str> = file.path.split('/').collect();
        for part in &parts {
            let stem = part.split('.').next().unwrap_or(part);
            if EMPTY_NAMES.contains(&stem) {
                findings.push(format!("{}: `{stem}` says nothing", file.path));
            }
        }
        if parts.last() == Some(&"mod.rs") {
            findings.push(format!("{}: a module `foo` is `foo.rs`, its parts lie in `foo/`", file.path));
        }
        // sdk/x/src/a/b/c.rs is the deepest.
        if let Some(src) = parts.iter().position(|part| *part == "src")
            && file.path.ends_with(".rs")
            && parts.len() - src - 2 > 2
        {
            findings.push(format!("{}: more than two folders below src", file.path));
        }
    }
    none("names of modules", findings);
}

#[test]
fn packages_take_the_workspace_lints() {
    let mut findings = Vec::new();
    for file in files_with(&["Cargo.toml"]) {
        // Bindings that are generated for a plugin are outside what the lints can ask for; a workspace of its own has none.
        let exempt = file.path == "Cargo.toml"
            || file.path.starts_with("node-native/plugins/")
            || file.text.lines().any(|line| line == "[workspace]");
        let lints = file.text.split("[lints]").nth(1).unwrap_or_default();
        if !exempt && !lints.trim_start().starts_with("workspace = true") {
            findings.push(file.path);
        }
    }
    none("packages without `[lints] workspace = true`", findings);
}

#[test]
fn the_map_stays_short() {
    let map = project_files().into_iter().find(|file| file.path == "ARCHITECTURE.md");
    let lines = map.map_or(0, |file| file.text.lines().count());
    assert!(lines <= 130, "ARCHITECTURE.md has {lines} lines, more than 130: nobody reads a long map");
}
