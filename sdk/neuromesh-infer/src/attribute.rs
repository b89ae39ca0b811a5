//! A node's attributes, decoded once at load.

use crate::{
    Fault, LoadError,
    graph::weights::Weights,
    proto::{AttributeProto, GraphProto, TensorProto},
    value::Value,
};

/// An attribute's value.
#[derive(Debug, Clone)]
pub(crate) enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Value),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl Attribute {
    /// Its tensor, if it is one.
    pub fn tensor(&self) -> Option<&Value> {
        if let Attribute::Tensor(value) = self { Some(value) } else { None }
    }
}

/// What a node carries under one name.
pub(crate) enum Carried {
    Attribute(Attribute),
    Graph(Box<GraphProto>),
}

impl Attribute {
    /// Reads an attribute; `None` for a kind that no supported operator has (sparse tensors, types, lists of graphs).
    pub fn decode(proto: AttributeProto, weights: &mut Weights) -> Result<Option<(String, Carried)>, LoadError> {
        // Files older than IR version 2 leave the type out; then what is filled in tells.
        let kind = match (proto.r#type, &proto) {
            (0, AttributeProto { f: Some(_), .. }) => 1,
            (0, AttributeProto { i: Some(_), .. }) => 2,
            (0, AttributeProto { s: Some(_), .. }) => 3,
            (0, AttributeProto { t: Some(_), .. }) => 4,
            (0, AttributeProto { floats, .. }) if !floats.is_empty() => 6,
            (0, AttributeProto { strings, .. }) if !strings.is_empty() => 8,
            (0, AttributeProto { g: Some(_), .. }) => 5,
            (0, _) => 7,
            (kind, _) => kind,
        };
        let value = match kind {
            1 => Attribute::Float(proto.f.unwrap_or_default()),
            2 => Attribute::Int(proto.i.unwrap_or_default()),
            3 => Attribute::Text(text(&proto.s.unwrap_or_default())),
            4 => Attribute::Tensor(
                weights.decode(TensorProto { name: proto.name.clone(), ..proto.t.unwrap_or_default() })?,
            ),
            5 => return Ok(Some((proto.name, Carried::Graph(proto.g.unwrap_or_default())))),
            6 => Attribute::Floats(proto.floats),
            7 => Attribute::Ints(proto.ints),
            8 => Attribute::Texts(proto.strings.iter().map(|bytes| text(bytes)).collect()),
            _ => return Ok(None),
        };
        Ok(Some((proto.name, Carried::Attribute(value))))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All attributes of a node. Few, so a list.
#[derive(Debug, Clone, Default)]
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

    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "a list of floats is expected")),
        }
    }

    pub fn texts(&self, name: &str) -> Result<Option<&[String]>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Texts(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "a list of strings is expected")),
        }
    }

    pub fn tensor(&self, name: &str) -> Result<Option<&Value>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "a tensor is expected")),
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
