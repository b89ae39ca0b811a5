//! Bytes from a peer that means no good.

use neuromesh_core::{
    ExchangeId, Options, Part, PeerId, Tier,
    mesh::{ExchangeError, Input},
    sim::{Conditions, Frame, Machine},
    wire::{InferPart, InferRequest},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::world::{World, add, digest, ms, secs, text};

fn noise(rng: &mut ChaCha8Rng, template: &[u8]) -> Vec<u8> {
    let mut bytes = template.to_vec();
    for _ in 0..rng.random_range(0..5) {
        if !bytes.is_empty() {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
    }
    bytes.truncate(rng.random_range(0..=bytes.len()));
    bytes
}

#[test]
fn garbage_from_a_peer_changes_nothing_for_others() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut world = World::new(1, Conditions::default());
    let edge = add(&mut world, 1, Tier::Edge, 1);
    let tab = add(&mut world, 2, Tier::Device, 1);
    world.connect(tab, edge);
    world.run_for(secs(3));
    let evil = PeerId::from_public_key([66; 32]);
    world.with(&edge, |peer, now| peer.on_connected(now, evil, ms(1)));

    // Real frames to damage.
    let question = InferRequest {
        model: digest("m"),
        budget_ms: 9,
        nonce: 1,
        numerics: Default::default(),
        stream: false,
        input: text("m", Options::default()).input,
    };
    let question = question.encode().expect("valid");
    let part = InferPart(Part { text: "word ".into(), tokens: vec![7] }).encode().expect("valid");
    for n in 0..3000u64 {
        let frame = match rng.random_range(0..6) {
            0 => Frame::Presence((0..rng.random_range(0..300)).map(|_| rng.random()).collect()),
            1 => Frame::Presence(noise(&mut rng, &question)),
            2 => Frame::Ask(ExchangeId(n), noise(&mut rng, &question)),
            3 => Frame::Reply(ExchangeId(n), noise(&mut rng, &question)),
            4 => Frame::Part(ExchangeId(n), noise(&mut rng, &part)),
            _ => Frame::Abort(ExchangeId(rng.random_range(0..n + 1))),
        };
        world.with(&edge, |peer, now| peer.on_frame(now, evil, frame));
        if n % 100 == 0 {
            world.run_for(ms(5));
        }
    }
    world.with(&edge, |peer, now| peer.on_disconnected(now, evil));
    world.with(&tab, |peer, now| {
        peer.run(now, 1, text("m", Options { tier: Some(Tier::Edge), ..Options::default() }));
    });
    assert!(world.run_until(secs(40), |world| world.machine(&tab).result(1).is_some_and(Result::is_ok)));
    world.run_for(secs(60));
    assert_eq!(world.machine(&edge).mesh.peers().len(), 1, "the liar left no trace");
    assert!(world.machine(&edge).mesh.is_idle());
}

#[test]
fn replies_that_nobody_asked_for_are_ignored() {
    let mut world = World::new(1, Conditions::default());
    let tab = add(&mut world, 2, Tier::Device, 1);
    let before = world.machine(&tab).events.len();
    for exchange in 0..10 {
        for result in [Ok(vec![1, 2, 3]), Err(ExchangeError::Unsupported)] {
            world.with(&tab, |peer, now| peer.tell(now, Input::Replied { exchange: ExchangeId(exchange), result }));
        }
    }
    assert_eq!(world.machine(&tab).events.len(), before);
}
