//! JSON in Automerge: reading a document, and turning a whole new value into the operations that make the difference.
//!
//! | JSON | Automerge |
//! |---|---|
//! | object, array | map, list |
//! | string | text, so that edits inside it merge (scalar strings of other software are kept while they are equal) |
//! | number | integer when it is whole and exact, else float |
//!
//! What Automerge has and JSON has not reads as: counters and timestamps as numbers, bytes as an array of numbers.

use std::collections::BTreeMap;

use automerge::{
    Automerge, AutomergeError, ObjId, ObjType, Prop, ROOT, ReadDoc, ScalarValue, Value as Stored,
    transaction::{Transactable, Transaction},
};
use serde_json::{Map, Number, Value};

use super::SyncError;

/// Whole numbers beyond this are not exact in JavaScript.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;
/// Texts that differ in more than this many bytes are replaced where they differ, without a search for the smallest difference.
const MAX_DIFF_BYTES: usize = 16 * 1024;

/// Checks the bounds of a value from the application.
///
/// # Errors
/// [`SyncError::NotAnObject`], [`SyncError::TooDeep`], [`SyncError::TooLarge`].
pub fn check(value: &Value, depth: usize, bytes: usize) -> Result<&Map<String, Value>, SyncError> {
    let Value::Object(map) = value else { return Err(SyncError::NotAnObject) };
    // A stack of our own: what is too deep must not overflow that of the thread.
    let mut size = 0_usize;
    let mut todo = vec![(value, 0)];
    while let Some((value, level)) = todo.pop() {
        if level > depth {
            return Err(SyncError::TooDeep { limit: depth });
        }
        size = size.saturating_add(8);
        match value {
            Value::String(text) => size = size.saturating_add(text.len()),
            Value::Array(items) => todo.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(map) => {
                size = map.keys().fold(size, |size, key| size.saturating_add(key.len()));
                todo.extend(map.values().map(|value| (value, level + 1)));
            }
            _ => {}
        }
        if size > bytes {
            return Err(SyncError::TooLarge { limit: bytes });
        }
    }
    Ok(map)
}

/// The whole document; what is nested deeper than `depth` reads as `null`.
pub fn read(doc: &Automerge, depth: usize) -> Value {
    read_map(doc, &ROOT, depth)
}

/// Makes the document, as `tx` sees it, read as `new`.
///
/// # Errors
/// When Automerge refuses an operation; the transaction must be rolled back.
pub fn reconcile(tx: &mut Transaction<'_>, new: &Map<String, Value>, depth: usize) -> Result<(), AutomergeError> {
    reconcile_map(tx, &ROOT, new, depth)
}

/// Puts a new value at `key` of a map.
///
/// # Errors
/// When Automerge refuses an operation.
pub fn create(tx: &mut Transaction<'_>, map: &ObjId, key: &str, value: &Value) -> Result<(), AutomergeError> {
    put(tx, map, Prop::from(key), value)
}

fn read_map<R: ReadDoc>(doc: &R, map: &ObjId, depth: usize) -> Value {
    let entries = doc.keys(map).filter_map(|key| {
        let (value, id) = doc.get(map, key.as_str()).ok().flatten()?;
        let value = read_value(doc, &value, &id, depth);
        Some((key, value))
    });
    Value::Object(entries.collect())
}

fn read_value<R: ReadDoc>(doc: &R, value: &Stored<'_>, id: &ObjId, depth: usize) -> Value {
    match value {
        Stored::Scalar(scalar) => read_scalar(scalar),
        Stored::Object(ObjType::Text) => Value::String(doc.text(id).unwrap_or_default()),
        Stored::Object(_) if depth == 0 => Value::Null,
        Stored::Object(ObjType::Map | ObjType::Table) => read_map(doc, id, depth - 1),
        Stored::Object(ObjType::List) => {
            Value::Array(doc.values(id).map(|(value, id)| read_value(doc, &value, &id, depth - 1)).collect())
        }
    }
}

fn read_scalar(scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Bytes(bytes) => bytes.iter().copied().map(Value::from).collect(),
        ScalarValue::Str(text) => Value::String(text.to_string()),
        ScalarValue::Int(n) | ScalarValue::Timestamp(n) => Value::from(*n),
        ScalarValue::Uint(n) => Value::from(*n),
        ScalarValue::F64(n) => Number::from_f64(*n).map_or(Value::Null, Value::Number),
        ScalarValue::Counter(counter) => Value::from(i64::from(counter)),
        ScalarValue::Boolean(flag) => Value::Bool(*flag),
        ScalarValue::Unknown { .. } | ScalarValue::Null => Value::Null,
    }
}

