use std::time::Duration;

use super::*;
use crate::{
    Numerics, Options, Payload, Privacy, Receipt, Request, ShapeClass, Tier,
    receipt::Exactness,
    wire::{InferReply, InferRequest, InferSuccess},
};

mod stream;

const START: Timestamp = Timestamp::from_millis(1_000);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn digest() -> Digest {
    Digest::of(b"model")
}

fn model(loaded: bool) -> LocalModel {
    LocalModel { name: "m".into(), digest: digest(), bytes: 1_000_000, loaded, times: Vec::new() }
}

fn config(number: u8, tier: Tier) -> Config {
    let mut config = Config::new([number; 32], tier);
    config.router.explore_one_in = 0;
    config
}

/// A server's key and its machine; the tests speak for its engine, or for all of it.
fn server(number: u8) -> (SigningKey, Mesh) {
    let mut mesh = Mesh::new(config(number, Tier::Edge), START);
    mesh.handle(START, Input::Models(vec![model(true)]));
    mesh.handle(START + ms(300), Input::Tick);
    (SigningKey::from_bytes(&[number; 32]), mesh)
}

fn outputs(mesh: &mut Mesh) -> Vec<Output> {
    std::iter::from_fn(|| mesh.poll_output()).collect()
}

/// Connects two machines and lets their presence settle; drops all other outputs.
fn connect<'a>(now: Timestamp, mut a: &'a mut Mesh, mut b: &'a mut Mesh) {
    a.handle(now, Input::Connected { peer: b.id(), path: Path::Direct });
    b.handle(now, Input::Connected { peer: a.id(), path: Path::Direct });
    for _ in 0..8 {
        for output in outputs(a) {
            if let Output::Presence { peer, bytes } = output
                && peer == b.id()
            {
                b.handle(now, Input::Presence { peer: a.id(), bytes });
            }
        }
        std::mem::swap(&mut a, &mut b);
    }
    outputs(a);
    outputs(b);
}

fn request(options: Options) -> Request {
    Request { model: "m".into(), input: Payload::Text("hello".into()), options }
}

fn run(mesh: &mut Mesh, now: Timestamp, id: u64, options: Options) -> Vec<Output> {
    mesh.handle(now, Input::Run { id: RequestId(id), request: request(options) });
    outputs(mesh)
}

fn only(tier: Tier) -> Options {
    Options { tier: Some(tier), ..Options::default() }
}

fn asked(all: &[Output]) -> Option<(ExchangeId, PeerId, Vec<u8>)> {
    all.iter().find_map(|output| match output {
        Output::Ask { exchange, peer, bytes } => Some((*exchange, *peer, bytes.clone())),
        _ => None,
    })
}

fn inferred(all: &[Output]) -> Option<TaskId> {
    all.iter().find_map(|output| match output {
        Output::Infer { task, .. } => Some(*task),
        _ => None,
    })
}

fn answered(all: &[Output]) -> Option<Result<crate::Answer, RunError>> {
    all.iter().find_map(|output| match output {
        Output::Event(Event::Answered { result, .. }) => Some(result.clone()),
        _ => None,
    })
}

fn replied(all: &[Output]) -> Option<InferReply> {
    all.iter().find_map(|output| match output {
        Output::Reply { bytes, .. } => Some(InferReply::decode(bytes).unwrap()),
        _ => None,
    })
}

fn output() -> Payload {
    Payload::Json("{}".into())
}

fn task_output() -> TaskOutput {
    TaskOutput { output: output(), load: ms(0), service: ms(20), expected: None, exactness: Exactness::Exact }
}

fn success(key: &SigningKey, request: &[u8]) -> InferSuccess {
    let request = InferRequest::decode(request).unwrap();
    let receipt =
        Receipt::sign(key, request.model, request.input.digest(), output().digest(), 20_000, Exactness::Exact);
    InferSuccess { receipt, load_us: 0, queue_us: 0, output: output() }
}

fn encoded(success: InferSuccess) -> Vec<u8> {
    InferReply::Ok(Box::new(success)).encode().unwrap()
}

/// A tab that holds the model, connected to servers that do.
fn tab(servers: &mut [&mut Mesh]) -> Mesh {
    let mut tab = Mesh::new(config(1, Tier::Device), START);
    tab.handle(START, Input::Models(vec![model(true)]));
    tab.handle(START + ms(300), Input::Tick);
    for server in servers {
        connect(START + ms(300), &mut tab, server);
    }
    tab
}

