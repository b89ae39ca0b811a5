//! The command `neuromesh`.

use std::process::ExitCode;

fn main() -> ExitCode {
    neuromesh_node::cli::main()
}
