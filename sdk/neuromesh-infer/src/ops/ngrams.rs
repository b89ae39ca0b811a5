//! Counting sequences of tokens.

use std::collections::BTreeMap;

use super::{
    Operator,
    call::{self, Call, Outputs},
    moves,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
};

pub(super) const TABLE: &[Operator] = &[moves("TfIdfVectorizer", 9, 1..=1, vectorize)];

/// How often each known sequence stands in each row, with gaps if the model wants them, and how much that weighs.
fn vectorize(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let (rows, length) = match sizes[..] {
        [] => (1, 1),
        [length] => (1, length),
        [rows, length] => (rows, length),
        _ => return Err(Fault::Shape(format!("{sizes:?} is neither a row nor rows of tokens"))),
    };
    let attributes = call.attributes();
    if attributes.texts("pool_strings")?.is_some_and(|pool| !pool.is_empty()) {
        return Err(Fault::Unsupported("sequences of strings".into()));
    }
    let known = Known::new(call)?;
    let width = match known.columns.iter().max() {
        Some(&last) => shape::size(last).ok().and_then(|last| last.checked_add(1)),
        None => Some(0),
    };
    let width = width.ok_or_else(|| wrong("ngram_indexes", "it is too large"))?;
    let given = attributes.floats("weights")?.unwrap_or_default();
    if !given.is_empty() && given.len() != known.columns.len() {
        return Err(wrong("weights", "one is expected for each of ngram_indexes"));
    }
    let weigh: fn(f32, f32) -> f32 = match attributes.text("mode")? {
        Some("TF") => |count, _| count,
        Some("IDF") => |count, weight| if count > 0.0 { weight } else { 0.0 },
        Some("TFIDF") => |count, weight| count * weight,
        _ => return Err(wrong("mode", "it is none of those that ONNX knows")),
    };

    let mut target = Shape::from_slice(&sizes[..sizes.len().saturating_sub(1)]);
    target.push(width);
    let mut result = call.make(DataType::F32, target)?;
    result.fill(0.0);
    if result.len() > 0 && length > 0 {
        let mut weights = call.make(DataType::F32, Shape::from_slice(&[width]))?;
        weights.fill(1.0);
        let weights = weights.raw_mut::<f32>();
        known.columns.iter().zip(given).for_each(|(&column, &weight)| weights[column as usize] = weight);
        let (gaps, longest) = (known.gaps.min(length), known.longest.min(length));
        call.memory.check_work(&[rows, length, gaps, longest, longest])?;
        let tokens = call.integers(0)?;
        for (row, counts) in tokens.chunks_exact(length).zip(result.raw_mut::<f32>().chunks_exact_mut(width)) {
            known.count(row, |column| counts[column] += 1.0);
            counts.iter_mut().zip(&*weights).for_each(|(count, &weight)| *count = weigh(*count, weight));
        }
    }
    call::one(result)
}

/// The sequences that are looked for.
struct Known<'a> {
    /// To the position of their column.
    sequences: BTreeMap<&'a [i64], usize>,
    columns: &'a [i64],
    shortest: usize,
    longest: usize,
    /// Distances between neighbours that are tried: from 1 on.
    gaps: usize,
}

impl<'a> Known<'a> {
    fn new(call: &'a Call<'_>) -> Result<Self, Fault> {
        let attributes = call.attributes();
        let number = |name: &str, least: i64| {
            let number = attributes.int(name)?.filter(|&number| number >= least);
            let number = number.and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| wrong(name, "it is missing or too small"))
        };
        let list = |name: &str| Ok(attributes.ints(name)?.unwrap_or_default());
        let (pool, starts, columns) = (list("pool_int64s")?, list("ngram_counts")?, list("ngram_indexes")?);
        let (shortest, longest) = (number("min_gram_length", 1)?, number("max_gram_length", 1)?);
        let gaps = number("max_skip_count", 0)?.saturating_add(1);
        if columns.iter().any(|&column| column < 0) {
            return Err(wrong("ngram_indexes", "it is negative"));
        }
        call.memory.check(pool.len() as u64 * 64)?;
        let mut sequences = BTreeMap::new();
        let mut total = 0;
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).map_or(Some(pool.len()), |&end| usize::try_from(end).ok());
            let part = usize::try_from(start).ok().zip(end).and_then(|(start, end)| pool.get(start..end));
            let part = part.ok_or_else(|| wrong("ngram_counts", "it does not divide the sequences"))?;
            for sequence in part.chunks_exact(index + 1) {
                sequences.insert(sequence, total);
                total += 1;
            }
        }
        if columns.len() < total {
            return Err(wrong("ngram_indexes", "there are fewer than sequences"));
        }
        Ok(Self { sequences, columns, shortest, longest: longest.min(starts.len()), gaps })
    }

    /// Calls `found` with the column of each sequence in a row of tokens. Single tokens have no gaps.
    fn count(&self, row: &[i64], mut found: impl FnMut(usize)) {
        let mut sequence = Vec::with_capacity(self.longest);
        for gap in 1..=self.gaps.min(row.len()) {
            for start in 0..row.len() {
                sequence.clear();
                for &token in row[start..].iter().step_by(gap).take(self.longest) {
                    sequence.push(token);
                    let counts = sequence.len() >= self.shortest && (gap == 1 || sequence.len() > 1);
                    if let Some(&number) = self.sequences.get(sequence.as_slice()).filter(|_| counts) {
                        found(self.columns[number] as usize);
                    }
                }
            }
        }
    }
}
