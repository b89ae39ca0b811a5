//! The cell with an update gate and a reset gate.

use super::{Cell, Layer, Recurrence, activation::Activation, clipped, results};
use crate::{
    DataType, Fault,
    ops::call::{Call, Outputs},
    value::Value,
};

pub(super) fn run(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let call = &*call;
    let layer = Layer::new(call, 3)?;
    let defaults = [Activation::Sigmoid, Activation::Tanh];
    let activations = Activation::read(call.attributes(), layer.directions, defaults)?;
    let linear = call.attributes().flag("linear_before_reset", false)?;
    let (mut history, mut last) = (layer.history(call)?, layer.states(call)?);
    for (direction, activations) in activations.into_iter().enumerate() {
        let mut hidden = layer.state(call, 5, direction)?;
        let scratch = |gates: usize| call.make(DataType::F32, [layer.batch, gates * layer.hidden].as_slice());
        let mut cell = Gru {
            recurrence: Recurrence::new(call, &layer),
            weights: layer.part(call, 2, direction)?.ok_or(Fault::Missing(2))?,
            bias: layer.part(call, 3, direction)?,
            gates: scratch(2)?,
            reset: scratch(1)?,
            sums: scratch(1)?,
            activations,
            linear,
            clip: layer.clip,
        };
        layer.walk(call, direction, &mut cell, &mut hidden, &mut history)?;
        layer.store(&hidden, direction, &mut last);
    }
    Ok(results(call, vec![history, last]))
}

struct Gru<'a> {
    recurrence: Recurrence<'a>,
    /// Of the gates in the order update, reset, hidden.
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    /// The update and the reset gate of each sequence.
    gates: Value,
    /// The states times the reset gate.
    reset: Value,
    /// What the states contribute to the hidden gate.
    sums: Value,
    activations: [Activation; 2],
    /// Whether the reset gate comes after the product instead of before it.
    linear: bool,
    clip: f32,
}

impl Cell for Gru<'_> {
    fn step<'a>(&mut self, input: &dyn Fn(usize) -> Option<&'a [f32]>, hidden: &mut [f32]) -> Result<(), Fault> {
        let size = self.recurrence.hidden;
        let (first, last) = self.weights.split_at(2 * size * size);
        let [f, g] = self.activations;
        let (clip, linear) = (self.clip, self.linear);
        // Of the input, then of the state.
        let biases = self.bias.map(|bias| bias.split_at(3 * size));
        self.recurrence.multiply(hidden, first, self.gates.raw_mut())?;
        let resets = self.reset.raw_mut::<f32>().chunks_exact_mut(size);
        let gates = self.gates.raw_mut::<f32>().chunks_exact_mut(2 * size);
        for (sequence, ((gates, reset), state)) in gates.zip(resets).zip(hidden.chunks_exact(size)).enumerate() {
            let Some(x) = input(sequence) else {
                reset.fill(0.0);
                continue;
            };
            for (at, gate) in gates.iter_mut().enumerate() {
                let bias = biases.map_or(0.0, |(input, state)| input[at] + state[at]);
                *gate = f.of(clipped((x[at] + *gate) + bias, clip));
            }
            let products = reset.iter_mut().zip(state).zip(&gates[size..]);
            products.for_each(|((reset, &state), &gate)| *reset = gate * state);
        }
        let states: &[f32] = if linear { hidden } else { self.reset.raw() };
        self.recurrence.multiply(states, last, self.sums.raw_mut())?;
        let (gates, sums) = (self.gates.raw::<f32>().chunks_exact(2 * size), self.sums.raw::<f32>().chunks_exact(size));
        for (sequence, ((state, gates), sums)) in hidden.chunks_exact_mut(size).zip(gates).zip(sums).enumerate() {
            let Some(x) = input(sequence) else { continue };
            for (at, state) in state.iter_mut().enumerate() {
                let (update, reset) = (gates[at], gates[size + at]);
                let (of_input, of_state) = biases.map_or((0.0, 0.0), |(a, b)| (a[2 * size + at], b[2 * size + at]));
                let sum = match linear {
                    true => (x[2 * size + at] + reset * (sums[at] + of_state)) + of_input,
                    false => (x[2 * size + at] + sums[at]) + (of_input + of_state),
                };
                *state = (1.0 - update) * g.of(clipped(sum, clip)) + update * *state;
            }
        }
        Ok(())
    }
}
