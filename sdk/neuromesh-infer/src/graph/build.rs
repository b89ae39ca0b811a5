//! From the decoded file to a checked graph.

use std::collections::{BTreeMap, BTreeSet};

use burn_backend::tensor::Device;
use bytes::Bytes;
use prost::Message;

use super::{Dim, Graph, IoSpec, Node, ValueId, weights};
use crate::{
    DataType, Limits, LoadError,
    attribute::{Attribute, Attributes},
    backend::Engine,
    limits::{MAX_RANK, MESSAGES_PER_NODE},
    ops,
    proto::{self, GraphProto, ModelProto, NodeProto, ValueInfoProto},
    value::{Value, held_size},
};

/// The operator sets whose rules the engine knows.
const OLDEST_OPSET: i64 = 7;
const NEWEST_OPSET: i64 = 23;

impl Graph {
    /// Decodes and checks a model file.
    pub fn read(bytes: Bytes, limits: &Limits) -> Result<Self, LoadError> {
        let messages = limits.nodes.saturating_mul(MESSAGES_PER_NODE);
        match proto::count_messages(&bytes, messages) {
            None => return Err(LoadError::Malformed { reason: "the file is damaged or cut short".into() }),
            Some(count) if count > messages => {
                return Err(LoadError::TooMany { what: "parts", count, limit: messages });
            }
            Some(_) => {}
        }
        // The weights are still slices of `bytes` after this; each is copied out, once, further down.
        let model = ModelProto::decode(bytes).map_err(|error| LoadError::Malformed { reason: error.to_string() })?;
        let opset = opset(&model)?;
        let graph = model.graph.ok_or_else(|| LoadError::Malformed { reason: "it has no graph".into() })?;
        if graph.node.len() > limits.nodes {
            return Err(LoadError::TooMany { what: "nodes", count: graph.node.len(), limit: limits.nodes });
        }
        Builder { opset, values: Vec::new(), known: BTreeMap::new() }.build(graph, limits)
    }
}

fn opset(model: &ModelProto) -> Result<i64, LoadError> {
    // A foreign domain that is only declared is harmless: its nodes, if there are any, are refused one by one.
    let import = model.opset_import.iter().find(|import| is_default(&import.domain));
    let Some(import) = import else {
        return Err(LoadError::Malformed { reason: "it does not tell its operator set".into() });
    };
    match import.version {
        version if (OLDEST_OPSET..=NEWEST_OPSET).contains(&version) => Ok(version),
        version => {
            Err(LoadError::Opset { domain: import.domain.clone(), version, oldest: OLDEST_OPSET, newest: NEWEST_OPSET })
        }
    }
}

