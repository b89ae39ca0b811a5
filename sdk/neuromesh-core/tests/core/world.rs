//! Networks to test in.

use std::{ops::Range, time::Duration};

use neuromesh_core::{
    Digest, Options, Payload, PeerId, Request, Tier, Timestamp,
    mesh::{Config, LocalModel, Mesh},
    sim::{Conditions, Network, Peer, Speed},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub type World = Network<Peer>;

pub const NO_TIME: Timestamp = Timestamp::from_millis(0);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A bad network: every fifth presence frame is lost, every tenth comes twice, all overtake each other.
pub fn lossy() -> Conditions {
    Conditions { jitter_ms: 0..80, loss: 0.2, duplication: 0.1, ..Conditions::default() }
}

pub fn config(number: u16, tier: Tier, seed: u64) -> Config {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&number.to_le_bytes());
    Config { seed: seed ^ u64::from(number), ..Config::new(key, tier) }
}

pub fn model(name: &str, loaded: bool) -> LocalModel {
    LocalModel { name: name.to_owned(), digest: digest(name), bytes: 1_000_000, loaded, times: Vec::new() }
}

pub fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub fn text(model: &str, options: Options) -> Request {
    Request { model: model.to_owned(), input: Payload::Text("hello".to_owned()), options }
}

pub fn prefer(tier: Tier) -> Options {
    Options { prefer: Some(tier), ..Options::default() }
}

/// Adds a peer that holds the model `m`, loaded.
pub fn add(world: &mut World, number: u16, tier: Tier, seed: u64) -> PeerId {
    let peer = Peer::new(config(number, tier, seed), vec![model("m", true)], Speed::default(), world.now());
    let id = peer.mesh.id();
    world.insert(id, peer);
    id
}

/// A crowd of edge nodes in a ring with random chords, every node with a few neighbours.
pub fn crowd(seed: u64, size: u16, conditions: Conditions) -> (World, Vec<PeerId>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut world = World::new(seed, conditions);
    let ids: Vec<PeerId> = (0..size)
        .map(|number| {
            let config = config(number, Tier::Edge, seed);
            let id = Mesh::new(config.clone(), NO_TIME).id();
            world.insert(id, Peer::new(config, Vec::new(), Speed::default(), NO_TIME));
            id
        })
        .collect();
    for index in 0..ids.len() {
        world.connect(ids[index], ids[(index + 1) % ids.len()]);
        let other = rng.random_range(0..ids.len());
        if other != index {
            world.connect(ids[index], ids[other]);
        }
    }
    (world, ids)
}

/// Runs until every one of `ids` knows all the others and the test holds for what it knows of them; returns the time.
pub fn all_know(
    world: &mut World,
    ids: &[PeerId],
    limit: Duration,
    test: impl Fn(&neuromesh_core::mesh::PeerInfo) -> bool,
) -> Option<Duration> {
    let start = world.now();
    let knows = |world: &World, who: &PeerId| {
        let mesh = &world.machine(who).mesh;
        ids.iter().filter(|id| *id != who).all(|id| mesh.peer(id).is_some_and(&test))
    };
    while world.now().since(start) < limit {
        world.run_for(ms(250));
        if ids.iter().all(|who| knows(world, who)) {
            return Some(world.now().since(start));
        }
    }
    None
}

/// Runs a test for each seed, and says which one failed. `NEUROMESH_SEEDS=1000` runs so many instead.
pub fn seeds(range: Range<u64>, test: impl Fn(u64)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with seed {}", self.0);
            }
        }
    }
    let more = std::env::var("NEUROMESH_SEEDS").ok().and_then(|count| count.parse::<u64>().ok());
    for seed in more.map_or(range.clone(), |count| range.start..range.start + count) {
        let _named = Named(seed);
        test(seed);
    }
}
