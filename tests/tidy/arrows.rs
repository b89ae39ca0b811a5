//! What each package may depend on. Arrows: demo-web -> js -> wasm -> neuromesh -> {core, infer}; node-native ->
//! neuromesh; tests -> all. Nothing points back.

use std::collections::BTreeSet;

use neuromesh_tests::top_level;
use toml::{Table, Value};

use super::{files_with, none};

/// Folder, the packages of ours it may depend on, and the packages of others that it never may.
const RULES: [(&str, &[&str], &[&str]); 12] = [
    ("sdk/neuromesh-core", &[], &[]),
    ("sdk/neuromesh-core/fuzz", &["neuromesh-core"], &["tokio", "libp2p"]),
    ("sdk/neuromesh-infer", &[], &["libp2p", "tokio", "wasmtime"]),
    ("sdk/neuromesh-infer/fuzz", &["neuromesh-infer"], &["tokio", "libp2p"]),
    ("sdk/neuromesh", &["neuromesh-core", "neuromesh-infer"], &["wasmtime", "axum"]),
    ("node-native", &["neuromesh", "neuromesh-plugin-magika"], &["wasm-bindgen", "web-sys"]),
    ("node-native/plugins/magika", &[], &["tokio", "libp2p", "wasmtime"]),
    ("wasm", &["neuromesh"], &["wasmtime", "libp2p"]),
    ("wasm/gpu", &["neuromesh-wasm"], &["tokio", "libp2p"]),
    ("tests/bench/peers", &[], &["tokio", "libp2p"]),
    ("tests/exact", &["neuromesh-infer"], &["tokio", "libp2p"]),
    ("tests", &["neuromesh", "neuromesh-core", "neuromesh-infer", "neuromesh-node"], &[]),
];

/// All that the core may be built from.
const CORE: [&str; 18] = [
    "automerge",
    // The text of tokens for rooms.
    "base64",
    "blake3",
    "bs58",
    "ed25519-dalek",
    // Bounds on what a peer's sync messages unpack to, before samod and automerge unpack them.
    "flate2",
    "foca",
    "hex",
    "minicbor",
    "postcard",
    "rand",
    "rand_chacha",
    "samod-core",
    "serde",
    "serde_bytes",
    "serde_json",
    "thiserror",
    "tracing",
];

fn dependencies(manifest: &Table, sections: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |table: &Table| {
        for section in sections {
            names.extend(
                table.get(*section).and_then(Value::as_table).into_iter().flatten().map(|(name, _)| name.clone()),
            );
        }
    };
    add(manifest);
    let targets = manifest.get("target").and_then(Value::as_table);
    targets.into_iter().flatten().filter_map(|(_, table)| table.as_table()).for_each(&mut add);
    names
}

#[test]
fn packages_point_only_where_they_may() {
    let mut findings = Vec::new();
    let mut seen = 0;
    for file in files_with(&["Cargo.toml"]) {
        if file.path == "Cargo.toml" {
            continue;
        }
        let folder = file.path.trim_end_matches("/Cargo.toml");
        let Some((_, ours, never)) = RULES.iter().find(|(name, ..)| *name == folder) else {
            findings.push(format!("{}: a package that has no rule; add one here and to ARCHITECTURE.md", file.path));
            continue;
        };
        seen += 1;
        let manifest: Table = file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path));
        for name in dependencies(&manifest, &["dependencies", "build-dependencies"]) {
            if name.starts_with("neuromesh") && !ours.contains(&name.as_str()) {
                findings.push(format!("{}: may not depend on {name}", file.path));
            }
            if never.contains(&name.as_str()) {
                findings.push(format!("{}: may never depend on {name}", file.path));
            }
            if folder == "sdk/neuromesh-core" && !CORE.contains(&name.as_str()) {
                findings.push(format!("{}: {name} is not among what the core may be built from", file.path));
            }
        }
    }
    none("arrows between packages", findings);
    assert_eq!(seen, RULES.len(), "a package of the rules is gone");
}

#[test]
fn the_demo_has_no_private_door() {
    let mut findings = Vec::new();
    for (folder, allowed) in [("js", &[][..]), ("demo-web", &["neuromesh", "preact"][..])] {
        let Ok(text) = std::fs::read_to_string(top_level().join(folder).join("package.json")) else { continue };
        let package: serde_json::Value = serde_json::from_str(&text).expect("package.json is JSON");
        for (name, _) in package["dependencies"].as_object().into_iter().flatten() {
            if !allowed.contains(&name.as_str()) {
                findings.push(format!("{folder}/package.json: depends on {name} at run time"));
            }
        }
    }
    for file in files_with(&[".ts", ".tsx"]).iter().filter(|file| file.path.starts_with("demo-web/")) {
        for (number, line) in file.text.lines().enumerate() {
            if line.contains("from \"../../js") || line.contains("from '../../js") || line.contains("neuromesh/src") {
                findings.push(format!("{}:{}: reaches past the npm package", file.path, number + 1));
            }
        }
    }
    none("the demo uses the npm package only, the npm package brings everything with it", findings);
}

#[test]
fn wasm_bindgen_and_its_cli_have_one_version() {
    let setup = std::fs::read_to_string(top_level().join(".ci/setup/setup")).unwrap();
    for (lock, variable) in [("Cargo.lock", "WASM_BINDGEN="), ("wasm/gpu/Cargo.lock", "WASM_BINDGEN_GPU=")] {
        let lock: Table = std::fs::read_to_string(top_level().join(lock)).unwrap().parse().unwrap();
        let mut packages = lock["package"].as_array().expect("a lock file has packages").iter();
        let locked = packages.find(|package| package["name"].as_str() == Some("wasm-bindgen")).expect("it is locked");
        let installed = setup.lines().find_map(|line| line.strip_prefix(variable)).expect("the set-up installs it");
        assert_eq!(locked["version"].as_str(), installed.split_whitespace().next(), "{variable}");
    }
}
