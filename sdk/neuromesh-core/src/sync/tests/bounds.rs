//! Every request has an answer, every queue a bound.

use serde_json::json;

use super::network::{Network, id};
use crate::sync::{Input, Limits, SyncError, genesis::MAX_NAME_BYTES};

const NAME: &str = "notes";

#[test]
fn bad_requests_are_refused_with_a_reason() {
    let mut net = Network::new(1, 1);
    net.run();
    let mut open = |name: &str, init| {
        let request = net.ask_open(0, name, init);
        net.run();
        net.peers[0].opened[&request].clone()
    };
    assert_eq!(open("", json!({})), Err(SyncError::Name));
    assert_eq!(open("a\nb", json!({})), Err(SyncError::Name));
    assert_eq!(open(&"x".repeat(MAX_NAME_BYTES + 1), json!({})), Err(SyncError::Name));
    assert_eq!(open(NAME, json!([])), Err(SyncError::NotAnObject));
    assert_eq!(open(NAME, json!({})), Ok(()));
    let heads = net.heads(0, NAME);
    let mut change = |name: &str, heads: Vec<String>, value| {
        let request = net.ask_change(0, name, heads, value);
        net.run();
        net.peers[0].done[&request].clone()
    };
    assert_eq!(change("other", heads.clone(), json!({})), Err(SyncError::NotOpen { name: "other".into() }));
    assert_eq!(change(NAME, heads.clone(), json!(1)), Err(SyncError::NotAnObject));
    assert_eq!(change(NAME, vec![], json!({})), Err(SyncError::UnknownHeads));
    assert_eq!(change(NAME, vec!["zz".into()], json!({})), Err(SyncError::UnknownHeads));
    assert_eq!(change(NAME, vec!["00".repeat(32)], json!({})), Err(SyncError::UnknownHeads));
    assert_eq!(change(NAME, heads.clone(), json!({})), Ok(heads), "nothing to change");
}

#[test]
fn values_and_documents_are_bounded() {
    let limits = Limits { documents: 2, value_bytes: 100_000, document_bytes: 100_000, ..Limits::default() };
    let mut net = Network::with_limits(2, 2, limits);
    net.open(0, NAME, json!({}));
    net.open(0, "second", json!({}));
    let request = net.ask_open(0, "third", json!({}));
    net.run();
    assert_eq!(net.peers[0].opened[&request], Err(SyncError::TooManyDocuments { limit: 2 }));
    let request = net.edit(0, NAME, |value| value["text"] = json!("x".repeat(100_000)));
    net.run();
    assert_eq!(net.peers[0].done[&request], Err(SyncError::TooLarge { limit: 100_000 }));
    let half = |net: &mut Network| {
        net.edit(0, NAME, |value| {
            let more = value["text"].as_str().unwrap_or_default().to_owned() + &"y".repeat(40_000);
            value["text"] = json!(more);
        })
    };
    let mut requests = Vec::new();
    for _ in 0..2 {
        requests.push(half(&mut net));
        net.run();
    }
    assert!(requests.iter().all(|request| net.peers[0].done[request].is_ok()));
    // A peer with more documents does not crowd this one out.
    for n in 0..2 {
        net.open(1, &format!("theirs {n}"), json!({}));
    }
    net.connect(0, 1);
    net.run();
    net.edit(0, NAME, |value| value["n"] = json!(1));
    net.run();
    assert_eq!(net.value(0, NAME)["n"], 1);
}

#[test]
fn changes_and_histories_are_bounded() {
    let limits = Limits { change_ops: 1000, document_bytes: 20_000, ..Limits::default() };
    let mut net = Network::with_limits(5, 2, limits);
    net.connect(0, 1);
    for index in 0..2 {
        net.open(index, NAME, json!({ "text": "" }));
    }
    net.run();
    let request = net.edit(0, NAME, |value| value["text"] = json!("x".repeat(1001)));
    net.run();
    assert_eq!(net.peers[0].done[&request], Err(SyncError::TooMuchAtOnce { limit: 1000 }));
    assert_eq!(net.value(0, NAME)["text"], "");
    let mut refused = 0;
    for n in 0..200 {
        let request = net.edit(0, NAME, |value| value["text"] = json!(format!("{n}").repeat(100)));
        net.run();
        refused += usize::from(net.peers[0].done[&request] == Err(SyncError::TooLarge { limit: 20_000 }));
    }
    assert!((1..200).contains(&refused), "{refused} refused");
    // What was taken reached the other, who is at its bound as well.
    assert!(net.peers.iter().all(|peer| peer.dropped.is_empty()));
}

#[test]
fn inputs_that_wait_for_storage_are_bounded() {
    let mut net = Network::with_limits(3, 1, Limits { waiting: 3, ..Limits::default() });
    let requests: Vec<u64> = (0..5).map(|n| net.ask_open(0, &format!("{n}"), json!({}))).collect();
    assert_eq!(net.peers[0].opened[&requests[4]], Err(SyncError::Busy { limit: 3 }));
    net.input(0, Input::Connected { peer: id(7), dialer: true });
    assert_eq!(net.peers[0].dropped.len(), 1);
    net.run();
    assert_eq!(net.peers[0].opened[&requests[0]], Ok(()));
}

#[test]
fn messages_for_a_loading_document_are_bounded() {
    let mut net = Network::with_limits(4, 2, Limits { waiting: 20, ..Limits::default() });
    net.connect(0, 1);
    net.open(0, NAME, json!({ "n": 0 }));
    net.run();
    net.crash(1);
    net.connect(0, 1);
    net.steps(30);
    net.disconnect(0, 1);
    net.crash(1);
    while net.peers[1].disk.len() < 2 {
        assert!(net.step());
    }
    // Storage of the second peer opens, then answers no more.
    net.run();
    net.connect(0, 1);
    net.peers[1].stalled = true;
    for n in 0..200 {
        net.edit(0, NAME, |value| value["n"] = json!(n + 1));
        net.steps(10);
    }
    net.run();
    net.peers[1].stalled = false;
    net.run();
    net.disconnect(0, 1);
    net.connect(0, 1);
    net.run();
    net.open(1, NAME, json!({}));
    net.run();
    assert_eq!(net.value(1, NAME)["n"], 200);
}
