//! `If`, `Loop` and `Scan` between two turns of their bodies.
//!
//! Semantics: ONNX `Operators.md`, `If`, `Loop` (from operator set 1) and `Scan` (8, with a batch; 9 on, without).

use std::sync::Arc;

use super::frame::Frame;
use crate::{
    DataType, Dim, Fault, IoSpec,
    attribute::wrong,
    graph::Node,
    memory::Memory,
    ops::{Control, movement},
    plan::{Plan, Step},
    shape::{self, Shape},
    value::Value,
};

/// What comes after a turn.
pub(super) enum Next {
    Turn(Frame),
    Done(Vec<Value>),
}

/// A node with bodies that is being executed.
#[derive(Debug)]
pub(super) enum Turns {
    Branch,
    Loop(Box<Loop>),
    Scan(Box<Scan>),
}

#[derive(Debug)]
pub(super) struct Loop {
    body: Arc<Plan>,
    captured: Vec<Option<Value>>,
    turn: i64,
    /// How many turns at most.
    trips: Option<i64>,
    carried: usize,
    /// What each turn added to each scan output.
    collected: Vec<Vec<Value>>,
}

#[derive(Debug)]
pub(super) struct Scan {
    body: Arc<Plan>,
    captured: Vec<Option<Value>>,
    /// The states that each batch begins with; one batch from operator set 9 on.
    initial: Vec<Vec<Value>>,
    /// What is scanned, batch by batch.
    sources: Vec<Vec<Value>>,
    inputs: Vec<Direction>,
    outputs: Vec<Direction>,
    /// How many turns each batch takes.
    lengths: Vec<usize>,
    turn: usize,
    collected: Vec<Vec<Value>>,
    /// The results of the batches that are done.
    done: Vec<Vec<Value>>,
    batched: bool,
}

/// Along which dimension, and from which end.
#[derive(Debug, Clone, Copy)]
struct Direction {
    axis: i64,
    backwards: bool,
}

impl Turns {
    pub fn begin(
        control: Control,
        step: &Step,
        mut operands: Vec<Option<Value>>,
        captured: Vec<Option<Value>>,
        memory: &Memory,
    ) -> Result<Next, Fault> {
        let first = step.bodies.first().map_or(0, |body| body.captured.start);
        let captured_by = |index: usize| {
            let range = &step.bodies[index].captured;
            captured[range.start - first..range.end - first].to_vec()
        };
        let body = |name: &str| step.body(name).ok_or_else(|| wrong(name, "it is missing"));
        match control {
            Control::If => {
                let chosen = match condition(operands.first().and_then(Option::as_ref))? {
                    true => body("then_branch")?,
                    false => body("else_branch")?,
                };
                let plan = Arc::clone(&step.bodies[chosen].plan);
                Frame::with_inputs(plan, captured_by(chosen), Turns::Branch).map(Next::Turn)
            }
            Control::Loop => {
                let index = body("body")?;
                let plan = Arc::clone(&step.bodies[index].plan);
                let carried = operands.split_off(2);
                let trips = operands[0].as_ref().map(single_integer).transpose()?;
                let goes_on = operands[1].as_ref().map_or(Ok(true), |value| condition(Some(value)))?;
                let carried: Vec<Value> = present(carried)?;
                let scans = plan.outputs.len().checked_sub(carried.len() + 1).ok_or_else(|| {
                    Fault::Value(format!("its body has {} outputs; it carries {}", plan.outputs.len(), carried.len()))
                })?;
                let turns = Box::new(Loop {
                    body: plan,
                    captured: captured_by(index),
                    turn: 0,
                    trips,
                    carried: carried.len(),
                    collected: vec![Vec::new(); scans],
                });
                turns.next(goes_on, carried, memory)
            }
            Control::Scan => {
                let index = body("body")?;
                Scan::begin(step, index, operands, captured_by(index), memory)
            }
        }
    }

    /// After a turn whose body gave `results`.
    pub fn end(self, results: Vec<Value>, memory: &Memory) -> Result<Next, Fault> {
        match self {
            Turns::Branch => Ok(Next::Done(results)),
            Turns::Loop(mut turns) => {
                let mut results = results.into_iter();
                let goes_on = condition(results.next().as_ref())?;
                let carried: Vec<Value> = results.by_ref().take(turns.carried).collect();
                turns.collected.iter_mut().zip(results).for_each(|(scan, value)| scan.push(value));
                turns.turn += 1;
                turns.next(goes_on, carried, memory)
            }
            Turns::Scan(turns) => turns.end(results, memory),
        }
    }
}

