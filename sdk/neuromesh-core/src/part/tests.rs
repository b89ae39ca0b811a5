use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn part(text: &str, tokens: &[u32]) -> Part {
    Part { text: text.into(), tokens: tokens.to_vec() }
}

fn answer(text: &str, tokens: &[u32]) -> Payload {
    Payload::Json(serde_json::json!({"text": text, "tokens": tokens, "finish": "length"}).to_string())
}

/// Cuts a text and its tokens at random places, as engines and slow links do.
fn pieces(rng: &mut ChaCha8Rng, whole: &Part) -> Vec<Part> {
    let (mut rest, mut all) = (whole.clone(), Vec::new());
    while !rest.is_empty() {
        let mut end = rng.random_range(0..=rest.text.len().min(9));
        while !rest.text.is_char_boundary(end) {
            end += 1;
        }
        let left = rest.text.split_off(end);
        let tokens = rest.tokens.split_off(rng.random_range(0..=rest.tokens.len().min(3)));
        all.push(std::mem::replace(&mut rest, Part { text: left, tokens }));
    }
    all
}

#[test]
fn however_it_is_cut_and_retried_each_part_is_given_once() {
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let whole = part("Grüße, 世界 – naïve 🦀 text", &(0..17).collect::<Vec<u32>>());
        let (mut transcript, mut given) = (Transcript::default(), Part::default());
        for _ in 0..rng.random_range(1..4) {
            let all = pieces(&mut rng, &whole);
            let told = rng.random_range(0..=all.len());
            let mut place = Place::default();
            for piece in &all[..told] {
                given.append(transcript.extend(&mut place, piece).unwrap());
            }
        }
        given.append(transcript.complete(&answer(&whole.text, &whole.tokens)).unwrap());
        assert_eq!(given, whole, "seed {seed}");
    }
}

#[test]
fn another_text_is_told_from_the_same() {
    let mut transcript = Transcript::default();
    transcript.extend(&mut Place::default(), &part("héllo", &[1, 2])).unwrap();
    let before = transcript.clone();
    for other in [part("hä", &[1]), part("hello", &[]), part("héllo!", &[1, 3]), part("", &[2]), part("hé!", &[])] {
        assert_eq!(transcript.extend(&mut Place::default(), &other), Err(Diverged), "{other:?}");
        assert_eq!(transcript, before);
    }
    for other in
        [answer("hé", &[1, 2]), answer("héllo", &[1]), answer("hello there", &[1, 2]), Payload::Json("7".into())]
    {
        assert_eq!(transcript.complete(&other), Err(Diverged), "{other:?}");
    }
    assert_eq!(transcript.complete(&answer("héllo!", &[1, 2, 3])), Ok(part("!", &[3])));
}

#[test]
fn an_answer_that_is_no_text_has_no_parts() {
    for output in [Payload::Text("plain".into()), Payload::Json("[1]".into()), Payload::Json(r#"{"text": "x"}"#.into())]
    {
        assert_eq!(Transcript::default().complete(&output), Ok(Part::default()), "{output:?}");
    }
}

#[test]
fn a_front_is_within_its_bound_and_nothing_is_lost() {
    let whole = part(&"añ🦀".repeat(4000), &(0..9000).collect::<Vec<u32>>());
    for most in [0, 8, 9, 100, MAX_PART_BYTES] {
        let (mut rest, mut joined) = (whole.clone(), Part::default());
        while !rest.is_empty() {
            let front = rest.split_front(most);
            assert!(!front.is_empty() && front.size() <= most.max(8), "{} of {most}", front.size());
            joined.append(front);
        }
        assert_eq!(joined, whole, "{most}");
    }
}

#[test]
fn parts_are_never_more_than_an_answer_may_hold() {
    let mut transcript = Transcript::default();
    let mut place = Place::default();
    let large = part(&"x".repeat(MAX_PAYLOAD_BYTES), &[]);
    transcript.extend(&mut place, &large).unwrap();
    assert_eq!(transcript.extend(&mut place, &part("y", &[])), Err(Diverged));
}
