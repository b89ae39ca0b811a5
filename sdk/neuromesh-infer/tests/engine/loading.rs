//! Models that arrive in pieces: nothing is held twice, and the pieces do not matter.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use neuromesh_infer::{Limits, LoadError, Loader, Model, Options, conformance::Fixture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    allocation::measure,
    hostile::{rounds_and_seed, varint},
    models::model_file,
};

/// What the structure of a model takes beside its weights: names, attributes, the plan.
const STRUCTURE: isize = 2 << 20;

fn in_pieces(bytes: &[u8], mut length: impl FnMut() -> usize, limits: &Limits) -> Result<Model, LoadError> {
    let mut loader = Loader::new(Options { limits: limits.clone(), ..Options::default() }, bytes.len() as u64);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(length().clamp(1, rest.len()));
        loader.push(piece)?;
        rest = after;
    }
    loader.finish()
}

#[test]
fn a_model_in_pieces_is_held_once() {
    let file = model_file("all-minilm-l6-v2", "model.onnx");
    let weights = file.len() as isize;
    let (loader, peak, held) = measure(|| {
        let mut loader = Loader::new(Options::default(), file.len() as u64);
        file.chunks(1 << 16).for_each(|piece| loader.push(piece).unwrap());
        loader
    });
    assert!(peak < weights + STRUCTURE && held < weights + STRUCTURE, "{peak} and {held} bytes for {weights}");
    // One weight at a time is packed, and let go.
    let (model, peak, held) = measure(|| loader.finish().unwrap());
    assert!(peak < weights / 2, "{peak} bytes more to prepare {weights}");
    assert!(held < STRUCTURE, "{held} bytes more than in the file");
    let whole = Arc::new(Model::load(file, &Limits::default()).unwrap());
    assert_eq!(model.weight_bytes(), whole.weight_bytes());
    assert_eq!((model.inputs(), model.outputs(), model.steps()), (whole.inputs(), whole.outputs(), whole.steps()));
}

#[test]
fn the_pieces_do_not_matter() {
    let cases = Fixture::read_all(include_bytes!("../fixtures/operators.bin")).unwrap();
    let (rounds, seed) = rounds_and_seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let limits = Limits { memory: 8 << 20, nodes: 1000, work: 1 << 24, steps: 10_000 };
    for case in cases.iter().take(rounds / 20) {
        let mut bytes = case.model.clone();
        if random.random_ratio(1, 2) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let whole = Model::load(Bytes::from(bytes.clone()), &limits).map(Arc::new);
        let most = [1, 2, 7, 4096][random.random_range(0..4)];
        let pieces = in_pieces(&bytes, || random.random_range(1..=most), &limits).map(Arc::new);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => {
                let answers = |model: Arc<Model>| model.run(case.inputs.clone()).map(|outputs| format!("{outputs:?}"));
                assert_eq!(answers(whole), answers(pieces), "{}", case.name);
            }
            (whole, pieces) => assert_eq!(whole.err(), pieces.err(), "{}", case.name),
        }
    }
}

#[test]
fn a_file_shorter_or_longer_than_announced_is_refused() {
    let file = model_file("magika", "model.onnx");
    let load = |size: u64, bytes: &[u8]| {
        let mut loader = Loader::new(Options::default(), size);
        loader.push(bytes)?;
        loader.finish()
    };
    let size = file.len() as u64;
    assert!(load(size, &file).is_ok());
    for (size, bytes) in [(size + 1, &file[..]), (size - 1, &file[..]), (size, &file[..file.len() - 1])] {
        assert!(matches!(load(size, bytes), Err(LoadError::Malformed { .. })), "{size}");
    }
    // The first error stays.
    let mut loader = Loader::new(Options::default(), 4);
    let error = loader.push(b"nonsense").unwrap_err();
    assert_eq!((loader.push(b""), loader.outside()), (Err(error.clone()), Err(error)));
}

/// A graph with one weight whose bytes have only been announced.
fn announced(weight: u64) -> (Vec<u8>, u64) {
    let message = |field: u8, length: u64| [vec![field << 3 | 2], varint(length as usize)].concat();
    let raw = message(9, weight);
    let tensor = message(5, raw.len() as u64 + weight);
    let inside = (tensor.len() + raw.len()) as u64 + weight;
    let bytes = [message(7, inside), tensor, raw].concat();
    let size = bytes.len() as u64 + weight;
    (bytes, size)
}

#[test]
fn weights_beyond_the_limit_are_refused_before_they_arrive() {
    let (head, size) = announced(3 << 30);
    let limits = Limits { memory: 1 << 30, ..Limits::default() };
    let (refused, peak, _) = measure(|| {
        let mut loader = Loader::new(Options { limits, ..Options::default() }, size);
        loader.push(&head).unwrap_err()
    });
    assert!(matches!(refused, LoadError::TooLarge { needed, limit: 0x4000_0000 } if needed >= 3 << 30), "{refused}");
    assert!(peak < 1 << 20, "{peak} bytes were set aside");
    // A file that announces more than itself sets nothing aside either.
    let (refused, peak, _) = measure(|| Model::load(Bytes::from(head), &Limits::default()).unwrap_err());
    assert!(matches!(refused, LoadError::Malformed { .. }), "{refused}");
    assert!(peak < 1 << 20, "{peak} bytes were set aside");
}

#[test]
fn weights_in_other_files_arrive_in_pieces_too() {
    let (model, data) = outside(16, 8);
    let load = |given: &[(&str, &[u8])], piece: usize| {
        let mut loader = Loader::new(Options::default(), model.len() as u64);
        model.chunks(piece).try_for_each(|piece| loader.push(piece))?;
        assert_eq!(loader.outside()?, ["weights.bin"]);
        for (name, bytes) in given {
            loader.begin(name, bytes.len() as u64)?;
            bytes.chunks(piece).try_for_each(|piece| loader.push(piece))?;
        }
        loader.finish().map(Arc::new)
    };
    let run = |model: Arc<Model>| model.run(Vec::new()).unwrap();
    let external = BTreeMap::from([("weights.bin".to_owned(), Bytes::from(data.clone()))]);
    let options = Options { external, ..Options::default() };
    let expected = run(Arc::new(Model::load_with(Bytes::from(model.clone()), options).unwrap()));
    for piece in [1, 3, 1000] {
        assert_eq!(run(load(&[("weights.bin", &data)], piece).unwrap()), expected, "pieces of {piece}");
    }
    for (given, message) in [
        (&[][..], "was not given"),
        (&[("other.bin", &data[..])][..], "no weights in a file"),
        (&[("weights.bin", &data[..20])][..], "outside of"),
        (&[("weights.bin", &data[..]), ("weights.bin", &data[..])][..], "given before"),
    ] {
        let error = load(given, 7).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// A model that gives a weight of two numbers, which lie in another file of `size` bytes from `offset` on.
fn outside(size: usize, offset: usize) -> (Vec<u8>, Vec<u8>) {
    let field = |number: u8, body: &[u8]| [&[number << 3 | 2][..], &varint(body.len()), body].concat();
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let offset = entry("offset", &offset.to_string());
    let place = [entry("location", "weights.bin"), offset, entry("length", "8")].concat();
    let tensor = [vec![0x08, 2, 0x10, 1], field(8, b"w"), place, vec![0x70, 1]].concat();
    let info = [field(1, b"w"), field(2, &field(1, &[0x08, 1]))].concat();
    let graph = [field(5, &tensor), field(12, &info)].concat();
    let model = [field(7, &graph), field(8, &[0x10, 17])].concat();
    (model, (0..size as u8).collect())
}
