//! Pictures through a model: pixels to a tensor, scores to names.

use std::sync::Arc;

use neuromesh_core::{
    DType, Payload, Tensor,
    model::{ImageChannels, ImageFilter, ImageLayout, ImagePipeline, ImageSize, Number},
};
use neuromesh_infer::{
    self as infer, Data, Model, RunOptions,
    kernels::{
        cpu::{Cpu, Numerics},
        softmax::{Kind, softmax},
    },
    vision::{Channels, Filter, ImageSpec, Layout, Pad, Picture, Resize},
};

use super::{JobError, NamedTensors};

/// The most classes of an answer.
const MAX_TOP: usize = 1000;
/// The most names of classes.
const MAX_LABELS: usize = 1 << 16;

/// A model with what is done to its pictures.
pub(super) struct ImageModel {
    pub model: Arc<Model>,
    input: String,
    spec: ImageSpec,
    classes: Option<Classes>,
}

struct Classes {
    top: usize,
    softmax: bool,
    names: Vec<String>,
}

impl ImageModel {
    pub fn new(model: Arc<Model>, pipeline: &ImagePipeline, labels: Option<&[u8]>) -> Result<Self, JobError> {
        let invalid = |text: String| JobError::InvalidModel(text);
        let spec = spec(pipeline);
        spec.check().map_err(|error| invalid(error.to_string()))?;
        let mut inputs = model.inputs().iter().filter(|input| !input.optional);
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err(invalid("an image pipeline needs a model with one input".into()));
        };
        let classes = match (pipeline.top, labels) {
            (None, _) => None,
            (Some(top), Some(labels)) => {
                let (names, top) = (names(labels)?, (top as usize).clamp(1, MAX_TOP));
                Some(Classes { top, softmax: pipeline.softmax, names })
            }
            (Some(_), None) => return Err(invalid("an image pipeline with `top` needs labels".into())),
        };
        Ok(Self { input: input.name.clone(), spec, classes, model })
    }

    /// The run of a picture.
    pub fn start(&self, input: &Payload, options: RunOptions) -> Result<infer::Run, JobError> {
        self.model.start_with(self.inputs(input)?, options).map_err(super::prepared::run_error)
    }

    /// What the model takes, by name, from a picture.
    pub fn inputs(&self, input: &Payload) -> Result<NamedTensors, JobError> {
        let invalid = |text: String| JobError::InvalidInput(text);
        let takes = "this model takes a picture: one tensor of uint8, [height, width, channels]; pages, `neuromesh run \
                     --image` and `imageBase64` over HTTP decode files to it";
        let Payload::Tensors(tensors) = input else { return Err(invalid(takes.into())) };
        let [Tensor { dtype: DType::U8, shape, data, .. }] = tensors.as_slice() else {
            return Err(invalid(takes.into()));
        };
        let &[height, width, channels] = shape.as_slice() else { return Err(invalid(takes.into())) };
        let picture = Picture::new(data, height as usize, width as usize, channels as usize);
        let tensor =
            picture.and_then(|picture| self.spec.apply(&picture)).map_err(|error| invalid(error.to_string()))?;
        Ok(vec![(self.input.clone(), tensor)])
    }

    /// The answer that the model's outputs are.
    pub fn answer(&self, outputs: NamedTensors) -> Result<Payload, JobError> {
        match &self.classes {
            None => super::from_engine(outputs).map(Payload::Tensors),
            Some(classes) => classes.best(outputs),
        }
    }
}

impl Classes {
    fn best(&self, outputs: NamedTensors) -> Result<Payload, JobError> {
        let failed = |text: String| JobError::Failed(text);
        let Some((_, infer::Tensor { shape, data: Data::F32(mut scores) })) = outputs.into_iter().next() else {
            return Err(failed("the model's first output is not float32".into()));
        };
        if scores.len() != self.names.len() || shape.last() != Some(&scores.len()) {
            let names = self.names.len();
            return Err(failed(format!("the model's first output is {shape:?}, but there are {names} labels")));
        }
        if self.softmax {
            let row = scores.len();
            softmax(&Cpu::new(Numerics::Exact), Kind::Softmax, None, &mut scores, row);
        }
        let mut order: Vec<usize> = (0..scores.len()).filter(|index| !scores[*index].is_nan()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        let class =
            |index: &usize| serde_json::json!({"index": index, "label": self.names[*index], "score": scores[*index]});
        let best: Vec<_> = order.iter().take(self.top).map(class).collect();
        Ok(Payload::Json(serde_json::Value::Array(best).to_string()))
    }
}

/// A JSON list of texts, or one a line.
fn names(file: &[u8]) -> Result<Vec<String>, JobError> {
    let invalid = |text: &str| JobError::InvalidModel(format!("labels: {text}"));
    let text = std::str::from_utf8(file).map_err(|_| invalid("not UTF-8"))?;
    let names: Vec<String> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?
    } else {
        text.lines().map(str::to_owned).collect()
    };
    if names.is_empty() || names.len() > MAX_LABELS {
        return Err(invalid(&format!("{} names; 1 to {MAX_LABELS} are taken", names.len())));
    }
    Ok(names)
}

fn spec(pipeline: &ImagePipeline) -> ImageSpec {
    let pair = |[a, b]: [u32; 2]| [a as usize, b as usize];
    let numbers = |numbers: [Number; 3]| numbers.map(|number| number.0 as f32);
    ImageSpec {
        resize: pipeline.resize.map(|size| match size {
            ImageSize::Exact(size) => Resize::Exact(pair(size)),
            ImageSize::Shortest(side) => Resize::Shortest(side as usize),
            ImageSize::Longest(side) => Resize::Longest(side as usize),
            ImageSize::Within([side, multiple]) => Resize::Within(side as usize, multiple as usize),
            ImageSize::Height([height, most]) => Resize::Height(height as usize, most as usize),
        }),
        filter: match pipeline.filter {
            ImageFilter::Triangle => Filter::Triangle,
            ImageFilter::Cubic => Filter::Cubic,
            ImageFilter::Box => Filter::Box,
            ImageFilter::Linear => Filter::Linear,
        },
        crop: pipeline.crop.map(pair),
        pad: pipeline.pad.map(pair).map(|[width, height]| Pad { width, height, centre: pipeline.centre }),
        fill: pipeline.fill,
        channels: match pipeline.channels {
            ImageChannels::Rgb => Channels::Rgb,
            ImageChannels::Bgr => Channels::Bgr,
            ImageChannels::Gray => Channels::Gray,
        },
        divisor: pipeline.divisor.0 as f32,
        mean: numbers(pipeline.mean),
        std: numbers(pipeline.std),
        layout: match pipeline.layout {
            ImageLayout::Nchw => Layout::Nchw,
            ImageLayout::Nhwc => Layout::Nhwc,
        },
        bytes: pipeline.bytes,
    }
}