fn is_default(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

struct Builder {
    opset: i64,
    values: Vec<String>,
    known: BTreeMap<String, ValueId>,
}

impl Builder {
    fn build(mut self, graph: GraphProto, limits: &Limits) -> Result<Graph, LoadError> {
        if !graph.sparse_initializer.is_empty() {
            return Err(LoadError::Graph { reason: "sparse weights are not supported".into() });
        }
        let needed = graph.initializer.iter().map(|tensor| tensor.encoded_len() as u64).sum::<u64>();
        if needed > limits.memory {
            return Err(LoadError::TooLarge { needed, limit: limits.memory });
        }
        let device = Device::<Engine>::default();
        let (mut constants, mut held) = (BTreeMap::new(), 0);
        for tensor in graph.initializer {
            let id = self.define(&tensor.name)?;
            let tensor = weights::decode(tensor)?;
            held += tensor.data.len() as u64 * held_size(tensor.data.data_type());
            if held > limits.memory {
                return Err(LoadError::TooLarge { needed: held, limit: limits.memory });
            }
            constants.insert(id, Value::from_tensor(tensor, &device));
        }
        let mut declared = BTreeSet::new();
        let mut inputs = Vec::with_capacity(graph.input.len());
        for info in graph.input {
            let optional = self.known.get(&info.name).copied().filter(|id| constants.contains_key(id));
            let id = match optional {
                Some(id) => id,
                None => self.define(&info.name)?,
            };
            if !declared.insert(id) {
                return Err(LoadError::Graph { reason: format!("the input {:?} is declared twice", info.name) });
            }
            inputs.push((id, io_spec(info, optional.is_some())?));
        }
        let nodes = self.nodes(graph.node)?;
        declared.clear();
        let mut outputs = Vec::with_capacity(graph.output.len());
        for info in graph.output {
            let Some(&id) = self.known.get(&info.name) else {
                return Err(LoadError::Graph { reason: format!("nothing produces the output {:?}", info.name) });
            };
            if !declared.insert(id) {
                return Err(LoadError::Graph { reason: format!("the output {:?} is declared twice", info.name) });
            }
            outputs.push((id, io_spec(info, false)?));
        }
        if outputs.is_empty() {
            return Err(LoadError::Graph { reason: "there is no output".into() });
        }
        Ok(Graph { values: self.values, inputs, outputs, constants, nodes })
    }

    fn nodes(&mut self, protos: Vec<NodeProto>) -> Result<Vec<Node>, LoadError> {
        let all_outputs: BTreeSet<String> = protos.iter().flat_map(|node| node.output.iter().cloned()).collect();
        let mut nodes = Vec::with_capacity(protos.len());
        for (index, proto) in protos.into_iter().enumerate() {
            let name = if proto.name.is_empty() { format!("#{index}") } else { proto.name.clone() };
            let op = match proto.domain.as_str() {
                domain if is_default(domain) => proto.op_type.clone(),
                domain => format!("{domain}.{}", proto.op_type),
            };
            let refuse = |reason: String| LoadError::Node { node: name.clone(), op: op.clone(), reason };

            let Some(id) = ops::find(&op) else {
                return Err(refuse("this operator is not supported".into()));
            };
            ops::check_use(id, self.opset, proto.input.len(), proto.output.len()).map_err(refuse)?;
            let mut inputs = Vec::with_capacity(proto.input.len());
            for input in &proto.input {
                inputs.push(match self.known.get(input) {
                    _ if input.is_empty() => None,
                    Some(&id) => Some(id),
                    // ONNX demands executable order, so a later definition is a cycle or a broken file.
                    None if all_outputs.contains(input) => {
                        return Err(refuse(format!("its input {input:?} is made by itself or by a later node")));
                    }
                    None => return Err(refuse(format!("nothing produces its input {input:?}"))),
                });
            }
            let mut attributes = Attributes::default();
            for attribute in proto.attribute {
                let attribute_name = attribute.name.clone();
                match Attribute::decode(attribute)? {
                    Some(attribute) => attributes.0.push(attribute),
                    None => {
                        return Err(refuse(format!("the kind of its attribute {attribute_name:?} is not supported")));
                    }
                }
            }
            let mut outputs = Vec::with_capacity(proto.output.len());
            for output in &proto.output {
                outputs.push(match output.is_empty() {
                    true => None,
                    false => Some(self.define(output)?),
                });
            }
            nodes.push(Node { name, op: id, opset: self.opset, inputs, outputs, attributes });
        }
        Ok(nodes)
    }

    /// Numbers a value that something produces; each name has one producer.
    fn define(&mut self, name: &str) -> Result<ValueId, LoadError> {
        if name.is_empty() {
            return Err(LoadError::Graph { reason: "a weight or an input has no name".into() });
        }
        let id = ValueId(self.values.len());
        if self.known.insert(name.to_owned(), id).is_some() {
            return Err(LoadError::Graph { reason: format!("{name:?} is produced twice") });
        }
        self.values.push(name.to_owned());
        Ok(id)
    }
}

fn io_spec(info: ValueInfoProto, optional: bool) -> Result<IoSpec, LoadError> {
    let name = info.name;
    let refuse = |reason: String| LoadError::Graph { reason: format!("{name:?} {reason}") };
    let Some(tensor) = info.r#type.and_then(|kind| kind.tensor_type) else {
        return Err(refuse("is not declared as a tensor".into()));
    };
    let Some(data_type) = DataType::from_onnx(tensor.elem_type) else {
        return Err(refuse(format!("has element type {}, which is not supported", tensor.elem_type)));
    };
    let shape = match tensor.shape {
        None => None,
        Some(shape) if shape.dim.len() > MAX_RANK => {
            return Err(refuse(format!("has {} dimensions; at most {MAX_RANK} are supported", shape.dim.len())));
        }
        Some(shape) => Some(
            (shape.dim.into_iter())
                .map(|dim| match (dim.dim_value, dim.dim_param) {
                    (Some(size), _) => usize::try_from(size).map(Dim::Fixed).map_err(|_| size),
                    (None, Some(name)) if !name.is_empty() => Ok(Dim::Named(name)),
                    _ => Ok(Dim::Unknown),
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|size| refuse(format!("has a dimension of size {size}")))?,
        ),
    };
    Ok(IoSpec { name, data_type, shape, optional })
}
