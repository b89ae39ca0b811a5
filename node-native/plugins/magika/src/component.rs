//! The component's two sides: what it imports as a [`Host`], and its export.

// The generated glue crosses the component's boundary with raw pointers.
#![allow(unsafe_code, missing_docs)]

wit_bindgen::generate!({ path: "../../wit", world: "pipeline" });

use self::neuromesh::plugin::{
    engine::{self, Dtype, Tensor},
    files, source,
};
use crate::{Host, detect};

/// Names of the model's input and output.
const INPUT: &str = "bytes";
const OUTPUT: &str = "target_label";

struct Component;

impl Guest for Component {
    fn run() -> Result<String, String> {
        detect(&Imports)
    }
}

export!(Component);

struct Imports;

impl Host for Imports {
    fn size(&self) -> u64 {
        source::len()
    }

    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        source::read(offset, len)
    }

    fn file(&self, role: &str) -> Result<Vec<u8>, String> {
        files::read(role)
    }

    fn scores(&self, tokens: Vec<i32>) -> Result<Vec<f32>, String> {
        let shape = vec![1, u32::try_from(tokens.len()).map_err(|_| "too many tokens")?];
        let data = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        let input = Tensor { name: INPUT.into(), dtype: Dtype::I32, shape, data };
        let outputs = engine::run(&[input])?;
        let output = outputs.iter().find(|output| output.name == OUTPUT && output.dtype == Dtype::F32);
        let output = output.ok_or_else(|| format!("the model has no 32-bit float output {OUTPUT:?}"))?;
        let words = output.data.chunks_exact(4);
        Ok(words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }
}
