//! What a model is, without running it: for people who look before they run, and for those who wonder why they cannot.

mod estimate;

use std::collections::BTreeMap;

use crate::{
    Dim, IoSpec, LoadError, Loader, Model, Options, Run, RunError, Tensor,
    graph::{self, Graph, Node},
    limits::OPERATOR_SETS,
    ops,
    plan::{self, Plan},
    proto::{GraphProto, ModelProto},
    symbolic,
};
pub use estimate::Estimate;

/// What a model file holds and asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What it takes; empty where it was refused before that was known.
    pub inputs: Vec<IoSpec>,
    /// What it gives, with what could be inferred of the sizes; empty likewise.
    pub outputs: Vec<IoSpec>,
    /// The versions of the operator sets that it names, by domain; ONNX's own is empty.
    pub operator_sets: Vec<(String, i64)>,
    /// Its operators by name, bodies and functions included, as the file has them.
    pub operators: Vec<Operator>,
    /// The functions that the file brings along.
    pub functions: Vec<String>,
    /// Elements of the weights.
    pub parameters: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Operators that a run executes once constants are folded and operators fused; those that only fusing makes begin with `*`.
    pub steps: Vec<(String, usize)>,
    /// What a run takes; `None` where sizes are not known.
    pub estimate: Option<Estimate>,
    /// Inputs with sizes that have no number, which an estimate needs.
    pub free: Vec<String>,
    /// Why it cannot be run.
    pub refusal: Option<LoadError>,
}

/// An operator that a file uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its name, after its domain if that is not ONNX's own.
    pub name: String,
    /// How often it stands there.
    pub count: usize,
    /// Whether the engine has it in the version that the file names.
    pub supported: bool,
}

/// Looks at a model that has arrived. `sizes` says how large inputs are, by name.
///
/// # Errors
/// [`LoadError`] where the file cannot be decoded; what is wrong with the model itself is [`Inspection::refusal`].
pub fn inspect(loader: Loader, sizes: &BTreeMap<String, Vec<usize>>) -> Result<Inspection, LoadError> {
    let (model, weights, Options { limits, cpu, .. }) = loader.open()?;
    let functions: Vec<String> = model.functions.iter().map(|function| function.name.clone()).collect();
    let mut found = Inspection {
        inputs: Vec::new(),
        outputs: Vec::new(),
        operator_sets: model.opset_import.iter().map(|import| (import.domain.clone(), import.version)).collect(),
        operators: operators(&model),
        functions,
        parameters: 0,
        weight_bytes: 0,
        steps: Vec::new(),
        estimate: None,
        free: Vec::new(),
        refusal: None,
    };
    let mut graph = match graph::read(model, weights, &limits) {
        Ok(graph) => graph,
        Err(error) => {
            found.refusal = Some(error);
            return Ok(found);
        }
    };
    found.inputs = graph.inputs.iter().map(|(_, spec)| spec.clone()).collect();
    found.outputs = graph.outputs.iter().map(|(_, spec)| spec.clone()).collect();
    (found.parameters, found.weight_bytes) = weigh(&graph);
    found.free = free(&found.inputs, sizes);
    if let Err(error) = check_sizes(&found.inputs, sizes) {
        found.refusal = Some(error);
        return Ok(found);
    }
    found.refusal = plan::fold_constants(&mut graph, &limits, &cpu).err();
    if found.refusal.is_some() {
        return Ok(found);
    }
    let known = match symbolic::infer(&graph, sizes) {
        Ok(known) => known,
        Err(error) => {
            found.refusal = Some(error);
            return Ok(found);
        }
    };
    for (spec, (id, _)) in found.outputs.iter_mut().zip(&graph.outputs) {
        let inferred = known.get(*id).shape.clone();
        spec.shape = match (spec.shape.take(), inferred) {
            (Some(declared), Some(inferred)) if declared.len() == inferred.len() => {
                let better = |(own, other): (Dim, Dim)| if let Dim::Fixed(_) = other { other } else { own };
                Some(declared.into_iter().zip(inferred).map(better).collect())
            }
            (None, inferred) => inferred,
            (declared, _) => declared,
        };
    }
    let work = estimate::work(&graph, &known);
    crate::model::rewrite_all(&mut graph);
    let plan = Plan::new(graph, Some(&cpu));
    found.steps = steps(&plan);
    let held = plan.weight_bytes();
    if found.free.is_empty() {
        found.estimate = estimate::memory(&plan, &known, held).map(|memory| Estimate { multiply_adds: work, memory });
    }
    let needed = found.estimate.as_ref().map_or(held, |estimate| estimate.memory.max(held));
    if needed > limits.memory {
        found.refusal = Some(LoadError::TooLarge { needed, limit: limits.memory });
    }
    Ok(found)
}

