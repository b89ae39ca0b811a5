use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(byte: u8) -> PeerId {
    PeerId::from_public_key([byte; 32])
}

fn model() -> Digest {
    Digest::of(b"model")
}

fn device() -> Candidate {
    Candidate {
        peer: id(1),
        tier: Tier::Device,
        stands: Some(Tier::Device),
        connected: true,
        serves: true,
        source: Source::Loaded,
        slots: 1,
        queue: 0,
        advertised: None,
        ruled_out: None,
    }
}

fn remote(byte: u8, tier: Tier) -> Candidate {
    Candidate { peer: id(byte), tier, stands: None, slots: 2, ..device() }
}

fn quiet() -> Router {
    Router::new(id(1), Tuning { explore_one_in: 0, ..Tuning::default() }, 1)
}

fn query(options: &Options) -> Query<'_> {
    Query {
        model: model(),
        model_bytes: 90_000_000,
        input_bytes: 1000,
        class: ShapeClass::of_size(1000),
        options,
        remaining: Duration::from_secs(30),
        explore: true,
    }
}

fn ran(peer: u8, elapsed: u64, service: u64) -> Observation {
    Observation {
        peer: id(peer),
        model: model(),
        class: ShapeClass::of_size(1000),
        elapsed: ms(elapsed),
        load: ms(0),
        queue: ms(0),
        service: ms(service),
        expected: None,
        shipped: if peer == 1 { 0 } else { 1000 },
        output_bytes: 1500,
        source: Source::Loaded,
    }
}

fn chosen(router: &mut Router, options: &Options, candidates: &[Candidate]) -> u8 {
    router.choose(NOW, &query(options), candidates).unwrap().peer.public_key()[0]
}

#[test]
fn the_least_predicted_time_wins() {
    let any = Options::default();
    let both = [device(), remote(2, Tier::Edge)];

    struct Case {
        what: &'static str,
        device_ms: u64,
        edge_ms: u64,
        rtt_ms: u64,
        change: fn(&mut [Candidate]),
        expected: u8,
    }
    let case = |what, device_ms, edge_ms, rtt_ms, change, expected| Case {
        what,
        device_ms,
        edge_ms,
        rtt_ms,
        change,
        expected,
    };
    let cases = [
        case("a fast server nearby beats a slow device", 180, 10, 4, |_| {}, 2),
        case("a fast device beats a far server", 20, 10, 60, |_| {}, 1),
        case("a queue at the server counts", 60, 20, 4, |c| c[1].queue = 20, 1),
        case("slots work off a queue", 60, 20, 4, |c| (c[1].queue, c[1].slots) = (4, 8), 2),
        case("a cold model at the device counts", 20, 40, 4, |c| c[0].source = Source::Held, 2),
        case("fetching a model counts more", 20, 500, 4, |c| c[0].source = Source::Fetch, 2),
        case("a cold server loses to a warm device", 100, 20, 4, |c| c[1].source = Source::Held, 1),
    ];
    for Case { what, device_ms, edge_ms, rtt_ms, change, expected } in cases {
        let mut router = quiet();
        router.observe_rtt(NOW, id(2), ms(rtt_ms));
        router.observe(NOW, &ran(1, device_ms, device_ms));
        router.observe(NOW, &ran(2, edge_ms + rtt_ms, edge_ms));
        let mut candidates = both.clone();
        change(&mut candidates);
        assert_eq!(chosen(&mut router, &any, &candidates), expected, "{what}");
    }
}

#[test]
fn bytes_to_ship_count() {
    let any = Options::default();
    let mut router = quiet();
    router.observe_rtt(NOW, id(2), ms(4));
    router.observe(NOW, &ran(1, 100, 100));
    router.observe(NOW, &ran(2, 24, 20));
    let candidates = [device(), remote(2, Tier::Edge)];
    assert_eq!(chosen(&mut router, &any, &candidates), 2);
    let large = Query { input_bytes: 8 << 20, ..query(&any) };
    let choice = router.choose(NOW, &large, &candidates).unwrap();
    assert_eq!(choice.peer, id(1), "{}", choice.reason);
    // A link that turned out to be fast is worth it again.
    for _ in 0..10 {
        let bulk = Observation { shipped: 8 << 20, elapsed: ms(30), ..ran(2, 0, 20) };
        router.observe(NOW, &bulk);
    }
    assert_eq!(router.choose(NOW, &large, &candidates).unwrap().peer, id(2));
}