const NOW: Timestamp = Timestamp::from_millis(2_000);

#[test]
fn a_local_run_gives_a_signed_answer() {
    let mut tab = tab(&mut []);
    let all = run(&mut tab, NOW, 1, Options::default());
    let task = inferred(&all).unwrap();
    tab.handle(NOW + ms(20), Input::TaskDone { task, result: Ok(task_output()) });
    let answer = answered(&outputs(&mut tab)).unwrap().unwrap();
    answer.receipt.verify().unwrap();
    assert_eq!((answer.route.tier, answer.route.peer, answer.route.elapsed_ms), (Tier::Device, tab.id(), 20));
    assert_eq!(answer.receipt.input, Payload::Text("hello".into()).digest());
    assert_eq!(answer.route.attempts.last().unwrap().outcome, "answered");
    // A second answer to the same task is nobody's.
    tab.handle(NOW + ms(30), Input::TaskDone { task, result: Ok(task_output()) });
    assert_eq!(answered(&outputs(&mut tab)), None);
}

#[test]
fn a_remote_run_is_asked_and_its_receipt_checked() {
    let (key, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let all = run(&mut tab, NOW, 1, only(Tier::Edge));
    let (exchange, peer, bytes) = asked(&all).unwrap();
    assert_eq!((peer, inferred(&all)), (edge.id(), None));

    edge.handle(NOW, Input::Asked { exchange: ExchangeId(9), peer: tab.id(), bytes });
    let task = inferred(&outputs(&mut edge)).unwrap();
    edge.handle(NOW + ms(20), Input::TaskDone { task, result: Ok(task_output()) });
    let served = outputs(&mut edge);
    let Some(Output::Reply { bytes, .. }) = served.iter().find(|o| matches!(o, Output::Reply { .. })) else {
        panic!("no reply in {served:?}")
    };
    tab.handle(NOW + ms(25), Input::Replied { exchange, result: Ok(bytes.clone()) });
    let answer = answered(&outputs(&mut tab)).unwrap().unwrap();
    assert_eq!((answer.receipt.peer, answer.route.tier), (edge.id(), Tier::Edge));
    assert_eq!(key.verifying_key().to_bytes(), *answer.receipt.peer.public_key());
}

#[test]
fn a_receipt_that_does_not_hold_is_a_failed_attempt() {
    let other_key = SigningKey::from_bytes(&[77; 32]);
    let lies: [fn(&mut InferSuccess); 5] = [
        |s| s.receipt.model = Digest::of(b"another"),
        |s| s.receipt.input = Digest::of(b"another"),
        |s| s.receipt.duration_us += 1,
        |s| s.output = Payload::Json("[]".into()),
        |s| s.receipt.signature.clear(),
    ];
    for lie in lies.into_iter().map(Some).chain([None]) {
        let (key, mut edge) = server(2);
        let mut tab = tab(&mut [&mut edge]);
        let (exchange, _, bytes) = asked(&run(&mut tab, NOW, 1, only(Tier::Edge))).unwrap();
        let mut false_success = success(if lie.is_some() { &key } else { &other_key }, &bytes);
        lie.into_iter().for_each(|lie| lie(&mut false_success));
        tab.handle(NOW + ms(9), Input::Replied { exchange, result: Ok(encoded(false_success)) });
        let error = answered(&outputs(&mut tab)).unwrap().unwrap_err();
        assert!(error.to_string().contains("receipt"), "{error}");
        assert_eq!(error.name(), "RunFailed");
    }
}

#[test]
fn fast_numbers_are_taken_where_they_were_asked_for_and_nowhere_else() {
    let fast = Options { numerics: Numerics::Fast, ..only(Tier::Edge) };
    for (options, refused) in [(fast.clone(), false), (only(Tier::Edge), true)] {
        let (key, mut edge) = server(2);
        let mut tab = tab(&mut [&mut edge]);
        let (exchange, _, bytes) = asked(&run(&mut tab, NOW, 1, options.clone())).unwrap();
        assert_eq!(InferRequest::decode(&bytes).unwrap().numerics, options.numerics);
        edge.handle(NOW, Input::Asked { exchange: ExchangeId(9), peer: tab.id(), bytes: bytes.clone() });
        let inferred = outputs(&mut edge).into_iter().find_map(|output| match output {
            Output::Infer { numerics, .. } => Some(numerics),
            _ => None,
        });
        assert_eq!(inferred, Some(options.numerics));
        let mut answer = success(&key, &bytes);
        let input = InferRequest::decode(&bytes).unwrap().input.digest();
        answer.receipt = Receipt::sign(&key, digest(), input, output().digest(), 9, Exactness::Approximate);
        tab.handle(NOW + ms(9), Input::Replied { exchange, result: Ok(encoded(answer)) });
        let result = answered(&outputs(&mut tab)).unwrap();
        assert_eq!(result.is_err_and(|error| error.to_string().contains("exact")), refused);
    }
    // An exact answer will do for a fast request; an approximate one of the own engine not for an exact request.
    for (numerics, exactness, refused) in [
        (Numerics::Fast, Exactness::Exact, false),
        (Numerics::Fast, Exactness::Approximate, false),
        (Numerics::Exact, Exactness::Approximate, true),
    ] {
        let mut tab = tab(&mut []);
        let all = run(&mut tab, NOW, 1, Options { numerics, ..Options::default() });
        let task = inferred(&all).unwrap();
        tab.handle(NOW, Input::TaskDone { task, result: Ok(TaskOutput { exactness, ..task_output() }) });
        let result = answered(&outputs(&mut tab)).unwrap();
        assert_eq!(result.as_ref().is_ok_and(|answer| answer.receipt.exactness == exactness), !refused, "{result:?}");
    }
}

#[test]
fn what_an_engine_remembers_is_offered_and_counted_with() {
    let class = |input: &str| ShapeClass::of(&Payload::Text(input.into()));
    let times = vec![(class("hello"), ms(7)), (ShapeClass::of_size(1 << 10), ms(900))];
    let (_, mut edge) = server(2);
    edge.handle(START + ms(300), Input::Models(vec![LocalModel { times: times.clone(), ..model(true) }]));
    edge.handle(START + ms(600), Input::Tick);
    let mut tab = tab(&mut [&mut edge]);
    for (text, expected) in [("hello".to_owned(), 7), ("x".repeat(1000), 900), ("x".repeat(2000), 1800)] {
        let request = Request { model: "m".into(), input: Payload::Text(text), options: only(Tier::Edge) };
        tab.handle(NOW, Input::Run { id: RequestId(expected), request });
        let (exchange, _, bytes) = asked(&outputs(&mut tab)).unwrap();
        let (key, _) = server(2);
        tab.handle(NOW + ms(1), Input::Replied { exchange, result: Ok(encoded(success(&key, &bytes))) });
        let route = answered(&outputs(&mut tab)).unwrap().unwrap().route;
        assert_eq!(route.considered[0].service_ms, expected as u32, "{:?}", route.considered);
    }
    // Its own engine, too.
    let mut alone = Mesh::new(config(1, Tier::Device), START);
    alone.handle(START, Input::Models(vec![LocalModel { times, ..model(true) }]));
    let task = inferred(&run(&mut alone, NOW, 1, Options::default())).unwrap();
    alone.handle(NOW, Input::TaskDone { task, result: Ok(TaskOutput { expected: Some(ms(40)), ..task_output() }) });
    assert_eq!(answered(&outputs(&mut alone)).unwrap().unwrap().route.considered[0].service_ms, 7);
    let task = inferred(&run(&mut alone, NOW, 2, Options::default())).unwrap();
    alone.handle(NOW, Input::TaskDone { task, result: Ok(task_output()) });
    let next = answered(&outputs(&mut alone)).unwrap().unwrap().route;
    assert_eq!(next.considered[0].service_ms, 40, "what the engine expects, not what one run took");
}

#[test]
fn a_failure_goes_on_elsewhere_and_the_route_tells() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let prefer = Options { prefer: Some(Tier::Edge), ..Options::default() };
    let (exchange, peer, _) = asked(&run(&mut tab, NOW, 1, prefer)).unwrap();
    tab.handle(NOW, Input::Replied { exchange, result: Ok(b"garbage".to_vec()) });
    let all = outputs(&mut tab);
    assert!(all.iter().any(|o| matches!(o, Output::Event(Event::Retried { peer: of, .. }) if *of == peer)));
    let task = inferred(&all).expect("this device is next");
    tab.handle(NOW + ms(20), Input::TaskDone { task, result: Ok(task_output()) });
    let route = answered(&outputs(&mut tab)).unwrap().unwrap().route;
    let outcomes: Vec<_> = route.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert!(matches!(outcomes[..], [failed, "answered"] if failed.starts_with("failed: ")), "{outcomes:?}");
}

