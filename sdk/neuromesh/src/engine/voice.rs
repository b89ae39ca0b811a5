//! Sounds through a model that finds speech.

use std::sync::Arc;

use neuromesh_core::{DType, Payload, Tensor, model::VoicePipeline};
use neuromesh_infer::{
    Model, RunOptions,
    audio::{AudioError, Sound, Voice, VoiceDetector, VoiceRun, VoiceSpec, read_wav},
};
use serde_json::{Value, json};

use super::{JobError, prepared::run_error};

const TAKES: &str = "this model takes a whole WAV file, or the tensors `samples` (float32) and `rate` (int32)";

pub(super) fn load(model: Arc<Model>, pipeline: &VoicePipeline) -> Result<Arc<VoiceDetector>, JobError> {
    let spec = VoiceSpec {
        rate: pipeline.rate,
        window: pipeline.window,
        context: pipeline.context,
        threshold: pipeline.threshold.0,
        min_speech_ms: pipeline.min_speech_ms,
        min_silence_ms: pipeline.min_silence_ms,
        pad_ms: pipeline.pad_ms,
    };
    let detector = VoiceDetector::new(model, spec);
    detector.map(Arc::new).map_err(|error| JobError::InvalidModel(error.to_string()))
}

pub(super) fn start(detector: &Arc<VoiceDetector>, input: &Payload, options: RunOptions) -> Result<VoiceRun, JobError> {
    let sound = sound(input)?;
    detector.start_with(&sound, options).map_err(error)
}

pub(super) fn error(error: AudioError) -> JobError {
    match error {
        AudioError::Run(error) => run_error(error),
        AudioError::Model(text) => JobError::Failed(text),
        error => JobError::InvalidInput(error.to_string()),
    }
}

/// `{"rate", "segments": [{"start", "end"}], "probabilities"}`, in samples of that rate.
pub(super) fn answer(voice: &Voice) -> Payload {
    let segments: Vec<Value> =
        voice.segments.iter().map(|segment| json!({"start": segment.start, "end": segment.end})).collect();
    let answer = json!({"rate": voice.rate, "segments": segments, "probabilities": voice.probabilities});
    Payload::Json(answer.to_string())
}

fn sound(input: &Payload) -> Result<Sound, JobError> {
    let invalid = || JobError::InvalidInput(TAKES.into());
    match input {
        Payload::Bytes(bytes) => {
            let len = usize::try_from(bytes.len).map_err(|_| invalid())?;
            read_wav(bytes.read(0, len).ok_or_else(invalid)?).map_err(error)
        }
        Payload::Tensors(tensors) => {
            let named = |name: &str| tensors.iter().find(|tensor| tensor.name == name).ok_or_else(invalid);
            let (samples, rate) = (named("samples")?, named("rate")?);
            let rate = match (rate.dtype, rate.data.as_slice()) {
                (DType::I32, &[a, b, c, d]) => u32::try_from(i32::from_le_bytes([a, b, c, d])).ok(),
                _ => None,
            };
            let Tensor { dtype: DType::F32, data, .. } = samples else { return Err(invalid()) };
            let samples = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            Sound::new(rate.ok_or_else(invalid)?, samples).map_err(error)
        }
        _ => Err(invalid()),
    }
}
