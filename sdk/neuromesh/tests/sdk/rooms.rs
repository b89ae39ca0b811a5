//! Rooms that take a token, among real peers.

use std::time::Duration;

use neuromesh::{
    Config, ErrorKind, Event, Mesh, PeerId, Room, RoomOptions, Tier,
    core::rooms::{Grant, RoomId},
    platform,
};

use crate::peers::{Stores, add_model, join, join_as, request, until, until_event, vector};

const ROOM: &str = "studio";
const NODE: [u8; 32] = [31; 32];

fn grant(holder: PeerId, seconds: u64) -> Grant {
    Grant::sign(&NODE, RoomId::of(ROOM), holder, platform::now().as_millis() / 1000 + seconds)
}

fn issuer() -> PeerId {
    grant(PeerId::from_public_key([0; 32]), 0).issuer
}

/// A token of the node's, for so many seconds.
fn token(holder: PeerId, seconds: u64) -> RoomOptions {
    RoomOptions { token: Some(grant(holder, seconds).to_string()), ..RoomOptions::default() }
}

async fn knows(mesh: &Mesh, other: &Mesh) {
    until(mesh, "it knows the other", || async {
        mesh.peers().await.unwrap().iter().any(|peer| peer.id == other.id() && peer.connected)
    })
    .await;
}

async fn members(room: &Room) -> Vec<PeerId> {
    room.members().await.unwrap().into_iter().filter(|peer| peer.connected).map(|peer| peer.id).collect()
}

/// Says it until it is heard, as gossip gives no promise; the others, if there are any, talk all the while.
async fn tells(from: &Room, to: &Mesh, room: &Room, what: &str, others: &[&Room]) {
    let say = async {
        loop {
            for other in others {
                let _ = other.send(b"let me in".to_vec()).await;
            }
            let _ = from.send(what.as_bytes().to_vec()).await;
            platform::sleep(Duration::from_millis(50)).await;
        }
    };
    let topic = room.topic();
    let hears = |event: &Event| matches!(event, Event::Message { topic: on, data, .. } if on == topic && data == what.as_bytes());
    tokio::select! {
        () = until_event(to, what, hears) => {}
        () = say => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_takes_a_token_is_for_those_who_have_one() {
    let stores: [Stores; 4] = Default::default();
    let config = Config { room_issuers: vec![issuer()], relay_server: true, ..Config::new(NODE, Tier::Edge) };
    let node = join_as(config, &[], &stores[0]).await;
    assert_eq!(node.id(), issuer());
    let a = join(Tier::Device, 32, &[&node], &stores[1]).await;
    let b = join(Tier::Device, 33, &[&node], &stores[2]).await;
    for mesh in [&a, &b] {
        knows(mesh, &node).await;
    }
    add_model(&a, &stores[1], "double", include_bytes!("fixtures/double.onnx")).await;

    let denied = |options: RoomOptions| {
        let mesh = b.clone();
        async move { mesh.join_room(ROOM, &options).await.err().map(|error| error.kind()) }
    };
    assert_eq!(denied(RoomOptions::default()).await, Some(ErrorKind::RoomDenied));
    assert_eq!(denied(token(a.id(), 60)).await, Some(ErrorKind::RoomDenied), "somebody else's");
    let nonsense = RoomOptions { token: Some("nmroom_".into()), ..RoomOptions::default() };
    assert_eq!(denied(nonsense).await, Some(ErrorKind::InvalidInput));

    let of_a = a.join_room(ROOM, &token(a.id(), 600)).await.unwrap();
    let of_b = b.join_room(ROOM, &token(b.id(), 600)).await.unwrap();
    until(&a, "they meet", || async { members(&of_a).await == [b.id()] }).await;
    until(&b, "they meet", || async { members(&of_b).await == [a.id()] }).await;

    // Dials a member by itself, hears of nobody who asks for tokens, and claims to be in the room.
    let stranger = join(Tier::Device, 34, &[&a], &stores[3]).await;
    let of_stranger = stranger.join_room(ROOM, &RoomOptions::default()).await.unwrap();
    knows(&a, &stranger).await;
    knows(&stranger, &a).await;
    let run = |mesh: &Mesh| {
        let mesh = mesh.clone();
        async move {
            mesh.run(request("double", vector(&[2.0]), serde_json::json!({"tier": "peer", "deadlineMs": 5000}))).await
        }
    };
    until(&b, "the member's model is known", || async { run(&b).await.is_ok() }).await;
    assert_eq!(run(&stranger).await.err().map(|error| error.kind()), Some(ErrorKind::RunFailed));
    let (mut at_a, mut at_stranger) = (a.events(), stranger.events());
    tells(&of_b, &a, &of_a, "among us", &[&of_stranger]).await;
    tells(&of_a, &b, &of_b, "and back", &[&of_stranger]).await;
    for (events, from) in [(&mut at_a, stranger.id()), (&mut at_stranger, a.id())] {
        while let Ok(event) = events.try_recv() {
            assert!(!matches!(&event, Event::Message { from: Some(by), .. } if *by == from), "{event:?}");
        }
    }
    assert_eq!(members(&of_a).await, [b.id()]);

    // Whoever goes on with a shorter token is out when its time is over, and is told.
    let closed = until_event(
        &b,
        "its room to be closed",
        |event| matches!(event, Event::RoomClosed { room, .. } if room == ROOM),
    );
    let shorten = async { b.join_room(ROOM, &token(b.id(), 2)).await.map(|_| ()) };
    let ((), shortened) = tokio::join!(closed, shorten);
    assert!(shortened.is_ok());
    until(&a, "the other is out", || async { members(&of_a).await.is_empty() }).await;
    let of_b = b.join_room(ROOM, &token(b.id(), 600)).await.unwrap();
    until(&a, "the other is back", || async { members(&of_a).await == [b.id()] }).await;
    tells(&of_a, &b, &of_b, "welcome back", &[]).await;
    tells(&of_b, &a, &of_a, "thanks", &[]).await;
}