/// The one form that a number has in documents: `1` and `1.0` are the same in JavaScript.
pub(super) fn number(number: &Number) -> ScalarValue {
    if let Some(n) = number.as_i64() {
        ScalarValue::Int(n)
    } else if let Some(n) = number.as_u64() {
        ScalarValue::Uint(n)
    } else {
        let n = number.as_f64().unwrap_or(f64::NAN);
        if n.fract() == 0.0 && n.abs() <= MAX_EXACT { ScalarValue::Int(n as i64) } else { ScalarValue::F64(n) }
    }
}

fn scalar(value: &Value) -> Option<ScalarValue> {
    match value {
        Value::Null => Some(ScalarValue::Null),
        Value::Bool(flag) => Some(ScalarValue::Boolean(*flag)),
        Value::Number(n) => Some(number(n)),
        _ => None,
    }
}

fn reconcile_map(
    tx: &mut Transaction<'_>,
    map: &ObjId,
    new: &Map<String, Value>,
    depth: usize,
) -> Result<(), AutomergeError> {
    let gone: Vec<String> = tx.keys(map).filter(|key| !new.contains_key(key)).collect();
    for key in gone {
        tx.delete(map, key)?;
    }
    let mut entries: Vec<_> = new.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    for (key, value) in entries {
        let old = tx.get(map, key.as_str())?.map(|(old, id)| (old.into_owned(), id));
        update(tx, map, Prop::from(key.as_str()), old, value, depth)?;
    }
    Ok(())
}

/// Makes the value at `prop`, which is `old`, read as `new`.
fn update(
    tx: &mut Transaction<'_>,
    parent: &ObjId,
    prop: Prop,
    old: Option<(Stored<'static>, ObjId)>,
    new: &Value,
    depth: usize,
) -> Result<(), AutomergeError> {
    let Some((old, id)) = old else { return put(tx, parent, prop, new) };
    match (&old, new) {
        // What is too deep to be read was not read by whoever made the new value: it stays.
        (Stored::Object(ObjType::Map | ObjType::Table | ObjType::List), Value::Null) if depth == 0 => Ok(()),
        (Stored::Object(ObjType::Map | ObjType::Table), Value::Object(new)) => {
            reconcile_map(tx, &id, new, depth.saturating_sub(1))
        }
        (Stored::Object(ObjType::List), Value::Array(new)) => reconcile_list(tx, &id, new, depth.saturating_sub(1)),
        (Stored::Object(ObjType::Text), Value::String(new)) => update_text(tx, &id, new),
        (Stored::Scalar(scalar), new) => match (scalar.as_ref(), new) {
            (ScalarValue::Counter(counter), Value::Number(to)) if to.as_i64().is_some() => {
                let by = to.as_i64().unwrap_or_default().saturating_sub(i64::from(counter));
                if by == 0 { Ok(()) } else { tx.increment(parent, prop, by) }
            }
            (scalar, new) if same(&read_scalar(scalar), new) => Ok(()),
            _ => put(tx, parent, prop, new),
        },
        _ => put(tx, parent, prop, new),
    }
}

fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => number(old) == number(new),
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
        }
        (old, new) => old == new,
    }
}

fn put(tx: &mut Transaction<'_>, parent: &ObjId, prop: Prop, value: &Value) -> Result<(), AutomergeError> {
    if let Some(scalar) = scalar(value) {
        return tx.put(parent, prop, scalar);
    }
    let id = tx.put_object(parent, prop, kind(value))?;
    fill(tx, &id, value)
}

fn insert(tx: &mut Transaction<'_>, list: &ObjId, index: usize, value: &Value) -> Result<(), AutomergeError> {
    if let Some(scalar) = scalar(value) {
        return tx.insert(list, index, scalar);
    }
    let id = tx.insert_object(list, index, kind(value))?;
    fill(tx, &id, value)
}

fn kind(value: &Value) -> ObjType {
    match value {
        Value::Array(_) => ObjType::List,
        Value::String(_) => ObjType::Text,
        _ => ObjType::Map,
    }
}

fn fill(tx: &mut Transaction<'_>, id: &ObjId, value: &Value) -> Result<(), AutomergeError> {
    match value {
        Value::String(text) => tx.splice_text(id, 0, 0, text),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| insert(tx, id, index, item)),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().try_for_each(|(key, value)| put(tx, id, Prop::from(key.as_str()), value))
        }
        _ => Ok(()),
    }
}

fn update_text(tx: &mut Transaction<'_>, id: &ObjId, new: &str) -> Result<(), AutomergeError> {
    let old = tx.text(id)?;
    if old == new {
        return Ok(());
    }
    let prefix: usize = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[prefix..], &new[prefix..]);
    let suffix: usize =
        old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let old_middle = &old_rest[..old_rest.len() - suffix];
    let new_middle = &new_rest[..new_rest.len() - suffix];
    if old_middle.len().max(new_middle.len()) <= MAX_DIFF_BYTES {
        return tx.update_text(id, new);
    }
    // Automerge's search takes time in the square of the difference.
    let encoding = tx.text_encoding();
    let width = |text: &str| match encoding {
        automerge::TextEncoding::Utf8CodeUnit => text.len(),
        automerge::TextEncoding::Utf16CodeUnit => text.encode_utf16().count(),
        _ => text.chars().count(),
    };
    let delete = isize::try_from(width(old_middle)).unwrap_or(isize::MAX);
    tx.splice_text(id, width(&old[..prefix]), delete, new_middle)
}

