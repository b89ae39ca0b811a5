use neuromesh::{Doc, Mesh, Tier};
use serde_json::{Value, json};

use crate::peers::{Stores, join, until};

async fn set(doc: &Doc, key: &str, value: Value) {
    let (heads, mut content) = doc.value().await.unwrap();
    content[key] = value;
    doc.change(heads, content).await.unwrap();
}

async fn until_same(mesh: &Mesh, doc: &Doc, expected: Value) {
    until(mesh, &format!("the document is {expected}"), || async { doc.value().await.unwrap().1 == expected }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_travel_through_the_node_and_merge_after_being_offline() {
    let stores = [Stores::default(), Stores::default(), Stores::default()];
    let node = join(Tier::Edge, 20, &[], &stores[0]).await;
    let left = join(Tier::Device, 21, &[&node], &stores[1]).await;
    let right = join(Tier::Device, 22, &[&node], &stores[2]).await;
    let notes = [left.doc("notes", json!({})).await.unwrap(), right.doc("notes", json!({})).await.unwrap()];

    set(&notes[0], "a", json!("from the left")).await;
    until_same(&right, &notes[1], json!({"a": "from the left"})).await;

    right.set_online(false).await.unwrap();
    set(&notes[0], "b", json!("while the right is away")).await;
    set(&notes[1], "c", json!("written offline")).await;
    right.set_online(true).await.unwrap();
    let all = json!({"a": "from the left", "b": "while the right is away", "c": "written offline"});
    until_same(&right, &notes[1], all.clone()).await;
    until_same(&left, &notes[0], all).await;
    for mesh in [left, right, node] {
        mesh.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_outlives_the_peer_that_stored_it() {
    let stores = Stores::default();
    let first = join(Tier::Edge, 23, &[], &stores).await;
    let notes = first.doc("notes", json!({"title": "shared"})).await.unwrap();
    set(&notes, "a", json!(["one", 2, null, true])).await;
    drop((notes, first));

    let again = join(Tier::Edge, 23, &[], &stores).await;
    let notes = again.doc("notes", json!({"title": "shared"})).await.unwrap();
    assert_eq!(notes.value().await.unwrap().1, json!({"title": "shared", "a": ["one", 2, null, true]}));
    again.close().await;
}
