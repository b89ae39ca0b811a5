//! The engine, natively, one run at a time: `bench-engine MODEL.onnx TOKENS`. Runs MiniLM once for each line on standard
//! input and prints how long that took, in milliseconds; so the driver can alternate it with ONNX Runtime.

use std::{
    error::Error,
    io::{self, BufRead, Write},
    sync::Arc,
    time::Instant,
};

use neuromesh_infer::{Data, Limits, Model, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: bench-engine MODEL.onnx TOKENS")?;
    let tokens: usize = arguments.next().ok_or("usage: bench-engine MODEL.onnx TOKENS")?.parse()?;
    let model = Arc::new(Model::load(std::fs::read(path)?.into(), &Limits::default())?);
    let tensor = |values: Vec<i64>| Tensor::new([1, tokens], Data::I64(values));
    // The same ids as the other engine gets: words of the vocabulary, spread over it.
    let ids: Vec<i64> = (0..tokens as i64).map(|index| 1000 + (index * 7919) % 28_000).collect();
    let inputs = vec![
        ("input_ids".to_owned(), tensor(ids)?),
        ("attention_mask".to_owned(), tensor(vec![1; tokens])?),
        ("token_type_ids".to_owned(), tensor(vec![0; tokens])?),
    ];
    println!("ready");
    for line in io::stdin().lock().lines() {
        line?;
        let started = Instant::now();
        let outputs = model.run(inputs.clone())?;
        let elapsed = started.elapsed();
        let Data::F32(values) = &outputs[0].1.data else { return Err("the output is not float".into()) };
        println!("{} {}", elapsed.as_secs_f64() * 1e3, values[0]);
        io::stdout().flush()?;
    }
    Ok(())
}
