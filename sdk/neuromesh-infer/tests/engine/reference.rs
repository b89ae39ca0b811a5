//! ONNX's own operator tests, and whole models against ONNX Runtime. `make setup` makes both; see `.ci/setup`.

use std::path::PathBuf;

use bytes::Bytes;
use neuromesh_infer::{
    conformance::{
        self, Report,
        device::{self, at_once},
    },
    device::{Flex, FlexDevice, Placement},
};

use crate::models::cache;

fn reference(file: &str) -> PathBuf {
    cache().join("reference").join(file)
}

/// A file of the reference data.
pub fn read(file: &str) -> Vec<u8> {
    let path = reference(file);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{} cannot be read ({error}): run `.ci/setup/setup reference` first", path.display());
    })
}

#[test]
fn the_node_tests_of_onnx_pass_but_for_those_that_are_named() {
    let report = conformance::node_tests(&read("onnx-node-tests.bin")).unwrap();
    println!("{} cases", report.cases);
    report.assert_passed();
    assert!(report.cases > 1300, "only {} cases", report.cases);
}

#[test]
fn operators_as_they_were_defined_before_pass_too() {
    conformance::operators(&read("onnx-node-tests-old.bin")).unwrap().assert_passed();
    conformance::operators(&read("onnx-node-tests-float.bin")).unwrap().assert_passed();
}

#[test]
fn every_model_of_the_zoo_agrees_with_onnx_runtime() {
    every_model(conformance::model);
}

#[test]
fn the_node_tests_of_onnx_pass_on_a_device_as_on_the_cpu() {
    let fixtures = read("onnx-node-tests.bin");
    let found = device::operators::<Flex>(&fixtures, &FlexDevice, |_| true);
    let found = at_once(found).expect("a CPU's backend waits for nobody").unwrap();
    found.report.without_left_out().assert_passed();
    assert!(found.traffic.device > 3000, "the device did little: {:?}", found.traffic);
}

#[test]
fn every_model_of_the_zoo_agrees_with_onnx_runtime_on_a_device() {
    every_model(|model, fixtures| {
        let found = device::model::<Flex>(model, fixtures, &FlexDevice, Placement { least: 0 });
        Ok(at_once(found).expect("a CPU's backend waits for nobody")?.report)
    });
}

/// Compares each model of the reference data that has fixtures.
pub fn every_model(compare: impl Fn(Bytes, &[u8]) -> Result<Report, String>) {
    let mut failures = Vec::new();
    let mut models = 0;
    for entry in std::fs::read_dir(reference("")).expect("the folder was made").flatten() {
        let folder = entry.path();
        let (Ok(model), Ok(fixtures)) =
            (std::fs::read(folder.join("model.onnx")), std::fs::read(folder.join("fixtures.bin")))
        else {
            continue;
        };
        models += 1;
        let name = entry.file_name().to_string_lossy().into_owned();
        match compare(model.into(), &fixtures) {
            Ok(report) if report.cases == 0 => failures.push(format!("{name}: nothing was compared")),
            Ok(report) => failures.extend(report.failures.iter().map(|failure| format!("{name}: {failure}"))),
            Err(reason) => failures.push(format!("{name}: {reason}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(models >= 31, "only {models} models");
}