impl Loop {
    fn next(self: Box<Self>, goes_on: bool, carried: Vec<Value>, memory: &Memory) -> Result<Next, Fault> {
        if goes_on && self.trips.is_none_or(|trips| self.turn < trips) {
            let body = Arc::clone(&self.body);
            let mut inputs = vec![
                Some(Value::constant(DataType::I64, Shape::new(), &[self.turn])),
                Some(Value::constant(DataType::Bool, Shape::new(), &[1u8])),
            ];
            inputs.extend(carried.into_iter().map(Some));
            inputs.extend(self.captured.iter().cloned());
            return Frame::with_inputs(body, inputs, Turns::Loop(self)).map(Next::Turn);
        }
        let mut results = carried;
        let specs = &self.body.outputs[1 + self.carried..];
        for (parts, (_, spec)) in self.collected.into_iter().zip(specs) {
            results.push(match parts.is_empty() {
                true => no_turns(spec, memory)?,
                false => movement::stack(memory, parts, 0)?,
            });
        }
        Ok(Next::Done(results))
    }
}

impl Scan {
    fn begin(
        step: &Step,
        index: usize,
        operands: Vec<Option<Value>>,
        captured: Vec<Option<Value>>,
        memory: &Memory,
    ) -> Result<Next, Fault> {
        let (node, body) = (&step.node, Arc::clone(&step.bodies[index].plan));
        let batched = node.opset < 9;
        let mut operands = operands;
        let lengths = match batched {
            true if operands.is_empty() => return Err(Fault::Missing(0)),
            true => operands.remove(0),
            false => None,
        };
        let operands = present(operands)?;
        let scanned = node.attributes.int("num_scan_inputs")?.unwrap_or(0);
        let scanned = usize::try_from(scanned).ok().filter(|&count| count >= 1 && count <= operands.len());
        let scanned = scanned.ok_or_else(|| wrong("num_scan_inputs", "it must count some of the inputs"))?;
        let states = operands.len() - scanned;
        let scans = body.outputs.len().checked_sub(states);
        let scans = scans.ok_or_else(|| Fault::Value(format!("its body gives fewer outputs than {states} states")))?;
        let backwards = if batched { "directions" } else { "scan_input_directions" };
        let inputs = directions(node, "scan_input_axes", backwards, scanned)?;
        let outputs = directions(node, "scan_output_axes", "scan_output_directions", scans)?;

        let (mut initial, mut sources) = (Vec::new(), Vec::new());
        if batched {
            let batches = operands[0].shape().first().copied().unwrap_or(0);
            for batch in 0..batches {
                let own = |value: &Value| pick(memory, value, 0, batch);
                let values = operands.iter().map(own).collect::<Result<Vec<_>, _>>()?;
                initial.push(values[..states].to_vec());
                sources.push(values[states..].to_vec());
            }
        } else {
            initial.push(operands[..states].to_vec());
            sources.push(operands[states..].to_vec());
        }
        let mut turns = Vec::with_capacity(sources.len());
        for values in &sources {
            turns.push(length(values, &inputs)?);
        }
        if let Some(lengths) = lengths {
            for (turns, length) in turns.iter_mut().zip(lengths.to_integers()?) {
                *turns = usize::try_from(length)
                    .ok()
                    .filter(|length| length <= turns)
                    .ok_or_else(|| Fault::Value(format!("a sequence of {length} elements in a tensor of {turns}")))?;
            }
        }
        // Batches are worked through from the end of the list.
        [&mut initial, &mut sources].into_iter().for_each(|list| list.reverse());
        turns.reverse();
        let Some(states) = initial.pop() else {
            return Err(Fault::Shape("there is no batch to scan".into()));
        };
        let scan = Scan {
            body,
            captured,
            initial,
            sources,
            inputs,
            outputs,
            lengths: turns,
            turn: 0,
            collected: vec![Vec::new(); scans],
            done: Vec::new(),
            batched,
        };
        Box::new(scan).next(states, memory)
    }

    fn end(mut self: Box<Self>, mut results: Vec<Value>, memory: &Memory) -> Result<Next, Fault> {
        let scans = results.split_off(results.len() - self.collected.len());
        self.collected.iter_mut().zip(scans).for_each(|(list, value)| list.push(value));
        self.turn += 1;
        self.next(results, memory)
    }