/// What makes an element of a list the same one in an older and a newer value: a member `id` when there is one, else
/// the whole value.
fn identity(value: &Value) -> String {
    match value {
        Value::Object(map) => match map.get("id") {
            Some(id @ (Value::String(_) | Value::Number(_))) => format!("id {id}"),
            _ => value.to_string(),
        },
        Value::Number(n) => format!("{:?}", number(n)),
        value => value.to_string(),
    }
}

fn has_id(value: &Value) -> bool {
    matches!(value, Value::Object(map) if matches!(map.get("id"), Some(Value::String(_) | Value::Number(_))))
}

fn reconcile_list(tx: &mut Transaction<'_>, list: &ObjId, new: &[Value], depth: usize) -> Result<(), AutomergeError> {
    let old: Vec<(Stored<'static>, ObjId)> = tx.values(list).map(|(value, id)| (value.into_owned(), id)).collect();
    let old_json: Vec<Value> = old.iter().map(|(value, id)| read_value(tx, value, id, depth)).collect();
    let pairs = pair_up(&old_json, new);
    // From the end to the front, so that indices in front of the current place stay valid.
    let (mut old_end, mut new_end) = (old.len(), new.len());
    for &(old_at, new_at) in pairs.iter().rev().chain(std::iter::once(&(usize::MAX, usize::MAX))) {
        // Behind this pair (or, at last, from the start): `old[old_from..old_end]` becomes `new[new_from..new_end]`.
        let (old_from, new_from) = (old_at.wrapping_add(1), new_at.wrapping_add(1));
        for index in (old_from..old_end).rev() {
            tx.delete(list, index)?;
        }
        for item in new[new_from..new_end].iter().rev() {
            insert(tx, list, old_from, item)?;
        }
        if old_at != usize::MAX {
            update(tx, list, Prop::Seq(old_at), Some(old[old_at].clone()), &new[new_at], depth)?;
            (old_end, new_end) = (old_at, new_at);
        }
    }
    Ok(())
}

/// Which old elements become which new ones, rising in both.
fn pair_up(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    // The k-th of equal elements goes with the k-th: the others cannot be told apart.
    let mut places: BTreeMap<(String, usize), usize> = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut nth = |key: String| {
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        (key, *count)
    };
    for (index, value) in old.iter().enumerate() {
        places.insert(nth(identity(value)), index);
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let matches: Vec<(usize, usize)> = new
        .iter()
        .enumerate()
        .filter_map(|(index, value)| {
            let key = identity(value);
            let count = seen.entry(key.clone()).or_default();
            *count += 1;
            places.get(&(key, *count)).map(|old| (*old, index))
        })
        .collect();
    let anchors = rising(&matches);
    // Between anchors, what changed in place: containers of one kind that carry no id.
    let mut pairs = Vec::with_capacity(anchors.len());
    let (mut old_at, mut new_at) = (0, 0);
    for (old_to, new_to) in anchors.into_iter().chain(std::iter::once((old.len(), new.len()))) {
        for (a, b) in (old_at..old_to).zip(new_at..new_to) {
            if mergeable(&old[a], &new[b]) {
                pairs.push((a, b));
            }
        }
        if old_to < old.len() && new_to < new.len() {
            pairs.push((old_to, new_to));
        }
        (old_at, new_at) = (old_to + 1, new_to + 1);
    }
    pairs
}

fn mergeable(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(_), Value::Object(_)) => !has_id(old) && !has_id(new),
        (Value::Array(_), Value::Array(_)) | (Value::String(_), Value::String(_)) => true,
        _ => false,
    }
}

/// The longest subsequence that rises in the old indices as well (the new ones rise already).
fn rising(matches: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Patience sorting: `tops[k]` ends the best run of length k + 1.
    let mut tops: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(matches.len());
    for (index, (old, _)) in matches.iter().enumerate() {
        let at = tops.partition_point(|&top| matches[top].0 < *old);
        before.push(at.checked_sub(1).map(|below| tops[below]));
        if at == tops.len() {
            tops.push(index);
        } else {
            tops[at] = index;
        }
    }
    let mut run = Vec::new();
    let mut next = tops.last().copied();
    while let Some(index) = next {
        run.push(matches[index]);
        next = before[index];
    }
    run.reverse();
    run
}
