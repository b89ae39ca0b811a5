//! ONNX's own operator tests, and whole models against ONNX Runtime. `make setup` makes both; see `.ci/setup`.

use std::{collections::BTreeSet, path::PathBuf};

use bytes::Bytes;
use neuromesh_infer::{
    conformance::{
        self, Report,
        device::{self, at_once},
    },
    device::{Flex, FlexDevice, Placement},
};

use crate::models::cache;

/// Tests in scope that do not pass, and why; one that passes must leave the list.
const LEFT_OUT: [(&str, &str); 12] = [
    (
        "test_attention_4d_causal_fp16_expanded",
        "halves between its steps round by one step more; ONNX Runtime's do, too",
    ),
    ("test_dft_inverse", "the expected zeros hold the noise of a single-precision transform; ours are zeros"),
    ("test_dft_inverse_opset19", "the same"),
    ("test_image_decoder_decode_bmp_rgb", IMAGES),
    ("test_image_decoder_decode_jpeg2k_rgb", IMAGES),
    ("test_image_decoder_decode_jpeg_bgr", IMAGES),
    ("test_image_decoder_decode_jpeg_grayscale", IMAGES),
    ("test_image_decoder_decode_jpeg_rgb", IMAGES),
    ("test_image_decoder_decode_png_rgb", IMAGES),
    ("test_image_decoder_decode_pnm_rgb", IMAGES),
    ("test_image_decoder_decode_tiff_rgb", IMAGES),
    ("test_image_decoder_decode_webp_rgb", IMAGES),
];

const IMAGES: &str = "the decoders of seven image formats belong to the page or the plugin, not into the engine";

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

fn failures(report: &Report) -> BTreeSet<&str> {
    report.failures.iter().filter_map(|failure| failure.split(": ").next()).collect()
}

#[test]
fn the_node_tests_of_onnx_pass_but_for_those_that_are_named() {
    let report = conformance::operators(&read("onnx-node-tests.bin")).unwrap();
    println!("{} of {} passed", report.cases - report.failures.len(), report.cases);
    let expected: BTreeSet<&str> = LEFT_OUT.iter().map(|(name, _)| *name).collect();
    assert_eq!(failures(&report), expected, "{}", report.failures.join("\n"));
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
    let expected: BTreeSet<&str> = LEFT_OUT.iter().map(|(name, _)| *name).collect();
    assert_eq!(failures(&found.report), expected, "{}", found.report.failures.join("\n"));
    assert!(found.traffic.device > 3000, "the device did little: {:?}", found.traffic);
}

#[test]
fn every_model_of_the_zoo_agrees_with_onnx_runtime_on_a_device() {
    every_model(|model, fixtures| {
        let found = device::model::<Flex>(model, fixtures, &FlexDevice, Placement { least: 0 });
        Ok(at_once(found).expect("a CPU's backend waits for nobody")?.report)
    });
}

fn every_model(compare: impl Fn(Bytes, &[u8]) -> Result<Report, String>) {
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
