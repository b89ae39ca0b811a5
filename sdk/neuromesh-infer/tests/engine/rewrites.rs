//! Whether the rewrites happen where they should, and only there, and whether they keep the bits. That they are right is checked by
//! the reference outputs, too.

use std::sync::Arc;

use bytes::Bytes;
use neuromesh_infer::{Data, Limits, Model, Tensor, conformance::Fixture};

#[test]
fn patterns_become_one_operator_and_look_alikes_stay() {
    let cases = Fixture::read_all(include_bytes!("../fixtures/operators.bin")).unwrap();
    let mut seen = 0;
    for case in cases.iter().filter(|case| case.name.starts_with("pattern-")) {
        let model = Arc::new(Model::load(Bytes::from(case.model.clone()), &Limits::default()).unwrap());
        let mut run = model.start(case.inputs.clone()).unwrap();
        let mut operators = Vec::new();
        loop {
            operators.extend(run.upcoming().map(|(_, operator)| operator.to_owned()));
            if run.step().unwrap().is_some() {
                break;
            }
        }
        let name =
            case.name.trim_start_matches("pattern-").trim_end_matches(|end: char| end == '-' || end.is_ascii_digit());
        let expected: &[&str] = match name {
            "gelu" => &["*Gelu"],
            "gelu-tanh" => &["*GeluTanh"],
            "layer-norm" => &["*LayerNorm"],
            "linear" => &["*Linear"],
            "linear-not" | "linear-inner-used" => &["MatMul", "Add"],
            "gelu-tanh-inner-used" => {
                assert!(operators.iter().any(|operator| operator == "Tanh"), "{name}: {operators:?}");
                seen += 1;
                continue;
            }
            "attention" => {
                assert!(operators.iter().any(|operator| operator == "*Attention"), "{name}: {operators:?}");
                seen += 1;
                continue;
            }
            other => panic!("the pattern {other} has no expectation"),
        };
        assert_eq!(operators, expected, "{}", case.name);
        seen += 1;
    }
    assert!(seen >= 15, "{seen} patterns");
}

/// The operators that are executed, in order, and the first output.
fn executed(case: &Fixture) -> (Vec<String>, Tensor) {
    let model = Arc::new(Model::load(Bytes::from(case.model.clone()), &Limits::default()).unwrap());
    let mut run = model.start(case.inputs.clone()).unwrap();
    let mut operators = Vec::new();
    loop {
        operators.extend(run.upcoming().map(|(_, operator)| operator.to_owned()));
        if let Some(outputs) = run.step().unwrap() {
            let output = outputs.into_iter().find(|(name, _)| name == "y").unwrap().1;
            return (operators, output);
        }
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    match &tensor.data {
        Data::F32(data) => data.iter().map(|x| x.to_bits()).collect(),
        other => panic!("{:?} instead of f32", other.data_type()),
    }
}

#[test]
fn joined_operators_give_the_bits_of_those_that_they_replace() {
    let cases = Fixture::read_all(include_bytes!("../fixtures/rewrites.bin")).unwrap();
    let (pairs, []) = cases.as_chunks::<2>() else { panic!("a model without its double") };
    for [joined, apart] in pairs {
        let name =
            joined.name.trim_start_matches("joined-").trim_end_matches(|end: char| end == '-' || end.is_ascii_digit());
        assert!(apart.name.contains(name), "{} and {}", joined.name, apart.name);
        let ((operators, output), (steps, expected)) = (executed(joined), executed(apart));
        let wanted: &[&str] = match name {
            "quantized" => &["DynamicQuantizeLinear", "*QuantizedMatMul"],
            "linear" => &["*Linear"],
            "lstm" => &["LSTM"],
            "attention" => &["Reshape", "Reshape", "Reshape", "*Attention", "Reshape"],
            other => panic!("the pattern {other} has no expectation"),
        };
        assert_eq!(operators, wanted, "{}", joined.name);
        assert!(steps.len() > operators.len() || name == "lstm", "{}: {steps:?}", apart.name);
        assert_eq!(output.shape, expected.shape, "{}", joined.name);
        assert_eq!(bits(&output), bits(&expected), "{}", joined.name);
    }
    assert!(pairs.len() >= 13, "{} pairs", pairs.len());
}
