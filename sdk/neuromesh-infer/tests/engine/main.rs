//! The engine against ONNX Runtime's answers, bad models, and real models.

mod conformance;
mod models;
