//! Counts a file's messages before they are decoded.
//!
//! A decoded message is larger than its bytes (an empty node is two bytes in the file and two hundred in memory), so a small
//! file could ask for a lot. The count bounds that before anything is allocated.

/// The fields of a message that hold messages which the decoder will build.
struct Schema(&'static [(u32, &'static Schema)]);

static LEAF: Schema = Schema(&[]);
static SHAPE: Schema = Schema(&[(1, &LEAF)]);
static TENSOR_TYPE: Schema = Schema(&[(2, &SHAPE)]);
static TYPE: Schema = Schema(&[(1, &TENSOR_TYPE)]);
static VALUE_INFO: Schema = Schema(&[(2, &TYPE)]);
static TENSOR: Schema = Schema(&[(13, &LEAF)]);
static ATTRIBUTE: Schema = Schema(&[(5, &TENSOR), (6, &GRAPH), (9, &LEAF)]);
static NODE: Schema = Schema(&[(1, &LEAF), (2, &LEAF), (5, &ATTRIBUTE)]);
static GRAPH: Schema = Schema(&[(1, &NODE), (5, &TENSOR), (11, &VALUE_INFO), (12, &VALUE_INFO), (15, &LEAF)]);
static MODEL: Schema = Schema(&[(7, &GRAPH), (8, &LEAF)]);

/// How deep messages may be nested: subgraphs in subgraphs. The decoder has a bound of its own, not far from this.
const MAX_DEPTH: usize = 90;

/// How many messages and strings a model file holds, counting no further than just above `limit`; `None` if it is malformed.
pub(crate) fn count_messages(model: &[u8], limit: usize) -> Option<usize> {
    let mut count = 0;
    walk(model, &MODEL, limit, &mut count, MAX_DEPTH)?;
    Some(count)
}

fn walk(mut bytes: &[u8], schema: &Schema, limit: usize, count: &mut usize, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    *count += 1;
    while !bytes.is_empty() && *count <= limit {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            1 => bytes = bytes.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let body = bytes.get(..length)?;
                bytes = bytes.get(length..)?;
                let field = u32::try_from(key >> 3).ok()?;
                if let Some((_, inner)) = schema.0.iter().find(|(number, _)| *number == field) {
                    if inner.0.is_empty() {
                        *count += 1;
                    } else {
                        walk(body, inner, limit, count, depth)?;
                    }
                }
            }
            5 => bytes = bytes.get(4..)?,
            // Groups are not part of ONNX; the decoder would skip them, uncounted.
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
