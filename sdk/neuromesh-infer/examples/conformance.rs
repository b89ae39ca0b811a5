//! Compares with reference outputs, case by case:
//! `conformance FIXTURES [--device flex|wgpu] [--model MODEL] [PART OF A NAME]...`
//!
//! `wgpu` needs the cargo feature of that name.

use burn_backend::{Backend, tensor::Device};
use neuromesh_infer::{
    conformance::{
        self, Report,
        device::{self, wait},
    },
    device::{Flex, FlexDevice, Placement},
};

struct Task {
    fixtures: Vec<u8>,
    model: Option<Vec<u8>>,
    parts: Vec<String>,
}

impl Task {
    fn is_chosen(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()))
    }

    fn on_cpu(self) -> Result<Report, String> {
        match &self.model {
            Some(model) => conformance::model(model.clone().into(), &self.fixtures),
            None => conformance::operators_where(&self.fixtures, |name| self.is_chosen(name)),
        }
    }

    fn on<B: Backend>(self, device: &Device<B>) -> Result<Report, String> {
        let found = match &self.model {
            Some(model) => {
                wait(device::model::<B>(model.clone().into(), &self.fixtures, device, Placement { least: 0 }))
            }
            None => wait(device::operators::<B>(&self.fixtures, device, |name| self.is_chosen(name))),
        }?;
        println!("{:?}", found.traffic);
        Ok(found.report)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path of a fixtures file");
    let mut parts: Vec<String> = arguments.collect();
    let mut option = |name: &str| {
        let at = parts.iter().position(|part| part == name)?;
        Some(parts.drain(at..at + 2).nth(1).expect("the option's value"))
    };
    let device = option("--device");
    let model = option("--model").map(|path| std::fs::read(path).expect("the model"));
    let task = Task { fixtures: std::fs::read(&path).expect("the fixtures"), model, parts };
    let report = match device.as_deref() {
        None => task.on_cpu(),
        Some("flex") => task.on::<Flex>(&FlexDevice),
        #[cfg(feature = "wgpu")]
        Some("wgpu") => {
            wait(neuromesh_infer::device::wgpu::open()).map_err(|error| error.to_string()).and_then(|gpu| {
                println!("{}", gpu.name());
                task.on::<neuromesh_infer::device::wgpu::Wgpu>(gpu.device())
            })
        }
        Some(other) => panic!("this build has no device {other:?}"),
    };
    let report = report.unwrap_or_else(|reason| panic!("{reason}"));
    report.failures.iter().for_each(|failure| println!("{failure:.300}"));
    println!("{} passed, {} failed", report.cases - report.failures.len(), report.failures.len());
}
