//! Every operator against ONNX Runtime, and every kind of bad model against its message.

use neuromesh_infer::conformance;

#[test]
fn every_operator_agrees_with_onnx_runtime() {
    let report = conformance::operators(include_bytes!("../fixtures/operators.bin")).unwrap();
    println!("{} cases, worst {:.2} of the tolerance", report.cases, report.worst);
    report.assert_passed();
}

#[test]
fn bad_models_are_refused_with_the_reason() {
    conformance::refusals(include_bytes!("../fixtures/refused.bin")).unwrap().assert_passed();
}
