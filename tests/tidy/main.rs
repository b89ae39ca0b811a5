//! The project's rules. Each test reads every file and reports all that break its rule.

mod arrows;
mod core;
mod layout;
mod platform;
mod text;

use neuromesh_tests::{SourceFile, project_files};

/// The files whose name ends in one of `extensions`.
fn files_with(extensions: &[&str]) -> Vec<SourceFile> {
    let ends = |file: &SourceFile| extensions.iter().any(|extension| file.path.ends_with(extension));
    project_files().into_iter().filter(ends).collect()
}

/// Fails with one line per finding.
fn none(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}
