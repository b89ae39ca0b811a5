//! Attention in one operator, as rewriting finds it: each head's scores stay in a near cache.

use super::Matrix;
use crate::{
    DataType, Fault,
    kernels::{
        gemm::{self, Epilogue, Left, MatrixRef, Right},
        softmax::{self, Scores},
    },
    ops::{
        call::{self, Call, Outputs},
        matrix, movement, normalize,
    },
    shape::{broadcast, broadcast_strides},
    value::Value,
};

/// How the operands lie; the attributes of these names say it.
pub(crate) const QUERY: &str = "query";
pub(crate) const KEY: &str = "key";
pub(crate) const VALUE: &str = "value";
pub(crate) const RESULT: &str = "result";
/// As the products take them: `[batch, heads, rows, columns]`.
pub(crate) const PLAIN: i64 = 0;
/// `[batch, heads, length, size]`, where the product takes the transpose: only keys.
pub(crate) const HEADS_FIRST: i64 = 1;
/// `[batch, length, heads, size]`.
pub(crate) const LENGTH_FIRST: i64 = 2;

/// Rows of scores up to which values are read where they lie.
const FEW_ROWS: usize = 4;

/// `softmax(Q · K * scale + mask) · V`: operands Q, K, V and, if it is there, the mask.
pub(super) fn attention(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    for input in 0..call.inputs.len() {
        call.expect(input, DataType::F32)?;
    }
    match sizes(call)? {
        Some(sizes) => by_heads(call, sizes),
        None => piecewise(call),
    }
}

/// Queries, keys and values of the same heads.
struct Sizes {
    batch: usize,
    heads: usize,
    rows: usize,
    length: usize,
    /// Of a query and a key, and of a value.
    size: usize,
    width: usize,
}

fn layout(call: &Call<'_>, name: &str) -> Result<i64, Fault> {
    Ok(call.attributes().int(name)?.unwrap_or(PLAIN))
}

/// Batch, heads, and rows and columns as the product takes them.
fn dimensions(shape: &[usize], layout: i64, transposed: bool) -> Option<[usize; 4]> {
    let &[batch, second, third, fourth] = shape else {
        return None;
    };
    Some(match (layout, transposed) {
        (LENGTH_FIRST, false) => [batch, third, second, fourth],
        (LENGTH_FIRST, true) => [batch, third, fourth, second],
        (HEADS_FIRST, true) => [batch, second, fourth, third],
        _ => [batch, second, third, fourth],
    })
}

/// None, where something has to be repeated.
fn sizes(call: &Call<'_>) -> Result<Option<Sizes>, Fault> {
    let of = |input: usize, name: &str| -> Result<Option<[usize; 4]>, Fault> {
        Ok(dimensions(&call.shape(input)?, layout(call, name)?, name == KEY))
    };
    let (Some(q), Some(k), Some(v)) = (of(0, QUERY)?, of(1, KEY)?, of(2, VALUE)?) else {
        return Ok(None);
    };
    let [batch, heads, rows, size] = q;
    let [_, _, length, width] = v;
    if k != [batch, heads, size, length] || v[..2] != [batch, heads] || [size, length, width].contains(&0) {
        return Ok(None);
    }
    if call.has(3) {
        let (mask, scores) = (call.shape(3)?, [batch, heads, rows, length]);
        if mask.last() != Some(&length) || !matches!(broadcast(&scores, &mask), Ok(both) if both[..] == scores) {
            return Ok(None);
        }
    }
    Ok(Some(Sizes { batch, heads, rows, length, size, width }))
}

/// Where the matrix of a head lies, which has so many rows of so many numbers in memory.
fn head<'a>(data: &'a [f32], layout: i64, sizes: &Sizes, [rows, columns]: [usize; 2], at: [usize; 2]) -> Matrix<'a> {
    let [batch, head] = at;
    let (start, row) = match layout {
        LENGTH_FIRST => ((batch * rows * sizes.heads + head) * columns, sizes.heads * columns),
        _ => ((batch * sizes.heads + head) * rows * columns, columns),
    };
    Matrix { data: &data[start.min(data.len())..], row, column: 1 }
}

