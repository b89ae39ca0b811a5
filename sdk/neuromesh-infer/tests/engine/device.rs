//! The same graphs on a Burn backend: `burn-flex`, which stands for all of them.

use std::sync::Arc;

use bytes::Bytes;
use neuromesh_infer::{
    Data, Limits, Model, Options, RunError, Tensor,
    conformance::{
        Fixture,
        device::{self, DeviceReport, at_once},
    },
    device::{DeviceModel, Flex, FlexDevice, Placement, Traffic},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    hostile::{distort, rounds_and_seed, varint},
    models::model_file,
};

const DEVICE: FlexDevice = FlexDevice;

fn done<T>(future: impl Future<Output = T>) -> T {
    at_once(future).expect("a CPU's backend waits for nobody")
}

fn show(found: &DeviceReport) {
    let DeviceReport { report, traffic } = found;
    println!("{} cases, worst {:.2} of the tolerance, {traffic:?}", report.cases, report.worst);
}

#[test]
fn every_operator_agrees_with_onnx_runtime() {
    let fixtures = include_bytes!("../fixtures/operators.bin");
    let found = done(device::operators::<Flex>(fixtures, &DEVICE, |_| true)).unwrap();
    show(&found);
    found.report.assert_passed();
    assert!(found.traffic.device > 250, "the device did little: {:?}", found.traffic);
}

#[test]
fn bad_models_are_refused_in_the_words_of_the_cpu() {
    done(device::refusals::<Flex>(include_bytes!("../fixtures/refused.bin"), &DEVICE)).unwrap().assert_passed();
}

#[test]
fn real_models_agree_with_onnx_runtime() {
    let minilm: &[u8] = include_bytes!("../fixtures/minilm_tensors.bin");
    let magika: &[u8] = include_bytes!("../fixtures/magika_tensors.bin");
    for (name, fixtures) in [("all-minilm-l6-v2", minilm), ("magika", magika)] {
        for least in [0, Placement::default().least] {
            let model = model_file(name, "model.onnx");
            let found = done(device::model::<Flex>(model, fixtures, &DEVICE, Placement { least })).unwrap();
            show(&found);
            found.report.assert_passed();
        }
    }
}

#[test]
fn what_the_device_lacks_is_done_on_the_host_and_comes_back() {
    // The device has no `Round`.
    let nodes =
        [node("Relu", &["x"], &["a"], &[]), node("Round", &["a"], &["b"], &[]), node("Add", &["b", "x"], &["y"], &[])];
    let model = load(file(&nodes, &[("x", &[2, 3])], &["y"]), Limits::default(), 0);
    let mut run = model.start(vec![floats("x", &[2, 3], &[-1.5, 0.5, 1.5, 2.2, 2.7, -0.1])]).unwrap();
    let mut seen = Vec::new();
    let outputs = loop {
        seen.push((run.upcoming().unwrap().1.to_owned(), run.traffic().device, run.traffic().host));
        if let Some(outputs) = done(run.step()).unwrap() {
            break outputs;
        }
    };
    assert_eq!(seen, [("Relu".into(), 0, 0), ("Round".into(), 1, 0), ("Add".into(), 1, 1)]);
    assert_eq!(outputs, [floats("y", &[2, 3], &[-1.5, 0.5, 3.5, 4.2, 5.7, -0.1])]);
    // `x` stays where it was uploaded; `a` and `y` are read back, `b` is uploaded.
    assert_eq!(run.traffic(), Traffic { device: 2, host: 1, uploads: 2, downloads: 2 });
    assert_eq!(done(run.step()), Err(RunError::Finished));
    assert_eq!(run.memory(), model.weight_bytes());
}

