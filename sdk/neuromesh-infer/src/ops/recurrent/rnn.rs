//! The plain cell: one gate, which is the next state.

use super::{Cell, Layer, Recurrence, activation::Activation, clipped, results};
use crate::{
    DataType, Fault,
    ops::call::{Call, Outputs},
    value::Value,
};

pub(super) fn run(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let call = &*call;
    let layer = Layer::new(call, 1)?;
    let activations = Activation::read(call.attributes(), layer.directions, [Activation::Tanh])?;
    let (mut history, mut last) = (layer.history(call)?, layer.states(call)?);
    for (direction, [activation]) in activations.into_iter().enumerate() {
        let mut hidden = layer.state(call, 5, direction)?;
        let mut cell = Plain {
            recurrence: Recurrence::new(call, &layer),
            weights: layer.part(call, 2, direction)?.ok_or(Fault::Missing(2))?,
            bias: layer.part(call, 3, direction)?,
            sums: call.make(DataType::F32, [layer.batch, layer.rows].as_slice())?,
            activation,
            clip: layer.clip,
        };
        layer.walk(call, direction, &mut cell, &mut hidden, &mut history)?;
        layer.store(&hidden, direction, &mut last);
    }
    Ok(results(call, vec![history, last]))
}

struct Plain<'a> {
    recurrence: Recurrence<'a>,
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    sums: Value,
    activation: Activation,
    clip: f32,
}

impl Cell for Plain<'_> {
    fn step<'a>(&mut self, input: &dyn Fn(usize) -> Option<&'a [f32]>, hidden: &mut [f32]) -> Result<(), Fault> {
        self.recurrence.multiply(hidden, self.weights, self.sums.raw_mut())?;
        let size = self.recurrence.hidden;
        let states = hidden.chunks_exact_mut(size).zip(self.sums.raw::<f32>().chunks_exact(size));
        for (sequence, (state, sums)) in states.enumerate() {
            let Some(x) = input(sequence) else { continue };
            for (at, state) in state.iter_mut().enumerate() {
                let bias = self.bias.map_or(0.0, |bias| bias[at] + bias[size + at]);
                *state = self.activation.of(clipped((x[at] + sums[at]) + bias, self.clip));
            }
        }
        Ok(())
    }
}
