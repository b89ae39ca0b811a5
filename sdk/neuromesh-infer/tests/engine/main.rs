//! The engine against ONNX Runtime's answers, bad models, hostile bytes, and real models.

mod allocation;
mod conformance;
mod device;
mod flatness;
mod functions;
mod hostile;
mod loading;
mod models;
mod operators;
mod reference;
mod rewrites;
mod runs;
