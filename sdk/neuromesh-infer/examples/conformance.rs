//! Compares with reference outputs, case by case: `conformance FIXTURES [--device] [--model MODEL] [PART OF A NAME]...`

use neuromesh_infer::{
    conformance::{
        self,
        device::{self, at_once},
    },
    device::{Flex, FlexDevice, Placement},
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path of a fixtures file");
    let mut parts: Vec<String> = arguments.collect();
    let on_device = parts.iter().position(|part| part == "--device").map(|at| parts.remove(at)).is_some();
    let model = parts.iter().position(|part| part == "--model").map(|at| {
        let path = parts.drain(at..at + 2).nth(1).expect("the path of a model");
        std::fs::read(path).expect("the model")
    });
    let fixtures = std::fs::read(&path).expect("the fixtures");
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let report = if on_device {
        let found = match model {
            Some(model) => at_once(device::model::<Flex>(model.into(), &fixtures, &FlexDevice, Placement { least: 0 })),
            None => at_once(device::operators::<Flex>(&fixtures, &FlexDevice, chosen)),
        };
        let found = found.expect("a CPU's backend waits for nobody");
        found.map(|found| {
            println!("{:?}", found.traffic);
            found.report
        })
    } else {
        match model {
            Some(model) => conformance::model(model.into(), &fixtures),
            None => conformance::operators_where(&fixtures, chosen),
        }
    };
    let report = report.unwrap_or_else(|reason| panic!("{reason}"));
    report.failures.iter().for_each(|failure| println!("{failure:.300}"));
    println!("{} passed, {} failed", report.cases - report.failures.len(), report.failures.len());
}
