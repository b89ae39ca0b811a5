//! Everything at once: requests all the time while peers crash, restart, hang and lose each other.

use neuromesh_core::{
    Options, Part, Payload, PeerId, Privacy, Tier,
    mesh::{Event, RunError},
    sim::{Peer, Speed, tale},
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::world::{World, add, config, digest, lossy, model, ms, prefer, secs, seeds, text};

#[test]
fn every_request_ends_once_and_every_answer_is_right() {
    seeds(100..110, |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::new(seed, lossy());
        let servers: Vec<PeerId> = (0..4).map(|n| add(&mut world, 100 + n, Tier::Edge, seed)).collect();
        let tabs: Vec<PeerId> = (0..6).map(|n| add(&mut world, n, Tier::Device, seed)).collect();
        servers.iter().chain(&tabs).for_each(|id| world.with(id, |peer, _| peer.answering = tale));
        for tab in &tabs {
            world.connect(*tab, servers[0]);
            world.connect(*tab, *servers.choose(&mut rng).expect("four"));
        }
        for pair in servers.windows(2) {
            world.connect(pair[0], pair[1]);
        }
        world.run_for(secs(3));

        let mut asked: Vec<(PeerId, u64)> = Vec::new();
        for round in 0..60u64 {
            let tab = *tabs.choose(&mut rng).expect("six");
            let options = Options {
                privacy: if rng.random_bool(0.1) { Privacy::Device } else { Privacy::Any },
                deadline: Some(ms(rng.random_range(200..8000))),
                stream: rng.random_bool(0.5),
                ..prefer(*[Tier::Edge, Tier::Device].choose(&mut rng).expect("two"))
            };
            world.with(&tab, |peer, now| peer.run(now, round, text("m", options)));
            asked.push((tab, round));
            let number = rng.random_range(0..servers.len());
            let server = servers[number];
            match rng.random_range(0..8) {
                0 => drop(world.crash(&server)),
                1 if world.machines().all(|(id, _)| *id != server) => {
                    let mut config = config(100 + number as u16, Tier::Edge, seed);
                    config.generation = round;
                    let mut peer = Peer::new(config, vec![model("m", false)], Speed::default(), world.now());
                    peer.answering = tale;
                    world.insert(server, peer);
                }
                2 => world.partition(&[&tabs[..3], &servers[..1]]),
                3 => world.heal(),
                4 if world.machines().any(|(id, _)| *id == server) => {
                    world.with(&server, |peer, _| peer.hangs = !peer.hangs);
                }
                5 => world.with(&tab, |peer, now| {
                    let id = neuromesh_core::RequestId(round);
                    peer.tell(now, neuromesh_core::mesh::Input::Cancel { id });
                }),
                _ => {}
            }
            world.run_for(ms(rng.random_range(0..400)));
        }
        world.run_for(secs(10));

        let input = Payload::Text("hello".to_owned()).digest();
        for (tab, id) in asked {
            let ends: Vec<_> = world
                .machine(&tab)
                .events
                .iter()
                .filter_map(|(_, event)| match event {
                    Event::Answered { id: of, result } if of.0 == id => Some(result),
                    _ => None,
                })
                .collect();
            assert_eq!(ends.len(), 1, "request {id} ends once");
            let parts = world.machine(&tab).parts(id);
            let mut told = Part::default();
            parts.into_iter().for_each(|part| told.append(part));
            let whole = tale(&digest("m"), &text("m", Options::default()).input).expect("a tale");
            let whole = Part::of_answer(&whole).expect("a text");
            assert!(whole.text.starts_with(&told.text) && whole.tokens.starts_with(&told.tokens), "request {id}");
            match ends[0] {
                Ok(answer) => {
                    answer.receipt.verify().expect("signed");
                    assert_eq!(answer.receipt.input, input);
                    assert_eq!(answer.receipt.output, answer.output.digest());
                    assert!(told.is_empty() || told == whole, "request {id} has all parts or wanted none");
                    assert_eq!(answer.route.attempts.last().expect("one answered").outcome, "answered");
                }
                Err(RunError::Cancelled | RunError::DeadlineExceeded { .. }) => {}
                Err(error) => panic!("this device can always run it, but request {id}: {error}"),
            }
        }
        // Nothing is left behind.
        for tab in &tabs {
            let mesh = &world.machine(tab).mesh;
            assert!(mesh.is_idle(), "{mesh:?}");
        }
    });
}