#[test]
fn what_the_peer_says_is_believed_until_it_is_measured() {
    let any = Options::default();
    let mut router = quiet();
    router.observe(NOW, &ran(1, 50, 50));
    let boaster = Candidate { advertised: Some(ms(1)), ..remote(2, Tier::Edge) };
    let candidates = [device(), boaster];
    router.observe_rtt(NOW, id(2), ms(2));
    assert_eq!(chosen(&mut router, &any, &candidates), 2);
    router.observe(NOW, &ran(2, 302, 300));
    assert_eq!(chosen(&mut router, &any, &candidates), 1);
}

#[test]
fn options_rule_candidates_out_and_say_why() {
    let candidates = [device(), remote(2, Tier::Edge), remote(3, Tier::Cloud), remote(4, Tier::Peer)];
    let mut router = quiet();
    for (tier, expected) in [(Tier::Device, 1), (Tier::Edge, 2), (Tier::Cloud, 3), (Tier::Peer, 4)] {
        let only = Options { tier: Some(tier), ..Options::default() };
        assert_eq!(chosen(&mut router, &only, &candidates), expected);
    }
    let private = Options { privacy: Privacy::Device, ..Options::default() };
    let choice = router.choose(NOW, &query(&private), &candidates).unwrap();
    assert_eq!(choice.peer, id(1));
    assert!(choice.considered[1..].iter().all(|e| e.excluded.as_deref().unwrap().contains("must not leave")));

    let contradiction = Options { tier: Some(Tier::Edge), privacy: Privacy::Device, ..Options::default() };
    let excluded = router.choose(NOW, &query(&contradiction), &candidates).unwrap_err();
    assert_eq!(excluded.len(), 4);
    assert!(excluded.iter().all(|estimate| estimate.excluded.is_some()));
    // Asking a server for its own tier means itself, too.
    let edge = Candidate { stands: Some(Tier::Edge), ..device() };
    let only = Options { tier: Some(Tier::Edge), ..Options::default() };
    assert_eq!(chosen(&mut router, &only, &[edge]), 1);
}

#[test]
fn each_exclusion_has_its_reason() {
    type Change = fn(&mut Candidate);
    let changes: [(Change, &str); 4] = [
        (|c| c.connected = false, "not connected"),
        (|c| c.serves = false, "does not run models"),
        (|c| c.source = Source::Missing, "no such model"),
        (|c| c.ruled_out = Some("is busy".into()), "is busy"),
    ];
    for (change, expected) in changes {
        let mut candidate = remote(2, Tier::Edge);
        change(&mut candidate);
        let excluded = quiet().choose(NOW, &query(&Options::default()), &[candidate]).unwrap_err();
        assert!(excluded[0].excluded.as_deref().unwrap().contains(expected));
    }
}

#[test]
fn a_preferred_tier_goes_first_while_it_works_and_is_in_time() {
    let prefer = Options { prefer: Some(Tier::Cloud), ..Options::default() };
    let mut router = quiet();
    router.observe(NOW, &ran(1, 5, 5));
    let candidates = [device(), remote(3, Tier::Cloud)];
    let choice = router.choose(NOW, &query(&prefer), &candidates).unwrap();
    assert_eq!(choice.peer, id(3));
    assert!(choice.reason.contains("cloud is preferred"), "{}", choice.reason);

    let hurried = Query { remaining: ms(50), ..query(&prefer) };
    assert_eq!(router.choose(NOW, &hurried, &candidates).unwrap().peer, id(1));
    router.observe_failure(NOW, id(3));
    assert_eq!(chosen(&mut router, &prefer, &candidates), 1);
}

#[test]
fn a_small_advantage_does_not_move_requests() {
    let any = Options::default();
    let mut router = quiet();
    let candidates = [device(), remote(2, Tier::Edge)];
    router.observe_rtt(NOW, id(2), ms(0));
    router.observe(NOW, &ran(1, 100, 100));
    router.observe(NOW, &ran(2, 104, 104));
    assert_eq!(chosen(&mut router, &any, &candidates), 1);
    router.observe(NOW, &ran(1, 120, 120));
    let choice = router.choose(NOW, &query(&any), &candidates).unwrap();
    assert_eq!(choice.peer, id(1), "{}", choice.reason);
    assert!(choice.reason.contains("kept"), "{}", choice.reason);
    router.observe(NOW, &ran(1, 300, 300));
    assert_eq!(chosen(&mut router, &any, &candidates), 2);
}

