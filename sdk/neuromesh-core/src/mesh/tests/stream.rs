use super::*;
use crate::{Part, part::MAX_PART_BYTES, payload::MAX_PAYLOAD_BYTES, wire::InferPart};

fn part(text: &str, token: u32) -> Part {
    Part { text: text.into(), tokens: vec![token] }
}

fn frame(text: &str, token: u32) -> Vec<u8> {
    InferPart(part(text, token)).encode().unwrap()
}

fn parts(all: &[Output]) -> Vec<Part> {
    let of = |output: &Output| match output {
        Output::Event(Event::Part { part, .. }) => Some(part.clone()),
        _ => None,
    };
    all.iter().filter_map(of).collect()
}

fn frames(all: &[Output]) -> Vec<Part> {
    let of = |output: &Output| match output {
        Output::Part { bytes, .. } => Some(InferPart::decode(bytes).unwrap().0),
        _ => None,
    };
    all.iter().filter_map(of).collect()
}

fn aborted(all: &[Output]) -> bool {
    all.iter().any(|output| matches!(output, Output::AbortAsk { .. }))
}

/// A server that makes an answer of which parts are wanted.
fn asked_for_parts() -> (Mesh, ExchangeId, TaskId) {
    let (_, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let (_, _, bytes) = asked(&run(&mut tab, NOW, 1, Options { stream: true, ..only(Tier::Edge) })).unwrap();
    let exchange = ExchangeId(9);
    edge.handle(NOW, Input::Asked { exchange, peer: tab.id(), bytes });
    let all = outputs(&mut edge);
    assert!(all.iter().any(|output| matches!(output, Output::Infer { stream: true, .. })));
    (edge, exchange, inferred(&all).unwrap())
}

#[test]
fn one_part_is_under_way_and_what_comes_meanwhile_waits_as_one() {
    let (mut edge, exchange, task) = asked_for_parts();
    let mut tell = |input: Input| {
        edge.handle(NOW, input);
        outputs(&mut edge)
    };
    assert_eq!(frames(&tell(Input::TaskPart { task, part: part("a", 1) })), [part("a", 1)]);
    for token in 2..5 {
        assert_eq!(frames(&tell(Input::TaskPart { task, part: part("b", token) })), []);
    }
    let rest = Part { text: "bbb".into(), tokens: vec![2, 3, 4] };
    assert_eq!(frames(&tell(Input::PartSent { exchange })), [rest]);
    assert_eq!(frames(&tell(Input::PartSent { exchange })), []);
    // The bound of a frame holds for what waited, too.
    tell(Input::TaskPart { task, part: part("c", 5) });
    tell(Input::TaskPart { task, part: part(&"d".repeat(3 * MAX_PART_BYTES), 6) });
    let sent = frames(&tell(Input::PartSent { exchange }));
    assert!(sent.len() == 1 && sent[0].size() <= MAX_PART_BYTES);
    // The answer waits for nobody, and nothing comes behind it.
    let all = tell(Input::TaskDone { task, result: Ok(task_output()) });
    assert!(replied(&all).is_some());
    assert!(tell(Input::PartSent { exchange }).is_empty());
    assert!(frames(&tell(Input::TaskPart { task, part: part("e", 7) })).is_empty());
}

#[test]
fn more_than_an_answer_holds_does_not_wait() {
    let (mut edge, exchange, task) = asked_for_parts();
    for _ in 0..3 {
        edge.handle(NOW, Input::TaskPart { task, part: part(&"x".repeat(MAX_PAYLOAD_BYTES / 2), 1) });
    }
    outputs(&mut edge);
    edge.handle(NOW, Input::PartSent { exchange });
    assert!(frames(&outputs(&mut edge)).is_empty());
    edge.handle(NOW, Input::TaskDone { task, result: Ok(task_output()) });
    assert!(replied(&outputs(&mut edge)).is_some());
}

#[test]
fn a_part_that_is_none_or_was_not_asked_for_ends_the_attempt() {
    for (stream, bytes, reason) in [
        (false, frame("a", 1), "none were asked for"),
        (true, frame("a", 1)[1..].to_vec(), "wire version"),
        (true, vec![1], "malformed"),
        (true, vec![0; 200_000], "malformed"),
    ] {
        let (_, mut edge) = server(2);
        let mut tab = tab(&mut [&mut edge]);
        let (exchange, ..) = asked(&run(&mut tab, NOW, 1, Options { stream, ..only(Tier::Edge) })).unwrap();
        tab.handle(NOW, Input::PartCame { exchange, bytes });
        let all = outputs(&mut tab);
        assert!(aborted(&all) && parts(&all).is_empty());
        let error = answered(&all).unwrap().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.name(), "NetworkError");
        assert!(tab.is_idle());
    }
}

#[test]
fn an_answer_that_its_own_parts_contradict_is_none() {
    let (key, mut edge) = server(2);
    let mut tab = tab(&mut [&mut edge]);
    let (exchange, _, bytes) = asked(&run(&mut tab, NOW, 1, Options { stream: true, ..only(Tier::Edge) })).unwrap();
    tab.handle(NOW, Input::PartCame { exchange, bytes: frame("told", 1) });
    assert_eq!(parts(&outputs(&mut tab)), [part("told", 1)]);
    // The receipt is right, the output `{}` is not what was told.
    tab.handle(NOW, Input::Replied { exchange, result: Ok(encoded(success(&key, &bytes))) });
    let error = answered(&outputs(&mut tab)).unwrap().unwrap_err();
    assert_eq!(error.name(), "Diverged");
}

#[test]
fn parts_of_the_own_engine_come_as_they_are() {
    let mut tab = tab(&mut []);
    let task = inferred(&run(&mut tab, NOW, 1, Options { stream: true, ..Options::default() })).unwrap();
    tab.handle(NOW, Input::TaskPart { task, part: part("a", 1) });
    tab.handle(NOW, Input::TaskPart { task, part: Part::default() });
    tab.handle(NOW, Input::TaskPart { task, part: part("b", 2) });
    assert_eq!(parts(&outputs(&mut tab)), [part("a", 1), part("b", 2)]);
    let output = Payload::Json(r#"{"text":"abc","tokens":[1,2,3],"finish":"stop"}"#.into());
    tab.handle(NOW, Input::TaskDone { task, result: Ok(TaskOutput { output, ..task_output() }) });
    let all = outputs(&mut tab);
    assert_eq!(parts(&all), [part("c", 3)], "what was not told comes before the answer");
    assert!(answered(&all).unwrap().is_ok());
}
