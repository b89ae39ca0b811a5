//! The same graphs on a GPU through wgpu, natively: cargo feature `wgpu`, `make test-gpu`. Mesa's lavapipe will do. A machine
//! without any adapter skips, and says so.

use std::sync::Arc;

use neuromesh_infer::{
    Limits,
    conformance::{
        LEFT_OUT,
        device::{self, DeviceReport, wait},
    },
    device::{
        DeviceModel, OpenError, Placement,
        wgpu::{self, Gpu, Wgpu},
    },
};

use crate::{
    models::model_file,
    reference::{every_model, read},
};

/// Node tests that a GPU may miss: near 1, Vulkan lets a logarithm be off by 2^-21, and this one takes it of `1 + exp(x)`.
const IMPRECISE: [&str; 1] = ["test_mish_expanded"];

fn gpu() -> Option<Gpu> {
    match wait(wgpu::open()) {
        Ok(gpu) => {
            println!("on {}", gpu.name());
            Some(gpu)
        }
        Err(OpenError::NoAdapter(reason)) => {
            println!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn show(found: &DeviceReport) {
    let DeviceReport { report, traffic } = found;
    println!("{} cases, worst {:.2} of the tolerance, {traffic:?}", report.cases, report.worst);
}

#[test]
fn every_operator_agrees_with_onnx_runtime() {
    let Some(gpu) = gpu() else { return };
    let fixtures = include_bytes!("../fixtures/operators.bin");
    let found = wait(device::operators::<Wgpu>(fixtures, gpu.device(), |_| true)).unwrap();
    show(&found);
    found.report.assert_passed();
    assert!(found.traffic.device > 250, "the device did little: {:?}", found.traffic);
}

#[test]
fn the_node_tests_of_onnx_pass_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let fixtures = read("onnx-node-tests.bin");
    let is_left_out = |name: &str| IMPRECISE.contains(&name) || LEFT_OUT.iter().any(|(known, _)| *known == name);
    let found = wait(device::operators::<Wgpu>(&fixtures, gpu.device(), |name| !is_left_out(name))).unwrap();
    show(&found);
    found.report.assert_passed();
    assert!(found.traffic.device > 3000, "the device did little: {:?}", found.traffic);
}

#[test]
fn every_model_of_the_zoo_agrees_with_onnx_runtime() {
    let Some(gpu) = gpu() else { return };
    every_model(|model, fixtures| {
        let found = wait(device::model::<Wgpu>(model, fixtures, gpu.device(), Placement::default()))?;
        show(&found);
        gpu.trim();
        Ok(found.report)
    });
}

#[test]
fn a_model_that_is_dropped_gives_its_memory_back() {
    let Some(gpu) = gpu() else { return };
    let load = || {
        let bytes = model_file("all-minilm-l6-v2", "model.onnx");
        Arc::new(DeviceModel::<Wgpu>::load(bytes, &Limits::default(), gpu.device().clone()).unwrap())
    };
    let mut after = Vec::new();
    for _ in 0..3 {
        let model = load();
        assert!(gpu.memory() > 80 << 20, "{} bytes", gpu.memory());
        drop(model);
        gpu.trim();
        after.push(gpu.memory());
    }
    assert!(after.iter().all(|&bytes| bytes < 16 << 20), "{after:?}");
}
