use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;

use super::{Grant, GrantError, Output, RoomError, RoomId, Rooms, gate::MAX_COUNTED};
use crate::{PeerId, Timestamp, mesh::Path};

fn peer(number: u8) -> PeerId {
    PeerId::from_public_key(SigningKey::from_bytes(&[number; 32]).verifying_key().to_bytes())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn room() -> RoomId {
    RoomId::of("studio")
}

fn grant(issuer: u8, holder: u8, until: u64) -> Grant {
    Grant::sign(&[issuer; 32], room(), peer(holder), until)
}

/// The rooms of peer 1, where nodes ask for grants of these issuers.
fn asked(issuers: &[u8]) -> Rooms {
    let mut rooms = Rooms::new(peer(1));
    rooms.ask(issuers.iter().map(|issuer| peer(*issuer)).collect());
    rooms
}

/// A peer claims to be in the room, with these grants.
fn claims(rooms: &mut Rooms, who: u8, grants: &[Grant]) {
    let granted: Vec<_> = grants.iter().filter_map(|grant| grant.granted(&peer(who)).ok()).collect();
    rooms.seen(peer(who), &[room()], &granted, &[format!("/ip4/10.0.0.1/tcp/{who}")]);
}

fn is_member(rooms: &Rooms, who: u8, second: u64) -> bool {
    let shared: Vec<_> = rooms.shared(&peer(who), at(second)).collect();
    assert_eq!(rooms.hears(&room(), Some(&peer(who)), at(second)), shared == [room()]);
    shared == [room()]
}

fn outputs(rooms: &mut Rooms, second: u64) -> Vec<Output> {
    std::iter::from_fn(|| rooms.poll_output(at(second), |_| false)).collect()
}

#[test]
fn a_gated_room_is_joined_with_a_grant_that_holds_and_not_otherwise() {
    let mut rooms = asked(&[9]);
    let other_room = Grant::sign(&[9; 32], RoomId::of("other"), peer(1), 100);
    let mut forged = grant(9, 1, 50);
    forged.not_after = 100;
    for (grant, error) in [
        (None, RoomError::NoGrant),
        (Some(other_room), GrantError::WrongRoom.into()),
        (Some(grant(9, 2, 100)), GrantError::WrongHolder(peer(2)).into()),
        (Some(grant(8, 1, 100)), GrantError::UnknownIssuer(peer(8)).into()),
        (Some(grant(9, 1, 5)), GrantError::Expired.into()),
        (Some(forged), GrantError::Signature.into()),
    ] {
        assert_eq!(rooms.join(at(5), room(), grant), Err(error));
        assert_eq!(rooms.joined().count(), 0);
    }
    assert_eq!(rooms.join(at(5), room(), Some(grant(9, 1, 100))), Ok(()));
    assert_eq!(rooms.grants().collect::<Vec<_>>(), [&grant(9, 1, 100)]);
    // One that does not hold changes nothing; none at all keeps what is there.
    assert_eq!(rooms.join(at(5), room(), Some(grant(9, 1, 4))), Err(GrantError::Expired.into()));
    assert_eq!(rooms.join(at(5), room(), None), Ok(()));
    assert_eq!(rooms.grants().collect::<Vec<_>>(), [&grant(9, 1, 100)]);
}

#[test]
fn members_are_those_who_show_a_grant_of_an_issuer_that_counts() {
    let mut rooms = asked(&[8, 9]);
    rooms.join(at(0), room(), Some(grant(9, 1, 100))).unwrap();
    claims(&mut rooms, 2, &[]);
    claims(&mut rooms, 3, &[grant(9, 4, 100)]);
    claims(&mut rooms, 4, &[grant(7, 4, 100)]);
    claims(&mut rooms, 5, &[grant(9, 5, 100)]);
    claims(&mut rooms, 6, &[grant(8, 6, 100)]);
    assert_eq!([2, 3, 4, 5, 6].map(|who| is_member(&rooms, who, 1)), [false, false, false, true, true]);
    let dialled = [outputs(&mut rooms, 1), outputs(&mut rooms, 60)].concat().into_iter().map(|output| match output {
        Output::Dial(who, _) => who,
        other => panic!("{other:?}"),
    });
    let dialled: BTreeSet<PeerId> = dialled.collect();
    assert_eq!(dialled, BTreeSet::from([peer(5), peer(6)]), "nobody else is dialled");
}

#[test]
fn who_has_expired_is_out_at_that_moment_and_in_again_with_a_new_grant() {
    let mut rooms = asked(&[9]);
    rooms.join(at(0), room(), Some(grant(9, 1, 100))).unwrap();
    claims(&mut rooms, 2, &[grant(9, 2, 30)]);
    rooms.linked(peer(2), Some(Path::Direct));
    assert_eq!((outputs(&mut rooms, 10), rooms.poll_timeout()), (vec![], Some(at(30))));
    assert!(is_member(&rooms, 2, 29) && !is_member(&rooms, 2, 30));
    assert_eq!(outputs(&mut rooms, 30), [Output::Expired(peer(2))]);
    assert_eq!((outputs(&mut rooms, 31), rooms.poll_timeout()), (vec![], Some(at(100))), "told once");
    claims(&mut rooms, 2, &[grant(9, 2, 60)]);
    assert!(is_member(&rooms, 2, 31));
    assert_eq!((outputs(&mut rooms, 31), rooms.poll_timeout()), (vec![], Some(at(60))));
}

#[test]
fn ones_own_grant_ends_the_room_unless_it_is_renewed() {
    let mut rooms = asked(&[9]);
    rooms.join(at(0), room(), Some(grant(9, 1, 50))).unwrap();
    rooms.join(at(40), room(), Some(grant(9, 1, 90))).unwrap();
    assert_eq!((outputs(&mut rooms, 50), rooms.joined().count()), (vec![], 1));
    assert_eq!(rooms.poll_timeout(), Some(at(90)));
    assert_eq!(outputs(&mut rooms, 90), [Output::Closed(room(), GrantError::Expired.into())]);
    assert_eq!((rooms.joined().count(), rooms.poll_timeout(), outputs(&mut rooms, 91)), (0, None, vec![]));
    rooms.join(at(91), room(), Some(grant(9, 1, 200))).unwrap();
}

#[test]
fn a_room_closes_when_a_node_asks_and_stays_gated_when_it_is_gone() {
    let mut rooms = asked(&[]);
    rooms.join(at(0), room(), None).unwrap();
    claims(&mut rooms, 2, &[]);
    assert!(is_member(&rooms, 2, 1));
    assert!(rooms.ask(BTreeSet::from([peer(9)])) && !rooms.ask(BTreeSet::from([peer(9)])));
    assert_eq!(outputs(&mut rooms, 1), [Output::Closed(room(), RoomError::NoGrant)]);
    rooms.join(at(2), room(), Some(grant(9, 1, 100))).unwrap();
    rooms.ask(BTreeSet::new());
    assert_eq!((outputs(&mut rooms, 3), is_member(&rooms, 2, 3)), (vec![], false), "the node is gone");
    // Left and joined anew without a node, it is open.
    rooms.leave(&room());
    rooms.join(at(4), room(), None).unwrap();
    assert!(is_member(&rooms, 2, 4));
}

#[test]
fn a_grant_gates_the_room_before_any_node_is_heard_and_the_node_has_the_last_word() {
    let mut rooms = asked(&[]);
    rooms.join(at(0), room(), Some(grant(9, 1, 100))).unwrap();
    claims(&mut rooms, 2, &[]);
    claims(&mut rooms, 3, &[grant(9, 3, 100)]);
    claims(&mut rooms, 4, &[grant(8, 4, 100)]);
    assert_eq!([2, 3, 4].map(|who| is_member(&rooms, who, 1)), [false, true, false]);
    rooms.ask(BTreeSet::from([peer(8)]));
    assert_eq!([2, 3, 4].map(|who| is_member(&rooms, who, 1)), [false, false, true]);
    assert_eq!(outputs(&mut rooms, 1)[0], Output::Closed(room(), GrantError::UnknownIssuer(peer(9)).into()));
}

#[test]
fn the_issuers_that_count_are_bounded() {
    let mut rooms = asked(&[]);
    rooms.join(at(0), room(), None).unwrap();
    for number in 0..=MAX_COUNTED as u8 {
        assert_eq!(
            rooms.ask(BTreeSet::from([PeerId::from_public_key([number; 32])])),
            usize::from(number) < MAX_COUNTED
        );
    }
}
