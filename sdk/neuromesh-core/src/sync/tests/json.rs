//! Any value can become any other, and the operations are few.

use automerge::{Automerge, ReadDoc, transaction::Transactable};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::{Map, Value, json};

use crate::sync::{SyncError, json as convert};

const DEPTH: usize = 64;

fn reconcile(doc: &mut Automerge, value: &Value) -> usize {
    let mut tx = doc.transaction();
    convert::reconcile(&mut tx, value.as_object().expect("an object"), DEPTH).expect("reconciles");
    let ops = tx.pending_ops();
    tx.commit();
    assert_eq!(&convert::read(doc, DEPTH), value);
    ops
}

fn arbitrary(rng: &mut ChaCha12Rng, depth: usize) -> Value {
    match rng.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(rng.random::<bool>()),
        2 => json!(rng.random_range(-3..3)),
        3 => json!(f64::from(rng.random_range(-3..3)) + 0.5),
        4 => json!(
            (0..rng.random_range(0..6)).map(|_| ['a', 'b', 'é', '🦀'][rng.random_range(0..4)]).collect::<String>()
        ),
        5 => {
            let mut list: Vec<Value> = (0..rng.random_range(0..6)).map(|_| arbitrary(rng, depth - 1)).collect();
            for item in &mut list {
                let id = rng.random_range(0..8);
                if let (Value::Object(map), true) = (item, rng.random()) {
                    map.insert("id".into(), json!(id));
                }
            }
            Value::Array(list)
        }
        _ => Value::Object(map(rng, depth - 1)),
    }
}

fn map(rng: &mut ChaCha12Rng, depth: usize) -> Map<String, Value> {
    (0..rng.random_range(0..5))
        .map(|_| (["a", "b", "c", "d"][rng.random_range(0..4)].to_owned(), arbitrary(rng, depth)))
        .collect()
}

#[test]
fn any_value_becomes_any_other() {
    let mut rng = ChaCha12Rng::seed_from_u64(7);
    for _ in 0..150 {
        let mut doc = Automerge::new();
        for _ in 0..6 {
            let value = Value::Object(map(&mut rng, 3));
            reconcile(&mut doc, &value);
            assert_eq!(reconcile(&mut doc, &value), 0, "no change, no operations: {value}");
        }
    }
}

#[test]
fn operations_are_few() {
    let mut doc = Automerge::new();
    let note = |id: u32, text: &str| json!({ "id": id, "text": text });
    let mut notes: Vec<Value> = (0..100).map(|id| note(id, "some text")).collect();
    reconcile(&mut doc, &json!({ "notes": notes }));
    notes.remove(10);
    assert_eq!(reconcile(&mut doc, &json!({ "notes": notes })), 1);
    notes.insert(50, note(1000, "new"));
    assert_eq!(reconcile(&mut doc, &json!({ "notes": notes })), 1 + 2 + 3);
    notes[20]["text"] = json!("some texts");
    assert_eq!(reconcile(&mut doc, &json!({ "notes": notes })), 1);
    notes.swap(3, 70);
    assert!(reconcile(&mut doc, &json!({ "notes": notes })) < 40);
}

#[test]
fn long_texts_are_replaced_where_they_differ() {
    let mut doc = Automerge::new();
    let (a, b): (String, String) = ("é".repeat(30_000), "🦀".repeat(30_000));
    reconcile(&mut doc, &json!({ "text": format!("start {a} end") }));
    reconcile(&mut doc, &json!({ "text": format!("start {b} end") }));
    reconcile(&mut doc, &json!({ "text": "" }));
}

#[test]
fn numbers_and_values_of_other_software() {
    use automerge::{ROOT, ScalarValue};
    let mut doc = Automerge::new();
    reconcile(&mut doc, &json!({ "small": -1, "large": u64::MAX, "half": 0.5 }));
    let mut tx = doc.transaction();
    tx.put(ROOT, "scalar", "text").unwrap();
    tx.put(ROOT, "count", ScalarValue::counter(3)).unwrap();
    tx.put(ROOT, "when", ScalarValue::Timestamp(5)).unwrap();
    tx.put(ROOT, "bytes", ScalarValue::Bytes(vec![1, 2])).unwrap();
    tx.commit();
    let mut value = convert::read(&doc, DEPTH);
    assert_eq!(value["bytes"], json!([1, 2]));
    assert_eq!(reconcile(&mut doc, &value), 0);
    value["count"] = json!(5);
    reconcile(&mut doc, &value);
    assert!(matches!(doc.get(ROOT, "count").unwrap().unwrap().0.as_scalar(), Some(ScalarValue::Counter(_))));
    // `1.0` is what JavaScript may make of `1`.
    value["small"] = json!(-1.0);
    let mut tx = doc.transaction();
    convert::reconcile(&mut tx, value.as_object().unwrap(), DEPTH).unwrap();
    assert_eq!(tx.pending_ops(), 0);
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert!(convert::check(&nested(DEPTH), DEPTH, 1 << 20).is_ok());
    assert_eq!(convert::check(&nested(DEPTH + 1), DEPTH, 1 << 20), Err(SyncError::TooDeep { limit: DEPTH }));
    assert_eq!(convert::check(&json!({ "a": "x".repeat(100) }), DEPTH, 100), Err(SyncError::TooLarge { limit: 100 }));
    assert_eq!(convert::check(&json!([1]), DEPTH, 100), Err(SyncError::NotAnObject));
    // Deeper content of others reads as null and survives a change elsewhere.
    let mut doc = Automerge::new();
    let mut tx = doc.transaction();
    convert::reconcile(&mut tx, nested(6).as_object().unwrap(), DEPTH).unwrap();
    tx.commit();
    let mut value = convert::read(&doc, 3);
    assert_eq!(value, json!({ "a": { "a": { "a": { "a": null } } } }));
    value["b"] = json!(2);
    let mut tx = doc.transaction();
    convert::reconcile(&mut tx, value.as_object().unwrap(), 3).unwrap();
    tx.commit();
    assert_eq!(convert::read(&doc, DEPTH)["a"], nested(5));
}