#[test]
fn a_lost_connection_is_a_lost_attempt() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let prefer = Options { prefer: Some(Tier::Edge), ..Options::default() };
    let (exchange, peer, _) = asked(&run(&mut tab, NOW, 1, prefer)).unwrap();
    tab.handle(NOW, Input::Disconnected { peer });
    let all = outputs(&mut tab);
    assert!(all.contains(&Output::AbortAsk { exchange }));
    assert!(all.contains(&Output::Event(Event::Retried { id: RequestId(1), peer, outcome: "lost".into() })));
    assert!(inferred(&all).is_some());
    // The driver's own report of the same loss comes too late to matter.
    let lost = Err(ExchangeError::Lost("reset".into()));
    tab.handle(NOW, Input::Replied { exchange, result: lost });
    assert_eq!(outputs(&mut tab), []);
}

#[test]
fn a_late_attempt_is_hedged_and_the_loser_cancelled() {
    let (key, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let prefer = Options { prefer: Some(Tier::Edge), ..Options::default() };
    let all = run(&mut tab, NOW, 1, prefer.clone());
    let (exchange, peer, bytes) = asked(&all).unwrap();
    let late = NOW + ms(10_000);
    tab.handle(late, Input::Tick);
    let all = outputs(&mut tab);
    assert!(all.contains(&Output::Event(Event::Retried { id: RequestId(1), peer, outcome: "late".into() })));
    let task = inferred(&all).expect("the hedge runs here");
    assert!(!all.iter().any(|o| matches!(o, Output::AbortAsk { .. })), "the first may still win");

    // The first wins after all.
    let mut first = success(&key, &bytes);
    first.queue_us = 5;
    tab.handle(late + ms(1), Input::Replied { exchange, result: Ok(encoded(first)) });
    let all = outputs(&mut tab);
    assert!(all.contains(&Output::CancelInfer { task }));
    let route = answered(&all).unwrap().unwrap().route;
    assert_eq!((route.peer, route.attempts.last().unwrap().peer), (peer, peer));

    // And the other way round.
    let (exchange, ..) = asked(&run(&mut tab, late + ms(2), 2, prefer)).unwrap();
    tab.handle(late + ms(20_000), Input::Tick);
    let task = inferred(&outputs(&mut tab)).unwrap();
    tab.handle(late + ms(20_001), Input::TaskDone { task, result: Ok(task_output()) });
    let all = outputs(&mut tab);
    assert!(all.contains(&Output::AbortAsk { exchange }));
    assert_eq!(answered(&all).unwrap().unwrap().route.tier, Tier::Device);
}

#[test]
fn the_deadline_ends_everything() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let options = Options { deadline: Some(ms(500)), tier: Some(Tier::Edge), ..Options::default() };
    let (exchange, ..) = asked(&run(&mut tab, NOW, 1, options)).unwrap();
    let mut now = NOW;
    let all = loop {
        now = tab.poll_timeout().unwrap().max(now + ms(1));
        tab.handle(now, Input::Tick);
        let all = outputs(&mut tab);
        if answered(&all).is_some() {
            break all;
        }
    };
    assert_eq!(now, NOW + ms(500));
    assert!(all.contains(&Output::AbortAsk { exchange }));
    let error = answered(&all).unwrap().unwrap_err();
    assert!(matches!(&error, RunError::DeadlineExceeded { deadline_ms: 500, attempts } if attempts.len() == 1));
    assert_eq!(error.name(), "DeadlineExceeded");
}

