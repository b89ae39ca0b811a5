//! Tabs that share a room find each other through a node, and need it no more.

use neuromesh_core::{
    Options, PeerId, Tier,
    mesh::Input,
    rooms::NEIGHBOURS,
    sim::{Conditions, Peer, Speed},
};

use crate::world::{NO_TIME, World, add, config, lossy, model, secs, seeds, text};

/// A node that holds no model, and tabs that know it alone; the first `holders` of them hold the model.
fn room(seed: u64, tabs: u16, holders: u16, conditions: Conditions) -> (World, PeerId, Vec<PeerId>) {
    let mut world = World::new(seed, conditions);
    let node = Peer::new(config(999, Tier::Edge, seed), Vec::new(), Speed::default(), NO_TIME);
    let node_id = node.mesh.id();
    world.insert(node_id, node);
    let tabs = (0..tabs).map(|number| {
        let models = if number < holders { vec![model("m", true)] } else { Vec::new() };
        let tab = Peer::new(config(number, Tier::Device, seed), models, Speed::default(), NO_TIME);
        let id = tab.mesh.id();
        world.insert(id, tab);
        world.connect(id, node_id);
        let addresses = vec![format!("/ip4/10.0.0.1/tcp/1/ws/p2p/{node_id}/p2p-circuit/webrtc/p2p/{id}")];
        world.with(&id, |tab, now| tab.tell(now, Input::Listening { addresses, http: None }));
        id
    });
    let tabs: Vec<_> = tabs.collect();
    (world, node_id, tabs)
}

fn join(world: &mut World, tabs: &[PeerId]) {
    for tab in tabs {
        world.with(tab, |tab, now| {
            tab.mesh.join_room(now, "studio", true, None).expect("a good name");
            tab.tell(now, Input::Tick);
        });
    }
}

/// Which of `tabs` a tab is connected with.
fn neighbours(world: &World, who: &PeerId, tabs: &[PeerId]) -> usize {
    let mesh = &world.machine(who).mesh;
    tabs.iter().filter(|tab| mesh.peer(tab).is_some_and(|info| info.connected)).count()
}

#[test]
fn a_neighbour_answers_when_the_node_is_gone() {
    seeds(0..6, |seed| {
        let (mut world, node, tabs) = room(seed, 5, 1, lossy());
        world.run_for(secs(5));
        assert!(tabs.iter().all(|tab| neighbours(&world, tab, &tabs) == 0), "nobody is dialled without a room");
        join(&mut world, &tabs);
        let met = |world: &World| tabs.iter().all(|tab| neighbours(world, tab, &tabs) == tabs.len() - 1);
        assert!(world.run_until(secs(60), met), "all are connected");
        world.crash(&node);
        world.run_for(secs(20));
        for (id, tab) in tabs.iter().enumerate().skip(1) {
            let options = Options { tier: Some(Tier::Peer), ..Options::default() };
            world.with(tab, |peer, now| peer.run(now, id as u64, text("m", options)));
            assert!(world.run_until(secs(40), |world| world.machine(tab).result(id as u64).is_some()), "it ends");
            let answer = world.machine(tab).result(id as u64).cloned().expect("just seen").expect("an answer");
            assert_eq!((answer.route.peer, answer.route.tier), (tabs[0], Tier::Peer));
        }
    });
}

#[test]
fn a_large_room_stays_within_its_neighbours_and_whole() {
    seeds(0..2, |seed| {
        let (mut world, node, tabs) = room(seed, 24, 0, Conditions::default());
        join(&mut world, &tabs);
        let enough = |world: &World| tabs.iter().all(|tab| neighbours(world, tab, &tabs) >= NEIGHBOURS);
        assert!(world.run_until(secs(120), enough), "everybody has its neighbours");
        // Those that were dialled while fewer members were known are let go.
        world.run_for(secs(60));
        assert!(tabs.iter().all(|tab| neighbours(&world, tab, &tabs) == NEIGHBOURS));
        // News passes from neighbour to neighbour without the node.
        world.crash(&node);
        let late = add(&mut world, 500, Tier::Device, seed);
        world.connect(late, tabs[0]);
        let known = |world: &World| tabs.iter().all(|tab| world.machine(tab).mesh.peer(&late).is_some());
        assert!(world.run_until(secs(60), known), "everybody hears of a newcomer");
    });
}

#[test]
fn only_members_are_served_and_only_by_who_serves() {
    seeds(0..3, |seed| {
        let (mut world, _, tabs) = room(seed, 3, 1, Conditions::default());
        world
            .with(&tabs[0], |tab, now| tab.mesh.join_room(now, "studio", true, None).map(|_| ()).expect("a good name"));
        join(&mut world, &tabs[1..2]);
        world.connect(tabs[0], tabs[2]);
        world.run_for(secs(20));
        let options = || Options { tier: Some(Tier::Peer), ..Options::default() };
        for (tab, served) in [(tabs[1], true), (tabs[2], false)] {
            world.with(&tab, |peer, now| peer.run(now, 1, text("m", options())));
            assert!(world.run_until(secs(40), |world| world.machine(&tab).result(1).is_some()), "it ends");
            assert_eq!(world.machine(&tab).result(1).expect("just seen").is_ok(), served);
        }
        world.with(&tabs[0], |tab, now| {
            tab.mesh.join_room(now, "studio", false, None).map(|_| ()).expect("a good name")
        });
        world.run_for(secs(10));
        world.with(&tabs[1], |peer, now| peer.run(now, 2, text("m", options())));
        assert!(world.run_until(secs(40), |world| world.machine(&tabs[1]).result(2).is_some()), "it ends");
        assert!(world.machine(&tabs[1]).result(2).expect("just seen").is_err());
    });
}
