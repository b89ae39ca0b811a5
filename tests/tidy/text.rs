//! What no file may contain.

use neuromesh_tests::project_files;

use super::none;

/// Left-overs in code; written in two halves, so that this file does not hold them.
const LEFT_OVERS: [&str; 6] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("#[ig", "nore]"),
];

/// Paths of the machine that somebody works on.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("C:", "\\Users"),
];

const CODE: [&str; 8] = [".rs", ".ts", ".tsx", ".js", ".mjs", ".py", ".css", ".html"];

#[test]
fn nothing_is_left_over() {
    let mut findings = Vec::new();
    for file in project_files() {
        if !CODE.iter().any(|extension| file.path.ends_with(extension)) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            for word in LEFT_OVERS.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    none("left-overs", findings);
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let mut findings = Vec::new();
    for file in project_files() {
        if file.path.ends_with(".lock") || file.path.ends_with("package-lock.json") {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            for path in MACHINE_PATHS.iter().filter(|path| line.contains(**path)) {
                findings.push(format!("{}:{}: {path}", file.path, number + 1));
            }
        }
    }
    none("paths of a machine", findings);
}

#[test]
fn lines_end_cleanly() {
    let mut findings = Vec::new();
    for file in project_files() {
        let checked = CODE.iter().any(|extension| file.path.ends_with(extension)) || file.path.ends_with(".md");
        if !checked || file.text.is_empty() {
            continue;
        }
        if file.text.contains('\r') {
            findings.push(format!("{}: carriage returns", file.path));
        }
        if !file.text.ends_with('\n') {
            findings.push(format!("{}: no newline at the end", file.path));
        }
        let trailing = file.text.lines().position(|line| line.ends_with([' ', '\t']));
        findings.extend(trailing.map(|index| format!("{}:{}: trailing space", file.path, index + 1)));
    }
    none("lines", findings);
}
