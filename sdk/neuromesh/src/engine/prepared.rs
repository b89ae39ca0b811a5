//! A model that is loaded: its pipeline around its graph.

use std::{collections::BTreeMap, sync::Arc};

use neuromesh_core::{DType, Digest, Part, Payload, Pipeline, SparseBytes, Tensor, model, receipt::Exactness};
use neuromesh_infer::{
    self as infer, LoadError, Model, RunError, RunOptions,
    audio::{VoiceDetector, VoiceRun},
    generation::GenerateRun,
    kernels::cpu::Numerics,
    text::{EmbedRun, Embedder, Pooling},
};

use super::{
    Cancel, JobError, NamedTensors, PluginCall, PluginHost,
    generate::{self, TextModel},
    image::ImageModel,
    tensors::{from_engine, to_engine},
    voice,
};

/// The output tensor of a text embedding.
pub const EMBEDDING: &str = "embedding";

/// A model that is ready to run.
pub struct Prepared(Kind);

enum Kind {
    Tensors(Arc<Model>),
    Embedding(Box<Embedder>),
    Image(Arc<ImageModel>),
    Voice(Arc<VoiceDetector>),
    Text(TextModel),
    Plugin(Box<Plugin>),
}

struct Plugin {
    graph: Arc<Model>,
    component: Digest,
    bytes: Vec<u8>,
    files: BTreeMap<String, Arc<Vec<u8>>>,
}

/// Decides how runs of a graph go; a plugin may make several, one after another. [`RunOptions`] decide once for all.
pub trait Conduct: Send {
    /// A run begins: which kernels, and who helps.
    fn begin(&mut self) -> RunOptions;

    /// An operator is about to be executed; who helps may change.
    fn between(&mut self, run: &mut infer::Run) {
        let _ = run;
    }

    /// A part of the output was made.
    fn part(&mut self, part: Part) {
        let _ = part;
    }

    /// The run is over, however it ended.
    fn end(&mut self) {}
}

impl Conduct for RunOptions {
    fn begin(&mut self) -> RunOptions {
        self.clone()
    }
}

/// A run under way, one operator of the graph at a time.
pub struct PreparedRun {
    running: Running,
    parts: Part,
}

enum Running {
    Tensors(infer::Run),
    Embedding(EmbedRun),
    Image(infer::Run, Arc<ImageModel>),
    Voice(VoiceRun),
    Text(GenerateRun),
}

impl Prepared {
    /// Loads a model from its files, by role; `memory` bounds weights and, later, the activations of a run.
    ///
    /// # Errors
    /// [`JobError::InvalidModel`], [`JobError::TooLarge`].
    pub fn new(
        pipeline: &Pipeline,
        mut files: BTreeMap<String, (Digest, Vec<u8>)>,
        memory: u64,
    ) -> Result<Self, JobError> {
        let (_, graph) = take(&mut files, "graph")?;
        let limits = infer::Limits { memory, ..infer::Limits::default() };
        let graph = Model::load(graph.into(), &limits)?;
        Self::with_graph(pipeline, Arc::new(graph), files)
    }

    /// The same, of a graph that is loaded already and the other files.
    ///
    /// # Errors
    /// [`JobError::InvalidModel`].
    pub fn with_graph(
        pipeline: &Pipeline,
        graph: Arc<Model>,
        mut files: BTreeMap<String, (Digest, Vec<u8>)>,
    ) -> Result<Self, JobError> {
        let kind = match pipeline {
            Pipeline::Tensors => Kind::Tensors(graph),
            Pipeline::TextEmbedding { max_tokens, normalize, pooling } => {
                let (_, tokenizer) = take(&mut files, "tokenizer")?;
                let pooling = match pooling {
                    model::Pooling::Mean => Pooling::Mean,
                    model::Pooling::First => Pooling::First,
                    model::Pooling::Last => Pooling::Last,
                    model::Pooling::Max => Pooling::Max,
                };
                let embedder = Embedder::new(graph, &tokenizer, *max_tokens as usize, pooling, *normalize);
                Kind::Embedding(Box::new(embedder.map_err(|error| JobError::InvalidModel(error.to_string()))?))
            }
            Pipeline::Image(image) => {
                let labels = files.remove("labels").map(|(_, labels)| labels);
                Kind::Image(Arc::new(ImageModel::new(graph, image, labels.as_deref())?))
            }
            Pipeline::VoiceActivity(pipeline) => Kind::Voice(voice::load(graph, pipeline)?),
            Pipeline::TextGeneration { context, max_new_tokens, stop } => {
                let tokenizer = files.remove("tokenizer").map(|(_, tokenizer)| tokenizer);
                Kind::Text(TextModel::new(graph, tokenizer.as_deref(), *context, *max_new_tokens, stop)?)
            }
            Pipeline::Plugin { .. } => {
                let (component, bytes) = take(&mut files, "plugin")?;
                let files = files.into_iter().map(|(role, (_, bytes))| (role, Arc::new(bytes))).collect();
                Kind::Plugin(Box::new(Plugin { graph, component, bytes, files }))
            }
        };
        Ok(Self(kind))
    }

