use std::collections::BTreeSet;

use super::*;

fn peer(number: u8) -> PeerId {
    PeerId::from_public_key([number; 32])
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn address(of: u8) -> String {
    format!("/ip4/10.0.0.1/tcp/1/ws/p2p/{}/p2p-circuit/webrtc/p2p/{}", peer(200), peer(of))
}

fn join(rooms: &mut Rooms, room: RoomId) {
    assert_eq!(rooms.join(at(0), room, None), Ok(()));
}

fn outputs(rooms: &mut Rooms, now: Timestamp) -> Vec<Output> {
    std::iter::from_fn(|| rooms.poll_output(now, |_| false)).collect()
}

/// So many peers in one room; every dial succeeds at once. Their links, and how many dials it took.
fn settle(count: u8, hours: u64) -> (BTreeMap<PeerId, Rooms>, usize) {
    let room = RoomId::of("r");
    let mut all: BTreeMap<PeerId, Rooms> = (0..count).map(|number| (peer(number), Rooms::new(peer(number)))).collect();
    for (me, rooms) in &mut all {
        join(rooms, room);
        for other in (0..count).filter(|other| peer(*other) != *me) {
            rooms.seen(peer(other), &[room], &[], &[address(other)]);
        }
    }
    let mut dials = 0;
    for second in 0..hours * 3600 {
        for me in all.keys().copied().collect::<Vec<_>>() {
            for output in outputs(all.get_mut(&me).unwrap(), at(second * 1000)) {
                let Output::Dial(to, _) = output else { panic!("{output:?}") };
                dials += 1;
                all.get_mut(&me).unwrap().linked(to, Some(Path::Direct));
                all.get_mut(&to).unwrap().linked(me, Some(Path::Direct));
            }
        }
    }
    (all, dials)
}

fn is_connected(all: &BTreeMap<PeerId, Rooms>) -> bool {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![*all.keys().next().unwrap()]);
    while let Some(next) = todo.pop() {
        if seen.insert(next) {
            todo.extend(all[&next].links.keys());
        }
    }
    seen.len() == all.len()
}

#[test]
fn a_small_room_is_fully_connected_with_one_dial_for_each_pair() {
    for count in 2..=NEIGHBOURS as u8 + 1 {
        let (all, dials) = settle(count, 1);
        assert!(all.values().all(|rooms| rooms.links.len() == usize::from(count) - 1), "{count}");
        assert_eq!(dials, usize::from(count) * (usize::from(count) - 1) / 2, "{count}");
    }
}

#[test]
fn a_large_room_is_one_and_nobody_has_more_than_the_neighbours() {
    let (all, dials) = settle(150, 1);
    assert!(is_connected(&all));
    assert!(all.values().all(|rooms| rooms.links.len() == NEIGHBOURS));
    assert_eq!(dials, 150 * EACH_WAY);
}

#[test]
fn whoever_leaves_is_replaced_and_who_is_not_needed_is_let_go() {
    let (mut all, _) = settle(20, 1);
    let start = at(7_200_000);
    let (me, gone) = (peer(3), *all[&peer(3)].links.keys().next().unwrap());
    let rooms = all.get_mut(&me).unwrap();
    rooms.linked(gone, None);
    rooms.gone(&gone);
    let mut dialled = Vec::new();
    for second in 0..20 {
        dialled.extend(outputs(rooms, start + Duration::from_secs(second)));
    }
    let Some(Output::Dial(next, _)) = dialled.first().cloned() else { panic!("nobody dialled: {dialled:?}") };
    rooms.linked(next, Some(Path::Direct));
    // The one that left comes back: the replacement is not needed any more.
    rooms.seen(gone, &[RoomId::of("r")], &[], &[address(1)]);
    rooms.linked(gone, Some(Path::Direct));
    assert_eq!(outputs(rooms, start + Duration::from_secs(30)), []);
    assert_eq!(rooms.poll_timeout(), Some(start + Duration::from_secs(60)));
    let busy = rooms.poll_output(start + Duration::from_secs(60), |peer| *peer == next);
    assert_eq!((busy, rooms.poll_timeout()), (None, Some(start + Duration::from_secs(90))), "a request is under way");
    assert_eq!(outputs(rooms, start + Duration::from_secs(90)), [Output::Drop(next)]);
}

