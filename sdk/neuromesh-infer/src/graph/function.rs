//! Functions that a model file brings along, put in place of the nodes that call them.
//!
//! ONNX `onnx.proto`, `FunctionProto`: a body sees its own names only, an attribute of a body's node may stand for one of the
//! caller's, and a function calls no function that calls it. A function of the file goes before an operator of the same name.

use std::collections::BTreeMap;

use prost::Message;

use super::build::is_default;
use crate::{
    LoadError,
    limits::MAX_FUNCTION_DEPTH,
    proto::{AttributeProto, FunctionProto, GraphProto, NodeProto},
};

/// A node, under the version of the default operator set that its text was written for.
pub(super) struct Sourced {
    pub node: NodeProto,
    pub opset: i64,
}

/// The functions of a file.
pub(super) struct Functions {
    known: BTreeMap<Key, (FunctionProto, i64)>,
    /// Nodes that may still come out of functions.
    nodes: usize,
    /// Bytes of the file's that they may still take.
    bytes: u64,
    calls: usize,
}

/// Domain, name, overload.
type Key = (String, String, String);

impl Functions {
    /// `opset` gives the version of a function's default operator set.
    pub fn new(
        list: Vec<FunctionProto>,
        nodes: usize,
        bytes: u64,
        opset: impl Fn(&FunctionProto) -> Result<i64, LoadError>,
    ) -> Result<Self, LoadError> {
        let mut known = BTreeMap::new();
        for function in list {
            let version = opset(&function)?;
            let key = key(&function.domain, &function.name, &function.overload);
            let name = function.name.clone();
            if known.insert(key, (function, version)).is_some() {
                return Err(LoadError::Graph { reason: format!("the function {name:?} is defined twice") });
            }
        }
        Ok(Self { known, nodes, bytes, calls: 0 })
    }

    /// These nodes, with bodies in place of calls.
    pub fn inline(&mut self, nodes: Vec<NodeProto>, opset: i64) -> Result<Vec<Sourced>, LoadError> {
        let mut out = Vec::with_capacity(nodes.len());
        for node in nodes {
            self.add(Sourced { node, opset }, &mut Vec::new(), &mut out)?;
        }
        Ok(out)
    }

    fn add(&mut self, sourced: Sourced, callers: &mut Vec<Key>, out: &mut Vec<Sourced>) -> Result<(), LoadError> {
        let node = &sourced.node;
        let key = key(&node.domain, &node.op_type, &node.overload);
        let Some((function, opset)) = self.known.get(&key) else {
            out.push(sourced);
            return Ok(());
        };
        let refuse = |reason: String| LoadError::Node { node: node.name.clone(), op: node.op_type.clone(), reason };
        if callers.contains(&key) {
            return Err(refuse("this function calls itself".into()));
        }
        if callers.len() == MAX_FUNCTION_DEPTH {
            return Err(refuse(format!("functions call functions more than {MAX_FUNCTION_DEPTH} deep")));
        }
        for (what, given, taken) in
            [("inputs", node.input.len(), function.input.len()), ("outputs", node.output.len(), function.output.len())]
        {
            if given > taken {
                return Err(refuse(format!("{given} {what}; the function has {taken}")));
            }
        }
        let bytes = cost(node, function);
        let (nodes, limit) = (function.node.len() + function.output.len(), self.nodes);
        match (self.nodes.checked_sub(nodes), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => (self.nodes, self.bytes) = (nodes, bytes),
            _ => return Err(LoadError::TooMany { what: "nodes in functions", count: nodes, limit }),
        }
        self.calls += 1;
        let (body, opset) = Call::new(node, function, self.calls).body(*opset);
        callers.push(key);
        for node in body {
            self.add(Sourced { node, opset }, callers, out)?;
        }
        callers.pop();
        Ok(())
    }
}

fn key(domain: &str, name: &str, overload: &str) -> Key {
    let domain = if is_default(domain) { "" } else { domain };
    (domain.to_owned(), name.to_owned(), overload.to_owned())
}

/// What a body takes at most, in bytes of the file's encoding: its own text, and the caller's wherever it is put in.
fn cost(caller: &NodeProto, function: &FunctionProto) -> u64 {
    let mut uses = Uses::default();
    function.node.iter().for_each(|node| uses.count(node));
    let own: usize = function.node.iter().map(NodeProto::encoded_len).sum();
    let longest = caller.input.iter().chain(&caller.output).map(String::len).max().unwrap_or(0);
    let name = longest.max(function.name.len() + 24);
    let attributes: usize = caller.attribute.iter().chain(&function.attribute_proto).map(Message::encoded_len).sum();
    (own as u64)
        .saturating_add(uses.names.saturating_mul(name as u64))
        .saturating_add(uses.attributes * attributes as u64)
}