    /// Runs to the end. After `cancel` no further operator is begun.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn run(
        &self,
        input: Payload,
        plugins: Option<&dyn PluginHost>,
        cancel: &Cancel,
        conduct: &mut dyn Conduct,
    ) -> Result<(Payload, Exactness), JobError> {
        if let (Kind::Plugin(plugin), Payload::Bytes(input)) = (&self.0, &input) {
            let host = plugins.ok_or_else(|| JobError::Plugin("this peer hosts no plugins".into()))?;
            return plugin.run(host, input, cancel, conduct);
        }
        let options = conduct.begin();
        let result = self.start_with(input, options).and_then(|mut run| {
            loop {
                if let Some(run) = run.run_mut() {
                    conduct.between(run);
                }
                if cancel.is_cancelled() {
                    return Err(JobError::Cancelled);
                }
                let output = run.step()?;
                if let Some(part) = run.take_parts() {
                    conduct.part(part);
                }
                if let Some(output) = output {
                    return Ok((output, run.exactness()));
                }
            }
        });
        conduct.end();
        result
    }

    /// Begins a run that the caller advances. Plugins cannot be run so: they call the engine themselves.
    ///
    /// # Errors
    /// [`JobError::InvalidInput`] when the input is not of the kind that the model takes.
    pub fn start(&self, input: Payload) -> Result<PreparedRun, JobError> {
        self.start_with(input, RunOptions::default())
    }

    /// The same, with more to choose.
    ///
    /// # Errors
    /// As [`Prepared::start`].
    pub fn start_with(&self, input: Payload, options: RunOptions) -> Result<PreparedRun, JobError> {
        let wrong = |takes: &str| Err(JobError::InvalidInput(format!("this model takes {takes}")));
        let running = match (&self.0, input) {
            (Kind::Tensors(model), Payload::Tensors(tensors)) => {
                Running::Tensors(model.start_with(to_engine(tensors)?, options).map_err(run_error)?)
            }
            (Kind::Embedding(embedder), Payload::Text(text)) => {
                let run = embedder.start_with(&text, options);
                Running::Embedding(run.map_err(|error| JobError::InvalidInput(error.to_string()))?)
            }
            (Kind::Image(image), input) => Running::Image(image.start(&input, options)?, image.clone()),
            (Kind::Voice(detector), input) => Running::Voice(voice::start(detector, &input, options)?),
            (Kind::Text(text), input) => Running::Text(text.start(input, options)?),
            (Kind::Tensors(_), _) => return wrong("tensors"),
            (Kind::Embedding(_), _) => return wrong("text"),
            (Kind::Plugin(_), _) => return wrong("bytes, through its plugin"),
        };
        Ok(PreparedRun { running, parts: Part::default() })
    }

    /// Runs the graph alone.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn run_tensors(&self, inputs: Vec<Tensor>, cancel: &Cancel) -> Result<Vec<Tensor>, JobError> {
        self.run_tensors_with(inputs, cancel, &mut RunOptions::default()).map(|(outputs, _)| outputs)
    }

    /// The same, with more to choose.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn run_tensors_with(
        &self,
        inputs: Vec<Tensor>,
        cancel: &Cancel,
        conduct: &mut dyn Conduct,
    ) -> Result<(Vec<Tensor>, Exactness), JobError> {
        let graph = match &self.0 {
            Kind::Tensors(graph) => graph,
            Kind::Plugin(plugin) => &plugin.graph,
            Kind::Image(image) => &image.model,
            Kind::Embedding(_) | Kind::Text(_) => return Err(JobError::InvalidInput("this model takes text".into())),
            Kind::Voice(_) => return Err(JobError::InvalidInput("this model takes a sound".into())),
        };
        let (outputs, numerics) = run_graph(graph, to_engine(inputs)?, cancel, conduct)?;
        Ok((from_engine(outputs)?, exactness(numerics)))
    }
}