#[test]
fn dials_that_fail_are_tried_again_with_growing_pauses_and_never_once_direct() {
    let room = RoomId::of("r");
    let (small, large) = (peer(1).min(peer(2)), peer(1).max(peer(2)));
    let mut rooms = Rooms::new(small);
    join(&mut rooms, room);
    rooms.seen(large, &[room], &[], &[address(2)]);
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert!(matches!(outputs(&mut rooms, now)[..], [Output::Dial(to, _)] if to == large));
        let next = rooms.poll_timeout().unwrap();
        pauses.push(next.since(now));
        now = next;
        rooms.linked(large, Some(Path::Relayed));
    }
    assert_eq!((pauses[0], pauses[1], pauses[7]), (PAUSE, PAUSE * 2, LONGEST_PAUSE));
    rooms.linked(large, Some(Path::Direct));
    assert_eq!((outputs(&mut rooms, now), rooms.poll_timeout()), (vec![], None));
    rooms.linked(large, None);
    assert_eq!(outputs(&mut rooms, now).len(), 1, "dialled anew");
}

#[test]
fn the_larger_of_two_waits_for_the_smaller() {
    let room = RoomId::of("r");
    let (small, large) = (peer(1).min(peer(2)), peer(1).max(peer(2)));
    let mut rooms = Rooms::new(large);
    join(&mut rooms, room);
    rooms.seen(small, &[room], &[], &[address(1)]);
    assert_eq!(outputs(&mut rooms, at(0)), []);
    assert_eq!(rooms.poll_timeout(), Some(at(4_000)));
    assert_eq!(outputs(&mut rooms, at(4_000)).len(), 1);
}

#[test]
fn a_relay_at_hand_is_preferred_and_webrtc_to_anything_else() {
    let room = RoomId::of("r");
    let mut rooms = Rooms::new(peer(1));
    join(&mut rooms, room);
    let by = |relay: u8| format!("/ip4/10.0.0.1/tcp/1/ws/p2p/{}/p2p-circuit/webrtc/p2p/{}", peer(relay), peer(2));
    let plain = "/ip4/10.0.0.2/tcp/2".to_owned();
    rooms.seen(peer(2), &[room], &[], &[plain.clone(), by(100), by(101)]);
    assert_eq!([0, 1, 2].map(|dials| rooms.address(&peer(2), dials)), [by(100), by(101), by(100)].map(Some));
    rooms.linked(peer(101), Some(Path::Direct));
    assert_eq!([0, 1].map(|dials| rooms.address(&peer(2), dials)), [by(101), by(101)].map(Some));
    rooms.seen(peer(2), &[room], &[], std::slice::from_ref(&plain));
    assert_eq!(rooms.address(&peer(2), 1), Some(plain));
}

#[test]
fn rooms_are_apart_and_bounded() {
    let (a, b) = (RoomId::of("a"), RoomId::of("b"));
    assert_ne!(a, b);
    assert_eq!((a.to_string().len(), RoomId::from_hex(&a.to_string())), (32, Some(a)));
    assert!(["", "ab", &"g".repeat(32), &"0".repeat(34)].iter().all(|text| RoomId::from_hex(text).is_none()));
    let shares = |rooms: &Rooms| rooms.shared(&peer(2), at(0)).next().is_some();
    let mut rooms = Rooms::new(peer(1));
    join(&mut rooms, a);
    rooms.seen(peer(2), &[b], &[], &[address(2)]);
    assert_eq!((outputs(&mut rooms, at(100_000)), shares(&rooms)), (vec![], false));
    rooms.seen(peer(2), &[b, a], &[], &[address(2)]);
    assert!(shares(&rooms));
    assert_eq!(outputs(&mut rooms, at(200_000)).len() + outputs(&mut rooms, at(204_000)).len(), 1);
    rooms.leave(&a);
    assert!(!shares(&rooms) && outputs(&mut rooms, at(300_000)).is_empty());
    (1..MAX_ROOMS as u8 + 1).for_each(|number| join(&mut rooms, RoomId::of(&number.to_string())));
    assert_eq!(rooms.join(at(0), RoomId::of("one more"), None), Err(RoomError::TooMany));
    join(&mut rooms, RoomId::of("1"));
}
