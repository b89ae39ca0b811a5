//! The router's decision: prints the microseconds that choosing among 16 measured candidates takes, median of many.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use neuromesh_core::{
    Digest, Options, PeerId, ShapeClass, Tier, Timestamp,
    router::{Candidate, Observation, Query, Router, Source, Tuning},
};

const CANDIDATES: u8 = 16;
const ROUNDS: usize = 2000;
/// Decisions per sample, so that the clock's resolution does not count.
const BATCH: u32 = 16;

fn main() {
    let model = Digest::of(b"model");
    let candidates: Vec<Candidate> = (0..CANDIDATES).map(candidate).collect();
    let mut router = Router::new(candidates[0].peer, Tuning::default(), 1);
    let now = Timestamp::from_millis(1_000_000);
    for candidate in &candidates {
        router.observe_rtt(now, candidate.peer, Duration::from_millis(5));
        router.observe(now, &observation(candidate.peer, model));
    }
    let options = Options::default();
    let query = Query {
        model,
        model_bytes: 90_000_000,
        input_bytes: 1000,
        class: ShapeClass::of_size(1000),
        options: &options,
        remaining: Duration::from_secs(30),
        explore: true,
    };
    let mut samples: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..BATCH {
                black_box(router.choose(now, black_box(&query), black_box(&candidates)).is_ok());
            }
            started.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    println!("{}", samples[samples.len() / 2]);
}

fn candidate(index: u8) -> Candidate {
    Candidate {
        peer: PeerId::from_public_key([index + 1; 32]),
        tier: if index == 0 { Tier::Device } else { Tier::Edge },
        stands: None,
        connected: true,
        serves: true,
        source: Source::Loaded,
        slots: 2,
        queue: u32::from(index % 3),
        advertised: Some(Duration::from_millis(20)),
        ruled_out: None,
    }
}

fn observation(peer: PeerId, model: Digest) -> Observation {
    Observation {
        peer,
        model,
        class: ShapeClass::of_size(1000),
        elapsed: Duration::from_millis(30),
        load: Duration::ZERO,
        queue: Duration::ZERO,
        service: Duration::from_millis(20),
        expected: None,
        shipped: 1000,
        output_bytes: 1500,
        source: Source::Loaded,
    }
}
