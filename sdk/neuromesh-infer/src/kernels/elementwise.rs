//! Maps over one tensor and operations of two, element by element.
//!
//! Each element depends on its own operands alone, so neither the width of the vectors nor the number of threads shows in the
//! bits. The operator is chosen outside of the loops: there is one loop for each operator and instruction set. No function
//! allocates.

mod binary;
mod broadcast;
mod chunks;
mod unary;

pub use binary::{
    Binary, Side, Strided, binary, binary_assign, binary_columns, binary_rows, binary_scalar, broadcast,
    broadcast_assign,
};
pub use unary::{Unary, unary, unary_in_place};

pub(in crate::kernels) use chunks::{for_chunks, for_chunks_of_two, rows_at_a_time};

#[cfg(test)]
pub(in crate::kernels) mod tests;
