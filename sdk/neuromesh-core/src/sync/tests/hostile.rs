//! Bytes from a peer: nothing panics, nothing grows without bound, and others go on.

use automerge::{ActorId, Automerge, ROOT, transaction::Transactable};
use rand::Rng;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::network::{Network, id};
use crate::sync::{
    Input, Limits, Output, Sync,
    genesis::document_id,
    guard::{self, Envelope},
};

const NAME: &str = "notes";

/// A machine with an open document and one connected peer whose bytes the test makes up.
fn victim(seed: u64) -> Network {
    let mut net = Network::new(seed, 1);
    net.open(0, NAME, json!({ "notes": [], "title": "x" }));
    for n in 0..5 {
        net.edit(0, NAME, |value| value["title"] = json!(format!("title {n}")));
        net.run();
    }
    net
}

fn attack(net: &mut Network, frame: Vec<u8>) {
    net.input(0, Input::Connected { peer: id(9), dialer: false });
    net.input(0, Input::Message { peer: id(9), bytes: guard::join(&id(9).to_string()) });
    net.input(0, Input::Message { peer: id(9), bytes: frame });
    net.run();
}

fn assert_works(net: &mut Network) {
    let count = net.rng.random::<u32>();
    net.edit(0, NAME, |value| value["count"] = json!(count));
    net.run();
    assert_eq!(net.value(0, NAME)["count"], count);
}

/// Real frames between two peers.
fn recorded() -> Vec<Vec<u8>> {
    let mut peers: Vec<Sync> = Vec::new();
    let mut net = Network::new(77, 2);
    net.open(0, NAME, json!({ "notes": [], "title": "x" }));
    net.open(1, NAME, json!({ "notes": [{ "id": 1, "text": "hello" }], "n": 5 }));
    net.run();
    let mut frames = Vec::new();
    peers.extend(net.peers.into_iter().map(|peer| peer.sync));
    let mut inbox =
        vec![(0, Input::Connected { peer: id(1), dialer: true }), (1, Input::Connected { peer: id(0), dialer: false })];
    let now = crate::Timestamp::from_millis(5);
    while !inbox.is_empty() {
        let (to, input) = inbox.remove(0);
        peers[to].handle(now, input);
        while let Some(output) = peers[to].poll_output() {
            match output {
                Output::Send { bytes, .. } => {
                    frames.push(bytes.clone());
                    inbox.push((1 - to, Input::Message { peer: id(to), bytes }));
                }
                Output::Store { task, .. } => {
                    inbox.push((to, Input::StorageDone { task, result: Ok(crate::sync::Stored::Done) }));
                }
                _ => {}
            }
        }
    }
    assert!(frames.len() > 4);
    frames
}

#[test]
fn real_frames_pass_the_guard() {
    let limits = Limits::default();
    let kinds: Vec<Envelope> = recorded().iter().map(|frame| guard::inspect(frame, &limits).unwrap()).collect();
    assert!(kinds.contains(&Envelope::Connection));
    assert!(kinds.iter().any(|kind| matches!(kind, Envelope::Document { change_bytes: 1.., .. })));
}

#[test]
fn garbage_and_mutated_frames_only_cost_the_connection() {
    let frames = recorded();
    let mut net = victim(1);
    for turn in 0..4000 {
        let mut frame = if turn % 10 == 0 {
            let len = net.rng.random_range(0..200);
            (0..len).map(|_| net.rng.random()).collect()
        } else {
            frames[net.rng.random_range(0..frames.len())].clone()
        };
        for _ in 0..net.rng.random_range(0..4) {
            if frame.is_empty() {
                break;
            }
            let at = net.rng.random_range(0..frame.len());
            match net.rng.random_range(0..4) {
                0 => frame[at] ^= 1 << net.rng.random_range(0..8),
                1 => frame[at] = net.rng.random(),
                2 => frame.truncate(at),
                _ => frame.insert(at, net.rng.random()),
            }
        }
        // Frames name the peers of the recording; the attacker is one of them.
        attack(&mut net, frame);
    }
    assert_works(&mut net);
}

/// The frame with one chunk of changes in it.
fn frame(chunk: &[u8]) -> Vec<u8> {
    let mut message = vec![0x42, 0, 0, 0, 1];
    leb(&mut message, chunk.len() as u64);
    message.extend_from_slice(chunk);
    guard::sync(&id(9).to_string(), &id(0).to_string(), &document_id(NAME), &message)
}

fn leb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A chunk with a right checksum.
fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut rest = vec![kind];
    leb(&mut rest, body.len() as u64);
    rest.extend_from_slice(body);
    let mut out = vec![0x85, 0x6f, 0x4a, 0x83];
    out.extend_from_slice(&Sha256::digest(&rest)[..4]);
    out.extend(rest);
    out
}

