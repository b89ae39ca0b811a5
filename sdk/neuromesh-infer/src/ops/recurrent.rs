//! Recurrent networks of one layer: the walk over the steps, which all cells share.

mod activation;
mod gru;
mod lstm;
mod recurrence;
mod rnn;

use super::{
    Constants, Operator, Packed,
    call::{Call, Outputs},
    op,
    products::{self, Matrix, Weight},
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    kernels::gemm::{self, Epilogue, PackedB},
    shape::{self, Shape},
    value::Value,
};
use recurrence::Recurrence;

pub(super) const TABLE: &[Operator] = &[
    op("GRU", 7, 3..=6, gru::run).outputs(0..=2),
    op("LSTM", 7, 3..=8, lstm::run).outputs(0..=3).packs(1, pack),
    op("RNN", 7, 3..=6, rnn::run).outputs(0..=2),
];

/// The weights of an `LSTM` in panels, a matrix for each direction.
pub(crate) struct PackedLayer {
    /// What the input is multiplied with.
    input: Vec<PackedB>,
    /// What the states are multiplied with.
    state: Vec<PackedB>,
}

impl PackedLayer {
    pub fn bytes(&self) -> usize {
        self.input.iter().chain(&self.state).map(PackedB::bytes).sum()
    }
}

/// Packs both weights, if both are constant.
fn pack(constants: &Constants<'_>) -> Option<Packed> {
    let panels = |input: usize| -> Option<Vec<PackedB>> {
        let weights = constants.floats(input)?;
        let &[_, rows, columns] = &weights.shape()[..] else {
            return None;
        };
        // Panels are as wide as a tile: a few columns would take many times their size.
        if columns == 0 || rows == 0 || gemm::packed_len(constants.cpu, columns, rows) > 2 * columns * rows {
            return None;
        }
        let all = weights.raw::<f32>().chunks_exact(rows * columns);
        Some(all.map(|weights| gemm::pack_b(constants.cpu, weights, columns, rows, 1, columns)).collect())
    };
    Some(Packed::Layer(Box::new(PackedLayer { input: panels(1)?, state: panels(2)? })))
}

/// What a cell does in one step of all sequences.
trait Cell {
    /// `input(s)` is what the input contributes to the gates of sequence `s`; nothing, if the sequence has ended. Its row of
    /// `hidden` is the state to be replaced.
    fn step<'a>(&mut self, input: &dyn Fn(usize) -> Option<&'a [f32]>, hidden: &mut [f32]) -> Result<(), Fault>;
}

/// What a layer looks like.
struct Layer {
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
    /// Rows of the weights: gates times hidden numbers.
    rows: usize,
    directions: usize,
    /// Whether a lone direction goes backwards.
    reverse: bool,
    /// Whether the batch is the first dimension.
    batch_first: bool,
    /// Steps of each sequence.
    lengths: Vec<usize>,
    /// Bound of what goes into an activation.
    clip: f32,
}

