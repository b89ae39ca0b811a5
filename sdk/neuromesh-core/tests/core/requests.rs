//! A request finds its way.

use std::time::Duration;

use neuromesh_core::{
    Options, PeerId, Privacy, Tier,
    mesh::{Config, Event},
    sim::{Conditions, Peer, Speed},
};

use crate::world::{NO_TIME, World, add, config, model, ms, prefer, secs, seeds, text};

/// A tab that holds the model, on one link with each of two servers.
fn tab_and_two_servers(seed: u64) -> (World, PeerId, [PeerId; 2]) {
    let mut world = World::new(seed, Conditions::default());
    let tab = add(&mut world, 1, Tier::Device, seed);
    let servers = [add(&mut world, 2, Tier::Edge, seed), add(&mut world, 3, Tier::Cloud, seed)];
    servers.iter().for_each(|server| world.connect(tab, *server));
    world.connect(servers[0], servers[1]);
    world.run_for(secs(3));
    (world, tab, servers)
}

fn ask(world: &mut World, who: &PeerId, id: u64, options: Options) {
    world.with(who, |peer, now| peer.run(now, id, text("m", options)));
}

fn answer(world: &mut World, who: &PeerId, id: u64) -> neuromesh_core::Answer {
    assert!(world.run_until(secs(40), |world| world.machine(who).result(id).is_some()), "request {id} never ended");
    world.machine(who).result(id).cloned().expect("just seen").expect("an answer")
}

#[test]
fn every_tier_gives_the_same_answer() {
    seeds(0..5, |seed| {
        let (mut world, tab, _) = tab_and_two_servers(seed);
        let mut outputs = Vec::new();
        for (id, tier) in [Tier::Device, Tier::Edge, Tier::Cloud].into_iter().enumerate() {
            ask(&mut world, &tab, id as u64, Options { tier: Some(tier), ..Options::default() });
            let answer = answer(&mut world, &tab, id as u64);
            assert_eq!(answer.route.tier, tier);
            answer.receipt.verify().expect("signed");
            outputs.push(answer.output);
        }
        assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    });
}

#[test]
fn a_server_killed_in_mid_request_still_yields_an_answer() {
    seeds(0..10, |seed| {
        let (mut world, tab, [edge, cloud]) = tab_and_two_servers(seed);
        world.with(&edge, |peer, _| peer.hangs = true);
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        assert!(world.run_until(secs(1), |world| world.machine(&edge).runs == 1), "the edge works on it");
        world.crash(&edge);
        let route = answer(&mut world, &tab, 1).route;
        assert!(route.peer == tab || route.peer == cloud, "{route:?}");
        assert_eq!(route.attempts[0].outcome, "lost");
        assert!(route.elapsed_ms < 1000, "{route:?}");
        let told = |event: &Event| matches!(event, Event::Retried { peer, .. } if *peer == edge);
        assert!(world.machine(&tab).events.iter().any(|(_, event)| told(event)));
    });
}

#[test]
fn a_request_survives_a_partition() {
    seeds(0..10, |seed| {
        let (mut world, tab, servers) = tab_and_two_servers(seed);
        servers.iter().for_each(|id| world.with(id, |peer, _| peer.speed.service = secs(2)));
        ask(&mut world, &tab, 1, prefer(Tier::Cloud));
        world.run_for(ms(100));
        world.partition(&[&[tab]]);
        assert_eq!(answer(&mut world, &tab, 1).route.tier, Tier::Device);
        // Whoever was asked stops working for nobody.
        world.run_for(secs(1));
        let (runs, cancels) = servers
            .iter()
            .fold((0, 0), |(runs, cancels), id| (runs + world.machine(id).runs, cancels + world.machine(id).cancels));
        assert_eq!(runs, cancels);
    });
}

#[test]
fn a_server_that_hangs_is_hedged_and_then_told_to_stop() {
    seeds(0..5, |seed| {
        let (mut world, tab, [edge, _]) = tab_and_two_servers(seed);
        world.with(&edge, |peer, _| peer.hangs = true);
        ask(&mut world, &tab, 1, prefer(Tier::Edge));
        let route = answer(&mut world, &tab, 1).route;
        assert_ne!(route.peer, edge);
        assert_eq!(route.attempts[0].outcome, "late");
        assert!(route.elapsed_ms < 5000, "{route:?}");
        world.run_for(secs(1));
        assert_eq!(world.machine(&edge).cancels, 1);
    });
}