#[test]
fn what_is_private_stays_here_also_after_a_failure() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let private = Options { privacy: Privacy::Device, ..Options::default() };
    let all = run(&mut tab, NOW, 1, private);
    let task = inferred(&all).unwrap();
    let failed = Err(TaskError::new(ErrorKind::Failed, "out of memory"));
    tab.handle(NOW, Input::TaskDone { task, result: failed });
    let all = outputs(&mut tab);
    assert_eq!(asked(&all), None);
    assert!(matches!(answered(&all), Some(Err(RunError::Failed { .. }))));
}

#[test]
fn a_busy_server_is_asked_again() {
    let (key, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let (exchange, ..) = asked(&run(&mut tab, NOW, 1, only(Tier::Edge))).unwrap();
    let busy = InferReply::failure(ErrorKind::Busy, "later").encode().unwrap();
    tab.handle(NOW, Input::Replied { exchange, result: Ok(busy) });
    assert_eq!(asked(&outputs(&mut tab)), None);
    let now = tab.poll_timeout().unwrap();
    assert!(now <= NOW + ms(100), "{now}");
    tab.handle(now, Input::Tick);
    let (exchange, _, bytes) = asked(&outputs(&mut tab)).unwrap();
    tab.handle(now, Input::Replied { exchange, result: Ok(encoded(success(&key, &bytes))) });
    let route = answered(&outputs(&mut tab)).unwrap().unwrap().route;
    assert_eq!(route.attempts[0].outcome, "busy");
}

#[test]
fn a_server_that_is_always_busy_is_given_up() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let mut all = run(&mut tab, NOW, 1, only(Tier::Edge));
    let mut now = NOW;
    let error = loop {
        if let Some((exchange, ..)) = asked(&all) {
            let busy = InferReply::failure(ErrorKind::Busy, "later").encode().unwrap();
            tab.handle(now, Input::Replied { exchange, result: Ok(busy) });
        } else {
            now = tab.poll_timeout().unwrap().max(now + ms(1));
            tab.handle(now, Input::Tick);
        }
        all = outputs(&mut tab);
        if let Some(result) = answered(&all) {
            break result.unwrap_err();
        }
    };
    assert_eq!(error.name(), "Busy");
}

