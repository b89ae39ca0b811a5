//! Operators that put elements in order.

use std::cmp::Ordering;

use super::{
    Operator,
    call::{Call, Outputs},
    index, moves,
    number::Number,
};
use crate::{
    DataType, Fault,
    attribute::wrong,
    shape::{self, Shape},
    value::{by_size, by_type},
};

pub(super) const TABLE: &[Operator] =
    &[moves("TopK", 1, 1..=2, top_k).outputs(1..=2), moves("Unique", 11, 1..=1, unique).outputs(1..=4)];

/// The largest or smallest elements along an axis, in order whether that is asked for or not; of equal ones the first.
fn top_k(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let axis = shape::axis(call.attributes().int("axis")?.unwrap_or(-1), sizes.len())?;
    let largest = call.attributes().flag("largest", true)?;
    let count = match call.opset() {
        10.. => call.integer(1)?,
        _ => call.attributes().int("k")?.ok_or_else(|| wrong("k", "it is missing"))?,
    };
    let (_, size, inner) = shape::split_at(&sizes, axis);
    let count = usize::try_from(count).ok().filter(|&count| count <= size);
    let count = count.ok_or_else(|| Fault::Value(format!("more or less than all of {size} elements are asked for")))?;
    let mut target = sizes.clone();
    target[axis] = count;
    let value = call.peek(0)?;
    let mut best = call.make(value.data_type(), target.clone())?;
    let mut places = call.make(DataType::I64, target)?;
    if best.len() == 0 {
        return Ok(vec![best, places]);
    }
    check_sorting(call, value.len() / size, size, 1)?;
    let mut order: Vec<usize> = Vec::with_capacity(size);
    by_type!(value.data_type(), T => {
        let (from, to, places) = (value.raw::<T>(), best.raw_mut::<T>(), places.raw_mut::<i64>());
        for lane in 0..value.len() / size {
            let (block, offset) = (lane / inner, lane % inner);
            let at = |index: usize| from[(block * size + index) * inner + offset];
            let compare = |&a: &usize, &b: &usize| match largest {
                true => at(b).order(at(a)).then(a.cmp(&b)),
                false => at(a).order(at(b)).then(a.cmp(&b)),
            };
            order.clear();
            order.extend(0..size);
            if count < size {
                order.select_nth_unstable_by(count, compare);
                order.truncate(count);
            }
            order.sort_unstable_by(compare);
            for (rank, &index) in order.iter().enumerate() {
                let target = (block * count + rank) * inner + offset;
                to[target] = at(index);
                places[target] = index as i64;
            }
        }
    });
    Ok(vec![best, places])
}

/// The different elements, or slices along an axis; where each stands first, which one each is, and how often.
fn unique(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let sizes = call.shape(0)?;
    let (axis, sizes) = match call.attributes().int("axis")? {
        Some(axis) => (shape::axis(axis, sizes.len())?, sizes),
        None => (0, Shape::from_slice(&[shape::checked(&sizes)?])),
    };
    let (outer, size, inner) = shape::split_at(&sizes, axis);
    check_sorting(call, 1, size, 5)?;
    call.memory.check_work(&[outer, inner, size, depth(size)])?;
    let value = call.peek(0)?;
    let mut groups = by_type!(value.data_type(), T => {
        let from = value.raw::<T>();
        let compare = |&a: &usize, &b: &usize| {
            let mut pairs = (0..outer * inner).map(|place| {
                let at = |index: usize| from[(place / inner * size + index) * inner + place % inner];
                at(a).order(at(b))
            });
            pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        };
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_unstable_by(|a, b| compare(a, b).then(a.cmp(b)));
        Groups::of(&order, |a, b| compare(a, b).is_eq())
    });
    if !call.attributes().flag("sorted", true)? {
        groups.by_first();
    }
    let mut target = sizes.clone();
    target[axis] = groups.first.len();
    let mut result = call.make(value.data_type(), target)?;
    by_size!(value.data_type(), T => index::pick::<T>(value.raw(), size, inner, &groups.first, result.raw_mut()));
    let mut results = vec![result];
    for list in [&groups.first, &groups.member, &groups.count] {
        let mut result = call.make(DataType::I64, [list.len()].as_slice())?;
        result.raw_mut::<i64>().copy_from_slice(list);
        results.push(result);
    }
    Ok(results)
}

/// Equal elements, in groups.
struct Groups {
    /// Where each group's first element stands.
    first: Vec<i64>,
    /// The group of each element.
    member: Vec<i64>,
    /// How many elements each group has.
    count: Vec<i64>,
}

impl Groups {
    /// Of sorted elements; equal ones by their position.
    fn of(order: &[usize], same: impl Fn(&usize, &usize) -> bool) -> Self {
        let mut groups = Self { first: Vec::new(), member: vec![0; order.len()], count: Vec::new() };
        for part in order.chunk_by(same) {
            part.iter().for_each(|&index| groups.member[index] = groups.first.len() as i64);
            groups.first.push(part[0] as i64);
            groups.count.push(part.len() as i64);
        }
        groups
    }

    /// The groups in the order of their first elements.
    fn by_first(&mut self) {
        let mut order: Vec<usize> = (0..self.first.len()).collect();
        order.sort_unstable_by_key(|&group| self.first[group]);
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| rank[old] = new as i64);
        self.member.iter_mut().for_each(|group| *group = rank[*group as usize]);
        self.first = order.iter().map(|&old| self.first[old]).collect();
        self.count = order.iter().map(|&old| self.count[old]).collect();
    }
}

/// Checks the work of sorting lanes, and the memory for so many numbers per element of one lane.
fn check_sorting(call: &Call<'_>, lanes: usize, size: usize, numbers: u64) -> Result<(), Fault> {
    call.memory.check((size as u64).saturating_mul(8 * numbers))?;
    call.memory.check_work(&[lanes, size, depth(size)])
}

/// How often a number can be halved: comparisons per element that is sorted.
fn depth(size: usize) -> usize {
    (usize::BITS - size.leading_zeros()).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_what_came_first() {
        let elements = [2, 1, 1, 3, 4, 3];
        let mut order: Vec<usize> = (0..elements.len()).collect();
        order.sort_by_key(|&index| elements[index]);
        let mut groups = Groups::of(&order, |&a, &b| elements[a] == elements[b]);
        assert_eq!(groups.first, [1, 0, 3, 4]);
        assert_eq!(groups.member, [1, 0, 0, 2, 3, 2]);
        assert_eq!(groups.count, [2, 1, 2, 1]);
        groups.by_first();
        assert_eq!(groups.first, [0, 1, 3, 4]);
        assert_eq!(groups.member, [0, 1, 1, 2, 3, 2]);
        assert_eq!(groups.count, [1, 2, 2, 1]);
    }
}
