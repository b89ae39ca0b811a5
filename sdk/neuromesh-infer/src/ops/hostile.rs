//! Operands and attributes that no honest model has: each is refused or gives an answer, at once and within bounds.

use super::own;
use crate::{
    DataType, Limits, RunError,
    attribute::{Attribute, Attributes},
    graph::Node,
    kernels::cpu::{Cpu, Numerics},
    memory::Memory,
    plan,
    value::Value,
};

const HUGE: i64 = 1 << 40;

/// Executes an operator by itself, with a mebibyte of memory.
fn run(
    name: &'static str,
    opset: i64,
    attributes: &[(&str, Attribute)],
    inputs: &[&Value],
) -> Result<Vec<Value>, RunError> {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let node = Node {
        name: "node".into(),
        op: own(name),
        opset,
        inputs: Vec::new(),
        outputs: Vec::new(),
        attributes: Attributes(attributes),
        bodies: Vec::new(),
    };
    let memory = Memory::new(&Limits { memory: 1 << 20, work: 1 << 20, ..Limits::default() }, 0);
    let inputs = inputs.iter().map(|&value| Some(value.clone())).collect();
    plan::execute(&node, inputs, None, &memory, &Cpu::new(Numerics::Exact))
}

fn f(shape: &[usize]) -> Value {
    let count = if shape.contains(&0) { 0 } else { shape.iter().product() };
    let elements: Vec<f32> = (0..count).map(|index| index as f32).collect();
    Value::constant(DataType::F32, shape, &elements)
}

fn i(shape: &[usize], elements: &[i64]) -> Value {
    Value::constant(DataType::I64, shape, elements)
}

fn list(elements: &[i64]) -> Value {
    i(&[elements.len()], elements)
}

fn int(value: i64) -> Attribute {
    Attribute::Int(value)
}

fn text(value: &str) -> Attribute {
    Attribute::Text(value.into())
}

#[test]
fn indices_beyond_their_dimension_are_refused() {
    for index in [3, -4, i64::MAX, i64::MIN] {
        let index = i(&[1, 1], &[index]);
        assert!(run("GatherElements", 13, &[], &[&f(&[3, 1]), &index]).is_err());
        assert!(run("GatherND", 13, &[], &[&f(&[3, 1]), &index]).is_err());
        assert!(run("ScatterElements", 18, &[], &[&f(&[3, 1]), &index, &f(&[1, 1])]).is_err());
        assert!(run("ScatterND", 18, &[], &[&f(&[3, 1]), &index, &f(&[1, 1])]).is_err());
    }
    for batch in [-1, 2, i64::MAX] {
        let attributes = [("batch_dims", int(batch))];
        assert!(run("GatherND", 13, &attributes, &[&f(&[3, 1]), &i(&[3, 1], &[0; 3])]).is_err());
    }
    // Tuples without indices, of which there can be very many.
    let none = i(&[HUGE as usize, 0], &[]);
    assert!(run("GatherND", 13, &[], &[&f(&[3]), &none]).is_err());
    assert!(run("ScatterND", 18, &[], &[&f(&[0]), &none, &f(&[HUGE as usize, 0])]).is_ok());
}

#[test]
fn huge_results_are_refused_before_they_are_made() {
    for repeats in [[HUGE, HUGE], [i64::MAX, 1], [-1, 1]] {
        assert!(run("Tile", 13, &[], &[&f(&[2, 2]), &list(&repeats)]).is_err());
    }
    assert!(run("Tile", 13, &[], &[&f(&[2, 2]), &list(&[0, HUGE])]).is_ok());
    for pads in [[HUGE, 0], [i64::MAX, i64::MAX], [-3, 0], [-3, 9], [i64::MIN, 0]] {
        for mode in ["constant", "reflect", "edge", "wrap"] {
            let attributes = [("mode", text(mode))];
            assert!(run("Pad", 19, &attributes, &[&f(&[2]), &list(&pads)]).is_err());
        }
    }
    for depth in [HUGE, i64::MAX, -1] {
        assert!(run("OneHot", 11, &[], &[&list(&[0]), &list(&[depth]), &f(&[2])]).is_err());
    }
    for size in [HUGE, i64::MAX, -1] {
        assert!(run("RandomNormal", 13, &[("shape", Attribute::Ints(vec![size]))], &[]).is_err());
        assert!(run("Multinomial", 13, &[("sample_size", int(size))], &[&f(&[1, 2])]).is_err());
        assert!(run("CenterCropPad", 18, &[], &[&f(&[2]), &list(&[size])]).is_err());
        assert!(run("AffineGrid", 20, &[], &[&f(&[1, 2, 3]), &list(&[1, 1, size, size])]).is_err());
        assert!(run("Col2Im", 18, &[], &[&f(&[1, 1, 1]), &list(&[size, size]), &list(&[1, 1])]).is_err());
    }
    assert!(run("DepthToSpace", 13, &[("blocksize", int(i64::MAX))], &[&f(&[1, 4, 1, 1])]).is_err());
    assert!(run("SpaceToDepth", 13, &[("blocksize", int(HUGE))], &[&f(&[1, 4, 0, 0])]).is_err());
}