#[test]
fn a_cancelled_request_cancels_its_work() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let task = inferred(&run(&mut tab, NOW, 1, only(Tier::Device))).unwrap();
    let (exchange, ..) = asked(&run(&mut tab, NOW, 2, only(Tier::Edge))).unwrap();
    for (id, expected) in [(1, Output::CancelInfer { task }), (2, Output::AbortAsk { exchange })] {
        tab.handle(NOW, Input::Cancel { id: RequestId(id) });
        let all = outputs(&mut tab);
        assert!(all.contains(&expected));
        assert_eq!(answered(&all).unwrap().unwrap_err().name(), "AbortError");
    }
    tab.handle(NOW, Input::Cancel { id: RequestId(1) });
    assert_eq!(answered(&outputs(&mut tab)), None);
}

#[test]
fn an_aborted_question_cancels_its_task_and_is_not_answered() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    for abort in [Input::AskAborted { exchange: ExchangeId(5) }, Input::Disconnected { peer: tab.id() }] {
        let bytes = InferRequest {
            model: digest(),
            budget_ms: 1000,
            nonce: 0,
            numerics: Numerics::Exact,
            stream: false,
            input: Payload::Text("x".into()),
        };
        let bytes = bytes.encode().unwrap();
        edge.handle(NOW, Input::Asked { exchange: ExchangeId(5), peer: tab.id(), bytes });
        let task = inferred(&outputs(&mut edge)).unwrap();
        edge.handle(NOW, abort);
        assert!(outputs(&mut edge).contains(&Output::CancelInfer { task }));
        edge.handle(NOW, Input::TaskDone { task, result: Ok(task_output()) });
        assert_eq!(replied(&outputs(&mut edge)), None);
    }
    let _ = &mut tab;
}

