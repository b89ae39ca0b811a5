//! Rooms that take a grant to be in, because a node asks for it.

use ed25519_dalek::SigningKey;
use neuromesh_core::{
    Options, PeerId, Tier,
    mesh::{Event, Input, RoomError},
    rooms::{Grant, GrantError, RoomId},
    sim::{Conditions, Peer, Speed},
};

use crate::world::{World, config, lossy, model, ms, secs, seeds, text};

const ROOM: &str = "studio";

fn key(number: u16) -> [u8; 32] {
    config(number, Tier::Edge, 0).key
}

fn id(number: u16) -> PeerId {
    PeerId::from_public_key(SigningKey::from_bytes(&key(number)).verifying_key().to_bytes())
}

fn grant(issuer: u16, holder: u16, until: u64) -> Grant {
    Grant::sign(&key(issuer), RoomId::of(ROOM), id(holder), until)
}

/// A node that asks for grants of these issuers, of nobody's if there are none.
fn node(world: &mut World, number: u16, seed: u64, issuers: &[u16]) {
    let mut config = config(number, Tier::Edge, seed);
    config.room_issuers = issuers.iter().map(|issuer| id(*issuer)).collect();
    let now = world.now();
    world.insert(id(number), Peer::new(config, Vec::new(), Speed::default(), now));
}

/// A tab that holds the model and chose this node.
fn tab(world: &mut World, number: u16, seed: u64, node: u16) {
    let (me, node, now) = (id(number), id(node), world.now());
    world.insert(me, Peer::new(config(number, Tier::Device, seed), vec![model("m", true)], Speed::default(), now));
    let addresses = vec![format!("/ip4/10.0.0.1/tcp/1/ws/p2p/{node}/p2p-circuit/webrtc/p2p/{me}")];
    world.with(&me, |tab, now| {
        tab.tell(now, Input::Listening { addresses, http: None });
        tab.tell(now, Input::Chosen { peer: node });
    });
    world.connect(me, node);
}

fn join(world: &mut World, number: u16, grant: Option<Grant>) -> Result<(), RoomError> {
    world.with(&id(number), |tab, now| {
        let joined = tab.mesh.join_room(now, ROOM, true, grant).map(|_| ());
        tab.tell(now, Input::Tick);
        joined
    })
}

/// Whether the one takes the other for a member.
fn takes(world: &World, one: u16, other: u16) -> bool {
    world.machine(&id(one)).mesh.peer(&id(other)).is_some_and(|info| info.rooms == [ROOM])
}

fn met(world: &World, one: u16, other: u16) -> bool {
    let connected = |a, b| world.machine(&id(a)).mesh.peer(&id(b)).is_some_and(|info| info.connected);
    takes(world, one, other) && takes(world, other, one) && connected(one, other) && connected(other, one)
}

/// Why the room was closed for a tab, every time.
fn closed(world: &World, number: u16) -> Vec<RoomError> {
    let error = |event: &Event| match event {
        Event::RoomClosed { name, error, .. } if name == ROOM => Some(*error),
        _ => None,
    };
    world.machine(&id(number)).events.iter().filter_map(|(_, event)| error(event)).collect()
}

/// Whether one tab runs the model for another.
fn serves(world: &mut World, asker: u16, request: u64) -> bool {
    let options = Options { tier: Some(Tier::Peer), ..Options::default() };
    world.with(&id(asker), |tab, now| tab.run(now, request, text("m", options)));
    assert!(world.run_until(secs(40), |world| world.machine(&id(asker)).result(request).is_some()), "it ends");
    world.machine(&id(asker)).result(request).expect("just seen").is_ok()
}

#[test]
fn only_those_with_a_grant_are_members_of_a_gated_room() {
    seeds(0..4, |seed| {
        let mut world = World::new(seed, lossy());
        node(&mut world, 900, seed, &[900]);
        node(&mut world, 901, seed, &[]);
        world.connect(id(900), id(901));
        (1..4).for_each(|number| tab(&mut world, number, seed, 900));
        // Behind a node that does not ask, a tab may say that it is in the room.
        tab(&mut world, 4, seed, 901);
        world.run_for(secs(10));
        assert_eq!(join(&mut world, 3, None), Err(RoomError::NoGrant));
        assert_eq!(join(&mut world, 3, Some(grant(900, 1, 1000))), Err(GrantError::WrongHolder(id(1)).into()));
        assert_eq!(join(&mut world, 1, Some(grant(900, 1, 1000))), Ok(()));
        assert_eq!(join(&mut world, 2, Some(grant(900, 2, 1000))), Ok(()));
        assert_eq!(join(&mut world, 4, None), Ok(()));
        assert!(world.run_until(secs(60), |world| met(world, 1, 2)), "those with a grant meet");
        world.run_for(secs(20));
        // The node that asks knows the stranger and tells nobody.
        assert!(world.machine(&id(900)).mesh.peer(&id(4)).is_some());
        assert!(world.machine(&id(3)).mesh.peer(&id(4)).is_none());
        // The stranger heard of the members, and that it connected to them makes it none.
        world.connect(id(4), id(1));
        world.run_for(secs(5));
        assert!(world.machine(&id(1)).mesh.peer(&id(4)).is_some_and(|info| info.connected && info.rooms.is_empty()));
        assert!(serves(&mut world, 2, 1) && !serves(&mut world, 4, 1) && !serves(&mut world, 3, 1));
        // Without the node the room is as closed as before.
        world.crash(&id(900));
        world.run_for(secs(30));
        assert!(met(&world, 1, 2) && !takes(&world, 1, 4) && !serves(&mut world, 4, 2));
    });
}

