//! A model on a GPU: the same pipelines around the same graph. Its numbers are approximate; see `neuromesh_infer::device`.

use std::{collections::BTreeMap, sync::Arc};

use neuromesh_core::{Digest, Payload, Pipeline};
pub use neuromesh_infer::device::wgpu::Gpu;
use neuromesh_infer::{
    Loader,
    device::{
        DeviceModel, DeviceRun, Placement, Traffic,
        wgpu::{self, Wgpu},
    },
    text::Embedder,
};

use super::{
    JobError, NamedTensors,
    image::ImageModel,
    prepared::{embedder, embedding, run_error, take},
    tensors::{from_engine, to_engine},
};

/// Opens the system's GPU; see `neuromesh_infer::device::wgpu::open`.
///
/// # Errors
/// [`JobError::Device`] with why there is none.
pub async fn open_gpu() -> Result<Gpu, JobError> {
    wgpu::open().await.map_err(|error| JobError::Device(error.to_string()))
}

/// A model whose weights lie on a GPU.
pub struct Accelerated {
    model: Arc<DeviceModel<Wgpu>>,
    around: Arc<Around>,
}

/// What is done before the graph and after it, on the CPU.
enum Around {
    Nothing,
    Embedding(Box<Embedder>),
    Image(ImageModel),
}

/// A run under way, one operator of the graph at a time. Dropping it ends it.
pub struct AcceleratedRun {
    run: DeviceRun<Wgpu>,
    around: Arc<Around>,
}

impl Accelerated {
    /// A model from its graph, which has arrived, and its other files by role. The loader's limits bound the weights, which the
    /// host and the GPU both hold, and later the activations of a run.
    ///
    /// # Errors
    /// [`JobError::InvalidModel`], also for pipelines that run on the CPU alone, whose many runs are too small to be sent
    /// anywhere. [`JobError::TooLarge`]; [`JobError::Device`] when the GPU failed.
    pub fn new(
        pipeline: &Pipeline,
        graph: Loader,
        mut files: BTreeMap<String, (Digest, Vec<u8>)>,
        gpu: &Gpu,
    ) -> Result<Self, JobError> {
        let alone = |what: &str| Err(JobError::InvalidModel(format!("models with {what} run on the CPU")));
        match pipeline {
            // A plugin is run by the caller, around the graph.
            Pipeline::Tensors | Pipeline::TextEmbedding { .. } | Pipeline::Image(_) | Pipeline::Plugin { .. } => {}
            Pipeline::VoiceActivity(_) => return alone("voice activity"),
            Pipeline::TextGeneration { .. } => return alone("text generation"),
        }
        let model = DeviceModel::finish(graph, Placement::default(), gpu.device().clone())?;
        let host = Arc::clone(model.model());
        let around = match pipeline {
            Pipeline::TextEmbedding { max_tokens, normalize, pooling } => {
                let (_, tokenizer) = take(&mut files, "tokenizer")?;
                Around::Embedding(Box::new(embedder(host, &tokenizer, *max_tokens, *pooling, *normalize)?))
            }
            Pipeline::Image(image) => {
                let labels = files.remove("labels").map(|(_, labels)| labels);
                Around::Image(ImageModel::new(host, image, labels.as_deref())?)
            }
            _ => Around::Nothing,
        };
        Ok(Self { model: Arc::new(model), around: Arc::new(around) })
    }

    /// Begins a run.
    ///
    /// # Errors
    /// [`JobError::InvalidInput`] when the input is not what the model takes; [`JobError::TooLarge`].
    pub fn start(&self, input: Payload) -> Result<AcceleratedRun, JobError> {
        let wrong = |takes: &str| Err(JobError::InvalidInput(format!("this model takes {takes}")));
        let inputs: NamedTensors = match (&*self.around, input) {
            (Around::Nothing, Payload::Tensors(tensors)) => to_engine(tensors)?,
            (Around::Embedding(embedder), Payload::Text(text)) => {
                embedder.inputs(&text).map_err(|error| JobError::InvalidInput(error.to_string()))?
            }
            (Around::Image(image), input) => image.inputs(&input)?,
            (Around::Nothing, _) => return wrong("tensors"),
            (Around::Embedding(_), _) => return wrong("text"),
        };
        let run = self.model.start(inputs).map_err(run_error)?;
        Ok(AcceleratedRun { run, around: Arc::clone(&self.around) })
    }
}

impl AcceleratedRun {
    /// One operator; the output once the last one is done. Waits only for what is read back from the GPU.
    ///
    /// # Errors
    /// [`JobError::Device`] when the GPU failed or is gone, [`JobError::TooLarge`], [`JobError::Failed`].
    pub async fn step(&mut self) -> Result<Option<Payload>, JobError> {
        let Some(outputs) = self.run.step().await.map_err(run_error)? else {
            return Ok(None);
        };
        match &*self.around {
            Around::Nothing => from_engine(outputs).map(Payload::Tensors),
            Around::Embedding(embedder) => {
                let vector = embedder.vector(outputs).map_err(|error| JobError::Failed(error.to_string()))?;
                Ok(embedding(&vector))
            }
            Around::Image(image) => image.answer(outputs),
        }
        .map(Some)
    }

    /// What ran where so far.
    pub fn traffic(&self) -> Traffic {
        self.run.traffic()
    }
}