#[test]
fn what_is_asked_is_refused_with_a_reason() {
    let bytes = |model, text: &str| {
        InferRequest {
            model,
            budget_ms: 1000,
            nonce: 0,
            numerics: Numerics::Exact,
            stream: false,
            input: Payload::Text(text.into()),
        }
        .encode()
        .unwrap()
    };
    let kind_of = |mesh: &mut Mesh, exchange, bytes| {
        mesh.handle(
            NOW,
            Input::Asked { exchange: ExchangeId(exchange), peer: PeerId::from_public_key([9; 32]), bytes },
        );
        match replied(&outputs(mesh)) {
            Some(InferReply::Err(failure)) => Some(failure.kind),
            _ => None,
        }
    };
    let (_, mut edge) = server(2);
    assert_eq!(kind_of(&mut edge, 1, b"garbage".to_vec()), Some(ErrorKind::InvalidInput));
    assert_eq!(kind_of(&mut edge, 2, bytes(Digest::of(b"unknown"), "x")), Some(ErrorKind::ModelNotFound));
    let limit = edge.config.limits.tasks as u64;
    for exchange in 0..limit {
        assert_eq!(kind_of(&mut edge, 10 + exchange, bytes(digest(), "x")), None);
    }
    assert_eq!(kind_of(&mut edge, 3, bytes(digest(), "x")), Some(ErrorKind::Busy));
    let mut tab = tab(&mut []);
    assert_eq!(kind_of(&mut tab, 1, bytes(digest(), "x")), Some(ErrorKind::Failed));
}

#[test]
fn a_served_run_ends_with_the_askers_time() {
    let (_, mut edge) = server(2);
    let bytes = InferRequest {
        model: digest(),
        budget_ms: 100,
        nonce: 0,
        numerics: Numerics::Exact,
        stream: false,
        input: Payload::Text("x".into()),
    };
    let peer = PeerId::from_public_key([9; 32]);
    edge.handle(NOW, Input::Asked { exchange: ExchangeId(1), peer, bytes: bytes.encode().unwrap() });
    let task = inferred(&outputs(&mut edge)).unwrap();
    assert!(edge.poll_timeout().unwrap() <= NOW + ms(100));
    edge.handle(NOW + ms(100), Input::Tick);
    let all = outputs(&mut edge);
    assert!(all.contains(&Output::CancelInfer { task }));
    assert!(matches!(replied(&all), Some(InferReply::Err(f)) if f.kind == ErrorKind::DeadlineExceeded));
}

#[test]
fn what_a_caller_does_wrong_is_said_at_once() {
    let mut tab = tab(&mut []);
    let bad = Payload::Tensors(vec![crate::Tensor {
        name: "x".into(),
        dtype: crate::DType::F32,
        shape: vec![2],
        data: vec![0; 4],
    }]);
    let mut error_of = |id, model: &str, input, options| {
        let request = Request { model: model.into(), input, options };
        tab.handle(NOW, Input::Run { id: RequestId(id), request });
        answered(&outputs(&mut tab)).unwrap().unwrap_err()
    };
    let text = || Payload::Text("x".into());
    assert_eq!(error_of(1, "m", bad, Options::default()).name(), "InvalidInput");
    assert_eq!(error_of(2, "nope", text(), Options::default()).name(), "ModelNotFound");
    assert_eq!(error_of(3, &"0".repeat(64), text(), Options::default()).name(), "ModelNotFound");
    let error = error_of(4, "m", text(), only(Tier::Cloud));
    assert_eq!(error.name(), "NoCandidate");
    assert!(error.to_string().contains("this device is not of the tier asked for (cloud)"), "{error}");
}

#[test]
fn an_input_that_the_model_refuses_is_not_tried_elsewhere() {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let prefer = Options { prefer: Some(Tier::Device), ..Options::default() };
    let task = inferred(&run(&mut tab, NOW, 1, prefer)).unwrap();
    let refused = Err(TaskError::new(ErrorKind::InvalidInput, "no input named y"));
    tab.handle(NOW, Input::TaskDone { task, result: refused });
    let all = outputs(&mut tab);
    assert_eq!(asked(&all), None);
    assert_eq!(answered(&all).unwrap().unwrap_err(), RunError::InvalidInput("no input named y".into()));
}

#[test]
fn requests_are_bounded() {
    let mut config = config(1, Tier::Device);
    config.limits.requests = 3;
    let mut tab = Mesh::new(config, START);
    tab.handle(START, Input::Models(vec![model(true)]));
    for id in 0..3 {
        assert_eq!(answered(&run(&mut tab, NOW, id, Options::default())), None);
    }
    let error = answered(&run(&mut tab, NOW, 3, Options::default())).unwrap().unwrap_err();
    assert_eq!(error, RunError::TooManyRequests { limit: 3 });
}

