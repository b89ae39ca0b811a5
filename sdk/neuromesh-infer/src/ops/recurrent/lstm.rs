//! The cell with a memory: input, output and forget gates, and what is to be remembered.

use super::{Cell, Layer, Recurrence, activation::Activation, check, clipped, results};
use crate::{
    DataType, Fault,
    kernels::elementwise::{self, Unary},
    ops::{
        Packed,
        call::{Call, Outputs},
        products::{Matrix, Weight},
    },
    value::Value,
};

pub(super) fn run(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let call = &*call;
    let layer = Layer::new(call, 4)?;
    let (directions, size) = (layer.directions, layer.hidden);
    let states = if layer.batch_first { [layer.batch, directions, size] } else { [directions, layer.batch, size] };
    check(call, 6, &states)?;
    check(call, 7, &[directions, 3 * size])?;
    let defaults = [Activation::Sigmoid, Activation::Tanh, Activation::Tanh];
    let activations = Activation::read(call.attributes(), directions, defaults)?;
    let coupled = call.attributes().flag("input_forget", false)?;
    let (mut history, mut last) = (layer.history(call)?, layer.states(call)?);
    let mut last_memory = layer.states(call)?;
    for (direction, activations) in activations.into_iter().enumerate() {
        let mut hidden = layer.state(call, 5, direction)?;
        let mut cell = Lstm {
            recurrence: Recurrence::new(call, &layer),
            weights: match call.packed {
                Some(Packed::Layer(packed)) => Weight::Packed(&packed.state[direction]),
                _ => {
                    let weights = layer.part(call, 2, direction)?.ok_or(Fault::Missing(2))?;
                    Weight::Matrix(Matrix::rows(weights, size).transposed())
                }
            },
            bias: layer.part(call, 3, direction)?,
            peepholes: layer.part(call, 7, direction)?,
            memory: layer.state(call, 6, direction)?,
            sums: call.make(DataType::F32, [layer.batch, layer.rows].as_slice())?,
            activations,
            coupled,
            clip: layer.clip,
        };
        layer.walk(call, direction, &mut cell, &mut hidden, &mut history)?;
        layer.store(&hidden, direction, &mut last);
        layer.store(&cell.memory, direction, &mut last_memory);
    }
    Ok(results(call, vec![history, last, last_memory]))
}

struct Lstm<'a> {
    recurrence: Recurrence<'a>,
    /// Of the gates in the order input, output, forget, cell.
    weights: Weight<'a>,
    bias: Option<&'a [f32]>,
    /// Of the gates in the order input, output, forget.
    peepholes: Option<&'a [f32]>,
    memory: Value,
    sums: Value,
    activations: [Activation; 3],
    /// Whether what is not forgotten is not taken in.
    coupled: bool,
    clip: f32,
}

impl Cell for Lstm<'_> {
    fn step<'a>(&mut self, input: &dyn Fn(usize) -> Option<&'a [f32]>, hidden: &mut [f32]) -> Result<(), Fault> {
        let size = self.recurrence.hidden;
        self.recurrence.multiply_by(hidden, self.weights, 4 * size, self.sums.raw_mut())?;
        let [f, g, h] = self.activations;
        if self.is_usual() {
            self.usual_step(input, hidden);
            return Ok(());
        }
        let (clip, coupled, bias, peepholes) = (self.clip, self.coupled, self.bias, self.peepholes);
        let memories = self.memory.raw_mut::<f32>().chunks_exact_mut(size);
        let states = hidden.chunks_exact_mut(size).zip(memories).zip(self.sums.raw::<f32>().chunks_exact(4 * size));
        for (sequence, ((state, memory), sums)) in states.enumerate() {
            let Some(x) = input(sequence) else { continue };
            for at in 0..size {
                let gate = |gate: usize| {
                    let at = gate * size + at;
                    (x[at] + sums[at]) + bias.map_or(0.0, |bias| bias[at] + bias[4 * size + at])
                };
                let peep = |gate: usize, memory: f32| peepholes.map_or(0.0, |peep| peep[gate * size + at] * memory);
                let old = memory[at];
                let taken = f.of(clipped(gate(0) + peep(0, old), clip));
                let kept = match coupled {
                    true => 1.0 - taken,
                    false => f.of(clipped(gate(2) + peep(2, old), clip)),
                };
                let new = kept * old + taken * g.of(clipped(gate(3), clip));
                let shown = f.of(clipped(gate(1) + peep(1, new), clip));
                memory[at] = new;
                // Not clipped: what is meant is the input of the gates, and so it is done by others.
                state[at] = shown * h.of(new);
            }
        }
        Ok(())
    }
}

impl Lstm<'_> {
    /// Whether it is what nearly all models have, for which there is a faster way to the same numbers.
    fn is_usual(&self) -> bool {
        self.activations == [Activation::Sigmoid, Activation::Tanh, Activation::Tanh]
            && self.peepholes.is_none()
            && !self.coupled
    }

    /// The step, from the sums on, function by function.
    fn usual_step<'a>(&mut self, input: &dyn Fn(usize) -> Option<&'a [f32]>, hidden: &mut [f32]) {
        let (cpu, size, clip) = (self.recurrence.cpu, self.recurrence.hidden, self.clip);
        let memories = self.memory.raw_mut::<f32>().chunks_exact_mut(size);
        let states =
            hidden.chunks_exact_mut(size).zip(memories).zip(self.sums.raw_mut::<f32>().chunks_exact_mut(4 * size));
        for (sequence, ((state, memory), gates)) in states.enumerate() {
            let Some(x) = input(sequence) else { continue };
            match self.bias {
                Some(bias) => {
                    let (of_input, of_state) = bias.split_at(4 * size);
                    for (((gate, x), a), b) in gates.iter_mut().zip(x).zip(of_input).zip(of_state) {
                        *gate = clipped((*x + *gate) + (*a + *b), clip);
                    }
                }
                None => gates.iter_mut().zip(x).for_each(|(gate, x)| *gate = clipped((*x + *gate) + 0.0, clip)),
            }
            let (gates, taken_in) = gates.split_at_mut(3 * size);
            elementwise::unary_in_place(cpu, Unary::Sigmoid, gates);
            elementwise::unary_in_place(cpu, Unary::Tanh, taken_in);
            let (taken, rest) = gates.split_at(size);
            let (shown, kept) = rest.split_at(size);
            for (((memory, kept), taken), new) in memory.iter_mut().zip(kept).zip(taken).zip(&*taken_in) {
                *memory = *kept * *memory + *taken * *new;
            }
            state.copy_from_slice(memory);
            elementwise::unary_in_place(cpu, Unary::Tanh, state);
            state.iter_mut().zip(shown).for_each(|(state, shown)| *state *= *shown);
        }
    }
}