#[test]
fn a_failing_peer_is_the_last_choice_until_it_answers_or_time_passes() {
    let any = Options::default();
    let mut router = quiet();
    let candidates = [device(), remote(2, Tier::Edge)];
    router.observe(NOW, &ran(1, 200, 200));
    router.observe(NOW, &ran(2, 10, 10));
    assert_eq!(chosen(&mut router, &any, &candidates), 2);
    router.observe_failure(NOW, id(2));
    assert_eq!(chosen(&mut router, &any, &candidates), 1);
    assert_eq!(chosen(&mut router, &any, &candidates[1..]), 2, "better than nobody");
    let later = NOW + Duration::from_secs(2);
    assert_eq!(router.choose(later, &query(&any), &candidates).unwrap().peer, id(2));
}

#[test]
fn the_unmeasured_are_tried_now_and_then() {
    let any = Options::default();
    let mut router = Router::new(id(1), Tuning::default(), 7);
    router.observe(NOW, &ran(1, 80, 80));
    let candidates = [device(), remote(2, Tier::Edge), remote(3, Tier::Cloud)];
    let tries: Vec<Choice> = (0..400).map(|_| router.choose(NOW, &query(&any), &candidates).unwrap()).collect();
    let explored = tries.iter().filter(|choice| choice.peer != id(1)).count();
    assert!((25..=80).contains(&explored), "{explored} of 400");
    assert!(tries.iter().any(|c| c.peer == id(2)) && tries.iter().any(|c| c.peer == id(3)));
    assert!(tries.iter().filter(|c| c.peer != id(1)).all(|c| c.reason.contains("tried to learn")));
    // Not when it would be hopeless, and not for a second attempt.
    let cold = [device(), Candidate { source: Source::Fetch, ..remote(2, Tier::Edge) }];
    assert!((0..100).all(|_| chosen(&mut router, &any, &cold) == 1));
    let second = Query { explore: false, ..query(&any) };
    assert!((0..100).all(|_| router.choose(NOW, &second, &candidates).unwrap().peer == id(1)));
}

