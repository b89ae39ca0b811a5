//! Parts of an answer, while it is being made.

use neuromesh_core::{
    Digest, Options, Part, Payload, PeerId, Tier,
    mesh::{Config, Event, TaskError},
    sim::{Conditions, Peer, Speed, tale},
};

use crate::world::{World, config, lossy, model, ms, prefer, secs, seeds, text};

/// Adds a peer that holds the model `m`, loaded, and tells a tale for so long.
fn teller(world: &mut World, config: Config, service: std::time::Duration) -> PeerId {
    let speed = Speed { service, ..Speed::default() };
    let mut peer = Peer::new(config, vec![model("m", true)], speed, world.now());
    peer.answering = tale;
    let id = peer.mesh.id();
    world.insert(id, peer);
    id
}

/// A tab that does not hold the model, on one link with each of two servers that tell a tale in two seconds.
fn tab_and_two_tellers(seed: u64, conditions: Conditions) -> (World, PeerId, [PeerId; 2]) {
    let mut world = World::new(seed, conditions);
    let tab = Peer::new(config(1, Tier::Device, seed), Vec::new(), Speed::default(), world.now());
    let id = tab.mesh.id();
    world.insert(id, tab);
    let servers =
        [(2, Tier::Edge), (3, Tier::Cloud)].map(|(n, tier)| teller(&mut world, config(n, tier, seed), secs(2)));
    servers.iter().for_each(|server| world.connect(id, *server));
    world.run_for(secs(3));
    (world, id, servers)
}

fn stream(options: Options) -> Options {
    Options { stream: true, ..options }
}

fn ask(world: &mut World, who: &PeerId, id: u64, options: Options) {
    world.with(who, |peer, now| peer.run(now, id, text("m", stream(options))));
}

fn joined(world: &World, who: &PeerId, id: u64) -> Part {
    world.machine(who).parts(id).into_iter().fold(Part::default(), |mut all, part| {
        all.append(part);
        all
    })
}

/// The answer, once its parts were found to be all of it.
fn answer(world: &mut World, who: &PeerId, id: u64) -> neuromesh_core::Answer {
    assert!(world.run_until(secs(60), |world| world.machine(who).result(id).is_some()), "request {id} never ended");
    let answer = world.machine(who).result(id).cloned().expect("just seen").expect("an answer");
    assert_eq!(Part::of_answer(&answer.output), Some(joined(world, who, id)));
    // Nothing comes behind the answer.
    let is_last = |(_, event): &(_, Event)| match event {
        Event::Part { id: of, .. } | Event::Answered { id: of, .. } if of.0 == id => {
            Some(matches!(event, Event::Answered { .. }))
        }
        _ => None,
    };
    assert_eq!(world.machine(who).events.iter().filter_map(is_last).next_back(), Some(true));
    answer
}

fn until_parts(world: &mut World, who: &PeerId, id: u64, count: usize) {
    assert!(world.run_until(secs(60), |world| world.machine(who).parts(id).len() >= count), "{count} parts");
}

#[test]
fn parts_come_in_order_and_once_from_every_tier() {
    seeds(0..10, |seed| {
        let (mut world, tab, _) = tab_and_two_tellers(seed, lossy());
        let own = teller(&mut world, config(9, Tier::Device, seed), secs(1));
        for (who, id, tier) in [(tab, 1, Tier::Edge), (tab, 2, Tier::Cloud), (own, 3, Tier::Device)] {
            ask(&mut world, &who, id, Options { tier: Some(tier), ..Options::default() });
            let answer = answer(&mut world, &who, id);
            assert_eq!(answer.route.tier, tier);
            answer.receipt.verify().expect("signed");
            assert!(world.machine(&who).parts(id).len() > 10, "they came one by one");
        }
    });
}

#[test]
fn who_did_not_ask_for_parts_gets_none() {
    let (mut world, tab, _) = tab_and_two_tellers(1, Conditions::default());
    world.with(&tab, |peer, now| peer.run(now, 1, text("m", Options::default())));
    assert!(world.run_until(secs(60), |world| world.machine(&tab).result(1).is_some_and(Result::is_ok)));
    assert!(world.machine(&tab).parts(1).is_empty());
}

#[test]
fn a_slow_asker_gets_fewer_and_longer_parts() {
    seeds(0..5, |seed| {
        let (mut world, tab, [edge, _]) = tab_and_two_tellers(seed, Conditions::default());
        world.with(&edge, |peer, _| peer.speed.write = ms(300));
        ask(&mut world, &tab, 1, Options { tier: Some(Tier::Edge), ..Options::default() });
        let answer = answer(&mut world, &tab, 1);
        let parts = world.machine(&tab).parts(1);
        // Two seconds, one part in 300 ms, and what is left with the answer.
        assert!((4..10).contains(&parts.len()), "{}", parts.len());
        assert!(answer.route.elapsed_ms < 2500, "the answer waits for no part: {:?}", answer.route);
    });
}

