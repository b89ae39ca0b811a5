//! The tensor backend that models run on: the only place that names one.
//!
//! Everything else is generic over [`burn_backend::Backend`], so that another backend (a GPU's, or one with our own kernels
//! in front of this one) is a change of this module.

/// Burn's portable CPU backend; its SIMD kernels exist for WASM too.
pub(crate) type Engine = burn_flex::Flex;
