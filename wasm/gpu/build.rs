//! The linker would otherwise run all constructors at every call into the module; exported, they are run once, by whoever loads it.

fn main() {
    println!("cargo:rustc-link-arg-cdylib=--export=__wasm_call_ctors");
    println!("cargo:rerun-if-changed=build.rs");
}
