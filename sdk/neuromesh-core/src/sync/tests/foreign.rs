//! Other software that speaks Automerge's sync in automerge-repo's envelopes.

use automerge::{
    ActorId, Automerge, ROOT, ReadDoc,
    sync::{Message, State, SyncDoc},
    transaction::Transactable,
};
use minicbor::Decoder;
use serde_json::json;

use super::network::id;
use crate::{
    Timestamp,
    sync::{Config, Input, Limits, Output, StoreOp, Stored, Sync, genesis::document_id, guard},
};

const NAME: &str = "notes";

/// Gives the machine an input, its storage at once; the frames that it sends.
fn feed(sync: &mut Sync, input: Input) -> Vec<Vec<u8>> {
    let mut inputs = vec![input];
    let mut frames = Vec::new();
    while let Some(input) = inputs.pop() {
        sync.handle(Timestamp::from_millis(1000), input);
        while let Some(output) = sync.poll_output() {
            match output {
                Output::Send { bytes, .. } => frames.push(bytes),
                Output::Store { task, op } => {
                    let stored = match op {
                        StoreOp::Load { .. } => Stored::Value(None),
                        StoreOp::LoadRange { .. } => Stored::Range(Vec::new()),
                        StoreOp::Put { .. } | StoreOp::Delete { .. } => Stored::Done,
                    };
                    inputs.push(Input::StorageDone { task, result: Ok(stored) });
                }
                Output::Disconnect { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }
    frames
}

/// The sync message in a frame, if it is one.
fn message(frame: &[u8]) -> Option<Message> {
    let mut decoder = Decoder::new(frame);
    let mut data = None;
    for _ in 0..decoder.map().unwrap().unwrap() {
        match decoder.str().unwrap() {
            "data" => data = Some(decoder.bytes().unwrap()),
            _ => decoder.skip().unwrap(),
        }
    }
    data.map(|data| Message::decode(data).unwrap())
}

#[test]
fn documents_are_shared_with_plain_automerge() {
    let mut sync = Sync::new(Config { peer: id(0), seed: [1; 32], limits: Limits::default() });
    feed(&mut sync, Input::Start);
    feed(&mut sync, Input::Open { request: 1, name: NAME.into(), init: json!({ "text": "ours", "list": [1, 2] }) });
    let (ours, theirs) = (id(0).to_string(), id(1).to_string());
    feed(&mut sync, Input::Connected { peer: id(1), dialer: false });
    let mut doc = Automerge::new().with_actor(ActorId::from(&[9_u8; 16][..]));
    let mut state = State::new();
    let mut frames = feed(&mut sync, Input::Message { peer: id(1), bytes: guard::join(&theirs) });
    // What Automerge advertises here, it may send: flags and all.
    let mut exchange = |sync: &mut Sync, doc: &mut Automerge, frames: &mut Vec<Vec<u8>>| {
        for _ in 0..20 {
            for message in std::mem::take(frames).iter().filter_map(|frame| message(frame)) {
                doc.receive_sync_message(&mut state, message).unwrap();
            }
            let Some(message) = doc.generate_sync_message(&mut state) else { return };
            let bytes = guard::sync(&theirs, &ours, &document_id(NAME), &message.encode());
            frames.extend(feed(sync, Input::Message { peer: id(1), bytes }));
        }
        panic!("the exchange does not end");
    };
    exchange(&mut sync, &mut doc, &mut frames);
    let (_, text) = doc.get(ROOT, "text").unwrap().expect("ours came");
    assert_eq!(doc.text(&text).unwrap(), "ours");
    for n in 0..20 {
        let mut tx = doc.transaction();
        tx.put(ROOT, "scalar", format!("theirs {n}")).unwrap();
        tx.splice_text(&text, 4, 0, "!").unwrap();
        tx.commit();
    }
    exchange(&mut sync, &mut doc, &mut frames);
    let (heads, mut value) = sync.value(NAME).unwrap();
    assert_eq!(value["scalar"], "theirs 19");
    assert_eq!(value["text"], format!("ours{}", "!".repeat(20)));
    value["list"] = json!([2, 3]);
    frames = feed(&mut sync, Input::Change { request: 2, name: NAME.into(), heads, value });
    exchange(&mut sync, &mut doc, &mut frames);
    assert_eq!(doc.get_heads().iter().map(ToString::to_string).collect::<Vec<_>>(), sync.value(NAME).unwrap().0);
    let (_, list) = doc.get(ROOT, "list").unwrap().unwrap();
    assert_eq!(doc.length(&list), 2);
}