impl Plugin {
    fn run(
        &self,
        host: &dyn PluginHost,
        input: &SparseBytes,
        cancel: &Cancel,
        conduct: &mut dyn Conduct,
    ) -> Result<(Payload, Exactness), JobError> {
        let mut all = Exactness::Exact;
        let mut infer = |inputs| {
            let done = run_graph(&self.graph, inputs, cancel, conduct);
            let (outputs, numerics) = done.map_err(|error| error.to_string())?;
            if numerics == Numerics::Fast {
                all = Exactness::Approximate;
            }
            Ok(outputs)
        };
        let answer = host.run(PluginCall {
            component: self.component,
            bytes: &self.bytes,
            input,
            files: &self.files,
            infer: &mut infer,
            cancel,
        })?;
        Ok((Payload::Json(answer), all))
    }
}

impl PreparedRun {
    /// What its numbers are.
    pub fn exactness(&self) -> Exactness {
        exactness(match &self.running {
            Running::Tensors(run) | Running::Image(run, _) => run.numerics(),
            Running::Embedding(run) => run.numerics(),
            Running::Voice(run) => run.numerics(),
            Running::Text(run) => run.numerics(),
        })
    }

    /// The run of the graph that is under way; pipelines may make several.
    pub fn run_mut(&mut self) -> Option<&mut infer::Run> {
        match &mut self.running {
            Running::Tensors(run) | Running::Image(run, _) => Some(run),
            Running::Embedding(run) => Some(run.run_mut()),
            Running::Voice(run) => run.run_mut(),
            Running::Text(run) => Some(run.run_mut()),
        }
    }

    /// One operator; the output once the last one is done.
    ///
    /// # Errors
    /// [`JobError::Failed`], naming the operator.
    pub fn step(&mut self) -> Result<Option<Payload>, JobError> {
        match &mut self.running {
            Running::Tensors(run) => {
                let outputs = run.step().map_err(run_error)?;
                outputs.map(|outputs| from_engine(outputs).map(Payload::Tensors)).transpose()
            }
            Running::Embedding(run) => {
                let vector = run.step().map_err(|error| JobError::Failed(error.to_string()))?;
                Ok(vector.map(|vector| embedding(&vector)))
            }
            Running::Image(run, image) => {
                run.step().map_err(run_error)?.map(|outputs| image.answer(outputs)).transpose()
            }
            Running::Voice(run) => Ok(run.step().map_err(voice::error)?.map(|found| voice::answer(&found))),
            Running::Text(run) => generate::step(run, &mut self.parts),
        }
    }

    /// What was made of the answer since the last call, as one part; most pipelines make none before the answer.
    pub fn take_parts(&mut self) -> Option<Part> {
        Some(std::mem::take(&mut self.parts)).filter(|part| !part.is_empty())
    }
}

fn embedding(vector: &[f32]) -> Payload {
    let data = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = vec![u32::try_from(vector.len()).unwrap_or(u32::MAX)];
    Payload::Tensors(vec![Tensor { name: EMBEDDING.into(), dtype: DType::F32, shape, data }])
}

fn exactness(numerics: Numerics) -> Exactness {
    match numerics {
        Numerics::Exact => Exactness::Exact,
        Numerics::Fast => Exactness::Approximate,
    }
}

fn run_graph(
    model: &Arc<Model>,
    inputs: NamedTensors,
    cancel: &Cancel,
    conduct: &mut dyn Conduct,
) -> Result<(NamedTensors, Numerics), JobError> {
    let options = conduct.begin();
    let result = model.start_with(inputs, options).map_err(run_error).and_then(|mut run| {
        loop {
            conduct.between(&mut run);
            if cancel.is_cancelled() {
                return Err(JobError::Cancelled);
            }
            if let Some(outputs) = run.step().map_err(run_error)? {
                return Ok((outputs, run.numerics()));
            }
        }
    });
    conduct.end();
    result
}

fn take(files: &mut BTreeMap<String, (Digest, Vec<u8>)>, role: &str) -> Result<(Digest, Vec<u8>), JobError> {
    let missing = || JobError::InvalidModel(format!("the manifest has no file with role {role:?}"));
    files.remove(role).ok_or_else(missing)
}

impl From<LoadError> for JobError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::TooLarge { needed, limit } | LoadError::ResultTooLarge { needed, limit, .. } => {
                JobError::TooLarge { needed, limit }
            }
            error => JobError::InvalidModel(error.to_string()),
        }
    }
}

pub(super) fn run_error(error: RunError) -> JobError {
    match error {
        RunError::OutOfMemory { needed, limit, .. } => JobError::TooLarge { needed, limit },
        RunError::Input { .. } => JobError::InvalidInput(error.to_string()),
        error => JobError::Failed(error.to_string()),
    }
}