/// Every operator that the file names, in bodies and functions too.
fn operators(model: &ModelProto) -> Vec<Operator> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut called = |node: &crate::proto::NodeProto| {
        let is_function = (model.functions.iter())
            .any(|function| function.name == node.op_type && graph::same_domain(&function.domain, &node.domain));
        if !is_function {
            *counts.entry(graph::full_name(&node.domain, &node.op_type)).or_default() += 1;
        }
    };
    if let Some(graph) = &model.graph {
        each_node(graph, &mut called);
    }
    for node in model.functions.iter().flat_map(|function| &function.node) {
        called(node);
        node.attribute.iter().flat_map(|attribute| &attribute.g).for_each(|graph| each_node(graph, &mut called));
    }
    let version = model.opset_import.iter().find(|import| graph::same_domain(&import.domain, ""));
    let version = version.map_or(0, |import| import.version);
    let known = |name: &str| OPERATOR_SETS.contains(&version) && ops::is_known(name, version);
    counts.into_iter().map(|(name, count)| Operator { supported: known(&name), name, count }).collect()
}

fn each_node(graph: &GraphProto, visit: &mut impl FnMut(&crate::proto::NodeProto)) {
    for node in &graph.node {
        visit(node);
        node.attribute.iter().flat_map(|attribute| &attribute.g).for_each(|graph| each_node(graph, visit));
    }
}

/// Elements and bytes of the weights, in bodies too.
fn weigh(graph: &Graph) -> (u64, u64) {
    let held = graph.nodes.iter().flat_map(|node| &node.attributes.0).filter_map(|(_, attribute)| attribute.tensor());
    let own = graph.constants.values().chain(held);
    let own = own.fold((0, 0), |sum: (u64, u64), value| (sum.0 + value.len() as u64, sum.1 + value.bytes()));
    let bodies = graph.nodes.iter().flat_map(|node: &Node| &node.bodies).map(|body| weigh(&body.graph));
    bodies.fold(own, |sum, body| (sum.0 + body.0, sum.1 + body.1))
}

fn free(inputs: &[IoSpec], sizes: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
    let is_free = |spec: &&IoSpec| {
        let fixed = spec.shape.as_ref().is_some_and(|dims| dims.iter().all(|dim| matches!(dim, Dim::Fixed(_))));
        !spec.optional && !fixed && !sizes.contains_key(&spec.name)
    };
    inputs.iter().filter(is_free).map(|spec| spec.name.clone()).collect()
}

fn check_sizes(inputs: &[IoSpec], sizes: &BTreeMap<String, Vec<usize>>) -> Result<(), LoadError> {
    for (name, sizes) in sizes {
        let refuse = |reason: String| LoadError::Graph { reason };
        let Some(spec) = inputs.iter().find(|spec| spec.name == *name) else {
            return Err(refuse(format!("the model has no input {name:?}")));
        };
        let fits = |(dim, size): (&Dim, &usize)| !matches!(dim, Dim::Fixed(fixed) if fixed != size);
        if let Some(dims) = &spec.shape
            && (dims.len() != sizes.len() || !dims.iter().zip(sizes).all(fits))
        {
            let dims: Vec<String> = dims.iter().map(Dim::to_string).collect();
            return Err(refuse(format!(
                "the input {name:?} has the shape [{}]; {sizes:?} does not fit",
                dims.join(", ")
            )));
        }
        crate::shape::checked(sizes).map_err(|fault| refuse(format!("the input {name:?}: {fault}")))?;
    }
    Ok(())
}

fn steps(plan: &Plan) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for step in &plan.steps {
        *counts.entry(step.node.op.name().to_owned()).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// Runs a model once on zeros of these sizes; gives the most bytes that weights and live values took at one time, and the
/// most that were held.
///
/// # Errors
/// [`RunError`]: some models refuse zeros.
pub fn measure(model: Model, sizes: &BTreeMap<String, Vec<usize>>) -> Result<(u64, u64), RunError> {
    let model = std::sync::Arc::new(model);
    let mut inputs = Vec::new();
    for spec in model.inputs().iter().filter(|spec| !spec.optional || sizes.contains_key(&spec.name)) {
        let declared = || {
            let fixed = |dim: &Dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None };
            spec.shape.as_ref()?.iter().map(fixed).collect::<Option<Vec<usize>>>()
        };
        let reason = || RunError::Input { name: spec.name.clone(), reason: "its sizes are not known".into() };
        let shape = sizes.get(&spec.name).cloned().or_else(declared).ok_or_else(reason)?;
        let bytes = crate::shape::elements(&shape).ok_or_else(reason)?.saturating_mul(spec.data_type.size()) as u64;
        let (needed, limit) = (model.weight_bytes().saturating_add(bytes), model.limits.memory);
        if needed > limit {
            return Err(RunError::InputsTooLarge { needed, limit });
        }
        inputs.push((spec.name.clone(), Tensor::zeros(spec.data_type, shape).ok_or_else(reason)?));
    }
    let mut run: Run = model.start(inputs)?;
    while run.step()?.is_none() {}
    Ok((run.needed_memory(), run.peak_memory()))
}
