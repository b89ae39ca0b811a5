//! Choosing among overlapping boxes.

use super::{
    Operator,
    call::{self, Call, Outputs},
    number::Number,
    op,
};
use crate::{DataType, Fault, attribute::wrong};

pub(super) const TABLE: &[Operator] = &[op("NonMaxSuppression", 10, 2..=5, non_max_suppression)];

/// For each class of each image, the best boxes that do not overlap with a better one too much.
fn non_max_suppression(call: &mut Call<'_>) -> Result<Outputs, Fault> {
    let (boxes, scores) = (call.shape(0)?, call.shape(1)?);
    let (&[batch, count, 4], &[_, classes, _]) = (&boxes[..], &scores[..]) else {
        return Err(Fault::Shape(format!("{boxes:?} and {scores:?} are not boxes and their scores")));
    };
    if scores[0] != batch || scores[2] != count {
        return Err(Fault::Shape(format!("scores of shape {scores:?} for boxes of shape {boxes:?}")));
    }
    let centred = match call.attributes().int("center_point_box")?.unwrap_or(0) {
        0 => false,
        1 => true,
        _ => return Err(wrong("center_point_box", "0 or 1 is expected")),
    };
    let most = if call.has(2) { call.integer(2)? } else { 0 };
    let most = usize::try_from(most.max(0)).unwrap_or(usize::MAX).min(count);
    let overlap = if call.has(3) { call.number(3)? as f32 } else { 0.0 };
    let threshold = if call.has(4) { Some(call.number(4)? as f32) } else { None };
    let (boxes, scores) = (call.floats(0)?, call.floats(1)?);

    let mut chosen: Vec<[i64; 3]> = Vec::new();
    if most > 0 && !scores.is_empty() {
        call.memory.check_work(&[batch, classes, count, most])?;
        // Boxes and candidates, beside what is chosen.
        call.memory.check(count as u64 * 40)?;
        for image in 0..batch {
            let boxes = boxes[image * count * 4..][..count * 4].chunks_exact(4);
            let boxes: Vec<Corners> = boxes.map(|sides| Corners::new(sides, centred)).collect();
            for class in 0..classes {
                call.memory.check((chosen.len() as u64 * 2 + most as u64) * 24)?;
                let scores = &scores[(image * classes + class) * count..][..count];
                let from = chosen.len();
                for index in candidates(scores, threshold) {
                    if chosen.len() - from == most {
                        break;
                    }
                    let better = &chosen[from..];
                    if !better.iter().any(|&[_, _, other]| boxes[index].overlaps(&boxes[other as usize], overlap)) {
                        chosen.push([image as i64, class as i64, index as i64]);
                    }
                }
            }
        }
    }
    let mut result = call.make(DataType::I64, [chosen.len(), 3].as_slice())?;
    result.raw_mut::<i64>().copy_from_slice(chosen.as_flattened());
    call::one(result)
}

/// The boxes whose score is above the threshold, best first, of equal ones the first.
fn candidates(scores: &[f32], threshold: Option<f32>) -> Vec<usize> {
    let passes = |&index: &usize| threshold.is_none_or(|threshold| scores[index] > threshold);
    let mut candidates: Vec<usize> = (0..scores.len()).filter(passes).collect();
    candidates.sort_unstable_by(|&a, &b| scores[b].order(scores[a]).then(a.cmp(&b)));
    candidates
}

struct Corners {
    top: f32,
    left: f32,
    bottom: f32,
    right: f32,
}

impl Corners {
    /// From two opposite corners, vertical coordinate first; or from the centre and the size, horizontal ones first.
    fn new(sides: &[f32], centred: bool) -> Self {
        let [a, b, c, d] = [sides[0], sides[1], sides[2], sides[3]];
        match centred {
            true => Self { top: b - d / 2.0, left: a - c / 2.0, bottom: b + d / 2.0, right: a + c / 2.0 },
            false => Self { top: a.min(c), left: b.min(d), bottom: a.max(c), right: b.max(d) },
        }
    }

    /// Whether what both cover is more than this part of what either covers.
    fn overlaps(&self, other: &Self, part: f32) -> bool {
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        let width = self.right.min(other.right) - self.left.max(other.left);
        if height <= 0.0 || width <= 0.0 {
            return false;
        }
        let both = height * width;
        let union = self.area() + other.area() - both;
        self.area() > 0.0 && other.area() > 0.0 && union > 0.0 && both / union > part
    }

    fn area(&self) -> f32 {
        (self.bottom - self.top) * (self.right - self.left)
    }
}
