use neuromesh_core::{
    Timestamp,
    webrtc::signal::{
        Candidate, ConnectionState, Input, MAX_CANDIDATES, MAX_SIGNAL, Negotiation, Output, Reader, Role, Signal,
        SignalError, TIME_LIMIT,
    },
};

use crate::script::Script;

/// Messages do not depend on how their bytes are cut, and what is read can be written again.
pub fn signals(bytes: &[u8]) {
    let all = |piece: usize| {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        let result: Result<(), SignalError> =
            bytes.chunks(piece).try_for_each(|bytes| reader.push(bytes).map(|signals| found.extend(signals)));
        (found, result)
    };
    let piece = 1 + bytes.first().map_or(0, |byte| usize::from(*byte) % 17);
    let (whole, in_pieces) = (all(usize::MAX), all(piece));
    assert_eq!(whole.1, in_pieces.1, "pieces of {piece}");
    // A reader that fails keeps what came with the mistake to itself.
    assert!(whole.1.is_err() || whole.0 == in_pieces.0, "pieces of {piece}");
    for signal in &in_pieces.0 {
        assert_eq!(Reader::default().push(&signal.encode()), Ok(vec![signal.clone()]));
        let (Signal::Offer(text) | Signal::Answer(text) | Signal::Candidate(text)) = signal;
        assert!(text.len() <= MAX_SIGNAL);
        if let Some(candidate) = Candidate::parse(text) {
            assert_eq!(Candidate::parse(&candidate.to_json()), Some(candidate));
        }
    }
}

/// A side of a negotiation, with another side and a browser that do what they like.
pub fn negotiation(bytes: &[u8]) {
    let mut script = Script(bytes);
    let role = if script.byte() % 2 == 0 { Role::Offerer } else { Role::Answerer };
    let mut side = Negotiation::new(role, Timestamp::from_millis(0));
    let (mut now, mut over, mut added, mut descriptions) = (0, false, 0, 0);
    while script.goes_on() {
        let at = Timestamp::from_millis(now);
        let input = match script.byte() % 12 {
            0 => Input::Received(script.take(64).to_vec()),
            1 => Input::Received(Signal::Offer(text(&mut script)).encode()),
            2 => Input::Received(Signal::Answer(text(&mut script)).encode()),
            3 => Input::Received(Signal::Candidate(text(&mut script)).encode()),
            4 => Input::Received(Signal::Candidate(candidate(&mut script).to_json()).encode()),
            5 => Input::StreamEnded,
            6 => Input::Described(text(&mut script)),
            7 => Input::RemoteSet,
            8 => Input::Found(candidate(&mut script)),
            9 => Input::State(
                [ConnectionState::Pending, ConnectionState::Connected, ConnectionState::Failed][script.below(3)],
            ),
            10 => Input::Refused(text(&mut script)),
            _ => {
                now += script.below(30_000) as u64;
                Input::Timeout
            }
        };
        side.handle(at, input);
        while let Some(output) = side.poll_output() {
            assert!(!over, "something follows the end");
            match output {
                Output::Add(_) => added += 1,
                Output::CreateOffer => assert_eq!(role, Role::Offerer),
                Output::AnswerTo(_) | Output::SetAnswer(_) => descriptions += 1,
                Output::Send(_) => {}
                Output::Connected | Output::Failed(_) => over = true,
            }
        }
        assert!(added <= MAX_CANDIDATES && descriptions <= 1);
        assert_eq!(side.poll_timeout().is_none(), over);
        let late = now > TIME_LIMIT.as_millis() as u64;
        if late {
            side.handle(Timestamp::from_millis(now), Input::Timeout);
            over |= std::iter::from_fn(|| side.poll_output()).any(|output| matches!(output, Output::Failed(_)));
            assert!(over, "time is up");
        }
    }
}

fn text(script: &mut Script<'_>) -> String {
    let most = script.below(200);
    String::from_utf8_lossy(script.take(most)).into_owned()
}

fn candidate(script: &mut Script<'_>) -> Candidate {
    Candidate {
        candidate: text(script),
        sdp_mid: (script.byte() % 2 == 0).then(|| text(script)),
        ..Candidate::default()
    }
}
