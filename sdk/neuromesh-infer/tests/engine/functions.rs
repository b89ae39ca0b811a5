//! Functions that a model file brings along.

use neuromesh_infer::conformance;

#[test]
fn functions_of_a_file_are_put_in_place_of_their_calls() {
    let report = conformance::operators(include_bytes!("../fixtures/functions.bin")).unwrap();
    assert_eq!(report.cases, 8);
    report.assert_passed();
}

#[test]
fn functions_that_never_end_or_grow_without_bound_are_refused() {
    let report = conformance::refusals(include_bytes!("../fixtures/functions_refused.bin")).unwrap();
    assert_eq!(report.cases, 7);
    report.assert_passed();
}