impl Layer {
    fn new(call: &Call<'_>, gates: usize) -> Result<Self, Fault> {
        let attributes = call.attributes();
        let (directions, reverse) = match attributes.text("direction")?.unwrap_or("forward") {
            "forward" => (1, false),
            "reverse" => (1, true),
            "bidirectional" => (2, false),
            other => return Err(wrong("direction", &format!("{other:?} is unknown"))),
        };
        let batch_first = attributes.flag("layout", false)?;
        let (x, recurrence) = (call.shape(0)?, call.shape(2)?);
        let ([first, second, input], [_, _, hidden]) = (&x[..], &recurrence[..]) else {
            return Err(Fault::Shape(format!("{x:?} and {recurrence:?} should have three dimensions")));
        };
        let (input, hidden) = (*input, *hidden);
        let (batch, steps) = if batch_first { (*first, *second) } else { (*second, *first) };
        let rows = hidden.checked_mul(gates).filter(|&rows| rows > 0);
        let rows = rows.ok_or_else(|| Fault::Shape(format!("a layer of {hidden} hidden numbers")))?;
        if let Some(declared) = attributes.int("hidden_size")?
            && usize::try_from(declared) != Ok(hidden)
        {
            return Err(wrong("hidden_size", &format!("the weights {recurrence:?} have {hidden}")));
        }
        check(call, 1, &[directions, rows, input])?;
        if let Some(Packed::Layer(packed)) = call.packed {
            let fits = |all: &[PackedB], columns: usize| {
                all.len() == directions && all.iter().all(|weights| (weights.k(), weights.n()) == (columns, rows))
            };
            if !fits(&packed.input, input) || !fits(&packed.state, hidden) {
                return Err(Fault::Shape(format!("the weights do not fit {x:?}")));
            }
        }
        check(call, 2, &[directions, rows, hidden])?;
        check(call, 3, &[directions, rows.saturating_mul(2)])?;
        let state = if batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
        check(call, 5, &state)?;
        let lengths = match call.has(4) {
            true => call.list(4)?,
            false => {
                call.memory.check(batch as u64 * 8)?;
                vec![steps as i64; batch]
            }
        };
        let lengths = lengths.into_iter().map(|length| usize::try_from(length).ok().filter(|&length| length <= steps));
        let lengths = lengths.collect::<Option<Vec<_>>>().filter(|lengths| lengths.len() == batch);
        let lengths =
            lengths.ok_or_else(|| Fault::Value(format!("sequence_lens do not fit {batch} of {steps} steps")))?;
        let clip = attributes.float("clip")?.unwrap_or(f32::INFINITY);
        if clip.is_nan() || clip < 0.0 {
            return Err(wrong("clip", "it is not a positive number"));
        }
        // The products of all directions, and the work of each element beside them.
        let rows_in_all = rows.saturating_mul(directions);
        let wide = input.saturating_add(hidden).saturating_add(1);
        call.memory.check_work(&[steps, batch, rows_in_all, wide])?;
        Ok(Self { steps, batch, input, hidden, rows, directions, reverse, batch_first, lengths, clip })
    }

    /// The part of a parameter that belongs to a direction, if the parameter is there.
    fn part<'a>(&self, call: &'a Call<'_>, input: usize, direction: usize) -> Result<Option<&'a [f32]>, Fault> {
        let Some(all) = call.optional_floats(input)? else {
            return Ok(None);
        };
        let length = all.len() / self.directions;
        Ok(Some(&all[direction * length..][..length]))
    }

    /// The first state of a direction: an operand, or zeros.
    fn state(&self, call: &Call<'_>, input: usize, direction: usize) -> Result<Value, Fault> {
        let mut state = call.make(DataType::F32, [self.batch, self.hidden].as_slice())?;
        let rows = state.raw_mut::<f32>();
        match call.optional_floats(input)? {
            None => rows.fill(0.0),
            Some(initial) => {
                for (sequence, row) in rows.chunks_exact_mut(self.hidden).enumerate() {
                    row.copy_from_slice(&initial[self.state_at(direction, sequence)..][..self.hidden]);
                }
            }
        }
        Ok(state)
    }

    /// Where the state of a sequence begins in a tensor of all of them.
    fn state_at(&self, direction: usize, sequence: usize) -> usize {
        match self.batch_first {
            true => (sequence * self.directions + direction) * self.hidden,
            false => (direction * self.batch + sequence) * self.hidden,
        }
    }

    /// A tensor for the last states of all directions.
    fn states(&self, call: &Call<'_>) -> Result<Value, Fault> {
        match self.batch_first {
            true => call.make(DataType::F32, [self.batch, self.directions, self.hidden].as_slice()),
            false => call.make(DataType::F32, [self.directions, self.batch, self.hidden].as_slice()),
        }
    }