#[test]
fn bodies_run_on_the_device_and_take_values_from_outside() {
    // Three turns of v = relu(v + outside), each v collected; `outside` is made on the device.
    let body = graph(
        &[
            node("Add", &["v_in", "outside"], &["sum"], &[]),
            node("Relu", &["sum"], &["v_out"], &[]),
            node("Identity", &["goes_on"], &["goes_on_out"], &[]),
            node("Identity", &["v_out"], &["scan"], &[]),
        ],
        &[value("turn", INT64, &[]), value("goes_on", BOOL, &[]), value("v_in", FLOAT, &[2])],
        &[value("goes_on_out", BOOL, &[]), value("v_out", FLOAT, &[2]), value("scan", FLOAT, &[2])],
    );
    let trips =
        [text(1, "value"), message(5, &[int(2, INT64), message(9, &[3i64.to_le_bytes().to_vec()])]), int(20, 4)];
    let nodes = [
        node("Constant", &[], &["trips"], &[trips.concat()]),
        node("Neg", &["x"], &["outside"], &[]),
        node(
            "Loop",
            &["trips", "", "x"],
            &["last", "all"],
            &[[text(1, "body"), message(6, &[body]), int(20, 5)].concat()],
        ),
        node("Mul", &["last", "last"], &["y"], &[]),
    ];
    let bytes = file(&nodes, &[("x", &[2])], &["y", "all"]);
    let inputs = vec![floats("x", &[2], &[0.5, -0.25])];
    let on_cpu = Arc::new(Model::load(bytes.clone(), &Limits::default()).unwrap()).run(inputs.clone()).unwrap();
    let mut run = load(bytes, Limits::default(), 0).start(inputs).unwrap();
    let outputs = loop {
        if let Some(outputs) = done(run.step()).unwrap() {
            break outputs;
        }
    };
    assert_eq!(outputs, on_cpu);
    assert_eq!(outputs[0].1.data, Data::F32(vec![0.0, 0.25]));
    assert!(run.traffic().device >= 10, "{:?}", run.traffic());
}

#[test]
fn a_run_can_wait_on_any_thread() {
    fn moves_between_threads(_: &impl Send) {}
    let model = load(file(&[node("Neg", &["x"], &["y"], &[])], &[("x", &[1])], &["y"]), Limits::default(), 0);
    let run = model.run(vec![floats("x", &[1], &[2.0])]);
    moves_between_threads(&run);
    assert_eq!(done(run).unwrap(), [floats("y", &[1], &[-2.0])]);
}

#[test]
fn tensors_on_the_device_count_against_the_limit() {
    let bytes = file(&[node("Add", &["x", "z"], &["y"], &[])], &[("x", &[64, 1]), ("z", &[1, 64])], &["y"]);
    let inputs = || vec![floats("x", &[64, 1], &[1.0; 64]), floats("z", &[1, 64], &[2.0; 64])];
    let run = |limit: u64| done(load(bytes.clone(), Limits { memory: limit, ..Limits::default() }, 0).run(inputs()));
    assert!(run(64 << 10).is_ok());
    // The result alone would fit; not beside its operands.
    match run((16 << 10) + 100) {
        Err(RunError::OutOfMemory { needed, limit, op, .. }) => assert!(needed > limit && op == "Add"),
        other => panic!("it should not fit: {other:?}"),
    }
}

#[test]
fn few_numbers_stay_on_the_host_unless_the_device_has_some() {
    let nodes = [node("Neg", &["x"], &["a"], &[]), node("Add", &["a", "x"], &["y"], &[])];
    let model = load(file(&nodes, &[("x", &[4])], &["y"]), Limits::default(), 5);
    let mut run = model.start(vec![floats("x", &[4], &[1.0; 4])]).unwrap();
    while done(run.step()).unwrap().is_none() {}
    assert_eq!(run.traffic(), Traffic { host: 2, ..Traffic::default() });
}

