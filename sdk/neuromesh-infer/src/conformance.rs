//! Comparisons with ONNX Runtime's reference outputs, callable from the tests of every target.
//!
//! The fixtures are written by `tests/make_fixtures.py`, which also tells their format. Everything comes in as bytes, so
//! that a test in a browser can include them.

#[cfg(feature = "burn")]
pub mod device;
mod fixture;

use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "text")]
use crate::text::{Embedder, Pooling};
use crate::{Data, Limits, Model, Options, Tensor, kernels::cpu::Cpu};
use fixture::Stage;
pub use fixture::{Fixture, Tolerance};

/// Where a case has no rule of its own.
const TOLERANCE: Tolerance = Tolerance::Each { relative: 1e-4, absolute: 1e-4 };

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases compared.
    pub cases: usize,
    /// One line per failure.
    pub failures: Vec<String>,
    /// The largest difference of a float, in units of the tolerance.
    pub worst: f32,
}

impl Report {
    fn record(&mut self, name: &str, outcome: Result<f32, String>) {
        self.cases += 1;
        match outcome {
            Ok(worst) => self.worst = self.worst.max(worst),
            Err(reason) => self.failures.push(format!("{name}: {reason}")),
        }
    }

    /// Of ONNX's node tests: without the failures of [`LEFT_OUT`], each of which must be there.
    pub fn without_left_out(mut self) -> Self {
        for (name, _) in LEFT_OUT {
            match self.failures.iter().position(|failure| failure.split(": ").next() == Some(name)) {
                Some(at) => drop(self.failures.remove(at)),
                None => self.failures.push(format!("{name}: it passes, or is gone; it must leave the list")),
            }
        }
        self
    }

    /// Panics with the failures, if there are any, or if nothing was compared.
    pub fn assert_passed(&self) {
        assert!(self.cases > 0, "there was nothing to compare");
        let (failed, cases) = (self.failures.len(), self.cases);
        assert!(self.failures.is_empty(), "{failed} of {cases} failed:\n{}", self.failures.join("\n"));
    }
}

/// Runs every one-operator model of `operators.bin`.
pub fn operators(fixtures: &[u8]) -> Result<Report, String> {
    operators_where(fixtures, |_| true)
}

/// The same for the cases whose name is `chosen`.
pub fn operators_where(fixtures: &[u8], chosen: impl Fn(&str) -> bool) -> Result<Report, String> {
    let mut report = Report::default();
    for case in Fixture::read_all(fixtures)?.into_iter().filter(|case| chosen(&case.name)) {
        let outcome = load(Bytes::from(case.model.clone())).and_then(|model| compare_run(&model, &case));
        report.record(&case.name, outcome);
    }
    Ok(report)
}

