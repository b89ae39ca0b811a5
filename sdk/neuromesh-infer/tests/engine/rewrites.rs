//! Whether the rewrites happen where they should, and only there. That they are right is checked by the reference outputs.

use std::sync::Arc;

use bytes::Bytes;
use neuromesh_infer::{Limits, Model, conformance::Fixture};

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
                assert!(operators.iter().any(|operator| operator == "*ScaledSoftmax"), "{name}: {operators:?}");
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
