//! The engine, natively: `bench-engine MODEL.onnx FIXTURES CASE exact|fast` is asked line by line, `bench-engine node-tests
//! FIXTURES` prints `{"passed", "in_scope"}` of ONNX's own tests.
//!
//! The former says `ready`, then answers each line on standard input with one line of JSON; so the driver can alternate it with ONNX
//! Runtime:
//!
//! - `run N`: `{"ms"}`, the milliseconds of one run, of N in a row;
//! - `check`: `{"difference"}`, how far the outputs are from the reference, as a part of the largest of each;
//! - `memory`: what the engine accounts for and what was allocated, in bytes, in a run with a plan.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    error::Error,
    io::{self, BufRead, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use neuromesh_infer::{
    Data, Model, Options, Run, Tensor,
    conformance::{self, Fixture},
    kernels::cpu::{Cpu, Numerics},
};

type Named = Vec<(String, Tensor)>;

const USAGE: &str = "usage: bench-engine MODEL.onnx FIXTURES CASE exact|fast, or bench-engine node-tests FIXTURES";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, fixtures] = arguments.as_slice()
        && mode == "node-tests"
    {
        let report = conformance::operators(&std::fs::read(fixtures)?)?;
        println!("{{\"passed\":{},\"in_scope\":{}}}", report.cases - report.failures.len(), report.cases);
        return Ok(());
    }
    let [path, fixtures, case, numerics] = arguments.as_slice() else { return Err(USAGE.into()) };
    let numerics = match numerics.as_str() {
        "exact" => Numerics::Exact,
        "fast" => Numerics::Fast,
        _ => return Err(USAGE.into()),
    };
    let cases = Fixture::read_all(&std::fs::read(fixtures)?)?;
    let case = cases.into_iter().find(|one| one.name == *case).ok_or("the fixtures have no such case")?;
    let before = LIVE.load(Ordering::Relaxed);
    let options = Options { cpu: Cpu::new(numerics), ..Options::default() };
    let model = Arc::new(Model::load_with(std::fs::read(path)?.into(), options)?);
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["run", count] => println!("{{\"ms\":{}}}", run(&model, &case.inputs, count.parse()?)?),
            ["check"] => {
                let difference = difference(&model.run(case.inputs.clone())?, &case.outputs);
                // JSON has no infinity.
                println!("{{\"difference\":{}}}", difference.min(1e30));
            }
            ["memory"] => println!("{}", memory(&model, &case.inputs, before)?),
            _ => return Err(format!("unknown request {line:?}").into()),
        }
        io::stdout().flush()?;
    }
    Ok(())
}

/// Milliseconds of one run; handing the inputs over is part of it, as it is for the other engine.
fn run(model: &Arc<Model>, inputs: &Named, count: u32) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    for _ in 0..count {
        std::hint::black_box(model.run(inputs.clone())?);
    }
    Ok(started.elapsed().as_secs_f64() * 1e3 / f64::from(count))
}

/// The largest difference of a float as a part of the largest of its output; infinite where shapes or integers differ.
fn difference(found: &Named, expected: &Named) -> f64 {
    let mut worst = 0f64;
    for (name, reference) in expected {
        let Some((_, tensor)) = found.iter().find(|(one, _)| one == name) else { return f64::INFINITY };
        let (Some(a), Some(b)) = (floats(&tensor.data), floats(&reference.data)) else {
            if tensor != reference {
                return f64::INFINITY;
            }
            continue;
        };
        if tensor.shape != reference.shape {
            return f64::INFINITY;
        }
        let largest = b.iter().fold(1e-30, |largest: f64, x| largest.max(x.abs()));
        for (a, b) in a.iter().zip(&b) {
            let off = (a - b).abs() / largest;
            if off.is_nan() && !(a.is_nan() && b.is_nan()) {
                return f64::INFINITY;
            }
            worst = worst.max(off);
        }
    }
    worst
}

fn floats(data: &Data) -> Option<Vec<f64>> {
    match data {
        Data::F32(values) => Some(values.iter().copied().map(f64::from).collect()),
        Data::F16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        _ => None,
    }
}

/// The first run finds the lifetimes, the second allocates by the plan that comes of them: it is the second that counts.
fn memory(model: &Arc<Model>, inputs: &Named, before: usize) -> Result<String, Box<dyn Error>> {
    model.trim();
    model.run(inputs.clone())?;
    let inputs = inputs.clone();
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
    let mut run: Run = model.start(inputs)?;
    let (mut peak, mut needed) = (0, 0);
    loop {
        let done = run.step()?.is_some();
        (peak, needed) = (run.peak_memory().max(peak), run.needed_memory().max(needed));
        if done {
            break;
        }
    }
    let allocated = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    let weights = model.weight_bytes();
    Ok(format!("{{\"weights\":{weights},\"peak\":{peak},\"needed\":{needed},\"allocated\":{allocated}}}"))
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grown(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it is; counting has no part in what it returns.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        grown(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
