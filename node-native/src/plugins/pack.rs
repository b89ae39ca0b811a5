//! From a core module to a component.

use wit_component::ComponentEncoder;

/// What every plugin exports.
const ENTRY: &str = "run";

/// A module cannot be made a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot be packed: {0}. The input is the core module of a crate that uses wit-bindgen with the world \
     neuromesh:plugin/pipeline@0.1.0, built for wasm32-unknown-unknown"
)]
pub struct PackError(String);

/// Makes the component of a core module that carries its world in a custom section, as wit-bindgen writes it.
/// Bytes in, bytes out: the same module gives the same component.
///
/// # Errors
/// Not such a module, or one that imports what no host offers.
pub fn pack(module: &[u8]) -> Result<Vec<u8>, PackError> {
    let failed = |error: &dyn std::fmt::Display| PackError(error.to_string());
    let mut encoder =
        ComponentEncoder::default().module(module).map_err(|error| failed(&format!("{error:#}")))?.validate(true);
    let component = encoder.encode().map_err(|error| failed(&format!("{error:#}")))?;
    let decoded = wit_component::decode(&component).map_err(|error| failed(&format!("{error:#}")))?;
    let resolve = decoded.resolve();
    let exports = |name: &str| {
        resolve.worlds.iter().any(|(_, world)| world.exports.keys().any(|key| resolve.name_world_key(key) == name))
    };
    if exports(ENTRY) { Ok(component) } else { Err(failed(&format!("it does not export `{ENTRY}`"))) }
}