fn samples() -> Vec<Vec<u8>> {
    let mut doc = Automerge::new().with_actor(ActorId::from(&[7_u8; 16][..]));
    let mut tx = doc.transaction();
    let list = tx.put_object(ROOT, "list", automerge::ObjType::List).unwrap();
    for n in 0..5 {
        tx.insert(&list, n, n as i64).unwrap();
    }
    let text = tx.put_object(ROOT, "text", automerge::ObjType::Text).unwrap();
    tx.splice_text(&text, 0, 0, "hello world").unwrap();
    tx.commit();
    let mut tx = doc.transaction();
    tx.delete(&list, 2).unwrap();
    tx.put(ROOT, "flag", true).unwrap();
    tx.put(ROOT, "count", automerge::ScalarValue::counter(3)).unwrap();
    tx.increment(ROOT, "count", 2).unwrap();
    tx.splice_text(&text, 3, 2, "XY").unwrap();
    tx.commit();
    let mut chunks: Vec<Vec<u8>> = doc.get_changes(&[]).iter().map(|change| change.raw_bytes().to_vec()).collect();
    chunks.push(doc.save_nocompress());
    chunks
}

#[test]
fn mutated_chunks_with_right_checksums_are_contained() {
    let samples = samples();
    let mut net = victim(2);
    let turns = std::env::var("NEUROMESH_FUZZ").ok().and_then(|turns| turns.parse().ok()).unwrap_or(4000);
    for _ in 0..turns {
        let sample = &samples[net.rng.random_range(0..samples.len())];
        let kind = sample[8];
        // Magic, checksum, kind, then one or two bytes of length.
        let skip = if sample[9] & 0x80 == 0 { 10 } else { 11 };
        let mut body = sample[skip..].to_vec();
        for _ in 0..net.rng.random_range(1..4) {
            let at = net.rng.random_range(0..body.len());
            match net.rng.random_range(0..5) {
                0 => body[at] ^= 1 << net.rng.random_range(0..8),
                1 => body[at] = net.rng.random(),
                2 => body[at] = [0, 1, 0x7f, 0x80, 0xff][net.rng.random_range(0..5)],
                3 if body.len() > 1 => {
                    body.remove(at);
                }
                _ => body.insert(at, net.rng.random()),
            }
        }
        attack(&mut net, frame(&chunk(kind, &body)));
        // Into an empty document as well: another way through Automerge.
        if net.rng.random_bool(0.02) {
            net = victim(2 + net.rng.random::<u32>() as u64);
        }
    }
    assert_works(&mut net);
}

#[test]
fn what_divides_by_zero_or_unpacks_to_much_is_refused() {
    let limits = Limits::default();
    let refused = |message: &[u8]| {
        let frame = guard::sync("a", "b", &document_id(NAME), message);
        guard::inspect(&frame, &limits).unwrap_err().to_string()
    };
    // One entry of no bits, and four thousand million probes.
    assert!(refused(&[0x42, 0, 0, 1, 0, 3, 1, 0, 7, 0]).contains("filter"));
    assert!(refused(&[0x42, 0, 0, 1, 0, 9, 1, 10, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]).contains("filter"));
    assert!(refused(&[0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).contains("entries"));
    // A deflated gigabyte of zeros.
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        std::io::Write::write_all(&mut encoder, &[0; 1 << 20]).unwrap();
    }
    let bomb = chunk(2, &encoder.finish().unwrap());
    let mut message = vec![0x42, 0, 0, 0, 1];
    leb(&mut message, bomb.len() as u64);
    message.extend_from_slice(&bomb);
    assert!(refused(&message).contains("unpacks"));
    // A column of 2^40 rows in a change of a few bytes.
    let mut body = vec![0, 1, 7, 1, 1, 0, 0, 0, 1, 0x42];
    let mut column = Vec::new();
    leb(&mut column, 1 << 40);
    column.push(0);
    // The run length is signed.
    leb(&mut body, column.len() as u64);
    body.extend_from_slice(&column);
    let bomb = chunk(1, &body);
    let mut message = vec![0x42, 0, 0, 0, 1];
    leb(&mut message, bomb.len() as u64);
    message.extend_from_slice(&bomb);
    assert!(refused(&message).contains("unpacks"));
}

#[test]
fn a_peer_cannot_speak_for_another() {
    let mut net = victim(5);
    net.input(0, Input::Connected { peer: id(9), dialer: false });
    net.input(0, Input::Message { peer: id(9), bytes: guard::join(&id(8).to_string()) });
    net.run();
    assert_eq!(net.peers[0].dropped.len(), 1);
    // Nor for the connection by which documents begin.
    net.input(0, Input::Connected { peer: id(9), dialer: false });
    net.input(0, Input::Message { peer: id(9), bytes: guard::join("genesis") });
    net.run();
    assert_eq!(net.peers[0].dropped.len(), 2);
    assert_works(&mut net);
}