#[test]
fn counts_beyond_what_there_is_are_refused() {
    for count in [4, -1, i64::MAX] {
        assert!(run("TopK", 11, &[], &[&f(&[3]), &list(&[count])]).is_err());
        assert!(run("TopK", 9, &[("k", int(count))], &[&f(&[3])]).is_err());
        assert!(run("ReverseSequence", 10, &[], &[&f(&[3, 1]), &list(&[count])]).is_err());
    }
    let results = run("Unique", 11, &[("axis", int(0))], &[&f(&[3, 0])]).unwrap();
    assert_eq!(results[0].shape()[..], [1, 0]);
    assert!(run("Unique", 11, &[("axis", int(0))], &[&f(&[HUGE as usize, 0])]).is_err());
}

#[test]
fn diagonals_far_away_are_none() {
    for diagonal in [i64::MIN, i64::MAX, -3, 3] {
        let eye = run("EyeLike", 9, &[("k", int(diagonal))], &[&f(&[3, 3])]).unwrap();
        assert_eq!(eye[0].raw::<f32>(), [0.0; 9]);
        let kept =
            run("Trilu", 14, &[("upper", int((diagonal < 0).into()))], &[&f(&[3, 3]), &list(&[diagonal])]).unwrap();
        assert_eq!(kept[0].raw::<f32>(), f(&[3, 3]).raw::<f32>());
    }
}

#[test]
fn sizes_that_cannot_be_reached_are_refused() {
    let none = f(&[0]);
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30] {
        let scales = Value::constant(DataType::F32, [2].as_slice(), &[1.0, scale]);
        for mode in ["nearest", "linear", "cubic"] {
            assert!(run("Resize", 19, &[("mode", text(mode))], &[&f(&[1, 3]), &none, &scales]).is_err());
        }
    }
    let sizes = |sizes: &[i64]| run("Resize", 19, &[], &[&f(&[1, 0]), &none, &none, &list(sizes)]);
    assert!(sizes(&[1, 2]).is_err());
    assert!(sizes(&[1]).is_err());
    assert!(sizes(&[1, HUGE]).is_err());
    assert_eq!(sizes(&[4, 0]).unwrap()[0].shape()[..], [4, 0]);
}

#[test]
fn regions_and_boxes_without_end_are_refused_or_empty() {
    let image = f(&[1, 1, 4, 4]);
    let regions = |sides: [f32; 4]| Value::constant(DataType::F32, [1, 4].as_slice(), &sides);
    let align = |sides| run("RoiAlign", 16, &[], &[&image, &regions(sides), &list(&[0])]);
    assert!(align([-1e30, -1e30, 1e30, 1e30]).is_err());
    assert!(align([0.0, -1e30, -1.0, 1e30]).is_ok());
    assert!(align([f32::NAN; 4]).is_ok());
    assert!(run("RoiAlign", 16, &[], &[&image, &regions([0.0; 4]), &list(&[1])]).is_err());
    let pooled = |size: i64| [("pooled_shape", Attribute::Ints(vec![size, size]))];
    let region = Value::constant(DataType::F32, [1, 5].as_slice(), &[0.0, -1e30, f32::NAN, 1e30, f32::INFINITY]);
    assert!(run("MaxRoiPool", 13, &pooled(2), &[&image, &region]).is_ok());
    assert!(run("MaxRoiPool", 13, &pooled(HUGE), &[&image, &region]).is_err());
    let boxes = [&f(&[1, 3, 4]), &f(&[1, 1, 3])];
    for most in [i64::MIN, 0, i64::MAX] {
        assert!(run("NonMaxSuppression", 11, &[], &[boxes[0], boxes[1], &list(&[most])]).is_ok());
    }
}

#[test]
fn sums_without_end_are_refused() {
    let equation = |text: &str| [("equation", Attribute::Text(text.into()))];
    let (wide, empty) = (f(&[100, 100]), f(&[HUGE as usize, 0]));
    assert!(run("Einsum", 12, &equation("ab,cd->"), &[&wide, &wide]).is_err());
    assert!(run("Einsum", 12, &equation("ab,ac->abc"), &[&wide, &f(&[3, 1])]).is_err());
    let sum = run("Einsum", 12, &equation("ab,cb->"), &[&empty, &empty]).unwrap();
    assert_eq!(sum[0].raw::<f32>(), [0.0]);
    let determinants = run("Det", 11, &[], &[&f(&[2, 0, 0])]).unwrap();
    assert_eq!(determinants[0].raw::<f32>(), [1.0; 2]);
    assert!(run("CumSum", 14, &[], &[&f(&[2]), &list(&[1])]).is_err());
}

#[test]
fn sequences_that_do_not_fit_their_pool_are_refused() {
    let vectorize = |counts: &[i64], columns: &[i64], skips: i64| {
        let attributes = [
            ("mode", text("TF")),
            ("min_gram_length", int(1)),
            ("max_gram_length", int(i64::MAX)),
            ("max_skip_count", int(skips)),
            ("ngram_counts", Attribute::Ints(counts.to_vec())),
            ("ngram_indexes", Attribute::Ints(columns.to_vec())),
            ("pool_int64s", Attribute::Ints(vec![1, 2, 3])),
        ];
        run("TfIdfVectorizer", 9, &attributes, &[&list(&[1, 2, 3])])
    };
    assert!(vectorize(&[0], &[0, 1, 2], i64::MAX).is_ok());
    assert!(vectorize(&[0], &[0, 1], 0).is_err());
    assert!(vectorize(&[0], &[0, 1, HUGE], 0).is_err());
    assert!(vectorize(&[0], &[0, 1, -1], 0).is_err());
    assert!(vectorize(&[2, 1], &[0, 1, 2], 0).is_err());
    assert!(vectorize(&[-1], &[0, 1, 2], 0).is_err());
}