#[test]
fn names_mean_the_local_model_then_the_most_offered() {
    let offered = |number: u8, digest: Digest| {
        let mut mesh = Mesh::new(config(number, Tier::Edge), START);
        mesh.handle(START, Input::Models(vec![LocalModel { digest, ..model(true) }]));
        mesh.handle(START + ms(300), Input::Tick);
        mesh
    };
    let mut digests = [Digest::of(b"one"), Digest::of(b"two")];
    digests.sort();
    let [small, large] = digests;
    let mut tab = Mesh::new(config(1, Tier::Device), START);
    let mut servers = [offered(2, large), offered(3, small)];
    servers.iter_mut().for_each(|server| connect(START + ms(300), &mut tab, server));
    assert_eq!(tab.resolve("m"), Some(small), "a tie goes to the smaller digest");
    connect(START + ms(300), &mut tab, &mut offered(4, large));
    assert_eq!(tab.resolve("m"), Some(large));
    assert_eq!(tab.resolve(&small.to_string()), Some(small));
    assert_eq!(tab.models().len(), 2);
    assert_eq!(tab.holders(&large).len(), 2);
    tab.handle(START + ms(300), Input::Models(vec![model(false)]));
    assert_eq!(tab.resolve("m"), Some(digest()));
}

#[test]
fn this_device_fetches_what_it_lacks_when_nothing_else_may_run_it() {
    let (_, mut edge) = server(2);
    let mut tab = Mesh::new(config(1, Tier::Device), START);
    connect(START + ms(300), &mut tab, &mut edge);
    let private = Options { privacy: Privacy::Device, ..Options::default() };
    let all = run(&mut tab, NOW, 1, private);
    assert!(inferred(&all).is_some() && asked(&all).is_none());
    assert_eq!(tab.holders(&digest()), [edge.id()]);
}

#[test]
fn listeners_hear_of_peers_and_models() {
    let (_, mut edge) = server(2);
    edge.handle(START, Input::Listening { addresses: vec!["/ip4/1.2.3.4".into()], http: Some("http://x".into()) });
    edge.handle(START + ms(600), Input::Tick);
    let mut tab = Mesh::new(config(1, Tier::Device), START);
    let mut events = Vec::new();
    edge.handle(NOW, Input::Connected { peer: tab.id(), path: Path::Direct });
    let frames = outputs(&mut edge);
    tab.handle(NOW, Input::Connected { peer: edge.id(), path: Path::Relayed });
    tab.handle(NOW, Input::Rtt { peer: edge.id(), rtt: ms(12) });
    for _ in 0..4 {
        for output in outputs(&mut tab) {
            match output {
                Output::Event(event) => events.push(event),
                Output::Presence { bytes, .. } => edge.handle(NOW, Input::Presence { peer: tab.id(), bytes }),
                _ => {}
            }
        }
        for output in frames.iter().cloned().chain(outputs(&mut edge)) {
            if let Output::Presence { bytes, .. } = output {
                tab.handle(NOW, Input::Presence { peer: edge.id(), bytes });
            }
        }
    }
    assert!(matches!(&events[0], Event::PeerUp(info) if info.id == edge.id() && info.path == Path::Relayed));
    assert!(events.contains(&Event::ModelsChanged));
    let info = &tab.peers()[0];
    assert_eq!((info.tier, info.connected, info.rtt_ms), (Tier::Edge, true, Some(12.0)));
    assert_eq!((&info.models[..], &info.addresses[..]), (&["m".to_owned()][..], &["/ip4/1.2.3.4".to_owned()][..]));
    let json = serde_json::to_value(info).unwrap();
    assert_eq!((&json["rttMs"], &json["path"], &json["tier"]), (&12.0.into(), &"relayed".into(), &"edge".into()));

    outputs(&mut tab);
    tab.handle(NOW, Input::Disconnected { peer: edge.id() });
    let all = outputs(&mut tab);
    assert!(matches!(&all[..], [Output::Event(Event::PeerChanged(info))] if !info.connected), "{all:?}");
    tab.handle(NOW + Duration::from_secs(60), Input::Tick);
    let all = outputs(&mut tab);
    assert!(all.contains(&Output::Event(Event::PeerDown(edge.id()))), "{all:?}");
    assert!(all.contains(&Output::Event(Event::ModelsChanged)));
}
