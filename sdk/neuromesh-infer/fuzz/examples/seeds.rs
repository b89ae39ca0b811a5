//! Writes a corpus: `seeds FOLDER FIXTURES...` puts the model of each small case of the fixtures into the folder.

use std::{env, fs, path::PathBuf};

use neuromesh_infer::conformance::Fixture;

/// Larger models make slow cases, and what they exercise stands in smaller ones.
const MAX_BYTES: usize = 8 << 10;

fn main() {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().expect("usage: seeds FOLDER FIXTURES...");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let mut count = 0;
    for path in arguments {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in Fixture::read_all(&bytes).expect("well-formed fixtures") {
            if (1..=MAX_BYTES).contains(&case.model.len()) {
                fs::write(folder.join(format!("seed-{count:05}")), &case.model).expect("written");
                count += 1;
            }
        }
    }
    println!("{count} seeds in {}", folder.display());
}
