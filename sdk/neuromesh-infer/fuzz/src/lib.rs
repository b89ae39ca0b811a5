//! What the targets share: bounds, a run with invented inputs, and mutations that know protobuf.
//!
//! A seed of the corpus is a model file as it is. `seeds` writes the corpus: ONNX's node tests and the operators' fixtures.

mod tree;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use neuromesh_infer::{Data, DataType, Dim, IoSpec, Limits, Loader, Model, Options, Tensor};

pub use tree::mutate;

/// Small, so that a case takes milliseconds and whatever escapes its bounds shows.
pub fn limits() -> Limits {
    Limits { memory: 4 << 20, nodes: 500, work: 1 << 20, steps: 300 }
}

/// Checks, folds and plans a file; nothing else may come of it than a model or an error.
pub fn load(bytes: &[u8]) -> Option<Arc<Model>> {
    Model::load(Bytes::copy_from_slice(bytes), &limits()).ok().map(Arc::new)
}

/// What becomes of a file must not depend on the pieces in which it arrives, nor on those of the files that it names.
pub fn in_pieces(bytes: &[u8]) {
    let beside: Vec<u8> = (0..=255).collect();
    let arrive = |piece: usize| {
        let mut loader = Loader::new(Options { limits: limits(), ..Options::default() }, bytes.len() as u64);
        bytes.chunks(piece).try_for_each(|piece| loader.push(piece))?;
        for name in loader.outside()? {
            loader.begin(&name, beside.len() as u64)?;
            beside.chunks(piece).try_for_each(|piece| loader.push(piece))?;
        }
        loader.finish()
    };
    let describe = |model: Model| {
        let facts = (model.inputs().to_vec(), model.outputs().to_vec(), model.weight_bytes(), model.steps());
        format!("{facts:?}")
    };
    let whole = arrive(1 << 20).map(describe);
    let piece = 1 + bytes.first().map_or(0, |byte| usize::from(*byte) % 13);
    assert_eq!(whole, arrive(piece).map(describe), "pieces of {piece}");
    // To look is never more dangerous than to load.
    let mut loader = Loader::new(Options { limits: limits(), ..Options::default() }, bytes.len() as u64);
    if loader.push(bytes).is_ok() {
        let _ = neuromesh_infer::inspect::inspect(loader, &BTreeMap::new());
    }
}

/// Runs a model on inputs of the shapes that it declares; `size` stands for what it leaves free.
pub fn run(model: &Arc<Model>, size: usize) {
    let inputs = model.inputs().iter().map(|spec| (spec.name.clone(), invent(spec, size))).collect();
    let first = model.run(inputs);
    if let Ok(first) = first {
        // The second run follows the plan that the first one left.
        let inputs = model.inputs().iter().map(|spec| (spec.name.clone(), invent(spec, size))).collect();
        let second = model.run(inputs).expect("what ran once runs again");
        assert!(same(&first, &second), "two runs differ");
    }
}

/// Equality that takes a half's NaN for itself.
fn same(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> bool {
    let bits = |tensor: &Tensor| match &tensor.data {
        Data::F32(data) => data.iter().map(|value| u64::from(value.to_bits())).collect::<Vec<_>>(),
        Data::F16(data) => data.iter().map(|value| if value.is_nan() { 1 << 20 } else { value.to_bits().into() }).collect(),
        Data::I64(data) => data.iter().map(|value| value.cast_unsigned()).collect(),
        Data::I32(data) => data.iter().map(|value| value.cast_unsigned().into()).collect(),
        Data::U8(data) => data.iter().map(|&value| value.into()).collect(),
        Data::I8(data) => data.iter().map(|value| value.cast_unsigned().into()).collect(),
        Data::Bool(data) => data.iter().map(|&value| value.into()).collect(),
    };
    a.len() == b.len() && a.iter().zip(b).all(|((_, a), (_, b))| a.shape == b.shape && bits(a) == bits(b))
}

fn invent(spec: &IoSpec, size: usize) -> Tensor {
    let sizes = spec.shape.iter().flatten().map(|dim| if let Dim::Fixed(size) = dim { *size } else { size });
    let mut shape: Vec<usize> = sizes.collect();
    let mut count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).unwrap_or(usize::MAX);
    if count > 1 << 14 {
        (shape, count) = (vec![1], 1);
    }
    let ramp = 0..count;
    let data = match spec.data_type {
        DataType::F32 => Data::F32(ramp.map(|at| at as f32 * 0.25 - 1.0).collect()),
        DataType::F16 => Data::F16(ramp.map(|at| half::f16::from_f32(at as f32 * 0.25 - 1.0)).collect()),
        DataType::I64 => Data::I64(ramp.map(|at| at as i64 % 5 - 1).collect()),
        DataType::I32 => Data::I32(ramp.map(|at| at as i32 % 5 - 1).collect()),
        DataType::U8 => Data::U8(ramp.map(|at| at as u8).collect()),
        DataType::I8 => Data::I8(ramp.map(|at| at as i8).collect()),
        DataType::Bool => Data::Bool(ramp.map(|at| at % 2 == 0).collect()),
    };
    Tensor { shape, data }
}
