//! Tests of the whole system and of the project itself.
//!
//! - `tidy/`: the project's rules as tests over the files that git knows: arrows between packages, where a platform
//!   `cfg` may stand, what the core must not touch, what lies at the top level, names, sizes.
//! - `e2e/`: real browsers against real nodes, in a network namespace of their own.
//! - `bench/`: what `make bench` measures, and against what.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A file of the project.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path from the top level, with `/`.
    pub path: String,
    /// Its content; empty when it is not text.
    pub text: String,
}

/// The top level of the clone.
pub fn top_level() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies one folder below the top level").to_owned()
}

/// Every file that git tracks or would track, ordered by path. Vendored code keeps its own style and is left out.
///
/// # Panics
/// Outside a git clone: the rules are about what is committed.
pub fn project_files() -> Vec<SourceFile> {
    let root = top_level();
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(&root)
        .output()
        .expect("git is needed: the rules are about the files that it lists");
    assert!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut paths: Vec<String> =
        String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| !path.starts_with("sdk/vendor/") && root.join(path).is_file())
        .map(|path| SourceFile { text: std::fs::read_to_string(root.join(&path)).unwrap_or_default(), path })
        .collect()
}
