use super::{entry::WINDOW, *};

const SEEDS: std::ops::Range<u64> = 0..50;

fn model(number: u32) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn class() -> ShapeClass {
    ShapeClass::of_size(1000)
}

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn backends() -> Vec<Backend> {
    Backend::candidates(Numerics::Fast, 8)
}

/// A machine with a true time for each backend and noise of at most a tenth, upwards as noise is.
struct Machine {
    rng: ChaCha8Rng,
    times: BTreeMap<Backend, u64>,
}

impl Machine {
    fn new(seed: u64, times: impl IntoIterator<Item = (Backend, u64)>) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), times: times.into_iter().collect() }
    }

    /// Any times, no two of them closer than the noise.
    fn random(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut all = backends();
        let mut time = rng.random_range(500..5000);
        let mut times = BTreeMap::new();
        while !all.is_empty() {
            let backend = all.swap_remove(rng.random_range(0..all.len()));
            times.insert(backend, time);
            time = time * rng.random_range(120..250) / 100;
        }
        Self::new(seed, times)
    }

    fn best(&self) -> Backend {
        *self.times.iter().min_by_key(|(_, time)| **time).expect("there are some").0
    }

    fn runs(&mut self, count: usize, chooser: &mut Chooser) {
        for _ in 0..count {
            self.run(chooser, model(1));
        }
    }

    fn run(&mut self, chooser: &mut Chooser, model: Digest) -> Backend {
        let backend = chooser.choose(model, class(), &backends());
        let time = self.times[&backend];
        chooser.observe(model, class(), backend, us(time + self.rng.random_range(0..=time / 10)));
        backend
    }
}

#[test]
fn candidates_are_powers_of_two_and_all_threads() {
    let threads = |count| Backend::candidates(Numerics::Exact, count).iter().map(|b| b.threads).collect::<Vec<_>>();
    assert_eq!((threads(0), threads(1), threads(2)), (vec![1], vec![1], vec![1, 2]));
    assert_eq!((threads(6), threads(8)), (vec![1, 2, 4, 6], vec![1, 2, 4, 8]));
    assert!(
        Backend::candidates(Numerics::Fast, u16::MAX).len() > MAX_BACKENDS,
        "and only the first of them are looked at"
    );
    assert!(Backend::candidates(Numerics::Exact, 4).iter().all(|backend| backend.numerics == Numerics::Exact));
}

#[test]
fn it_converges_to_the_fastest_within_its_trials() {
    for seed in SEEDS {
        let mut machine = Machine::random(seed);
        let mut chooser = Chooser::new("m", seed);
        let trials = 1 + backends().len() * TRIALS;
        let tried: Vec<Backend> = (0..trials).map(|_| machine.run(&mut chooser, model(1))).collect();
        assert_eq!(chooser.settled(&model(1), class()), Some(machine.best()), "seed {seed}");
        assert!(backends().iter().all(|backend| tried.contains(backend)), "seed {seed}");
        let expected = chooser.expected(&model(1), class(), Numerics::Fast).unwrap();
        let time = machine.times[&machine.best()];
        assert!((us(time)..=us(time * 11 / 10)).contains(&expected), "seed {seed}: {expected:?} for {time}");
        let later: Vec<Backend> = (0..1000).map(|_| machine.run(&mut chooser, model(1))).collect();
        let elsewhere = later.iter().filter(|backend| **backend != machine.best()).count();
        assert!(elsewhere <= 1 + 1000 / RETRY_EVERY as usize, "seed {seed}: {elsewhere}");
    }
}

/// A machine that also has a GPU, whose first run takes long: its kernels are compiled in it.
fn choices_with_a_gpu(seed: u64, gpu: u64, cpu: u64, runs: usize) -> (Chooser, Vec<Backend>) {
    let candidates: Vec<Backend> = backends().into_iter().chain([Backend::GPU]).collect();
    let mut chooser = Chooser::new("m", seed);
    let mut compiled = false;
    let chosen = (0..runs).map(|_| {
        let backend = chooser.choose(model(1), class(), &candidates);
        let time = match backend.is_gpu() {
            true if std::mem::replace(&mut compiled, true) => gpu,
            true => 1000 * gpu,
            false => cpu,
        };
        chooser.observe(model(1), class(), backend, us(time));
        backend
    });
    let chosen = chosen.collect();
    (chooser, chosen)
}

