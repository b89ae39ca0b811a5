//! What a node costs.

use super::Sketch;
use crate::graph::Node;

/// The multiply-adds of a node; zero for operators that only move or map elements, `None` where sizes are unknown.
pub(crate) fn multiply_adds(node: &Node, inputs: &[Option<&Sketch>], outputs: &[&Sketch]) -> Option<u64> {
    let sizes = |at: usize| inputs.get(at).copied().flatten().and_then(Sketch::sizes);
    let count = |sizes: Vec<usize>| sizes.into_iter().try_fold(1u64, |product, size| product.checked_mul(size as u64));
    let output = || outputs.first().and_then(|sketch| sketch.sizes()).and_then(count);
    let weights = |at: usize| sizes(at).filter(|sizes| !sizes.is_empty());
    match node.op.name() {
        "MatMul" | "MatMulInteger" | "QLinearMatMul" => output()?.checked_mul(*sizes(0)?.last()? as u64),
        "Gemm" => {
            let turned = node.attributes.flag("transA", false).ok()?;
            output()?.checked_mul(*sizes(0)?.get(usize::from(!turned))? as u64)
        }
        "Conv" | "ConvInteger" => output()?.checked_mul(count(weights(1)?[1..].to_vec())?),
        "QLinearConv" => output()?.checked_mul(count(weights(3)?[1..].to_vec())?),
        "ConvTranspose" => count(sizes(0)?)?.checked_mul(count(weights(1)?[1..].to_vec())?),
        "LSTM" | "GRU" | "RNN" => {
            let x = sizes(0).filter(|x| x.len() == 3)?;
            let steps = (x[0] as u64).checked_mul(x[1] as u64)?;
            steps.checked_mul(count(sizes(1)?)?.checked_add(count(sizes(2)?)?)?)
        }
        // What they take is not told by their shapes alone.
        "Attention" | "Einsum" | "DeformConv" | "If" | "Loop" | "Scan" => None,
        _ => Some(0),
    }
}