#[test]
fn a_server_killed_in_the_middle_is_followed_by_another_that_goes_on() {
    seeds(0..20, |seed| {
        let (mut world, tab, [edge, cloud]) = tab_and_two_tellers(seed, lossy());
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        until_parts(&mut world, &tab, 1, 5 + seed as usize % 150);
        world.crash(&edge);
        let before = joined(&world, &tab, 1);
        let route = answer(&mut world, &tab, 1).route;
        assert_eq!((route.peer, &*route.attempts[0].outcome), (cloud, "lost"));
        assert!(!before.is_empty());
        // What was given is not given again: every part but the first begins where the one before it ended.
        assert!(joined(&world, &tab, 1).tokens.starts_with(&before.tokens));
    });
}

#[test]
fn another_text_on_the_second_try_is_an_error() {
    fn other(model: &Digest, input: &Payload) -> Result<Payload, TaskError> {
        let Payload::Json(text) = tale(model, input)? else { unreachable!("tales are JSON") };
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        value["tokens"][3] = 0.into();
        Ok(Payload::Json(value.to_string()))
    }
    seeds(0..5, |seed| {
        let (mut world, tab, [edge, cloud]) = tab_and_two_tellers(seed, Conditions::default());
        world.with(&cloud, |peer, _| peer.answering = other);
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        until_parts(&mut world, &tab, 1, 8);
        let before = joined(&world, &tab, 1);
        world.crash(&edge);
        assert!(world.run_until(secs(60), |world| world.machine(&tab).result(1).is_some()));
        let error = world.machine(&tab).result(1).cloned().expect("ended").expect_err("another text");
        assert_eq!(error.name(), "Diverged");
        assert_eq!(joined(&world, &tab, 1), before, "and nothing of it was given");
        world.run_for(secs(1));
        assert_eq!(world.machine(&cloud).cancels, 1);
    });
}

#[test]
fn a_cancel_in_the_middle_stops_the_run_and_the_parts() {
    seeds(0..10, |seed| {
        let (mut world, tab, servers) = tab_and_two_tellers(seed, lossy());
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        until_parts(&mut world, &tab, 1, 7);
        world.with(&tab, |peer, now| {
            peer.tell(now, neuromesh_core::mesh::Input::Cancel { id: neuromesh_core::RequestId(1) });
        });
        let given = world.machine(&tab).parts(1).len();
        world.run_for(secs(5));
        assert_eq!(world.machine(&tab).parts(1).len(), given);
        assert_eq!(world.machine(&tab).result(1).cloned().expect("ended").expect_err("cancelled").name(), "AbortError");
        let counts = servers.map(|id| (world.machine(&id).runs, world.machine(&id).cancels));
        assert!(counts.iter().all(|(runs, cancels)| runs == cancels), "{counts:?}");
        assert!(servers.iter().all(|id| world.machine(id).mesh.is_idle()));
    });
}

#[test]
fn who_has_begun_to_tell_is_not_hedged_however_long_it_takes() {
    seeds(0..5, |seed| {
        let (mut world, tab, [edge, cloud]) = tab_and_two_tellers(seed, Conditions::default());
        // The first answers teach the router to expect two seconds.
        for id in 0..3 {
            ask(&mut world, &tab, id, Options { tier: Some(Tier::Edge), ..Options::default() });
            answer(&mut world, &tab, id);
        }
        world.with(&edge, |peer, _| peer.speed.service = secs(20));
        let asks = world.machine(&tab).asks;
        ask(&mut world, &tab, 9, prefer(Tier::Edge));
        let route = answer(&mut world, &tab, 9).route;
        assert_eq!((route.peer, route.attempts.len()), (edge, 1));
        assert_eq!((world.machine(&tab).asks, world.machine(&cloud).runs), (asks + 1, 0));
    });
}

#[test]
fn who_falls_silent_in_the_middle_is_replaced() {
    seeds(0..5, |seed| {
        let (mut world, tab, [edge, cloud]) = tab_and_two_tellers(seed, Conditions::default());
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        until_parts(&mut world, &tab, 1, 10);
        world.with(&edge, |peer, _| peer.hangs = true);
        let route = answer(&mut world, &tab, 1).route;
        assert_eq!((route.peer, &*route.attempts[0].outcome), (cloud, "late"));
        assert!((10_000..16_000).contains(&route.elapsed_ms), "{route:?}");
        world.run_for(secs(1));
        assert_eq!(world.machine(&edge).cancels, 1, "never two at a time");
    });
}

#[test]
fn of_two_that_run_at_once_the_first_to_speak_goes_on_alone() {
    seeds(0..5, |seed| {
        let (mut world, tab, [edge, cloud]) = tab_and_two_tellers(seed, Conditions::default());
        world.with(&edge, |peer, _| peer.hangs = true);
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        assert!(world.run_until(secs(60), |world| world.machine(&cloud).runs == 1), "the edge is late");
        until_parts(&mut world, &tab, 1, 1);
        world.run_for(secs(1));
        assert_eq!(world.machine(&edge).cancels, 1);
        assert_eq!(answer(&mut world, &tab, 1).route.peer, cloud);
    });
}