#[test]
fn a_gpu_wins_if_it_is_faster_once_its_kernels_are_compiled() {
    for seed in SEEDS {
        let (mut chooser, _) = choices_with_a_gpu(seed, 500, 1000, 100);
        assert_eq!(chooser.settled(&model(1), class()), Some(Backend::GPU), "seed {seed}");
        assert_eq!(chooser.expected(&model(1), class(), Numerics::Fast), Some(us(500)));
        assert_eq!(chooser.expected(&model(1), class(), Numerics::Exact), Some(us(1000)), "exact never goes there");
        assert!(!chooser.choose(model(1), class(), &backends()).is_gpu(), "a GPU that is gone is not chosen");
        let again = Chooser::restore("m", seed, &chooser.snapshot()).unwrap();
        assert_eq!(again.settled(&model(1), class()), Some(Backend::GPU), "it is remembered");
    }
}

#[test]
fn a_gpu_that_is_slower_costs_three_runs_at_most() {
    for (seed, (time, runs)) in SEEDS.flat_map(|seed| [(seed, (9000, 3)), (seed, (90_000, 2))]) {
        let (chooser, chosen) = choices_with_a_gpu(seed, time, 1000, 1000);
        assert_ne!(chooser.settled(&model(1), class()), Some(Backend::GPU), "seed {seed}");
        let count = chosen.iter().filter(|backend| backend.is_gpu()).count();
        // One more where it came before the CPU had shown what it can.
        assert!((runs..=3).contains(&count), "seed {seed}: {count} runs at {time}");
    }
}

#[test]
fn what_is_hopeless_costs_two_runs() {
    for seed in SEEDS {
        let slow = Backend { numerics: Numerics::Exact, threads: 8 };
        let mut machine = Machine::new(seed, backends().into_iter().map(|b| (b, if b == slow { 9000 } else { 1000 })));
        let mut chooser = Chooser::new("m", seed);
        let times = (0..2000).filter(|_| machine.run(&mut chooser, model(1)) == slow).count();
        // One more if it happened to be first: that run is not counted.
        assert!((2..=3).contains(&times), "seed {seed}: {times}");
    }
}

#[test]
fn a_tie_goes_to_exact_numbers_on_fewer_threads() {
    for seed in SEEDS {
        let mut chooser = Chooser::new("m", seed);
        for _ in 0..100 {
            let backend = chooser.choose(model(1), class(), &backends());
            chooser.observe(model(1), class(), backend, us(1000));
        }
        assert_eq!(chooser.settled(&model(1), class()), Some(Backend { numerics: Numerics::Exact, threads: 1 }));
    }
}

#[test]
fn it_adapts_when_the_chosen_one_slows_down_and_when_another_speeds_up() {
    for seed in SEEDS {
        let mut machine = Machine::random(seed);
        let mut chooser = Chooser::new("m", seed);
        machine.runs(100, &mut chooser);
        let first = machine.best();
        assert_eq!(chooser.settled(&model(1), class()), Some(first), "seed {seed}");

        *machine.times.get_mut(&first).unwrap() *= 40;
        machine.runs(100, &mut chooser);
        let second = machine.best();
        assert_ne!(first, second);
        assert_eq!(chooser.settled(&model(1), class()), Some(second), "seed {seed}: slowed down");

        // Whichever sped up is looked at once in a while, unless it was hopeless.
        let next = machine.times.iter().filter(|(b, _)| **b != second).min_by_key(|(_, time)| **time).unwrap().0;
        let third = *next;
        let least = machine.times[&second];
        *machine.times.get_mut(&third).unwrap() = least / 2;
        machine.runs(RETRY_EVERY as usize * backends().len() * WINDOW, &mut chooser);
        assert_eq!(chooser.settled(&model(1), class()), Some(third), "seed {seed}: sped up");
    }
}

#[test]
fn an_exact_request_never_gets_a_fast_backend() {
    for seed in SEEDS {
        let mut machine = Machine::random(seed);
        let mut chooser = Chooser::new("m", seed);
        for round in 0..500 {
            machine.run(&mut chooser, model(1));
            let exact = Backend::candidates(Numerics::Exact, 8);
            let backend = chooser.choose(model(1), class(), &exact);
            assert!(exact.contains(&backend), "seed {seed}, round {round}");
            chooser.observe(model(1), class(), backend, us(machine.times[&backend]));
        }
        let exact = machine.times.iter().filter(|(backend, _)| backend.numerics == Numerics::Exact);
        let best = *exact.min_by_key(|(_, time)| **time).unwrap().0;
        let expected = chooser.expected(&model(1), class(), Numerics::Exact).unwrap();
        let time = machine.times[&best];
        assert!((us(time)..=us(time * 11 / 10)).contains(&expected), "seed {seed}: {expected:?} for {time}");
        let runs = (0..100).map(|_| chooser.choose(model(1), class(), &Backend::candidates(Numerics::Exact, 8)));
        assert!(runs.filter(|backend| *backend == best).count() >= 98, "seed {seed}");
    }
}

