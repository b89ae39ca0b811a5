//! A node's attributes, decoded once at load.

use crate::{
    Fault, LoadError, Tensor,
    graph::weights,
    proto::{AttributeProto, TensorProto},
};

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl Attribute {
    /// Reads an attribute; `None` for a kind that no supported operator has (subgraphs, sparse tensors, types).
    pub fn decode(proto: AttributeProto) -> Result<Option<(String, Self)>, LoadError> {
        // Files older than IR version 2 leave the type out; then what is filled in tells.
        let kind = match (proto.r#type, &proto) {
            (0, AttributeProto { f: Some(_), .. }) => 1,
            (0, AttributeProto { i: Some(_), .. }) => 2,
            (0, AttributeProto { s: Some(_), .. }) => 3,
            (0, AttributeProto { t: Some(_), .. }) => 4,
            (0, AttributeProto { floats, .. }) if !floats.is_empty() => 6,
            (0, AttributeProto { g: None, .. }) => 7,
            (kind, _) => kind,
        };
        let value = match kind {
            1 => Attribute::Float(proto.f.unwrap_or_default()),
            2 => Attribute::Int(proto.i.unwrap_or_default()),
            3 => Attribute::Text(String::from_utf8_lossy(&proto.s.unwrap_or_default()).into_owned()),
            4 => Attribute::Tensor(weights::decode(TensorProto {
                name: proto.name.clone(),
                ..proto.t.unwrap_or_default()
            })?),
            6 => Attribute::Floats(proto.floats),
            7 => Attribute::Ints(proto.ints),
            _ => return Ok(None),
        };
        Ok(Some((proto.name, value)))
    }
}

/// All attributes of a node. Few, so a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Attributes(pub Vec<(String, Attribute)>);

impl Attributes {
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, "an integer is expected")),
        }
    }

    pub fn float(&self, name: &str) -> Result<Option<f32>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, "a float is expected")),
        }
    }

    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "a list of integers is expected")),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Text(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "a string is expected")),
        }
    }

    /// A boolean, which ONNX writes as an integer.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Fault> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }
}

pub(crate) fn wrong(name: &str, reason: &str) -> Fault {
    Fault::Attribute { name: name.to_owned(), reason: reason.to_owned() }
}