#[test]
fn equal_seeds_explore_equally() {
    let run = || {
        let mut router = Router::new(id(1), Tuning::default(), 42);
        router.observe(NOW, &ran(1, 80, 80));
        let candidates = [device(), remote(2, Tier::Edge)];
        (0..100).map(|_| chosen(&mut router, &Options::default(), &candidates)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_reason_is_a_sentence() {
    let mut router = quiet();
    router.observe_rtt(NOW, id(2), ms(2));
    router.observe(NOW, &ran(1, 180, 180));
    router.observe(NOW, &ran(2, 14, 11));
    let choice = router.choose(NOW, &query(&Options::default()), &[device(), remote(2, Tier::Edge)]).unwrap();
    let expected =
        format!("edge node …{} predicted 14 ms (round trip 2 + ship 1 + run 11); this device 180 ms", id(2).short());
    assert_eq!(choice.reason, expected);
    let alone = router.choose(NOW, &query(&Options::default()), &[device()]).unwrap();
    assert_eq!(alone.reason, "this device predicted 180 ms (run 180); no other candidate");
}

#[test]
fn what_is_learned_is_bounded_and_forgotten() {
    let mut router = quiet();
    for n in 0..MAX_LEARNED as u64 + 10 {
        let seen = Observation { model: Digest::of(&n.to_le_bytes()), ..ran(2, 10, 10) };
        router.observe(NOW + ms(n), &seen);
    }
    assert_eq!(router.runs.len(), MAX_LEARNED);
    router.forget(&id(2));
    assert!(router.runs.is_empty() && router.links.is_empty());
}

#[test]
fn absurd_numbers_do_not_panic() {
    let mut router = quiet();
    let absurd = Candidate {
        queue: u32::MAX,
        slots: 0,
        advertised: Some(Duration::MAX),
        source: Source::Fetch,
        ..remote(2, Tier::Edge)
    };
    let options = Options::default();
    let query = Query { model_bytes: u64::MAX, input_bytes: u64::MAX, remaining: Duration::ZERO, ..query(&options) };
    router.choose(NOW, &query, &[absurd]).unwrap();
}

#[test]
fn a_thousand_candidates_make_a_short_account() {
    let crowd: Vec<Candidate> = (0..1000u64)
        .map(|n| {
            let mut key = [7; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            Candidate { peer: PeerId::from_public_key(key), ..remote(2, Tier::Edge) }
        })
        .collect();
    let choice = quiet().choose(NOW, &query(&Options::default()), &crowd).unwrap();
    assert_eq!(choice.considered.len(), MAX_CONSIDERED);
    assert_eq!(choice.considered[0].peer, choice.peer);
    assert!(choice.reason.ends_with("; 997 more"), "{}", choice.reason);
}

#[test]
fn times_are_learned_for_each_class_of_input() {
    let any = Options::default();
    let mut router = quiet();
    let at = |size: u64, service: u64| Observation { class: ShapeClass::of_size(size), ..ran(1, service, service) };
    router.observe(NOW, &at(16, 10));
    router.observe(NOW, &at(256, 160));
    let predicted = |router: &mut Router, size: u64| {
        let query = Query { class: ShapeClass::of_size(size), ..query(&any) };
        let choice = router.choose(NOW, &query, &[device()]).unwrap();
        (choice.considered[0].service_ms, choice.measured)
    };
    assert_eq!(predicted(&mut router, 16), (10, true));
    assert_eq!(predicted(&mut router, 256), (160, true));
    assert_eq!(predicted(&mut router, 64), (40, false), "between the two");
    assert_eq!(predicted(&mut router, 1024), (640, false), "beyond the largest it grows with the size");
    assert_eq!(predicted(&mut router, 2), (10, false), "below the smallest it stays");

    // Small inputs are answered here, large ones where it is worth the way.
    let edge =
        |size: u64, service: u64| Observation { class: ShapeClass::of_size(size), ..ran(2, service + 30, service) };
    router.observe_rtt(NOW, id(2), ms(30));
    router.observe(NOW, &edge(16, 2));
    router.observe(NOW, &edge(256, 20));
    let candidates = [device(), remote(2, Tier::Edge)];
    for (size, expected) in [(16, 1), (256, 2), (16, 1)] {
        let query = Query { class: ShapeClass::of_size(size), explore: false, ..query(&any) };
        let choice = router.choose(NOW, &query, &candidates).unwrap();
        assert_eq!(choice.peer, id(expected), "{size}: {}", choice.reason);
    }
}

#[test]
fn interpolation_needs_no_good_numbers() {
    let class = ShapeClass::of_size;
    let at = |known: &[(u64, f64)], size| at_class(known.iter().map(|(size, time)| (class(*size), *time)), class(size));
    assert_eq!(at(&[], 5), None);
    assert_eq!(at(&[(4, 0.0), (16, 0.0)], 8), Some(0.0));
    assert_eq!(at(&[(4, 0.0), (16, 8.0)], 8), Some(8.0));
    assert_eq!(at(&[(4, 2.0), (16, 8.0)], 8), Some(4.0));
    assert_eq!(at(&[(4, 2.0), (4, 3.0)], 8), Some(6.0), "the last of equal ones");
    assert!(at(&[(1, f64::MAX)], u64::MAX).unwrap().is_infinite());
}

#[test]
fn what_an_engine_expects_counts_more_than_what_one_run_took() {
    let any = Options::default();
    let mut router = quiet();
    router.observe(NOW, &Observation { expected: Some(ms(20)), ..ran(1, 100, 100) });
    let choice = router.choose(NOW, &query(&any), &[device()]).unwrap();
    assert_eq!(choice.considered[0].service_ms, 20);
    router.observe(NOW, &Observation { expected: Some(ms(60)), ..ran(1, 100, 100) });
    let choice = router.choose(NOW, &query(&any), &[device()]).unwrap();
    assert_eq!(choice.considered[0].service_ms, 60, "at once: the engine has smoothed it");
    router.observe_service(NOW, model(), ShapeClass::of_size(1 << 30), ms(300), None);
    assert_eq!(router.services(&model(), &id(1)).len(), 2);
}
