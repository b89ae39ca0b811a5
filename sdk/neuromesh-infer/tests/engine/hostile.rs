//! Damaged and malicious files: every one ends in an answer or an error, within bounds of memory and time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use neuromesh_infer::{Data, DataType, Dim, IoSpec, Limits, Model, Tensor, conformance::Fixture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{allocation::measure, models::model_file};

/// The matrix product keeps buffers for the next one on the same thread, so much at the most.
const MATRIX_WORKSPACE: isize = 4 << 20;

/// Rounds and seed of every test here; `FUZZ_ROUNDS` and `FUZZ_SEED` in the environment replace them for a long hunt.
pub fn rounds_and_seed() -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    (number("FUZZ_ROUNDS").unwrap_or(8000) as usize, number("FUZZ_SEED").unwrap_or(0x6e65_7572_6f6d_6573))
}

/// Far beyond what any case takes, also on a busy machine: it is there to catch loops.
const TIME_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn mutated_operator_models_never_panic_nor_hoard() {
    let cases = Fixture::read_all(include_bytes!("../fixtures/operators.bin")).unwrap();
    let (rounds, seed) = rounds_and_seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let limits = Limits { memory: 8 << 20, nodes: 1000, work: 1 << 24, steps: 10_000 };
    let (mut loaded, mut ran) = (0, 0);
    let (_, _, kept) = measure(|| {
        for round in 0..rounds {
            let base = &cases[round % cases.len()];
            let other = &cases[random.random_range(0..cases.len())];
            let bytes = mutate(&base.model, &other.model, &mut random);
            let outcome = attempt(&format!("seed {seed} round {round} ({})", base.name), bytes, &limits, &base.inputs);
            loaded += usize::from(outcome >= Outcome::Loaded);
            ran += usize::from(outcome == Outcome::Ran);
        }
    });
    assert!(kept < MATRIX_WORKSPACE, "{kept} bytes kept after {rounds} rounds");
    println!("{loaded} of {rounds} loaded, {ran} ran");
    // Otherwise the mutations reach no operator and test nothing.
    assert!(loaded > rounds / 16 && ran > rounds / 20, "{loaded} loaded, {ran} ran");
}

#[test]
fn hostile_operands_never_panic_nor_hoard() {
    let cases = Fixture::read_all(include_bytes!("../fixtures/operators.bin")).unwrap();
    let (rounds, seed) = rounds_and_seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let limits = Limits { memory: 8 << 20, nodes: 1000, work: 1 << 24, steps: 10_000 };
    let mut ran = 0;
    for round in 0..rounds {
        let base = &cases[round % cases.len()];
        let mut inputs = base.inputs.clone();
        inputs.iter_mut().for_each(|(_, tensor)| distort(tensor, &mut random));
        let name = format!("seed {seed} round {round} ({}) {inputs:?}", base.name);
        ran += usize::from(attempt(&name, base.model.clone(), &limits, &inputs) == Outcome::Ran);
    }
    println!("{ran} of {rounds} ran");
    assert!(ran > rounds / 4, "{ran} ran");
}

/// Extreme values, and another shape of the same rank.
pub fn distort(tensor: &mut Tensor, random: &mut ChaCha8Rng) {
    const INTS: [i64; 12] = [0, 1, -1, 2, -2, 3, 1 << 31, -(1 << 31), 1 << 40, 1 << 62, i64::MAX, i64::MIN];
    const FLOATS: [f32; 8] = [0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-40];
    if random.random_ratio(1, 3) {
        for size in &mut tensor.shape {
            if random.random() {
                *size = random.random_range(0..4);
            }
        }
    }
    let count = tensor.shape.iter().product();
    match &mut tensor.data {
        Data::F32(data) => data.resize(count, 1.5),
        Data::F16(data) => data.resize(count, half::f16::ONE),
        Data::I64(data) => data.resize(count, 1),
        Data::I32(data) => data.resize(count, 1),
        Data::U8(data) => data.resize(count, 1),
        Data::I8(data) => data.resize(count, 1),
        Data::Bool(data) => data.resize(count, true),
    }
    if count == 0 || random.random_ratio(1, 3) {
        return;
    }
    let at = random.random_range(0..count);
    let int = INTS[random.random_range(0..INTS.len())];
    match &mut tensor.data {
        Data::F32(data) => data[at] = FLOATS[random.random_range(0..FLOATS.len())],
        Data::F16(data) => data[at] = half::f16::from_f32(FLOATS[random.random_range(0..FLOATS.len())]),
        Data::I64(data) => data[at] = int,
        Data::I32(data) => data[at] = int as i32,
        Data::U8(data) => data[at] = int as u8,
        Data::I8(data) => data[at] = int as i8,
        Data::Bool(data) => data[at] = !data[at],
    }
}

#[test]
fn a_mutated_real_model_never_panics_nor_hoards() {
    let model = model_file("magika", "model.onnx");
    let (rounds, seed) = rounds_and_seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The structure is the small part of the file; most mutations must hit it.
    let limits = Limits { memory: 32 << 20, nodes: 10_000, work: 1 << 20, steps: 10_000 };
    for round in 0..rounds / 10 {
        let bytes = mutate(&model, &model, &mut random);
        attempt(&format!("seed {seed} round {round}"), bytes, &limits, &[]);
    }
}

