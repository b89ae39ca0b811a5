//! Speech in a sound, by a model that looks at short windows and remembers (Silero VAD).

use std::sync::Arc;

use super::{AudioError, Sound, resample};
use crate::{Data, Model, Run, RunOptions, Tensor, kernels::cpu::Numerics};

/// The model's inputs.
const INPUTS: [&str; 3] = ["input", "state", "sr"];
/// Values of the state for each direction of the model's two layers.
const STATE: usize = 128;
/// The longest window, in samples.
const MAX_WINDOW: u32 = 1 << 14;
/// The longest time in a description, in milliseconds.
const MAX_MS: u32 = 60_000;

/// How windows are cut and what counts as speech. The default is Silero's own.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceSpec {
    /// What the model was made for: 16,000 or 8,000 samples a second.
    pub rate: u32,
    /// Samples of a window.
    pub window: u32,
    /// Samples before a window that are looked at again.
    pub context: u32,
    /// The probability from which on it is speech; speech ends 0.15 below.
    pub threshold: f64,
    /// Speech that is not longer is left out, in milliseconds.
    pub min_speech_ms: u32,
    /// Silence that is shorter is part of the speech around it, in milliseconds.
    pub min_silence_ms: u32,
    /// What segments are widened by on each side, in milliseconds.
    pub pad_ms: u32,
}

impl Default for VoiceSpec {
    fn default() -> Self {
        Self {
            rate: 16_000,
            window: 512,
            context: 64,
            threshold: 0.5,
            min_speech_ms: 250,
            min_silence_ms: 100,
            pad_ms: 30,
        }
    }
}

/// What was found in a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Voice {
    /// Samples per second, of the segments.
    pub rate: u32,
    /// The probability of speech in each window.
    pub probabilities: Vec<f32>,
    /// Where there is speech, in order.
    pub segments: Vec<Segment>,
}

/// A part of a sound, in samples; `end` is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First sample.
    pub start: usize,
    /// Sample after the last one.
    pub end: usize,
}

/// Finds speech.
#[derive(Debug)]
pub struct VoiceDetector {
    model: Arc<Model>,
    spec: VoiceSpec,
    takes_rate: bool,
}

impl VoiceDetector {
    /// A model with the inputs `input` (`[1, context + window]`), `state` (`[2, 1, 128]`) and, if it likes, `sr`, whose
    /// outputs are the probability and the next state.
    ///
    /// # Errors
    /// [`AudioError::Model`], [`AudioError::Rate`].
    pub fn new(model: Arc<Model>, spec: VoiceSpec) -> Result<Self, AudioError> {
        let wrong = |text: String| Err(AudioError::Model(text));
        if !super::RATES.contains(&spec.rate) {
            return Err(AudioError::Rate(spec.rate));
        }
        if !(1..=MAX_WINDOW).contains(&spec.window) || spec.context > spec.window {
            return wrong(format!(
                "windows of {} with {} before; 1 to {MAX_WINDOW}, not less",
                spec.window, spec.context
            ));
        }
        if !(spec.threshold > 0.0 && spec.threshold < 1.0) {
            return wrong(format!("a threshold of {} is not between 0 and 1", spec.threshold));
        }
        if [spec.min_speech_ms, spec.min_silence_ms, spec.pad_ms].into_iter().any(|ms| ms > MAX_MS) {
            return wrong(format!("a time over {MAX_MS} ms"));
        }
        let has = |name: &str| model.inputs().iter().any(|input| input.name == name);
        if !has("input") || !has("state") || model.outputs().len() < 2 {
            return wrong("the model has no `input`, `state` and two outputs".into());
        }
        if let Some(other) = model.inputs().iter().find(|spec| !INPUTS.contains(&spec.name.as_str()) && !spec.optional)
        {
            return wrong(format!("the model takes an input {:?}", other.name));
        }
        Ok(Self { takes_rate: has("sr"), model, spec })
    }

    /// Resamples the sound and prepares the first window.
    ///
    /// # Errors
    /// [`AudioError::TooLong`], [`AudioError::Run`].
    pub fn start(self: &Arc<Self>, sound: &Sound) -> Result<VoiceRun, AudioError> {
        self.start_with(sound, RunOptions::default())
    }

    /// The same, with more to choose for each window's run.
    ///
    /// # Errors
    /// As [`VoiceDetector::start`].
    pub fn start_with(self: &Arc<Self>, sound: &Sound, options: RunOptions) -> Result<VoiceRun, AudioError> {
        let sound = resample(sound, self.spec.rate)?;
        let windows = sound.samples.len().div_ceil(self.spec.window as usize);
        let mut run = VoiceRun {
            detector: Arc::clone(self),
            samples: sound.samples,
            state: Tensor { shape: vec![2, 1, STATE], data: Data::F32(vec![0.0; 2 * STATE]) },
            probabilities: Vec::with_capacity(windows),
            windows,
            options,
            numerics: Numerics::Exact,
            run: None,
        };
        run.next()?;
        Ok(run)
    }
}

