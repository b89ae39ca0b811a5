//! From the decoded file to a checked graph.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Body, Dim, Graph, IoSpec, Node, ValueId,
    function::{Functions, Sourced},
    weights::Weights,
};
use crate::{
    DataType, Limits, LoadError,
    attribute::{Attribute, Attributes, Carried},
    limits::{INLINED_BYTES, MAX_RANK, OPERATOR_SETS},
    ops,
    proto::{GraphProto, ModelProto, OperatorSetIdProto, TensorProto, ValueInfoProto},
    value::Value,
};

/// Checks a model file whose weights are where `weights` knows.
pub(crate) fn read(model: ModelProto, weights: Weights, limits: &Limits) -> Result<Graph, LoadError> {
    let opset = opset(&model.opset_import)?;
    let graph = model.graph.ok_or_else(|| LoadError::Malformed { reason: "it has no graph".into() })?;
    let bytes = limits.memory.min(INLINED_BYTES);
    let functions = Functions::new(model.functions, limits.nodes, bytes, |function| {
        // A function of other domains' operators only need not name the default one.
        let named = function.opset_import.iter().any(|import| is_default(&import.domain));
        if named { self::opset(&function.opset_import) } else { Ok(opset) }
    })?;
    let mut file = File { weights, functions, limits, nodes: 0, held: 0 };
    let (graph, _) = Builder::default().build(graph, opset, &mut file)?;
    if graph.outputs.is_empty() {
        return Err(LoadError::Graph { reason: "there is no output".into() });
    }
    Ok(graph)
}

fn opset(imports: &[OperatorSetIdProto]) -> Result<i64, LoadError> {
    // A foreign domain that is only declared is harmless: its nodes, if there are any, are refused one by one.
    let import = imports.iter().find(|import| is_default(&import.domain));
    let Some(import) = import else {
        return Err(LoadError::Malformed { reason: "it does not tell its operator set".into() });
    };
    match import.version {
        version if OPERATOR_SETS.contains(&version) => Ok(version),
        version => {
            let (oldest, newest) = (*OPERATOR_SETS.start(), *OPERATOR_SETS.end());
            Err(LoadError::Opset { domain: import.domain.clone(), version, oldest, newest })
        }
    }
}

pub(super) fn is_default(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

pub(crate) fn same_domain(a: &str, b: &str) -> bool {
    a == b || (is_default(a) && is_default(b))
}

/// An operator's name, after its domain if that is not ONNX's own.
pub(crate) fn full_name(domain: &str, name: &str) -> String {
    if is_default(domain) { name.to_owned() } else { format!("{domain}.{name}") }
}

/// What holds for all graphs of a file, and what they have used up together.
struct File<'a> {
    weights: Weights,
    functions: Functions,
    limits: &'a Limits,
    nodes: usize,
    held: u64,
}

impl File<'_> {
    fn weight(&mut self, proto: TensorProto) -> Result<Value, LoadError> {
        let value = self.weights.decode(proto)?;
        self.held += value.bytes();
        match self.held {
            needed if needed > self.limits.memory => Err(LoadError::TooLarge { needed, limit: self.limits.memory }),
            _ => Ok(value),
        }
    }
}

/// The graph that is being read, inside those around it.
#[derive(Default)]
struct Builder {
    /// Outermost first.
    scopes: Vec<Scope>,
}

/// The names of one graph.
#[derive(Default)]
struct Scope {
    values: Vec<String>,
    known: BTreeMap<String, ValueId>,
    /// Values of the graph outside that this one uses: their number there, and here.
    captures: Vec<(ValueId, ValueId)>,
}

impl Builder {
    /// The graph, and what it captures of the graph outside.
    fn build(
        &mut self,
        graph: GraphProto,
        opset: i64,
        file: &mut File<'_>,
    ) -> Result<(Graph, Vec<ValueId>), LoadError> {
        self.scopes.push(Scope::default());
        let nodes = file.functions.inline(graph.node, opset)?;
        file.nodes += nodes.len();
        if file.nodes > file.limits.nodes {
            return Err(LoadError::TooMany { what: "nodes", count: file.nodes, limit: file.limits.nodes });
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(LoadError::Graph { reason: "sparse weights are not supported".into() });
        }
        let is_body = self.scopes.len() > 1;
        let mut constants = BTreeMap::new();
        for tensor in graph.initializer {
            let id = self.define(&tensor.name)?;
            constants.insert(id, file.weight(tensor)?);
        }
        let mut declared = BTreeSet::new();
        let mut inputs = Vec::with_capacity(graph.input.len());
        for info in graph.input {
            let known = self.scope().known.get(&info.name).copied();
            let optional = known.filter(|id| constants.contains_key(id));
            let id = match optional {
                Some(id) => id,
                None => self.define(&info.name)?,
            };
            if !declared.insert(id) {
                return Err(LoadError::Graph { reason: format!("the input {:?} is declared twice", info.name) });
            }
            inputs.push((id, io_spec(info, optional.is_some(), is_body)?));
        }
        let nodes = self.nodes(nodes, file)?;
        declared.clear();
        let mut outputs = Vec::with_capacity(graph.output.len());
        for info in graph.output {
            // A body may hand on what it only captured.
            let Some(id) = self.resolve(&info.name) else {
                return Err(LoadError::Graph { reason: format!("nothing produces the output {:?}", info.name) });
            };
            if !declared.insert(id) && !is_body {
                return Err(LoadError::Graph { reason: format!("the output {:?} is declared twice", info.name) });
            }
            outputs.push((id, io_spec(info, false, is_body)?));
        }
        let Scope { values, captures, .. } = self.scopes.pop().unwrap_or_default();
        for (_, id) in &captures {
            let name = values[id.0].clone();
            inputs.push((*id, IoSpec { name, data_type: DataType::F32, shape: None, optional: false }));
        }
        let captured = captures.iter().map(|(outside, _)| *outside).collect();
        Ok((Graph { values, inputs, outputs, constants, nodes }, captured))
    }