    /// Stores the last states of a direction; the last state of a sequence without steps is zero, whatever the first one was.
    fn store(&self, state: &Value, direction: usize, all: &mut Value) {
        let all = all.raw_mut::<f32>();
        for (sequence, row) in state.raw::<f32>().chunks_exact(self.hidden).enumerate() {
            let all = &mut all[self.state_at(direction, sequence)..][..self.hidden];
            match self.lengths[sequence] {
                0 => all.fill(0.0),
                _ => all.copy_from_slice(row),
            }
        }
    }

    /// A tensor for the states of all steps, with zeros where a sequence has ended; empty, if nobody wants it.
    fn history(&self, call: &Call<'_>) -> Result<Value, Fault> {
        if !matches!(call.node.outputs.first(), Some(Some(_))) {
            return call.make(DataType::F32, [0].as_slice());
        }
        let shape = match self.batch_first {
            true => [self.batch, self.steps, self.directions, self.hidden],
            false => [self.steps, self.directions, self.batch, self.hidden],
        };
        let mut history = call.make(DataType::F32, shape.as_slice())?;
        history.raw_mut::<f32>().fill(0.0);
        Ok(history)
    }

    /// Lets a cell go through all steps of a direction, from `hidden` on, which holds the last state afterwards.
    fn walk(
        &self,
        call: &Call<'_>,
        direction: usize,
        cell: &mut dyn Cell,
        hidden: &mut Value,
        history: &mut Value,
    ) -> Result<(), Fault> {
        let weights = match call.packed {
            Some(Packed::Layer(packed)) => Weight::Packed(&packed.input[direction]),
            _ => {
                let weights = self.part(call, 1, direction)?.ok_or(Fault::Missing(1))?;
                Weight::Matrix(Matrix::rows(weights, self.input).transposed())
            }
        };
        let lines = self.steps * self.batch;
        let mut gates = call.make(DataType::F32, [lines, self.rows].as_slice())?;
        let x = Matrix::rows(call.floats(0)?, self.input);
        let (sizes, plain) = ([lines, self.rows, self.input], Epilogue::default());
        products::product(call.cpu, call.memory, sizes, x, weights, &plain, gates.raw_mut())?;
        let gates = gates.raw::<f32>();
        let backwards = self.reverse || direction == 1;
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let wanted = history.len() > 0;
        for step in 0..longest {
            let time = |sequence: usize| match self.lengths[sequence] {
                length if step >= length => None,
                length if backwards => Some(length - 1 - step),
                _ => Some(step),
            };
            let row = |sequence: usize| {
                let time = time(sequence)?;
                let line = if self.batch_first { sequence * self.steps + time } else { time * self.batch + sequence };
                Some(&gates[line * self.rows..][..self.rows])
            };
            cell.step(&row, hidden.raw_mut())?;
            if !wanted {
                continue;
            }
            let history = history.raw_mut::<f32>();
            for (sequence, state) in hidden.raw::<f32>().chunks_exact(self.hidden).enumerate() {
                let Some(time) = time(sequence) else { continue };
                let line = match self.batch_first {
                    true => (sequence * self.steps + time) * self.directions + direction,
                    false => (time * self.directions + direction) * self.batch + sequence,
                };
                history[line * self.hidden..][..self.hidden].copy_from_slice(state);
            }
        }
        Ok(())
    }
}

/// `x` held between `-bound` and `bound`; NaN stays.
fn clipped(x: f32, bound: f32) -> f32 {
    let x = if x < -bound { -bound } else { x };
    if x > bound { bound } else { x }
}

fn check(call: &Call<'_>, input: usize, wanted: &[usize]) -> Result<(), Fault> {
    if !call.has(input) {
        return Ok(());
    }
    let found: Shape = call.shape(input)?;
    shape::checked(wanted)?;
    match found[..] == *wanted {
        true => Ok(()),
        false => Err(Fault::Shape(format!("input {input} is {found:?}; {wanted:?} is needed"))),
    }
}

/// The results that the node names.
fn results(call: &Call<'_>, mut results: Vec<Value>) -> Outputs {
    results.truncate(call.node.outputs.len());
    results
}
