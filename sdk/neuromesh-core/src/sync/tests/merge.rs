//! Peers converge, whatever happens on the way.

use rand::Rng;
use serde_json::{Value, json};

use super::network::Network;
use crate::sync::genesis::{Genesis, document_id};

const NAME: &str = "notes";
const LINE: [(usize, usize); 2] = [(0, 1), (2, 1)];

fn init() -> Value {
    json!({ "notes": [], "title": "" })
}

fn add(value: &mut Value, id: String, text: &str) {
    value["notes"].as_array_mut().expect("a list").push(json!({ "id": id, "text": text }));
}

fn ids(value: &Value) -> Vec<String> {
    let notes = value["notes"].as_array().expect("a list");
    notes.iter().map(|note| note["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_node_without_an_application_relays_between_two_tabs() {
    let mut net = Network::new(1, 3);
    for (a, b) in LINE {
        net.connect(a, b);
    }
    net.open(0, NAME, init());
    net.open(2, NAME, init());
    net.run();
    net.edit(0, NAME, |value| add(value, "a".into(), "from the left"));
    net.run();
    assert_eq!(ids(&net.value(2, NAME)), ["a"]);
    assert!(net.peers[2].changed > 0);
    net.edit(2, NAME, |value| add(value, "b".into(), "from the right"));
    net.run();
    assert_eq!(ids(&net.value(0, NAME)), ["a", "b"]);
    assert!(net.peers.iter().all(|peer| peer.dropped.is_empty()));
}

#[test]
fn a_tab_that_comes_later_gets_what_the_node_stored() {
    let mut net = Network::new(2, 3);
    net.connect(0, 1);
    net.open(0, NAME, init());
    net.edit(0, NAME, |value| add(value, "a".into(), "kept"));
    net.run();
    net.disconnect(0, 1);
    net.crash(1);
    net.connect(2, 1);
    net.open(2, NAME, init());
    net.run();
    assert_eq!(ids(&net.value(2, NAME)), ["a"]);
}

#[test]
fn three_peers_converge_through_disconnections_and_crashes() {
    for seed in 0..40 {
        let mut net = Network::new(seed, 3);
        for index in 0..3 {
            net.open(index, NAME, init());
        }
        let mut written = Vec::new();
        for turn in 0..40 {
            match net.rng.random_range(0..10) {
                0..5 => {
                    let index = net.rng.random_range(0..3);
                    let id = format!("{index}-{turn}");
                    let request = net.edit(index, NAME, |value| add(value, id.clone(), "some text"));
                    written.push((index, request, id));
                }
                5 => {
                    if let Some((a, b)) = net.pick(&LINE, true) {
                        net.disconnect(a, b);
                    }
                }
                6 => {
                    let index = net.rng.random_range(0..3);
                    net.crash(index);
                    net.open(index, NAME, init());
                }
                _ => {
                    if let Some((a, b)) = net.pick(&LINE, false) {
                        net.connect(a, b);
                    }
                }
            }
            let steps = net.rng.random_range(0..30);
            net.steps(steps);
        }
        while let Some((a, b)) = net.pick(&LINE, false) {
            net.connect(a, b);
        }
        net.run();
        let dropped: Vec<_> = net.peers.iter().flat_map(|peer| &peer.dropped).collect();
        assert!(dropped.is_empty(), "seed {seed}: {dropped:?}");
        assert_eq!(net.distinct_heads(NAME).len(), 1, "seed {seed}");
        let left = net.value(0, NAME);
        assert_eq!(left, net.value(1, NAME), "seed {seed}");
        assert_eq!(left, net.value(2, NAME), "seed {seed}");
        // Acknowledged means stored: no crash takes it away.
        let there = ids(&left);
        for (index, request, id) in written {
            if matches!(net.peers[index].done.get(&request), Some(Ok(_))) {
                assert!(there.contains(&id), "seed {seed}: {id} was acknowledged and is gone");
            }
        }
    }
}

#[test]
fn offline_edits_of_both_sides_merge() {
    let mut net = Network::new(3, 2);
    net.open(0, NAME, init());
    net.open(1, NAME, init());
    net.edit(0, NAME, |value| {
        add(value, "a".into(), "one");
        value["title"] = json!("left");
    });
    net.edit(1, NAME, |value| add(value, "b".into(), "two"));
    net.run();
    net.connect(0, 1);
    net.run();
    let value = net.value(0, NAME);
    assert_eq!(value, net.value(1, NAME));
    let mut both = ids(&value);
    both.sort();
    assert_eq!(both, ["a", "b"]);
    assert_eq!(value["title"], "left");
}

#[test]
fn concurrent_edits_inside_one_text_merge() {
    let mut net = Network::new(4, 2);
    net.open(0, NAME, init());
    net.edit(0, NAME, |value| add(value, "n".into(), "the quick fox"));
    net.connect(0, 1);
    net.open(1, NAME, init());
    net.run();
    net.disconnect(0, 1);
    net.edit(0, NAME, |value| value["notes"][0]["text"] = json!("the very quick fox"));
    net.edit(1, NAME, |value| value["notes"][0]["text"] = json!("the quick fox jumps"));
    net.connect(0, 1);
    net.run();
    for index in 0..2 {
        assert_eq!(net.value(index, NAME)["notes"][0]["text"], "the very quick fox jumps");
    }
}

#[test]
fn a_change_made_at_older_heads_does_not_undo_what_came_meanwhile() {
    let mut net = Network::new(5, 2);
    net.connect(0, 1);
    net.open(0, NAME, init());
    net.open(1, NAME, init());
    net.run();
    let (heads, mut value) = net.peers[0].sync.value(NAME).unwrap();
    net.edit(1, NAME, |value| add(value, "remote".into(), "x"));
    net.run();
    assert_eq!(ids(&net.value(0, NAME)), ["remote"]);
    // The application of peer 0 has not looked yet.
    add(&mut value, "local".into(), "y");
    let request = net.ask_change(0, NAME, heads, value.clone());
    net.run();
    let mut both = ids(&net.value(0, NAME));
    both.sort();
    assert_eq!(both, ["local", "remote"]);
    // It goes on from its own value, at the heads that the answer named.
    let heads = net.peers[0].done[&request].clone().unwrap();
    value["title"] = json!("mine");
    net.ask_change(0, NAME, heads, value);
    net.run();
    for index in 0..2 {
        let mut both = ids(&net.value(index, NAME));
        both.sort();
        assert_eq!(both, ["local", "remote"]);
        assert_eq!(net.value(index, NAME)["title"], "mine");
    }
}

#[test]
fn the_beginning_of_a_document_is_the_same_everywhere() {
    let hashes = |name: &str, init: Value| -> Vec<String> {
        let Value::Object(init) = init else { unreachable!() };
        Genesis::new(name, &init).unwrap().changes().map(|change| change.hash().to_string()).collect()
    };
    assert_eq!(hashes(NAME, init()), hashes(NAME, init()));
    assert_eq!(hashes(NAME, json!({ "a": 1 })), hashes(NAME, json!({ "a": 1.0 })));
    assert_ne!(hashes(NAME, init())[0], hashes("others", init())[0]);
    // Versions of an application share the keys that begin alike.
    let (old, new) = (hashes(NAME, init()), hashes(NAME, json!({ "notes": [], "tags": {} })));
    assert_eq!(old[..2], new[..2]);
    assert_ne!(old[2], new[2]);
    assert_eq!(document_id(NAME).as_bytes(), &blake3::hash(b"neuromesh doc\0notes").as_bytes()[..16]);
}

#[test]
fn a_newer_version_adds_keys_and_hides_nothing() {
    let mut net = Network::new(6, 2);
    net.open(0, NAME, json!({ "notes": [] }));
    net.edit(0, NAME, |value| add(value, "old".into(), "kept"));
    net.open(1, NAME, json!({ "notes": [], "tags": { "x": true } }));
    net.edit(1, NAME, |value| add(value, "new".into(), "too"));
    net.run();
    net.connect(0, 1);
    net.run();
    for index in 0..2 {
        let value = net.value(index, NAME);
        let mut both = ids(&value);
        both.sort();
        assert_eq!(both, ["new", "old"]);
        assert_eq!(value["tags"], json!({ "x": true }));
    }
    // A key that was removed on purpose does not come back.
    net.edit(1, NAME, |value| {
        value.as_object_mut().unwrap().remove("tags");
    });
    net.run();
    net.open(1, NAME, json!({ "notes": [], "tags": { "x": true } }));
    net.open(0, NAME, json!({ "notes": [], "more": 1 }));
    net.run();
    assert_eq!(net.value(1, NAME).get("tags"), None);
    assert_eq!(net.value(1, NAME)["more"], 1);
}

#[test]
fn a_document_offered_by_a_peer_that_leaves_at_once_can_still_be_opened() {
    for seed in 0..30 {
        let mut net = Network::new(seed, 2);
        net.open(0, NAME, init());
        net.edit(0, NAME, |value| add(value, "a".into(), "x"));
        net.connect(0, 1);
        net.steps(seed as usize % 12);
        net.disconnect(0, 1);
        net.open(1, NAME, init());
        net.run();
        net.edit(1, NAME, |value| add(value, "b".into(), "y"));
        net.connect(1, 0);
        net.run();
        let mut both = ids(&net.value(0, NAME));
        both.sort();
        assert_eq!(both, ["a", "b"], "seed {seed}");
        assert_eq!(net.distinct_heads(NAME).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_seed_replays() {
    let run = |seed| {
        let mut net = Network::new(seed, 3);
        for (a, b) in LINE {
            net.connect(a, b);
        }
        for index in [0, 2] {
            net.open(index, NAME, init());
        }
        for turn in 0..30 {
            let index = [0, 2][net.rng.random_range(0..2)];
            net.edit(index, NAME, |value| add(value, format!("{index}-{turn}"), "text"));
            net.steps(5);
        }
        net.run();
        net.trace.finalize()
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}