#[test]
fn no_answer_comes_after_the_deadline() {
    seeds(0..5, |seed| {
        let (mut world, tab, servers) = tab_and_two_servers(seed);
        let all: Vec<PeerId> = servers.into_iter().chain([tab]).collect();
        all.iter().for_each(|id| world.with(id, |peer, _| peer.hangs = true));
        let deadline = Duration::from_millis(700 + 100 * seed);
        let start = world.now();
        ask(&mut world, &tab, 1, Options { deadline: Some(deadline), ..Options::default() });
        world.run_until(secs(40), |world| world.machine(&tab).result(1).is_some());
        assert_eq!(world.now().since(start), deadline);
        let error = world.machine(&tab).result(1).cloned().expect("ended").expect_err("nobody answers");
        assert_eq!(error.name(), "DeadlineExceeded");
        world.run_for(secs(1));
        for id in all {
            let peer = world.machine(&id);
            assert_eq!(peer.runs, peer.cancels);
        }
    });
}

#[test]
fn what_is_private_never_leaves() {
    seeds(0..30, |seed| {
        let (mut world, tab, servers) = tab_and_two_servers(seed);
        // Whatever the own engine does: works, fails, is slow, hangs.
        world.with(&tab, |peer, _| match seed % 4 {
            0 => {}
            1 => {
                peer.answering =
                    |_, _| Err(neuromesh_core::mesh::TaskError::new(neuromesh_core::mesh::ErrorKind::Failed, "no"))
            }
            2 => peer.speed.service = secs(20),
            _ => peer.hangs = true,
        });
        for id in 0..5 {
            ask(&mut world, &tab, id, Options { privacy: Privacy::Device, ..prefer(Tier::Edge) });
            world.run_for(ms(500 * seed));
        }
        world.run_until(secs(40), |world| (0..5).all(|id| world.machine(&tab).result(id).is_some()));
        assert!((0..5).all(|id| world.machine(&tab).result(id).is_some()), "all ended");
        assert_eq!(world.machine(&tab).asks, 0);
        assert!(servers.iter().all(|id| world.machine(id).runs == 0));
    });
}

#[test]
fn a_busy_engine_sheds_and_everybody_is_answered() {
    seeds(0..5, |seed| {
        let mut world = World::new(seed, Conditions::default());
        let mut small: Config = config(2, Tier::Edge, seed);
        small.limits.tasks = 2;
        let server = Peer::new(small, vec![model("m", true)], Speed::default(), world.now());
        let edge = server.mesh.id();
        world.insert(edge, server);
        let tab = add(&mut world, 1, Tier::Device, seed);
        world.connect(tab, edge);
        world.run_for(secs(3));
        for id in 0..20 {
            ask(&mut world, &tab, id, Options { tier: Some(Tier::Edge), ..Options::default() });
        }
        let ended = |world: &World| (0..20).all(|id| world.machine(&tab).result(id).is_some());
        assert!(world.run_until(secs(40), ended));
        let answered = (0..20).filter(|id| world.machine(&tab).result(*id).is_some_and(Result::is_ok)).count();
        assert!(answered >= 15, "{answered} of 20");
    });
}

#[test]
fn a_server_fetches_a_model_that_only_the_tab_holds() {
    let mut world = World::new(1, Conditions::default());
    let tab = add(&mut world, 1, Tier::Device, 1);
    let empty = Peer::new(config(2, Tier::Edge, 1), Vec::new(), Speed::default(), world.now());
    let edge = empty.mesh.id();
    world.insert(edge, empty);
    world.connect(tab, edge);
    world.run_for(secs(3));
    ask(&mut world, &tab, 1, Options { tier: Some(Tier::Edge), ..Options::default() });
    assert_eq!(answer(&mut world, &tab, 1).route.peer, edge);
    world.run_for(secs(3));
    let models = world.machine(&tab).mesh.models();
    assert_eq!(models[0].holders, [edge]);
}

#[test]
fn a_server_fetches_what_a_peer_holds_that_the_tab_is_not_connected_to() {
    let mut world = World::new(2, Conditions::default());
    let without = |number, tier| Peer::new(config(number, tier, 2), Vec::new(), Speed::default(), NO_TIME);
    let (tab, near) = (without(1, Tier::Device), without(2, Tier::Edge));
    let (tab_id, near_id) = (tab.mesh.id(), near.mesh.id());
    world.insert(tab_id, tab);
    world.insert(near_id, near);
    let far_id = add(&mut world, 3, Tier::Edge, 2);
    world.connect(tab_id, near_id);
    world.connect(near_id, far_id);
    world.run_for(secs(5));
    ask(&mut world, &tab_id, 1, Options::default());
    assert_eq!(answer(&mut world, &tab_id, 1).route.peer, near_id);
}