#[test]
fn small_files_cannot_ask_for_much_memory() {
    // Fields of two bytes that decode to large messages: nodes, attributes of a node, dimensions of an input.
    for (what, unit) in [("nodes", vec![0x0a, 0x00]), ("inputs", vec![0x5a, 0x00]), ("weights", vec![0x2a, 0x00])] {
        let body = unit.repeat(2_000_000);
        let file = [vec![0x3a], varint(body.len()), body].concat();
        let size = file.len() as isize;
        let bytes = Bytes::from(file);
        let (result, peak, _) = measure(|| Model::load(bytes, &Limits { nodes: 1000, ..Limits::default() }).is_err());
        assert!(result, "{what} were accepted");
        assert!(peak < size / 2, "{what}: a file of {size} bytes made it hold {peak}");
    }
}

#[test]
fn long_names_of_sizes_are_not_kept_for_each_value() {
    let field = |number: u8, body: &[u8]| [&[number << 3 | 2][..], &varint(body.len()), body].concat();
    let name = vec![b'n'; 1 << 20];
    let kind = |shape: Vec<u8>| field(2, &field(1, &[vec![0x08, 1], shape].concat()));
    let input = [field(1, b"v0"), kind(field(2, &field(1, &field(2, &name))))].concat();
    let mut graph = field(11, &input);
    for at in 0..500 {
        let names = [field(1, format!("v{at}").as_bytes()), field(2, format!("v{}", at + 1).as_bytes())].concat();
        graph.extend(field(1, &[names, field(4, b"Relu")].concat()));
    }
    graph.extend(field(12, &[field(1, b"v500"), kind(Vec::new())].concat()));
    let file = [field(7, &graph), field(8, &[0x10, 17])].concat();
    let size = file.len() as isize;
    let (model, peak, _) = measure(|| Model::load(Bytes::from(file), &Limits::default()).unwrap());
    assert_eq!(model.steps(), 500);
    assert!(peak < 16 * size, "a file of {size} bytes made it hold {peak}");
}

pub fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Loaded,
    Ran,
}

fn attempt(name: &str, bytes: Vec<u8>, limits: &Limits, inputs: &[(String, Tensor)]) -> Outcome {
    let size = bytes.len() as isize;
    let begin = Instant::now();
    let (outcome, peak, _) = measure(|| {
        let Ok(model) = Model::load(Bytes::from(bytes), limits) else {
            return Outcome::Refused;
        };
        let model = Arc::new(model);
        // The original inputs where they still fit, else some of the declared shape.
        let inputs = model.inputs().iter().map(|spec| {
            let original = inputs.iter().find(|(name, tensor)| *name == spec.name && fits(spec, tensor));
            (spec.name.clone(), original.map_or_else(|| invent(spec), |(_, tensor)| tensor.clone()))
        });
        match model.run(inputs.collect()) {
            Ok(_) => Outcome::Ran,
            Err(_) => Outcome::Loaded,
        }
    });
    let bound = 2 * limits.memory as isize + 24 * size + MATRIX_WORKSPACE;
    assert!(peak <= bound, "{name}: held {peak} bytes, more than {bound}");
    assert!(begin.elapsed() < TIME_LIMIT, "{name}: took {:?}", begin.elapsed());
    outcome
}

fn fits(spec: &IoSpec, tensor: &Tensor) -> bool {
    spec.data_type == tensor.data.data_type() && spec.shape.as_ref().is_none_or(|dims| dims.len() == tensor.shape.len())
}

fn invent(spec: &IoSpec) -> Tensor {
    let sizes = spec.shape.iter().flatten().map(|dim| match dim {
        Dim::Fixed(size) => *size,
        _ => 2,
    });
    // What does not fit is a case too: the model must refuse it.
    let mut shape: Vec<usize> = sizes.collect();
    let mut count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).unwrap_or(usize::MAX);
    if count > 1 << 16 {
        (shape, count) = (vec![1], 1);
    }
    let data = match spec.data_type {
        DataType::F32 => Data::F32(vec![0.5; count]),
        DataType::F16 => Data::F16(vec![half::f16::ONE; count]),
        DataType::I64 => Data::I64(vec![1; count]),
        DataType::I32 => Data::I32(vec![1; count]),
        DataType::U8 => Data::U8(vec![1; count]),
        DataType::I8 => Data::I8(vec![1; count]),
        DataType::Bool => Data::Bool(vec![true; count]),
    };
    Tensor { shape, data }
}

/// One to three damages of the kinds that find bugs: bytes flipped or set to limits, pieces cut, repeated or exchanged.
fn mutate(base: &[u8], other: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..random.random_range(1..=3) {
        if bytes.is_empty() {
            break;
        }
        let at = position(bytes.len(), random);
        match random.random_range(0..10) {
            0..=3 => bytes[at] = random.random(),
            4 => bytes[at] ^= 1 << random.random_range(0..8),
            5 => bytes[at] = [0x00, 0x01, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            6 => {
                let end = (at + random.random_range(1..12)).min(bytes.len());
                bytes[at..end].fill([0x00, 0x7f, 0xff][random.random_range(0..3)]);
            }
            7 => bytes.truncate(at),
            8 => {
                let end = (at + random.random_range(1..64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let from = position(other.len(), random);
                let piece = &other[from..(from + random.random_range(1..64)).min(other.len())];
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Half of the time near the beginning, where large files have their structure.
fn position(length: usize, random: &mut ChaCha8Rng) -> usize {
    let end = if random.random() { length } else { length.min(20_000) };
    random.random_range(0..end)
}