/// The search in one sound, one operator at a time; see [`Run`].
#[derive(Debug)]
pub struct VoiceRun {
    detector: Arc<VoiceDetector>,
    samples: Vec<f32>,
    state: Tensor,
    probabilities: Vec<f32>,
    windows: usize,
    options: RunOptions,
    numerics: Numerics,
    run: Option<Run>,
}

impl VoiceRun {
    /// Executes one operator. Gives what was found after the last window.
    ///
    /// # Errors
    /// [`AudioError::Run`], [`AudioError::Model`].
    pub fn step(&mut self) -> Result<Option<Voice>, AudioError> {
        let Some(run) = &mut self.run else {
            return Ok(Some(self.found()));
        };
        if let Some(outputs) = run.step()? {
            let wrong = || AudioError::Model("its outputs are not a probability and a state of float32".into());
            let mut outputs = outputs.into_iter().map(|(_, tensor)| tensor);
            let (Some(Tensor { data: Data::F32(probability), .. }), Some(state)) = (outputs.next(), outputs.next())
            else {
                return Err(wrong());
            };
            let &[probability] = probability.as_slice() else { return Err(wrong()) };
            self.probabilities.push(probability);
            self.state = state;
            self.next()?;
        }
        Ok(None)
    }

    /// The run of the model over the window at hand; none after the last.
    pub fn run_mut(&mut self) -> Option<&mut Run> {
        self.run.as_mut()
    }

    /// What its numbers are.
    pub fn numerics(&self) -> Numerics {
        self.numerics
    }

    /// Windows done, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.probabilities.len(), self.windows)
    }

    fn next(&mut self) -> Result<(), AudioError> {
        let spec = &self.detector.spec;
        let (window, context) = (spec.window as usize, spec.context as usize);
        let start = self.probabilities.len() * window;
        if start >= self.samples.len() {
            self.run = None;
            return Ok(());
        }
        // Silence before the beginning and after the end.
        let mut input = vec![0.0; context.saturating_sub(start)];
        let end = (start + window).min(self.samples.len());
        input.extend_from_slice(&self.samples[start.saturating_sub(context)..end]);
        input.resize(context + window, 0.0);
        let state = std::mem::replace(&mut self.state, Tensor { shape: vec![0], data: Data::F32(Vec::new()) });
        let mut inputs = vec![
            ("input".to_owned(), Tensor { shape: vec![1, context + window], data: Data::F32(input) }),
            ("state".to_owned(), state),
        ];
        if self.detector.takes_rate {
            let rate = Tensor { shape: vec![], data: Data::I64(vec![i64::from(spec.rate)]) };
            inputs.push(("sr".to_owned(), rate));
        }
        let run = self.detector.model.start_with(inputs, self.options.clone())?;
        self.numerics = run.numerics();
        self.run = Some(run);
        Ok(())
    }

    fn found(&self) -> Voice {
        let spec = &self.detector.spec;
        let segments = segments(spec, &self.probabilities, self.samples.len());
        Voice { rate: spec.rate, probabilities: self.probabilities.clone(), segments }
    }
}

/// Segments of a sound of `length` samples from the probabilities of its windows, by the rules of Silero's
/// `get_speech_timestamps` without a longest duration. Windows that begin behind the end count as silence.
pub fn segments(spec: &VoiceSpec, probabilities: &[f32], length: usize) -> Vec<Segment> {
    let samples = |ms: u32| (u64::from(spec.rate) * u64::from(ms) / 1000) as usize;
    let (least, silence, pad) = (samples(spec.min_speech_ms), samples(spec.min_silence_ms), samples(spec.pad_ms));
    let low = (spec.threshold - 0.15).max(0.01);
    let mut found = Vec::new();
    let mut begun = None;
    let mut quiet = None;
    let windows = length.div_ceil((spec.window as usize).max(1));
    for (index, &probability) in probabilities.iter().enumerate().take(windows) {
        let (at, probability) = (index * spec.window as usize, f64::from(probability));
        if probability >= spec.threshold {
            quiet = None;
            begun = begun.or(Some(at));
        } else if let Some(start) = begun.filter(|_| probability < low) {
            let end = *quiet.get_or_insert(at);
            if at - end >= silence {
                if end - start > least {
                    found.push(Segment { start, end });
                }
                (begun, quiet) = (None, None);
            }
        }
    }
    if let Some(start) = begun.filter(|start| length.saturating_sub(*start) > least) {
        found.push(Segment { start, end: length });
    }
    widen(&mut found, pad, length);
    found
}

/// Widens by `pad`; where two would meet, each gets half of the silence between them.
fn widen(segments: &mut [Segment], pad: usize, length: usize) {
    if let Some(first) = segments.first_mut() {
        first.start = first.start.saturating_sub(pad);
    }
    for index in 0..segments.len() {
        let Some(&after) = segments.get(index + 1) else {
            segments[index].end = (segments[index].end + pad).min(length);
            return;
        };
        let gap = after.start - segments[index].end;
        let by = if gap < 2 * pad { gap / 2 } else { pad };
        segments[index].end = (segments[index].end + by).min(length);
        segments[index + 1].start -= by;
    }
}