/// How often a body uses names, and attributes of its caller.
#[derive(Default)]
struct Uses {
    names: u64,
    attributes: u64,
}

impl Uses {
    fn count(&mut self, node: &NodeProto) {
        self.names += (1 + node.input.len() + node.output.len()) as u64;
        for attribute in &node.attribute {
            self.attributes += u64::from(!attribute.ref_attr_name.is_empty());
            if let Some(graph) = &attribute.g {
                self.names += (graph.input.len() + graph.output.len() + graph.initializer.len()) as u64;
                graph.node.iter().for_each(|node| self.count(node));
            }
        }
    }
}

/// A body whose names are being replaced.
struct Call<'a> {
    caller: &'a NodeProto,
    function: &'a FunctionProto,
    /// Before each name that only the body has.
    prefix: String,
    names: BTreeMap<&'a str, &'a str>,
}

impl<'a> Call<'a> {
    fn new(caller: &'a NodeProto, function: &'a FunctionProto, number: usize) -> Self {
        // A value's name may be anything; the file's own hardly begin like this, and a clash is refused as any other.
        let prefix = format!("{}({number})/", function.name);
        let outputs = function.output.iter().zip(&caller.output).filter(|(_, actual)| !actual.is_empty());
        let mut names: BTreeMap<&str, &str> = outputs.map(|(formal, actual)| (&formal[..], &actual[..])).collect();
        // An operand that is left out is left out in the body, too.
        let actual = caller.input.iter().map(String::as_str).chain(std::iter::repeat(""));
        names.extend(function.input.iter().map(String::as_str).zip(actual));
        Self { caller, function, prefix, names }
    }

    fn body(&self, opset: i64) -> (Vec<NodeProto>, i64) {
        let mut nodes: Vec<NodeProto> = self.function.node.iter().map(|node| self.node(node)).collect();
        // What a function hands on as it is needs a node of its own.
        for (formal, actual) in self.function.output.iter().zip(&self.caller.output) {
            if self.function.input.contains(formal) && !actual.is_empty() {
                nodes.push(NodeProto {
                    input: vec![self.name(formal)],
                    output: vec![actual.clone()],
                    op_type: "Identity".into(),
                    ..NodeProto::default()
                });
            }
        }
        (nodes, opset)
    }

    fn name(&self, name: &str) -> String {
        match self.names.get(name) {
            _ if name.is_empty() => String::new(),
            Some(actual) => (*actual).to_owned(),
            None => format!("{}{name}", self.prefix),
        }
    }

    fn node(&self, node: &NodeProto) -> NodeProto {
        NodeProto {
            input: node.input.iter().map(|name| self.name(name)).collect(),
            output: node.output.iter().map(|name| self.name(name)).collect(),
            name: format!("{}{}", self.prefix, if node.name.is_empty() { &node.op_type } else { &node.name }),
            attribute: node.attribute.iter().filter_map(|attribute| self.attribute(attribute)).collect(),
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
        }
    }

    /// The attribute, or the caller's that it stands for; nothing if that has no value.
    fn attribute(&self, attribute: &AttributeProto) -> Option<AttributeProto> {
        if attribute.ref_attr_name.is_empty() {
            let g = attribute.g.as_ref().map(|graph| Box::new(self.graph(graph)));
            return Some(AttributeProto { g, ..attribute.clone() });
        }
        let given = self.caller.attribute.iter().chain(&self.function.attribute_proto);
        let found = given.into_iter().find(|given| given.name == attribute.ref_attr_name)?;
        Some(AttributeProto { name: attribute.name.clone(), ..found.clone() })
    }

    fn graph(&self, graph: &GraphProto) -> GraphProto {
        let mut graph = graph.clone();
        graph.node = graph.node.iter().map(|node| self.node(node)).collect();
        graph.initializer.iter_mut().for_each(|tensor| tensor.name = self.name(&tensor.name));
        graph.input.iter_mut().chain(&mut graph.output).for_each(|info| info.name = self.name(&info.name));
        graph
    }
}