#[test]
fn hostile_operands_are_refused_as_on_the_cpu() {
    let cases = Fixture::read_all(include_bytes!("../fixtures/operators.bin")).unwrap();
    let (rounds, seed) = rounds_and_seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let limits = Limits { memory: 8 << 20, nodes: 1000, work: 1 << 24, steps: 10_000 };
    let models: Vec<_> = (cases.iter())
        .map(|case| {
            let on_cpu = Model::load(Bytes::from(case.model.clone()), &limits).unwrap();
            (Arc::new(on_cpu), load(Bytes::from(case.model.clone()), limits.clone(), 0))
        })
        .collect();
    let mut ran = 0;
    for round in 0..rounds {
        let (case, (on_cpu, on_device)) = (&cases[round % cases.len()], &models[round % cases.len()]);
        let mut inputs = case.inputs.clone();
        inputs.iter_mut().for_each(|(_, tensor)| distort(tensor, &mut random));
        let name = format!("seed {seed} round {round} ({}) {inputs:?}", case.name);
        let (on_cpu, on_device) = (on_cpu.run(inputs.clone()), done(on_device.run(inputs)));
        match (on_cpu, on_device) {
            (Ok(on_cpu), Ok(on_device)) => {
                let shapes = |outputs: &[(String, Tensor)]| -> Vec<_> {
                    outputs.iter().map(|(_, tensor)| (tensor.shape.clone(), tensor.data.data_type())).collect()
                };
                assert_eq!(shapes(&on_cpu), shapes(&on_device), "{name}");
                ran += 1;
            }
            // Operands may lie on both sides, which takes more.
            (_, Err(RunError::OutOfMemory { .. })) => {}
            // A packed weight's mismatch has words of its own, and of operators that the CPU joins the last gives its name.
            (Err(RunError::Operator { .. }), Err(RunError::Operator { .. })) => {}
            (Err(on_cpu), Err(on_device)) => assert_eq!(on_cpu, on_device, "{name}"),
            (on_cpu, on_device) => panic!("{name}: the CPU gave {on_cpu:?}, the device {on_device:?}"),
        }
    }
    println!("{ran} of {rounds} ran");
    assert!(ran > rounds / 4, "{ran} ran");
}

fn load(model: Bytes, limits: Limits, least: usize) -> Arc<DeviceModel<Flex>> {
    let options = Options { limits, ..Options::default() };
    Arc::new(DeviceModel::load_with(model, options, Placement { least }, DEVICE).unwrap())
}

fn floats(name: &str, shape: &[usize], data: &[f32]) -> (String, Tensor) {
    (name.into(), Tensor::new(shape, Data::F32(data.to_vec())).unwrap())
}

// ONNX's protobuf, as little of it as these models need.

const FLOAT: u64 = 1;
const INT64: u64 = 7;
const BOOL: u64 = 9;

fn file(nodes: &[Vec<u8>], inputs: &[(&str, &[u64])], outputs: &[&str]) -> Bytes {
    let inputs: Vec<_> = inputs.iter().map(|(name, shape)| value(name, FLOAT, shape)).collect();
    let tensor = message(2, &[message(1, &[int(1, FLOAT)])]);
    let outputs: Vec<_> = outputs.iter().map(|name| [text(1, name), tensor.clone()].concat()).collect();
    let graph = graph(nodes, &inputs, &outputs);
    Bytes::from([int(1, 8), message(8, &[int(2, 17)]), message(7, &[graph])].concat())
}

fn graph(nodes: &[Vec<u8>], inputs: &[Vec<u8>], outputs: &[Vec<u8>]) -> Vec<u8> {
    let list = |number: u64, parts: &[Vec<u8>]| parts.iter().flat_map(|part| bytes(number, part)).collect::<Vec<u8>>();
    [list(1, nodes), text(2, "graph"), list(11, inputs), list(12, outputs)].concat()
}

fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
    node.extend(outputs.iter().flat_map(|name| text(2, name)));
    node.extend(text(4, op));
    node.extend(attributes.iter().flat_map(|attribute| bytes(5, attribute)));
    node
}

fn value(name: &str, data_type: u64, shape: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&size| message(1, &[int(1, size)])).collect();
    [text(1, name), message(2, &[message(1, &[int(1, data_type), bytes(2, &dims)])])].concat()
}

fn message(number: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    bytes(number, &parts.concat())
}

fn text(number: u64, text: &str) -> Vec<u8> {
    bytes(number, text.as_bytes())
}

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    [varint(number as usize * 8 + 2), varint(content.len()), content.to_vec()].concat()
}

fn int(number: u64, value: u64) -> Vec<u8> {
    [varint(number as usize * 8), varint(value as usize)].concat()
}
