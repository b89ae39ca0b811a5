//! How long a model takes to load: `cargo run --release --example load -- MODEL.onnx [ROUNDS]`.
//!
//! "parsed" is the file taken apart and its structure decoded, every weight in its place; "prepared" is the rest: checks,
//! folding, shapes, fusing, and weights packed for the machine.

use std::time::Instant;

use neuromesh_infer::{Loader, Options};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: load MODEL.onnx [ROUNDS]");
    let rounds: usize = arguments.next().map_or(10, |text| text.parse().expect("a number of rounds"));
    let bytes = std::fs::read(&path).expect("the model can be read");
    let (mut parsed, mut prepared) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let begin = Instant::now();
        let mut loader = Loader::new(Options::default(), bytes.len() as u64);
        bytes.chunks(1 << 20).try_for_each(|piece| loader.push(piece)).expect("the model can be read");
        loader.outside().expect("the model can be decoded");
        parsed.push(begin.elapsed());
        let begin = Instant::now();
        let model = loader.finish().expect("the model can be loaded");
        prepared.push(begin.elapsed());
        drop(model);
    }
    parsed.sort();
    prepared.sort();
    let (parsed, prepared) = (parsed[parsed.len() / 2], prepared[prepared.len() / 2]);
    println!("{path}: {} bytes, parsed in {parsed:.1?}, prepared in {prepared:.1?} (medians of {rounds})", bytes.len());
}
