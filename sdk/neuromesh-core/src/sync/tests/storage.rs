//! What is told is stored.

use std::time::Duration;

use serde_json::json;

use super::network::Network;
use crate::sync::{Input, SyncError};

const NAME: &str = "notes";

#[test]
fn nothing_is_told_or_acknowledged_before_it_is_stored() {
    let mut net = Network::new(1, 3);
    net.connect(0, 1);
    net.connect(1, 2);
    for index in 0..3 {
        net.open(index, NAME, json!({ "n": 0 }));
    }
    net.run();
    net.peers[0].stalled = true;
    let sent = net.peers[0].sent;
    let request = net.edit(0, NAME, |value| value["n"] = json!(1));
    net.run();
    assert_eq!(net.peers[0].sent, sent, "told before stored");
    assert!(!net.peers[0].done.contains_key(&request));
    assert_eq!(net.value(1, NAME)["n"], 0);
    assert_eq!(net.value(0, NAME)["n"], 1, "the application reads its own change at once");
    net.peers[0].stalled = false;
    // The relay's disk is slow as well: the third peer waits for it.
    net.peers[1].stalled = true;
    net.run();
    assert!(net.peers[0].done[&request].is_ok());
    assert_eq!(net.value(1, NAME)["n"], 1);
    assert_eq!(net.value(2, NAME)["n"], 0);
    net.peers[1].stalled = false;
    net.run();
    assert_eq!(net.value(2, NAME)["n"], 1);
}

#[test]
fn a_full_disk_is_reported_and_the_change_stored_later() {
    let mut net = Network::new(2, 2);
    net.connect(0, 1);
    for index in 0..2 {
        net.open(index, NAME, json!({ "n": 0 }));
    }
    net.run();
    net.peers[0].full = true;
    let request = net.edit(0, NAME, |value| value["n"] = json!(1));
    net.run();
    assert!(matches!(&net.peers[0].done[&request], Err(SyncError::NotStored(failure)) if failure.full));
    assert_eq!(net.value(1, NAME)["n"], 0);
    let later = net.edit(0, NAME, |value| value["n"] = json!(2));
    net.run();
    assert!(net.peers[0].done[&later].is_err());
    net.peers[0].full = false;
    assert!(net.peers[0].sync.poll_timeout().expect("a retry") > net.now);
    net.now = net.now + Duration::from_secs(120);
    net.input(0, Input::Wake);
    net.run();
    assert_eq!(net.value(1, NAME)["n"], 2);
    assert_eq!(net.peers[0].sync.poll_timeout(), None);
    net.crash(0);
    net.open(0, NAME, json!({}));
    assert_eq!(net.value(0, NAME)["n"], 2);
}

#[test]
fn damaged_storage_is_left_out_and_the_rest_kept() {
    let mut net = Network::new(3, 1);
    net.open(0, NAME, json!({ "n": 0 }));
    for n in 1..40 {
        net.edit(0, NAME, |value| value["n"] = json!(n));
        net.run();
    }
    assert!(net.peers[0].disk.len() < 20, "history is compacted");
    let whole = net.peers[0].disk.clone();
    for (index, key) in whole.keys().enumerate() {
        let mut damaged = whole.clone();
        let value = damaged.get_mut(key).unwrap();
        let middle = value.len() / 2;
        value[middle] ^= 0x55;
        if index % 2 == 0 {
            value.truncate(middle);
        }
        net.peers[0].disk = damaged;
        net.crash(0);
        net.open(0, NAME, json!({ "n": 0 }));
        net.edit(0, NAME, |value| value["m"] = json!(1));
        net.run();
        assert_eq!(net.value(0, NAME)["m"], 1);
    }
}

#[test]
fn inputs_wait_while_storage_opens() {
    let mut net = Network::new(4, 2);
    // Nothing has been loaded yet: requests and connections come first.
    net.connect(0, 1);
    let request = net.ask_open(0, NAME, json!({ "a": 1 }));
    net.run();
    assert_eq!(net.peers[0].opened[&request], Ok(()));
    net.open(1, NAME, json!({}));
    net.run();
    assert_eq!(net.value(1, NAME)["a"], 1);
}
