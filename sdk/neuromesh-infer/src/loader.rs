//! A model that arrives in pieces.

mod outside;

use crate::{
    LoadError, Model, Options,
    graph::{self, weights::Weights},
    limits::MESSAGES_PER_NODE,
    proto::{Bounds, ModelProto, Sieve},
};
use outside::Outside;
use prost::Message;

/// Reads a model while its bytes arrive: each weight goes into the memory that it will be computed with, so the file is never
/// held beside the weights.
///
/// Whoever drives it
/// 1. gives the bytes of the model's own file to [`push`](Loader::push), front to back, in pieces of any size;
/// 2. where weights lie in other files, asks [`outside`](Loader::outside) which, and for each, in any order, calls
///    [`begin`](Loader::begin) and pushes its bytes likewise;
/// 3. calls [`finish`](Loader::finish).
///
/// The pieces do not matter: the model, or the error, is the same for all of them. After an error every call gives that error.
/// To drop a loader frees all that it holds.
#[derive(Debug)]
pub struct Loader {
    options: Options,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The model's own file arrives.
    Inside(Sieve),
    /// It is complete.
    Outside(Box<Outside>),
    Failed(LoadError),
}

impl Loader {
    /// For a model file of `size` bytes.
    ///
    /// Nothing is set aside for bytes that have not been announced by the file itself, and never more than
    /// [`Limits::memory`](crate::Limits::memory).
    pub fn new(options: Options, size: u64) -> Self {
        let limits = &options.limits;
        let bounds = Bounds { memory: limits.memory, messages: limits.nodes.saturating_mul(MESSAGES_PER_NODE) };
        Self { stage: Stage::Inside(Sieve::new(size, bounds)), options }
    }

    /// Takes the next bytes of the model's own file, or of the one that was begun last.
    ///
    /// # Errors
    /// [`LoadError::Malformed`] as soon as the bytes cannot be a model, [`LoadError::TooLarge`] and [`LoadError::TooMany`] before
    /// more is held than the limits allow, [`LoadError::NoMemory`] where there is none left within them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let pushed = match &mut self.stage {
            Stage::Inside(sieve) => sieve.push(bytes),
            Stage::Outside(outside) => outside.push(bytes),
            Stage::Failed(error) => Err(error.clone()),
        };
        self.kept(pushed)
    }

    /// The files beside the model's own that hold weights and have not been begun, by the names that the model gives them.
    /// What was given in [`Options::external`] is not among them.
    ///
    /// # Errors
    /// [`LoadError::Malformed`] where the model's own file is not complete; as [`push`](Loader::push) else.
    pub fn outside(&mut self) -> Result<Vec<String>, LoadError> {
        let names = self.complete().map(|outside| outside.names());
        self.kept(names)
    }

    /// Begins a file beside the model's own: `size` bytes follow through [`push`](Loader::push).
    ///
    /// # Errors
    /// [`LoadError::Tensor`] where a weight lies beyond the end of that file; as [`outside`](Loader::outside) else.
    pub fn begin(&mut self, name: &str, size: u64) -> Result<(), LoadError> {
        let begun = self.complete().and_then(|outside| outside.begin(name, size));
        self.kept(begun)
    }

    /// The model: checked, folded, planned, packed.
    ///
    /// # Errors
    /// Every [`LoadError`]; nothing is kept then.
    pub fn finish(self) -> Result<Model, LoadError> {
        self.build(true)
    }

    pub(crate) fn build(self, packs: bool) -> Result<Model, LoadError> {
        let (model, weights, Options { limits, cpu, .. }) = self.open()?;
        let graph = graph::read(model, weights, &limits)?;
        Model::new(graph, limits, cpu, packs)
    }

    /// The decoded file beside its weights.
    pub(crate) fn open(mut self) -> Result<(ModelProto, Weights, Options), LoadError> {
        self.complete()?;
        match self.stage {
            Stage::Outside(outside) => {
                let (model, held) = outside.finish()?;
                Ok((model, Weights::new(held), self.options))
            }
            Stage::Failed(error) => Err(error),
            Stage::Inside(_) => unreachable!("it was just ended"),
        }
    }

    /// The stage after the model's own file, which must have come to its end.
    fn complete(&mut self) -> Result<&mut Outside, LoadError> {
        let error = LoadError::Malformed { reason: "the model was not read to its end".into() };
        if let Stage::Inside(_) = self.stage
            && let Stage::Inside(sieve) = std::mem::replace(&mut self.stage, Stage::Failed(error))
        {
            let memory = self.options.limits.memory;
            let opened = sieve.finish().and_then(|(rest, held, kept)| {
                let model = ModelProto::decode(bytes::Bytes::from(rest));
                let model = model.map_err(|error| LoadError::Malformed { reason: error.to_string() })?;
                let mut outside = Outside::new(model, held, memory.saturating_sub(kept), memory)?;
                for (name, bytes) in std::mem::take(&mut self.options.external) {
                    if outside.names().contains(&name) {
                        outside.begin(&name, bytes.len() as u64)?;
                        outside.push(&bytes)?;
                    }
                }
                Ok(outside)
            });
            self.stage = match opened {
                Ok(outside) => Stage::Outside(Box::new(outside)),
                Err(error) => Stage::Failed(error),
            };
        }
        match &mut self.stage {
            Stage::Outside(outside) => Ok(outside),
            Stage::Failed(error) => Err(error.clone()),
            Stage::Inside(_) => unreachable!("it was just ended"),
        }
    }

    fn kept<T>(&mut self, result: Result<T, LoadError>) -> Result<T, LoadError> {
        if let Err(error) = &result
            && !matches!(self.stage, Stage::Failed(_))
        {
            self.stage = Stage::Failed(error.clone());
        }
        result
    }
}
