//! Weights in files beside the model's own.

use std::collections::BTreeSet;

use crate::{
    LoadError,
    buffer::Buffer,
    graph::weights::{Place, is_outside},
    proto::{AttributeProto, GraphProto, ModelProto, TensorProto, reserve},
};

/// A model whose own file is complete, while other files arrive.
#[derive(Debug)]
pub(super) struct Outside {
    model: ModelProto,
    held: Vec<Buffer>,
    /// Bytes that may still be held, of how many.
    left: u64,
    limit: u64,
    missing: BTreeSet<String>,
    current: Option<Arriving>,
}

/// A file that arrives.
#[derive(Debug)]
struct Arriving {
    name: String,
    size: u64,
    at: u64,
    /// The weights in it, by their first byte.
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    length: u64,
    held: usize,
}

impl Outside {
    pub fn new(mut model: ModelProto, held: Vec<Buffer>, left: u64, limit: u64) -> Result<Self, LoadError> {
        let mut missing = BTreeSet::new();
        each_outside(&mut model, &mut |tensor| {
            missing.insert(Place::of(tensor)?.location.to_owned());
            Ok(())
        })?;
        Ok(Self { model, held, left, limit, missing, current: None })
    }

    pub fn names(&self) -> Vec<String> {
        self.missing.iter().cloned().collect()
    }

    pub fn begin(&mut self, name: &str, size: u64) -> Result<(), LoadError> {
        self.end()?;
        if !self.missing.remove(name) {
            let reason = format!("the model has no weights in a file {name:?}, or it was given before");
            return Err(LoadError::Malformed { reason });
        }
        let (mut pieces, mut needed, first) = (Vec::new(), 0u64, self.held.len());
        each_outside(&mut self.model, &mut |tensor| {
            let place = Place::of(tensor)?;
            if place.location == name {
                let (start, length) = place.within(size)?;
                needed = needed.saturating_add(length);
                pieces.push(Piece { start, length, held: first + pieces.len() });
                tensor.held_raw = vec![(first + pieces.len() - 1) as u64];
            }
            Ok(())
        })?;
        self.left = self.left.checked_sub(needed).ok_or(LoadError::TooLarge {
            needed: (self.limit - self.left).saturating_add(needed),
            limit: self.limit,
        })?;
        for piece in &pieces {
            self.held.push(reserve(piece.length)?);
        }
        pieces.sort_by_key(|piece| piece.start);
        self.current = Some(Arriving { name: name.to_owned(), size, at: 0, pieces });
        Ok(())
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let too_long = || LoadError::Malformed { reason: "more bytes came than the file has".into() };
        let current = self.current.as_mut().ok_or_else(too_long)?;
        let (begin, end) = (current.at, current.at + bytes.len() as u64);
        if end > current.size {
            return Err(too_long());
        }
        current.at = end;
        // What ends before this chunk is done with; pieces may overlap, so only those in front are known to be.
        let done = current.pieces.iter().take_while(|piece| piece.start + piece.length <= begin).count();
        current.pieces.drain(..done);
        for piece in current.pieces.iter().take_while(|piece| piece.start < end) {
            let (from, to) = (piece.start.max(begin), (piece.start + piece.length).min(end));
            if from < to {
                let target = &mut self.held[piece.held].slice_mut::<u8>();
                target[(from - piece.start) as usize..(to - piece.start) as usize]
                    .copy_from_slice(&bytes[(from - begin) as usize..(to - begin) as usize]);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), LoadError> {
        match self.current.take() {
            Some(Arriving { name, size, at, .. }) if at < size => {
                Err(LoadError::Malformed { reason: format!("the file {name:?} ended after {at} of {size} bytes") })
            }
            _ => Ok(()),
        }
    }

    pub fn finish(mut self) -> Result<(ModelProto, Vec<Buffer>), LoadError> {
        self.end()?;
        Ok((self.model, self.held))
    }
}

/// Visits the tensors whose data lie outside, wherever the model has them.
fn each_outside(
    model: &mut ModelProto,
    visit: &mut impl FnMut(&mut TensorProto) -> Result<(), String>,
) -> Result<(), LoadError> {
    if let Some(graph) = &mut model.graph {
        in_graph(graph, visit)?;
    }
    for function in &mut model.functions {
        for node in &mut function.node {
            in_attributes(&mut node.attribute, visit)?;
        }
        in_attributes(&mut function.attribute_proto, visit)?;
    }
    Ok(())
}

fn in_graph(
    graph: &mut GraphProto,
    visit: &mut impl FnMut(&mut TensorProto) -> Result<(), String>,
) -> Result<(), LoadError> {
    for tensor in &mut graph.initializer {
        in_tensor(tensor, visit)?;
    }
    graph.node.iter_mut().try_for_each(|node| in_attributes(&mut node.attribute, visit))
}

fn in_attributes(
    attributes: &mut [AttributeProto],
    visit: &mut impl FnMut(&mut TensorProto) -> Result<(), String>,
) -> Result<(), LoadError> {
    for attribute in attributes {
        if let Some(tensor) = &mut attribute.t {
            in_tensor(tensor, visit)?;
        }
        if let Some(graph) = &mut attribute.g {
            in_graph(graph, visit)?;
        }
    }
    Ok(())
}

fn in_tensor(
    tensor: &mut TensorProto,
    visit: &mut impl FnMut(&mut TensorProto) -> Result<(), String>,
) -> Result<(), LoadError> {
    match is_outside(tensor) {
        true => visit(tensor).map_err(|reason| LoadError::Tensor { name: tensor.name.clone(), reason }),
        false => Ok(()),
    }
}