    fn nodes(&mut self, protos: Vec<Sourced>, file: &mut File<'_>) -> Result<Vec<Node>, LoadError> {
        let all_outputs: BTreeSet<String> =
            protos.iter().flat_map(|sourced| sourced.node.output.iter().cloned()).collect();
        let mut nodes = Vec::with_capacity(protos.len());
        for (index, proto) in protos.into_iter().enumerate() {
            nodes.push(self.node(index, proto, &all_outputs, file)?);
        }
        Ok(nodes)
    }

    fn node(
        &mut self,
        index: usize,
        Sourced { node: proto, opset }: Sourced,
        all_outputs: &BTreeSet<String>,
        file: &mut File<'_>,
    ) -> Result<Node, LoadError> {
        let name = if proto.name.is_empty() { format!("#{index}") } else { proto.name };
        let op = full_name(&proto.domain, &proto.op_type);
        let refuse = |reason: String| LoadError::Node { node: name.clone(), op: op.clone(), reason };

        let Some(id) = ops::find(&op) else {
            return Err(refuse("this operator is not supported".into()));
        };
        ops::check_use(id, opset, proto.input.len(), proto.output.len()).map_err(refuse)?;
        let mut inputs = Vec::with_capacity(proto.input.len());
        for input in &proto.input {
            inputs.push(match self.resolve(input) {
                _ if input.is_empty() => None,
                Some(id) => Some(id),
                // ONNX demands executable order, so a later definition is a cycle or a broken file.
                None if all_outputs.contains(input) => {
                    return Err(refuse(format!("its input {input:?} is made by itself or by a later node")));
                }
                None => return Err(refuse(format!("nothing produces its input {input:?}"))),
            });
        }
        let mut attributes = Attributes::default();
        let mut bodies = Vec::new();
        for attribute in proto.attribute {
            let attribute_name = attribute.name.clone();
            match Attribute::decode(attribute, &mut file.weights)? {
                Some((key, Carried::Attribute(attribute))) => attributes.0.push((key, attribute)),
                Some((key, Carried::Graph(graph))) => {
                    let (graph, captured) = self.build(*graph, opset, file)?;
                    inputs.extend(captured.iter().map(|&id| Some(id)));
                    bodies.push(Body { name: key, graph, captured: captured.len() });
                }
                None => {
                    return Err(refuse(format!("the kind of its attribute {attribute_name:?} is not supported")));
                }
            }
        }
        ops::check_bodies(id, &bodies).map_err(refuse)?;
        let mut outputs = Vec::with_capacity(proto.output.len());
        for output in &proto.output {
            outputs.push(match output.is_empty() {
                true => None,
                false => Some(self.define(output)?),
            });
        }
        Ok(Node { name, op: id, opset, inputs, outputs, attributes, bodies })
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("a graph is being read")
    }

    /// Numbers a value that something produces; each name has one producer.
    fn define(&mut self, name: &str) -> Result<ValueId, LoadError> {
        if name.is_empty() {
            return Err(LoadError::Graph { reason: "a weight or an input has no name".into() });
        }
        match self.scope().add(name) {
            Some(id) => Ok(id),
            None => Err(LoadError::Graph { reason: format!("{name:?} is produced twice") }),
        }
    }

    /// The value of this name, in this graph or in one around it.
    fn resolve(&mut self, name: &str) -> Option<ValueId> {
        let holder = (0..self.scopes.len()).rev().find(|&depth| self.scopes[depth].known.contains_key(name))?;
        let mut id = self.scopes[holder].known[name];
        // Each graph on the way in takes it from the one outside.
        for scope in &mut self.scopes[holder + 1..] {
            let outside = id;
            id = scope.add(name)?;
            scope.captures.push((outside, id));
        }
        Some(id)
    }
}

impl Scope {
    fn add(&mut self, name: &str) -> Option<ValueId> {
        let id = ValueId(self.values.len());
        if self.known.insert(name.to_owned(), id).is_some() {
            return None;
        }
        self.values.push(name.to_owned());
        Some(id)
    }
}

/// What a graph declares of an input or output. Bodies may leave the type out; nobody checks them against it.
fn io_spec(info: ValueInfoProto, optional: bool, is_body: bool) -> Result<IoSpec, LoadError> {
    let name = info.name;
    let refuse = |reason: String| LoadError::Graph { reason: format!("{name:?} {reason}") };
    let Some(tensor) = info.r#type.and_then(|kind| kind.tensor_type) else {
        return match is_body {
            true => Ok(IoSpec { name, data_type: DataType::F32, shape: None, optional }),
            false => Err(refuse("is not declared as a tensor".into())),
        };
    };
    let data_type = match DataType::from_onnx(tensor.elem_type) {
        Some(data_type) => data_type,
        None if is_body && tensor.elem_type == 0 => DataType::F32,
        None => return Err(refuse(format!("has element type {}, which is not supported", tensor.elem_type))),
    };
    let shape = match tensor.shape {
        None => None,
        Some(shape) if shape.dim.len() > MAX_RANK => {
            return Err(refuse(format!("has {} dimensions; at most {MAX_RANK} are supported", shape.dim.len())));
        }
        Some(shape) => Some(
            (shape.dim.into_iter())
                .map(|dim| match (dim.dim_value, dim.dim_param) {
                    // Some exporters write -1 for a free dimension.
                    (Some(-1), _) => Ok(Dim::Unknown),
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