#[test]
fn memory_is_bounded_and_the_longest_unused_goes() {
    let mut chooser = Chooser::new("m", 1);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let many: Vec<Backend> = (1..1000).map(|threads| Backend { numerics: Numerics::Exact, threads }).collect();
    for number in 0..3 * MAX_ENTRIES as u32 {
        for _ in 0..3 {
            let backend = many[rng.random_range(0..many.len())];
            chooser.observe(model(number), class(), backend, us(rng.random_range(1..u64::MAX / 4)));
        }
        chooser.observe(model(0), class(), many[0], us(7));
        assert!(chooser.entries.len() <= MAX_ENTRIES);
    }
    for backend in &many {
        (0..WINDOW + 2).for_each(|_| chooser.observe(model(0), class(), *backend, us(7)));
    }
    let entry = &chooser.entries[&(model(0), class())];
    assert!(entry.arms.len() <= MAX_BACKENDS && entry.arms.values().all(|arm| arm.samples.len() <= WINDOW));
    assert!(chooser.expected(&model(1), class(), Numerics::Exact).is_none(), "unused for longest");
    assert!(chooser.choose(model(0), class(), &many).threads <= MAX_BACKENDS as u16);
    assert_eq!(chooser.choose(model(0), class(), &[]), Backend { numerics: Numerics::Exact, threads: 1 });
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let history = |seed| {
        let (mut machine, mut chooser) = (Machine::random(7), Chooser::new("m", seed));
        (0..300).map(|n| machine.run(&mut chooser, model(n % 3))).collect::<Vec<_>>()
    };
    assert_eq!(history(5), history(5));
    assert!((0..10).any(|seed| history(seed) != history(5)), "the seed decides something");
}

#[test]
fn a_snapshot_goes_on_where_it_ended() {
    for seed in SEEDS {
        let mut machine = Machine::random(seed);
        let mut chooser = Chooser::new("m", seed);
        machine.runs(60, &mut chooser);
        assert!(chooser.is_changed());
        let bytes = chooser.snapshot();
        assert!(!chooser.is_changed());
        let mut again = Chooser::restore("m", seed, &bytes).unwrap();
        assert_eq!(again.settled(&model(1), class()), Some(machine.best()), "seed {seed}");
        assert_eq!(again.expectations(&model(1)), chooser.expectations(&model(1)));
        assert_eq!(again.choose(model(1), class(), &backends()), machine.best(), "nothing is tried again");
        assert_eq!(again.snapshot(), bytes);
    }
}

#[test]
fn a_snapshot_of_something_else_is_refused_and_hostile_bytes_are_harmless() {
    let mut chooser = Chooser::new("m", 1);
    let mut machine = Machine::random(1);
    machine.runs(60, &mut chooser);
    let bytes = chooser.snapshot();
    let restore = |bytes: &[u8]| Chooser::restore("m", 1, bytes).map(|_| ());
    assert_eq!(Chooser::restore("other", 1, &bytes).map(|_| ()), Err(SnapshotError::Machine("m".into())));
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(restore(text.replace("\"version\":1", "\"version\":2").as_bytes()), Err(SnapshotError::Version(2)));
    assert_eq!(restore(&vec![b' '; MAX_SNAPSHOT_BYTES + 1]), Err(SnapshotError::TooLarge(MAX_SNAPSHOT_BYTES + 1)));
    assert!(matches!(restore(&bytes[..bytes.len() - 1]), Err(SnapshotError::Syntax(_))));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..3000 {
        let mut bytes = bytes.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random_range(b' '..=b'~');
        }
        if let Ok(mut chooser) = Chooser::restore("m", 1, &bytes) {
            machine.run(&mut chooser, model(1));
        }
    }
}

#[test]
fn the_largest_snapshot_fits() {
    let mut chooser = Chooser::new(&"m".repeat(200), 1);
    for number in 0..MAX_ENTRIES as u32 {
        for threads in 0..MAX_BACKENDS as u16 {
            let backend = Backend { numerics: Numerics::Exact, threads: 60_000 + threads };
            (0..=WINDOW).for_each(|_| chooser.observe(model(number), class(), backend, Duration::MAX));
        }
    }
    let bytes = chooser.snapshot();
    assert!(bytes.len() <= MAX_SNAPSHOT_BYTES, "{}", bytes.len());
    let again = Chooser::restore(&"m".repeat(200), 1, &bytes).unwrap();
    assert_eq!(again.entries.len(), MAX_ENTRIES);
}
