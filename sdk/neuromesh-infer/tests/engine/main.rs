//! The engine against ONNX Runtime's answers, bad models, hostile bytes, real models, and tokenizers against the reference.

mod allocation;
mod audio;
mod conformance;
mod device;
mod flatness;
mod functions;
mod generation;
#[cfg(feature = "wgpu")]
mod gpu;
mod hostile;
mod loading;
mod models;
mod operators;
mod reference;
mod rewrites;
mod runs;
mod text;
mod vision;
