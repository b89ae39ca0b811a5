use neuromesh::{ErrorKind, Event, Payload, Tier, platform};
use serde_json::json;

use crate::peers::{
    Stores, add_model, add_model_of, bytes, join, request, square, until, until_event, until_holds, vector,
};

pub const DOUBLE: &[u8] = include_bytes!("fixtures/double.onnx");
pub const SLOW: &[u8] = include_bytes!("fixtures/slow.onnx");

fn floats(payload: &Payload) -> Vec<f32> {
    let Payload::Tensors(tensors) = payload else { panic!("not tensors: {payload:?}") };
    tensors[0].data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_only_the_other_peer_holds_is_run_there_with_a_receipt_that_verifies() {
    let (edge_stores, own_stores) = (Stores::default(), Stores::default());
    let edge = join(Tier::Edge, 1, &[], &edge_stores).await;
    add_model(&edge, &edge_stores, "double", DOUBLE).await;
    let device = join(Tier::Device, 2, &[&edge], &own_stores).await;
    until_holds(&device, "double", edge.id()).await;

    let answer = device.run(request("double", vector(&[1.0, -2.5]), json!({"tier": "edge"}))).await.unwrap();
    assert_eq!(floats(&answer.output), [2.0, -5.0]);
    assert_eq!((answer.route.tier, answer.route.peer, answer.receipt.peer), (Tier::Edge, edge.id(), edge.id()));
    answer.receipt.verify().unwrap();
    assert_eq!(answer.receipt.output, answer.output.digest());
    assert!(own_stores.blobs.list().await.unwrap().is_empty(), "a remote run fetches nothing");
    device.close().await;
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn privacy_device_fetches_the_model_and_keeps_the_input_here() {
    let (edge_stores, own_stores) = (Stores::default(), Stores::default());
    let edge = join(Tier::Edge, 3, &[], &edge_stores).await;
    add_model(&edge, &edge_stores, "double", DOUBLE).await;
    let device = join(Tier::Device, 4, &[&edge], &own_stores).await;
    until_holds(&device, "double", edge.id()).await;

    let mut events = device.events();
    let answer = device.run(request("double", vector(&[4.0]), json!({"privacy": "device"}))).await.unwrap();
    assert_eq!(floats(&answer.output), [8.0]);
    assert_eq!((answer.route.tier, answer.route.peer), (Tier::Device, device.id()));
    let mut progress = false;
    while let Ok(event) = events.try_recv() {
        progress |= matches!(event, Event::Progress { loaded, total, .. } if loaded == total && total > 0);
        assert!(!matches!(event, Event::Request { peer, .. } if peer != device.id()));
    }
    assert!(progress, "the download was reported");
    edge.close().await;
    let again = device.run(request("double", vector(&[5.0]), json!({}))).await.unwrap();
    assert_eq!(floats(&again.output), [10.0], "the model stays when its source is gone");
    device.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_request_still_yields_an_answer_here() {
    let (edge_stores, own_stores) = (Stores::default(), Stores::default());
    let edge = join(Tier::Edge, 5, &[], &edge_stores).await;
    add_model(&edge, &edge_stores, "slow", SLOW).await;
    let device = join(Tier::Device, 6, &[&edge], &own_stores).await;
    until_holds(&device, "slow", edge.id()).await;
    device.fetch_model("slow").await.unwrap();

    let asked = tokio::spawn({
        let device = device.clone();
        async move { device.run(request("slow", square(300), json!({"prefer": "edge"}))).await }
    });
    let edge_id = edge.id();
    until_event(
        &device,
        "the request at the edge",
        |event| matches!(event, Event::Request { peer, .. } if *peer == edge_id),
    )
    .await;
    edge.set_online(false).await.unwrap();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.route.tier, Tier::Device);
    assert_eq!(answer.route.attempts[0].peer, edge_id);
    assert!(answer.route.attempts.len() >= 2, "{:?}", answer.route.attempts);
    device.close().await;
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_is_cancelled_on_the_other_side() {
    let (edge_stores, own_stores) = (Stores::default(), Stores::default());
    let edge = join(Tier::Edge, 7, &[], &edge_stores).await;
    add_model(&edge, &edge_stores, "slow", SLOW).await;
    add_model(&edge, &edge_stores, "double", DOUBLE).await;
    let device = join(Tier::Device, 8, &[&edge], &own_stores).await;
    until_holds(&device, "slow", edge.id()).await;
    until_holds(&device, "double", edge.id()).await;

    // Alone on the edge's only thread this would take minutes.
    let asked = tokio::spawn({
        let device = device.clone();
        async move { device.run(request("slow", square(1400), json!({"tier": "edge", "deadlineMs": 600_000}))).await }
    });
    until_event(&device, "the request at the edge", |event| matches!(event, Event::Request { .. })).await;
    asked.abort();
    let watch = platform::Stopwatch::start();
    let answer = device.run(request("double", vector(&[1.0]), json!({"tier": "edge"}))).await.unwrap();
    assert_eq!(floats(&answer.output), [2.0]);
    assert!(watch.elapsed().as_secs() < 30, "the thread was not freed");
    device.close().await;
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_beyond_the_memory_of_a_peer_is_not_even_fetched() {
    let (edge_stores, own_stores) = (Stores::default(), Stores::default());
    let edge = join(Tier::Edge, 20, &[], &edge_stores).await;
    add_model_of(&edge, &edge_stores, "huge", DOUBLE, 3_000_000_000).await;
    let device = join(Tier::Device, 21, &[&edge], &own_stores).await;
    until_holds(&device, "huge", edge.id()).await;
    let error = device.fetch_model("huge").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelInvalid, "{error}");
    assert!(error.to_string().contains("3000000000 bytes"), "{error}");
    let error = device.run(request("huge", vector(&[1.0]), json!({"privacy": "device"}))).await.unwrap_err();
    assert!(error.to_string().contains("3000000000 bytes"), "{error}");
    assert!(own_stores.blobs.list().await.unwrap().is_empty(), "nothing was fetched");
    device.close().await;
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_what_is_wrong() {
    let stores = Stores::default();
    let device = join(Tier::Device, 9, &[], &stores).await;
    let error = device.run(request("nobody-has-this", vector(&[1.0]), json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelNotFound, "{error}");
    add_model(&device, &stores, "double", DOUBLE).await;
    until(&device, "the own model is listed", || async {
        device.models().await.unwrap().iter().any(|model| model.local)
    })
    .await;
    let error = device.run(request("double", bytes(b"not tensors"), json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(device.add_model(b"{}").await.is_err_and(|error| error.kind() == ErrorKind::ModelInvalid));
    assert!(device.remove_model("double").await.unwrap());
    assert!(stores.blobs.list().await.unwrap().is_empty(), "files that no model uses are deleted");
    device.close().await;
    let error = device.run(request("double", vector(&[1.0]), json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_reaches_a_peer_on_the_same_topic() {
    let (a_stores, b_stores) = (Stores::default(), Stores::default());
    let a = join(Tier::Edge, 10, &[], &a_stores).await;
    let b = join(Tier::Edge, 11, &[&a], &b_stores).await;
    let error = b.publish("room", b"hello".to_vec()).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("nobody in reach listens")), (ErrorKind::Network, true));
    let mut events = a.events();
    // Nobody listens yet: what is said waits for it.
    let (said, ()) = tokio::join!(b.publish("room", b"hello".to_vec()), async {
        a.join_topic("room").await.unwrap();
        b.join_topic("room").await.unwrap();
    });
    said.unwrap();
    let said = async {
        loop {
            if let Ok(Event::Message { from, data, .. }) = events.recv().await {
                return (from, data);
            }
        }
    };
    let (from, data) = platform::timeout(std::time::Duration::from_secs(30), said).await.expect("a message");
    assert_eq!((from, &data[..]), (Some(b.id()), &b"hello"[..]));
    assert!(b.publish("room", vec![0; 1 << 20]).await.is_err(), "over the limit");
    a.close().await;
    b.close().await;
}