#[test]
fn a_grant_that_expires_ends_the_membership_and_a_new_one_renews_it() {
    seeds(0..4, |seed| {
        let mut world = World::new(seed, Conditions::default());
        node(&mut world, 900, seed, &[900]);
        (1..3).for_each(|number| tab(&mut world, number, seed, 900));
        world.run_for(secs(5));
        join(&mut world, 1, Some(grant(900, 1, 40))).expect("a grant");
        join(&mut world, 2, Some(grant(900, 2, 90))).expect("a grant");
        assert!(world.run_until(secs(20), |world| met(world, 1, 2)), "they meet");
        // Renewed while it holds: nobody notices.
        join(&mut world, 2, Some(grant(900, 2, 1000))).expect("a newer grant");
        world.run_for(secs(2));
        world.run_until(secs(100), |world| world.now().as_millis() >= 40_000);
        world.run_for(ms(10));
        assert_eq!(closed(&world, 1), [GrantError::Expired.into()]);
        assert!(!takes(&world, 2, 1), "at once, whatever presence says");
        world.run_for(secs(60));
        assert_eq!((closed(&world, 1).len(), closed(&world, 2)), (1, vec![]));
        assert_eq!(join(&mut world, 1, Some(grant(900, 1, 50))), Err(GrantError::Expired.into()));
        join(&mut world, 1, Some(grant(900, 1, 1000))).expect("a newer grant");
        assert!(world.run_until(secs(20), |world| met(world, 1, 2)), "they meet again");
    });
}

#[test]
fn one_joined_too_early_is_told_when_the_node_is_heard() {
    seeds(0..4, |seed| {
        let mut world = World::new(seed, Conditions::default());
        node(&mut world, 900, seed, &[900]);
        (1..3).for_each(|number| tab(&mut world, number, seed, 900));
        assert_eq!(join(&mut world, 1, None), Ok(()), "nothing is known yet");
        assert_eq!(join(&mut world, 2, Some(grant(900, 2, 1000))), Ok(()));
        assert!(world.run_until(secs(10), |world| !closed(world, 1).is_empty()), "it is told");
        assert_eq!((closed(&world, 1), closed(&world, 2)), (vec![RoomError::NoGrant], vec![]));
    });
}

#[test]
fn what_a_stranger_asks_for_gates_nothing() {
    seeds(0..4, |seed| {
        let mut world = World::new(seed, Conditions::default());
        node(&mut world, 900, seed, &[]);
        node(&mut world, 901, seed, &[901]);
        world.connect(id(900), id(901));
        (1..3).for_each(|number| tab(&mut world, number, seed, 900));
        world.connect(id(1), id(901));
        world.run_for(secs(10));
        assert!(world.machine(&id(1)).mesh.peer(&id(901)).is_some_and(|info| info.connected));
        (1..3).for_each(|number| join(&mut world, number, None).expect("nobody asks"));
        assert!(world.run_until(secs(30), |world| met(world, 1, 2)), "they meet");
        // Once it is chosen, it counts.
        world.with(&id(1), |tab, now| tab.tell(now, Input::Chosen { peer: id(901) }));
        assert_eq!(closed(&world, 1), [RoomError::NoGrant]);
    });
}

#[test]
fn grants_of_any_issuer_that_the_nodes_ask_for_count() {
    seeds(0..4, |seed| {
        let mut world = World::new(seed, Conditions::default());
        // One node takes those of two issuers, another one those of one of them.
        node(&mut world, 900, seed, &[900, 800]);
        node(&mut world, 901, seed, &[800]);
        world.connect(id(900), id(901));
        (1..3).for_each(|number| tab(&mut world, number, seed, 900));
        tab(&mut world, 3, seed, 901);
        world.run_for(secs(10));
        join(&mut world, 1, Some(grant(900, 1, 1000))).expect("a grant");
        join(&mut world, 2, Some(grant(800, 2, 1000))).expect("a grant");
        assert_eq!(join(&mut world, 3, Some(grant(900, 3, 1000))), Err(GrantError::UnknownIssuer(id(900)).into()));
        join(&mut world, 3, Some(grant(800, 3, 1000))).expect("a grant");
        assert!(world.run_until(secs(60), |world| met(world, 1, 2) && met(world, 2, 3)), "they meet");
        world.run_for(secs(10));
        assert!(
            !takes(&world, 3, 1) && world.machine(&id(3)).mesh.peer(&id(1)).is_none_or(|info| info.rooms.is_empty())
        );
    });
}