    fn next(mut self: Box<Self>, mut states: Vec<Value>, memory: &Memory) -> Result<Next, Fault> {
        loop {
            let (Some(sources), Some(&length)) = (self.sources.last(), self.lengths.last()) else {
                return self.finish(memory).map(Next::Done);
            };
            if self.turn < length {
                let mut inputs: Vec<Option<Value>> = states.into_iter().map(Some).collect();
                for (value, direction) in sources.iter().zip(&self.inputs) {
                    let axis = shape::axis(direction.axis, value.rank())?;
                    let at = if direction.backwards { length - 1 - self.turn } else { self.turn };
                    inputs.push(Some(pick(memory, value, axis, at)?));
                }
                inputs.extend(self.captured.iter().cloned());
                return Frame::with_inputs(Arc::clone(&self.body), inputs, Turns::Scan(self)).map(Next::Turn);
            }
            // This batch is done.
            let specs: Vec<_> = self.body.outputs[states.len()..].to_vec();
            let mut results = states;
            let collected = std::mem::take(&mut self.collected);
            for ((mut parts, direction), (_, spec)) in collected.into_iter().zip(&self.outputs).zip(&specs) {
                if direction.backwards {
                    parts.reverse();
                }
                results.push(match parts.first() {
                    None => no_turns(spec, memory)?,
                    Some(part) => {
                        let axis = shape::axis(direction.axis, part.rank() + 1)?;
                        movement::stack(memory, parts, axis)?
                    }
                });
                self.collected.push(Vec::new());
            }
            self.done.push(results);
            self.turn = 0;
            self.sources.pop();
            self.lengths.pop();
            states = self.initial.pop().unwrap_or_default();
        }
    }

    fn finish(self, memory: &Memory) -> Result<Vec<Value>, Fault> {
        let mut done = self.done;
        if !self.batched {
            return done.pop().ok_or(Fault::Missing(0));
        }
        let results = done.first().map_or(0, Vec::len);
        let column = |index: usize| done.iter().map(|batch| batch[index].clone()).collect();
        (0..results).map(|index| movement::stack(memory, column(index), 0)).collect()
    }
}

fn directions(node: &Node, axes: &str, backwards: &str, count: usize) -> Result<Vec<Direction>, Fault> {
    let list = |name: &str| match node.attributes.ints(name)? {
        None => Ok(vec![0; count]),
        Some(list) if list.len() == count => Ok(list.to_vec()),
        Some(list) => Err(wrong(name, &format!("{list:?} does not fit {count} tensors"))),
    };
    let axes = if node.opset < 9 { vec![0; count] } else { list(axes)? };
    let backwards =
        if node.opset < 9 && backwards == "scan_output_directions" { vec![0; count] } else { list(backwards)? };
    Ok(axes.into_iter().zip(backwards).map(|(axis, flag)| Direction { axis, backwards: flag != 0 }).collect())
}

/// The common length of what is scanned.
fn length(values: &[Value], directions: &[Direction]) -> Result<usize, Fault> {
    let mut lengths = Vec::with_capacity(values.len());
    for (value, direction) in values.iter().zip(directions) {
        lengths.push(value.shape()[shape::axis(direction.axis, value.rank())?]);
    }
    match lengths.iter().all(|&length| length == lengths[0]) {
        true => Ok(lengths[0]),
        false => Err(Fault::Shape(format!("what is scanned has the lengths {lengths:?}"))),
    }
}

/// One position of a dimension, which disappears.
fn pick(memory: &Memory, value: &Value, axis: usize, at: usize) -> Result<Value, Fault> {
    if value.shape().get(axis).is_none_or(|&size| at >= size) {
        return Err(Fault::Shape(format!("{:?} has no position {at} along dimension {axis}", value.shape())));
    }
    let mut target = value.shape().clone();
    target.remove(axis);
    Ok(movement::section(memory, value, axis, at, 1)?.reshape(target))
}

/// What a scan output is when there was no turn: no elements, in the shape that the file declares.
fn no_turns(spec: &IoSpec, memory: &Memory) -> Result<Value, Fault> {
    let mut target = Shape::from_elem(0, 1);
    for dim in spec.shape.iter().flatten() {
        target.push(if let Dim::Fixed(size) = dim { *size } else { 0 });
    }
    memory.value(spec.data_type, target)
}

fn present(operands: Vec<Option<Value>>) -> Result<Vec<Value>, Fault> {
    operands.into_iter().enumerate().map(|(input, value)| value.ok_or(Fault::Missing(input))).collect()
}

fn condition(value: Option<&Value>) -> Result<bool, Fault> {
    match value {
        Some(value) if value.data_type() == DataType::Bool && value.len() == 1 => Ok(value.raw::<u8>()[0] != 0),
        _ => Err(Fault::Value("a condition must be one boolean".into())),
    }
}

fn single_integer(value: &Value) -> Result<i64, Fault> {
    match value.to_integers()?.as_slice() {
        [value] => Ok(*value),
        other => Err(Fault::Shape(format!("a number of turns must be one number; there are {}", other.len()))),
    }
}