fn by_heads(call: &mut Call<'_>, sizes: Sizes) -> Result<Outputs, Fault> {
    let Sizes { batch, heads, rows, length, size, width } = sizes;
    let scale = call.attributes().float("scale")?.unwrap_or(1.0);
    let layouts = [layout(call, QUERY)?, layout(call, KEY)?, layout(call, VALUE)?, layout(call, RESULT)?];
    let target = match layouts[3] {
        LENGTH_FIRST => [batch, rows, heads, width],
        _ => [batch, heads, rows, width],
    };
    let mut result = call.make(DataType::F32, target.as_slice())?;
    call.memory.check_work(&[batch, heads, rows, length, size.saturating_add(width)])?;
    if result.len() == 0 {
        return call::one(result);
    }
    let (cpu, few) = (call.cpu, rows <= FEW_ROWS);
    let mut scores = call.make(DataType::F32, [rows, length].as_slice())?;
    let panels = gemm::packed_len(cpu, size, length).max(gemm::packed_len(cpu, length, width));
    let mut panels = call.scratch(panels)?;
    let second = match few {
        true => {
            let rows_of = |columns| MatrixRef { data: &[], row_stride: columns, col_stride: 1 };
            let (a, b) = (Left::Matrix(rows_of(length)), Right::Rows { data: &[], row_stride: width });
            gemm::gemm_scratch(cpu, rows, width, length, &a, &b)
        }
        false => gemm::gemm_packed_scratch(cpu, rows, width, length),
    };
    let products = gemm::gemm_packed_scratch(cpu, rows, length, size).max(second);
    let mut scratch = call.scratch(products)?;
    let (queries, keys, values, masks) = (call.floats(0)?, call.floats(1)?, call.floats(2)?, call.optional_floats(3)?);
    let steps = match call.has(3) {
        true => broadcast_strides(&call.shape(3)?, &[batch, heads, rows, length]),
        false => Default::default(),
    };
    let plain = Epilogue::default();
    for index in 0..batch * heads {
        let at = [index / heads, index % heads];
        let scores = scores.raw_mut::<f32>();
        let key = match layouts[1] {
            PLAIN => head(keys, PLAIN, &sizes, [size, length], at),
            layout => head(keys, layout, &sizes, [length, size], at).transposed(),
        };
        let right = gemm::pack_b_into(cpu, key.data, size, length, key.row, key.column, panels.slice_mut());
        let query = left(head(queries, layouts[0], &sizes, [rows, size], at));
        let right = Right::Packed(right);
        gemm::gemm_with(cpu, rows, length, size, query, right, scores, length, &plain, scratch.slice_mut());

        let row_of = |row: usize| {
            let from = at[0] * steps[0] + at[1] * steps[1] + row * steps[2];
            &masks.unwrap_or_default()[from..from + length]
        };
        let how = Scores { scale, mask: if masks.is_some() { Some(&row_of) } else { None } };
        softmax::attention_softmax(cpu, scores, length, how);

        let value = head(values, layouts[2], &sizes, [length, width], at);
        let right = match few {
            true => Right::Rows { data: value.data, row_stride: value.row },
            false => {
                let panels = panels.slice_mut();
                Right::Packed(gemm::pack_b_into(cpu, value.data, length, width, value.row, value.column, panels))
            }
        };
        let weights = left(Matrix::rows(scores, length));
        let (start, row) = match layouts[3] {
            LENGTH_FIRST => ((at[0] * rows * heads + at[1]) * width, heads * width),
            _ => (index * rows * width, width),
        };
        let out = &mut result.raw_mut::<f32>()[start..];
        gemm::gemm_with(cpu, rows, width, length, weights, right, out, row, &plain, scratch.slice_mut());
    }
    call::one(result)
}

fn left(of: Matrix<'_>) -> Left<'_> {
    Left::Matrix(MatrixRef { data: of.data, row_stride: of.row, col_stride: of.column })
}

/// The operators that this one stands for, one after the other.
fn piecewise(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let turned = |call: &mut Call<'_>, input: usize, name: &str| -> Result<Value, Fault> {
        let order = match (layout(call, name)?, name) {
            (LENGTH_FIRST, KEY) => [0, 2, 3, 1],
            (LENGTH_FIRST, _) => [0, 2, 1, 3],
            (HEADS_FIRST, KEY) => [0, 1, 3, 2],
            _ => return call.take(input),
        };
        let value = call.take(input)?;
        match value.rank() {
            4 => movement::permute(call.memory, &value, &order),
            rank => Err(Fault::Shape(format!("operand {input} has {rank} dimensions; four are to be reordered"))),
        }
    };
    let (q, k, v) = (turned(call, 0, QUERY)?, turned(call, 1, KEY)?, turned(call, 2, VALUE)?);
    let mask = match call.has(3) {
        true => Some(call.take(3)?),
        false => None,
    };
    call.inputs = vec![Some(q), Some(k)];
    let scores = matrix::mat_mul(call)?.remove(0);
    call.inputs = vec![Some(scores), mask];
    let weights = normalize::scaled_softmax(call)?.remove(0);
    call.inputs = vec![Some(weights), Some(v)];
    let result = matrix::mat_mul(call)?.remove(0);
    match (layout(call, RESULT)?, result.rank()) {
        (LENGTH_FIRST, 4) => call::one(movement::permute(call.memory, &result, &[0, 2, 1, 3])?),
        (LENGTH_FIRST, rank) => Err(Fault::Shape(format!("{rank} dimensions; four are to be reordered"))),
        _ => call::one(result),
    }
}
