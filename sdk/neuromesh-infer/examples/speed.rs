//! Times a model: `cargo run --release -p neuromesh-infer --example speed -- MODEL.onnx TOKENS [RUNS]`.
//!
//! Every free dimension gets the size TOKENS but the first, which is 1. Prints the median of the runs and where it goes.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use neuromesh_infer::{Data, DataType, Dim, Limits, Model, Tensor};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path of a model");
    let tokens: usize = arguments.next().map_or(128, |text| text.parse().expect("a number of tokens"));
    let runs: usize = arguments.next().map_or(20, |text| text.parse().expect("a number of runs"));

    let bytes = std::fs::read(&path).expect("the model can be read");
    let begin = Instant::now();
    let model = Arc::new(Model::load(bytes.into(), &Limits::default()).expect("the model can be loaded"));
    println!("load {:.1} ms, {} steps, {} bytes of weights", millis(begin), model.steps(), model.weight_bytes());

    let (mut totals, mut by_operator) = (Vec::new(), BTreeMap::<String, (f64, usize)>::new());
    for _ in 0..runs {
        let inputs = model.inputs().iter().map(|spec| {
            let dims = spec.shape.as_deref().unwrap_or_default();
            let size = |(index, dim): (usize, &Dim)| match dim {
                Dim::Fixed(size) => *size,
                _ if index == 0 => 1,
                _ => tokens,
            };
            let shape: Vec<usize> = dims.iter().enumerate().map(size).collect();
            let count = shape.iter().product();
            let data = match spec.data_type {
                DataType::F32 => Data::F32(vec![1.0; count]),
                DataType::I32 => Data::I32(vec![1; count]),
                _ => Data::I64(vec![1; count]),
            };
            (spec.name.clone(), Tensor::new(shape, data).expect("the shape was counted"))
        });
        let mut run = model.start(inputs.collect()).expect("the inputs fit");
        let mut total = 0.0;
        loop {
            let operator = run.upcoming().map(|(_, operator)| operator.to_owned()).unwrap_or_default();
            let begin = Instant::now();
            let done = run.step().expect("the model runs").is_some();
            let spent = millis(begin);
            total += spent;
            let entry = by_operator.entry(operator).or_default();
            *entry = (entry.0 + spent, entry.1 + 1);
            if done {
                break;
            }
        }
        totals.push(total);
    }
    totals.sort_by(f64::total_cmp);
    println!("median of {runs}: {:.2} ms", totals[runs / 2]);
    let mut rows: Vec<_> = by_operator.into_iter().collect();
    rows.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (operator, (spent, count)) in rows {
        println!("{operator:24} {:8.3} ms in {}", spent / runs as f64, count / runs);
    }
}

fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
