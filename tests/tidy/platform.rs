//! Where a platform may be asked for: on `mod` lines and re-exports of five files, and in manifests.

use super::{files_with, none};

/// Each chooses between sibling files with one signature.
const SWITCHES: [&str; 5] = [
    "sdk/neuromesh/src/transport.rs",
    "sdk/neuromesh/src/storage.rs",
    "sdk/neuromesh/src/platform.rs",
    "sdk/neuromesh-infer/src/kernels/cpu.rs",
    "sdk/neuromesh-infer/src/kernels/simd.rs",
];

fn is_switch(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    line.starts_with("mod ") || line.starts_with("use ")
}

/// The lines of a file, an attribute that spans several in one; those that follow it stay, empty, so that numbers agree.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = None;
    for line in text.lines() {
        let start = *open.get_or_insert(lines.len());
        lines.push(if start == lines.len() { line.to_owned() } else { "#".to_owned() });
        if start + 1 < lines.len() {
            lines[start].push_str(line);
        }
        let whole = &lines[start];
        let is_attribute = whole.trim_start().starts_with("#[");
        let balanced = whole.matches('[').count() <= whole.matches(']').count();
        if !is_attribute || balanced {
            open = None;
        }
    }
    lines
}

#[test]
fn platform_cfg_stands_only_on_module_lines() {
    let mut findings = Vec::new();
    for file in files_with(&[".rs"]) {
        // A test may be for one target, or choose its attribute by it; what is tested may not.
        if file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("tests.rs") {
            continue;
        }
        let lines = logical_lines(&file.text);
        for (index, line) in lines.iter().enumerate() {
            let asks = ["target_arch", "target_family", "target_os"].iter().any(|key| line.contains(key));
            if !asks || line.trim_start().starts_with("//") {
                continue;
            }
            // Attributes and comments may stand between the cfg and its line.
            let governed = lines[index + 1..]
                .iter()
                .find(|next| !next.trim_start().starts_with('#') && !next.trim_start().starts_with("//"))
                .map(String::as_str)
                .unwrap_or_default();
            if !SWITCHES.contains(&file.path.as_str()) {
                findings.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            } else if !is_switch(governed) {
                findings.push(format!(
                    "{}:{}: governs `{}`, not a `mod` or `use`",
                    file.path,
                    index + 1,
                    governed.trim()
                ));
            }
        }
    }
    none(&format!("a platform difference is two sibling files, chosen in one of {SWITCHES:?}"), findings);
}
