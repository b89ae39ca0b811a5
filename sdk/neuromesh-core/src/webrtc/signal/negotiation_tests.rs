use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn candidate(text: &str) -> Candidate {
    Candidate { candidate: text.into(), ..Candidate::default() }
}

fn outputs(side: &mut Negotiation) -> Vec<Output> {
    std::iter::from_fn(|| side.poll_output()).collect()
}

fn give(side: &mut Negotiation, signal: &Signal) {
    side.handle(at(1), Input::Received(signal.encode()));
}

fn send(signal: &Signal) -> Output {
    Output::Send(signal.encode())
}

#[test]
fn two_sides_agree() {
    let (mut a, mut b) = (Negotiation::new(Role::Offerer, at(0)), Negotiation::new(Role::Answerer, at(0)));
    assert_eq!(outputs(&mut a), [Output::CreateOffer]);
    a.handle(at(1), Input::Found(candidate("early")));
    assert_eq!(outputs(&mut a), [], "a candidate does not come before the description");
    a.handle(at(1), Input::Described("offer".into()));
    let candidates = Signal::Candidate(candidate("early").to_json());
    assert_eq!(outputs(&mut a), [send(&Signal::Offer("offer".into())), send(&candidates)]);

    give(&mut b, &Signal::Offer("offer".into()));
    give(&mut b, &candidates);
    assert_eq!(outputs(&mut b), [Output::AnswerTo("offer".into())], "the candidate waits");
    b.handle(at(2), Input::RemoteSet);
    b.handle(at(2), Input::Described("answer".into()));
    assert_eq!(outputs(&mut b), [Output::Add(candidate("early")), send(&Signal::Answer("answer".into()))]);

    give(&mut a, &Signal::Answer("answer".into()));
    a.handle(at(3), Input::RemoteSet);
    give(&mut a, &Signal::Candidate(candidate("late").to_json()));
    give(&mut a, &Signal::Candidate("null".into()));
    assert_eq!(outputs(&mut a), [Output::SetAnswer("answer".into()), Output::Add(candidate("late"))]);
    a.handle(at(3), Input::State(ConnectionState::Pending));
    a.handle(at(3), Input::State(ConnectionState::Connected));
    assert_eq!(outputs(&mut a), [Output::Connected]);
    assert_eq!(a.poll_timeout(), None);

    b.handle(at(4), Input::StreamEnded);
    assert_eq!(outputs(&mut b), [], "the other side was connected first; that is no failure");
    b.handle(at(4), Input::State(ConnectionState::Connected));
    assert_eq!(outputs(&mut b), [Output::Connected]);
}

#[test]
fn every_way_to_fail_has_its_error() {
    let failure = |role, inputs: &[Input]| {
        let mut side = Negotiation::new(role, at(0));
        inputs.iter().for_each(|input| side.handle(at(30_000), input.clone()));
        match outputs(&mut side).pop() {
            Some(Output::Failed(error)) => error,
            other => panic!("{inputs:?} end in {other:?}"),
        }
    };
    let received = |signal: Signal| Input::Received(signal.encode());
    assert_eq!(failure(Role::Answerer, &[Input::Timeout]), NegotiationError::TimedOut);
    assert_eq!(failure(Role::Answerer, &[Input::StreamEnded]), NegotiationError::Ended);
    assert_eq!(failure(Role::Offerer, &[Input::State(ConnectionState::Failed)]), NegotiationError::NoPath);
    assert_eq!(failure(Role::Offerer, &[Input::Refused("bad".into())]), NegotiationError::Refused("bad".into()));
    assert_eq!(failure(Role::Offerer, &[received(Signal::Offer("x".into()))]), NegotiationError::OutOfTurn("an offer"));
    assert_eq!(
        failure(Role::Offerer, &[received(Signal::Answer("x".into()))]),
        NegotiationError::OutOfTurn("an answer")
    );
    assert_eq!(
        failure(Role::Answerer, &[received(Signal::Answer("x".into()))]),
        NegotiationError::OutOfTurn("an answer")
    );
    let offer = received(Signal::Offer("x".into()));
    assert_eq!(failure(Role::Answerer, &[offer.clone(), offer]), NegotiationError::OutOfTurn("an offer"));
    let flood = vec![received(Signal::Candidate("{}".into())); MAX_CANDIDATES + 1];
    assert_eq!(failure(Role::Answerer, &flood), NegotiationError::TooManyCandidates);
    assert_eq!(
        failure(Role::Answerer, &[Input::Received(vec![0xff; 12])]),
        NegotiationError::Signal(SignalError::Malformed)
    );
}

#[test]
fn an_early_wake_up_is_harmless() {
    let mut side = Negotiation::new(Role::Answerer, at(5));
    assert_eq!(side.poll_timeout(), Some(at(20_005)));
    side.handle(at(20_004), Input::Timeout);
    assert_eq!(outputs(&mut side), []);
}

#[test]
fn any_input_in_any_state_stays_within_bounds() {
    for seed in 0..500 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let role = if rng.random_bool(0.5) { Role::Offerer } else { Role::Answerer };
        let mut side = Negotiation::new(role, at(0));
        let (mut now, mut last) = (0, 0);
        for _ in 0..300 {
            now += rng.random_range(0..100);
            let signal = match rng.random_range(0..20) {
                0 => Signal::Offer("o".into()),
                1 => Signal::Answer("a".into()),
                _ => Signal::Candidate(candidate("c").to_json()),
            };
            let input = match rng.random_range(0..12) {
                0 => Input::Received((0..rng.random_range(0..5)).map(|_| rng.random()).collect()),
                1..4 => Input::Received(signal.encode()),
                4 if rng.random_bool(0.1) => Input::StreamEnded,
                5 => Input::Described("d".into()),
                6 => Input::RemoteSet,
                7 if rng.random_bool(0.1) => Input::State(ConnectionState::Connected),
                8 if rng.random_bool(0.1) => Input::State(ConnectionState::Failed),
                9 => Input::Timeout,
                _ => Input::Found(candidate("mine")),
            };
            side.handle(at(now), input);
            assert!(side.early.len() <= MAX_CANDIDATES && side.found.len() <= MAX_CANDIDATES, "seed {seed}");
            if rng.random_bool(0.5) {
                let given = outputs(&mut side);
                let ends = |output: &&Output| matches!(output, Output::Connected | Output::Failed(_));
                assert!(last == 0 || given.is_empty(), "seed {seed}: something follows the last output");
                last += given.iter().filter(ends).count();
            }
        }
        assert!(last <= 1, "seed {seed}");
    }
}