/// ONNX's node tests in scope that do not pass, and why; one that passes must leave the list.
pub const LEFT_OUT: [(&str, &str); 12] = [
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

/// Runs ONNX's node tests; those [left out](LEFT_OUT) must fail, all others pass.
pub fn node_tests(fixtures: &[u8]) -> Result<Report, String> {
    operators(fixtures).map(Report::without_left_out)
}

/// Loads each model of `refused.bin` and, where it loads, runs it: one of both must fail, with the expected message.
pub fn refusals(fixtures: &[u8]) -> Result<Report, String> {
    let limits = Limits { memory: 64 << 20, steps: 10_000, ..Limits::default() };
    let mut report = Report::default();
    for case in Fixture::read_all(fixtures)? {
        let refused = match Model::load(Bytes::from(case.model.clone()), &limits) {
            Err(error) => Some((Stage::Load, error.to_string())),
            Ok(model) => Arc::new(model).run(case.inputs.clone()).err().map(|error| (Stage::Run, error.to_string())),
        };
        let outcome = match refused {
            None => Err("it was accepted".to_owned()),
            // What depends on constants only is already refused while it is folded.
            Some((stage, message)) if stage <= case.stage && message.contains(&case.message) => Ok(0.0),
            Some((stage, message)) => Err(format!("{:?} was expected, {stage:?} said {message:?}", case.message)),
        };
        report.record(&case.name, outcome);
    }
    Ok(report)
}

/// Compares the outputs of one model with those of `…_tensors.bin`.
pub fn model(model: Bytes, fixtures: &[u8]) -> Result<Report, String> {
    let model = load(model)?;
    let mut report = Report::default();
    for case in Fixture::read_all(fixtures)? {
        report.record(&case.name, compare_run(&model, &case));
    }
    Ok(report)
}

/// A digest of all outputs of a model for the inputs of a fixtures file, bit for bit: 64-bit FNV-1a over the elements as they
/// lie in memory, NaNs made alike.
pub fn digest(model: Bytes, fixtures: &[u8], cpu: &Cpu) -> Result<u64, String> {
    let options = Options { cpu: cpu.clone(), ..Options::default() };
    let model = Model::load_with(model, options).map(Arc::new).map_err(|error| error.to_string())?;
    let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
    for case in Fixture::read_all(fixtures)? {
        for (_, tensor) in model.run(case.inputs).map_err(|error| format!("{}: {error}", case.name))? {
            match &tensor.data {
                Data::F32(data) => data.iter().for_each(|x| digest.write(&canonical(*x).to_le_bytes())),
                Data::F16(data) => data.iter().for_each(|x| digest.write(&canonical(x.to_f32()).to_le_bytes())),
                Data::I64(data) => data.iter().for_each(|x| digest.write(&x.to_le_bytes())),
                Data::I32(data) => data.iter().for_each(|x| digest.write(&x.to_le_bytes())),
                Data::U8(data) => digest.write(data),
                Data::I8(data) => data.iter().for_each(|x| digest.write(&x.to_le_bytes())),
                Data::Bool(data) => data.iter().for_each(|x| digest.write(&[u8::from(*x)])),
            }
        }
    }
    Ok(digest.0)
}

fn canonical(x: f32) -> f32 {
    if x.is_nan() { f32::NAN } else { x }
}

struct Fnv(u64);

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Compares the tokens and the embeddings of the texts in `minilm_text.bin`.
#[cfg(feature = "text")]
pub fn embedder(model: Bytes, tokenizer: &[u8], fixtures: &[u8]) -> Result<Report, String> {
    let embedder =
        Embedder::new(load(model)?, tokenizer, 256, Pooling::Mean, true).map_err(|error| error.to_string())?;
    let mut report = Report::default();
    for case in Fixture::read_all(fixtures)? {
        report.record(&case.name, compare_text(&embedder, &case));
    }
    Ok(report)
}

fn load(bytes: Bytes) -> Result<Arc<Model>, String> {
    Model::load(bytes, &Limits::default()).map(Arc::new).map_err(|error| error.to_string())
}

fn compare_run(model: &Arc<Model>, case: &Fixture) -> Result<f32, String> {
    compare_outputs(&model.run(case.inputs.clone()).map_err(|error| error.to_string())?, case)
}

fn compare_outputs(outputs: &[(String, Tensor)], case: &Fixture) -> Result<f32, String> {
    if outputs.len() != case.outputs.len() {
        return Err(format!("{} outputs instead of {}", outputs.len(), case.outputs.len()));
    }
    let tolerance = case.tolerance.unwrap_or(TOLERANCE);
    outputs.iter().zip(&case.outputs).try_fold(0f32, |worst, ((name, found), (expected_name, expected))| {
        match name == expected_name {
            true => {
                Ok(worst.max(difference(found, expected, tolerance).map_err(|reason| format!("{name}: {reason}"))?))
            }
            false => Err(format!("output {name:?} instead of {expected_name:?}")),
        }
    })
}

#[cfg(feature = "text")]
fn compare_text(embedder: &Embedder, case: &Fixture) -> Result<f32, String> {
    let [(_, tokens), (_, embedding)] = case.outputs.as_slice() else {
        return Err("the case needs tokens and an embedding".into());
    };
    let found: Vec<i64> =
        (embedder.tokens(&case.text).map_err(|error| error.to_string())?).into_iter().map(i64::from).collect();
    if Data::I64(found) != tokens.data {
        return Err("the tokens differ".into());
    }
    let vector = embedder.embed(&case.text).map_err(|error| error.to_string())?;
    difference(&Tensor { shape: vec![vector.len()], data: Data::F32(vector) }, embedding, TOLERANCE)
}

/// The largest difference in units of the tolerance, if it is within it.
fn difference(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<f32, String> {
    if found.shape != expected.shape {
        return Err(format!("shape {:?} instead of {:?}", found.shape, expected.shape));
    }
    let (Some(found_floats), Some(expected_floats)) = (floats(&found.data), floats(&expected.data)) else {
        return match found == expected {
            true => Ok(0.0),
            false => Err(format!("{:?} instead of {:?}", found.data, expected.data)),
        };
    };
    if found.data.data_type() != expected.data.data_type() {
        return Err(format!("{} instead of {}", found.data.data_type(), expected.data.data_type()));
    }
    let (relative, absolute) = match tolerance {
        Tolerance::Each { relative, absolute } => (relative, absolute),
        Tolerance::OfLargest(part) => {
            let largest = expected_floats.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            (0.0, part * largest.max(f32::MIN_POSITIVE))
        }
    };
    let mut worst = 0f32;
    for (index, (&found, &expected)) in found_floats.iter().zip(&expected_floats).enumerate() {
        if found == expected || (found.is_nan() && expected.is_nan()) {
            continue;
        }
        let off = (found - expected).abs() / (absolute + relative * expected.abs());
        // Also when it is not a number.
        if off.is_nan() || off > 1.0 {
            return Err(format!("element {index} is {found} instead of {expected}"));
        }
        worst = worst.max(off);
    }
    Ok(worst)
}

fn floats(data: &Data) -> Option<Vec<f32>> {
    match data {
        Data::F32(data) => Some(data.clone()),
        Data::F16(data) => Some(data.iter().map(|value| value.to_f32()).collect()),
        _ => None,
    }
}
