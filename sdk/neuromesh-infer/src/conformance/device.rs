//! The same comparisons on a Burn backend.
//!
//! They are asynchronous, as reading from a device is: a test in a browser awaits them, a native one [waits](wait), and
//! [`at_once`] drives them where the backend is the CPU's.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use burn_backend::{Backend, tensor::Device};
use bytes::Bytes;

use super::{Fixture, Report, compare_outputs};
use crate::{
    Limits, Model, Options,
    device::{DeviceModel, Placement, Traffic},
};

/// What a comparison found, and how much of it the device did.
#[derive(Debug, Default)]
pub struct DeviceReport {
    /// The comparison.
    pub report: Report,
    /// What happened where, in all cases together.
    pub traffic: Traffic,
}

/// Runs the one-operator models of `operators.bin` whose name is `chosen`; the device does what it can.
pub async fn operators<B: Backend>(
    fixtures: &[u8],
    device: &Device<B>,
    chosen: impl Fn(&str) -> bool,
) -> Result<DeviceReport, String> {
    let mut found = DeviceReport::default();
    for case in Fixture::read_all(fixtures)?.into_iter().filter(|case| chosen(&case.name)) {
        let outcome = match load::<B>(Bytes::from(case.model.clone()), device, Placement { least: 0 }) {
            Ok(model) => compare(&model, &case, &mut found.traffic).await,
            Err(reason) => Err(reason),
        };
        found.report.record(&case.name, outcome);
    }
    Ok(found)
}

/// Compares the outputs of one model with those of `…_tensors.bin`.
pub async fn model<B: Backend>(
    model: Bytes,
    fixtures: &[u8],
    device: &Device<B>,
    placement: Placement,
) -> Result<DeviceReport, String> {
    let model = load::<B>(model, device, placement)?;
    let mut found = DeviceReport::default();
    for case in Fixture::read_all(fixtures)? {
        let outcome = compare(&model, &case, &mut found.traffic).await;
        found.report.record(&case.name, outcome);
    }
    Ok(found)
}

/// Runs each model of `refused.bin` on the CPU and on the device: both must refuse it, in the same words.
pub async fn refusals<B: Backend>(fixtures: &[u8], device: &Device<B>) -> Result<Report, String> {
    let limits = Limits { memory: 64 << 20, steps: 10_000, ..Limits::default() };
    let mut report = Report::default();
    for case in Fixture::read_all(fixtures)? {
        let bytes = || Bytes::from(case.model.clone());
        let on_cpu = match Model::load(bytes(), &limits) {
            Err(error) => Some(error.to_string()),
            Ok(model) => Arc::new(model).run(case.inputs.clone()).err().map(|error| error.to_string()),
        };
        let options = Options { limits: limits.clone(), ..Options::default() };
        let on_device = match DeviceModel::<B>::load_with(bytes(), options, Placement { least: 0 }, device.clone()) {
            Err(error) => Some(error.to_string()),
            Ok(model) => Arc::new(model).run(case.inputs.clone()).await.err().map(|error| error.to_string()),
        };
        let outcome = match (on_cpu, on_device) {
            // How many bytes are needed is another number where operands lie twice.
            (Some(cpu), Some(device)) if without_digits(&cpu) == without_digits(&device) => Ok(0.0),
            (cpu, device) => Err(format!("the CPU said {cpu:?}, the device {device:?}")),
        };
        report.record(&case.name, outcome);
    }
    Ok(report)
}

fn without_digits(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The result of a future, for which this thread waits: for native tests alone.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut context, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// The result of a future that waits for nobody, as a CPU's backend makes them; `None` for one that does.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn load<B: Backend>(bytes: Bytes, device: &Device<B>, placement: Placement) -> Result<Arc<DeviceModel<B>>, String> {
    let model = DeviceModel::load_with(bytes, Options::default(), placement, device.clone());
    model.map(Arc::new).map_err(|error| error.to_string())
}

async fn compare<B: Backend>(
    model: &Arc<DeviceModel<B>>,
    case: &Fixture,
    traffic: &mut Traffic,
) -> Result<f32, String> {
    let mut run = model.start(case.inputs.clone()).map_err(|error| error.to_string())?;
    let outputs = loop {
        if let Some(outputs) = run.step().await.map_err(|error| error.to_string())? {
            break outputs;
        }
    };
    *traffic += run.traffic();
    compare_outputs(&outputs, case)
}
