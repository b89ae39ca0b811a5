//! `neuromesh plugins`.

use std::{fs, path::PathBuf};

use clap::Subcommand;
use neuromesh::Digest;
use serde_json::json;

use super::{Failure, Out};
use crate::plugins;

#[derive(Debug, Subcommand)]
pub(super) enum PluginsCommand {
    /// Make a component of a core module built for wasm32-unknown-unknown
    Pack {
        /// The module, as cargo leaves it
        #[arg(value_name = "IN.wasm")]
        input: PathBuf,
        /// Where to put the component
        #[arg(short, long, value_name = "OUT.wasm")]
        output: PathBuf,
    },
}

pub(super) fn execute(command: &PluginsCommand, out: Out) -> Result<(), Failure> {
    let PluginsCommand::Pack { input, output } = command;
    let module = fs::read(input).map_err(|error| Failure::other(format!("{}: {error}", input.display())))?;
    let invalid = |error| Failure::new("ModelInvalid", format!("{} {error}", input.display()));
    let component = plugins::pack(&module).map_err(invalid)?;
    fs::write(output, &component).map_err(|error| Failure::other(format!("{}: {error}", output.display())))?;
    let digest = Digest::of(&component);
    out.print(&json!({"output": output, "digest": digest, "size": component.len()}), || {
        format!("{}: {} bytes, digest {digest}", output.display(), component.len())
    });
    Ok(())
}
