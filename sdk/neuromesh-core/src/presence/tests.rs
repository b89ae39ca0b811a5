use std::time::Duration;

use ed25519_dalek::SigningKey;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{frame::Frame, *};
use crate::{
    Digest, ShapeClass, Tier,
    rooms::{Grant, MAX_ISSUERS, MAX_ROOMS, RoomId},
    wire::MAX_PRESENCE_BYTES,
};

const START: Timestamp = Timestamp::from_millis(0);

fn key(number: u16) -> [u8; 32] {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&number.to_le_bytes());
    key
}

fn node(number: u16, generation: u64) -> Presence {
    let profile = Profile { agent: format!("node {number}"), ..Profile::default() };
    Presence::new(&key(number), generation, profile, Timing::default(), number.into(), START)
}

fn record(number: u16, version: (u64, u64), profile: &Profile) -> Record {
    let version = Version { generation: version.0, number: version.1 };
    Record::sign(&SigningKey::from_bytes(&key(number)), version, profile.to_entries())
}

fn granted(issuer: u16, holder: u16, room: RoomId, seconds: u64) -> Grant {
    Grant::sign(&key(issuer), room, node(holder, 1).id(), seconds)
}

fn delta(records: Vec<Record>) -> Vec<u8> {
    Frame::Delta { records, wants: Vec::new() }.encode()
}

fn outputs(node: &mut Presence) -> Vec<Output> {
    std::iter::from_fn(|| node.poll_output()).collect()
}

/// Carries frames between two connected nodes until both are silent.
fn converse<'a>(now: Timestamp, mut a: &'a mut Presence, mut b: &'a mut Presence) {
    let mut quiet = 0;
    while quiet < 2 {
        quiet += 1;
        for output in outputs(a) {
            if let Output::Send { peer, bytes } = output
                && peer == b.id()
            {
                b.handle(now, Input::Frame { peer: a.id(), bytes });
                quiet = 0;
            }
        }
        std::mem::swap(&mut a, &mut b);
    }
}

fn connect(now: Timestamp, a: &mut Presence, b: &mut Presence) {
    a.handle(now, Input::Connected(b.id()));
    b.handle(now, Input::Connected(a.id()));
    converse(now, a, b);
}

#[test]
fn two_nodes_learn_of_each_other_at_once() {
    let (mut a, mut b) = (node(1, 1), node(2, 1));
    connect(START, &mut a, &mut b);
    assert_eq!(a.profile(&b.id()).unwrap().agent, "node 2");
    assert_eq!(b.profile(&a.id()).unwrap().agent, "node 1");
}

#[test]
fn a_change_is_pushed_after_it_settles() {
    let (mut a, mut b) = (node(1, 1), node(2, 1));
    connect(START, &mut a, &mut b);
    let changed = Profile { queue: 7, ..Profile::default() };
    a.handle(START, Input::Profile(changed.clone()));
    assert_eq!(outputs(&mut a), []);
    let settled = START + Timing::default().settle;
    assert!(a.poll_timeout().unwrap() <= settled);
    a.handle(settled, Input::Tick);
    converse(settled, &mut a, &mut b);
    assert_eq!(b.profile(&a.id()), Some(&changed));
}

#[test]
fn equal_nodes_stay_silent() {
    let (mut a, mut b) = (node(1, 1), node(2, 1));
    connect(START, &mut a, &mut b);
    let later = START + Duration::from_secs(2);
    a.handle(later, Input::Tick);
    let sent = outputs(&mut a);
    let [Output::Send { bytes, .. }] = &sent[..] else { panic!("one root frame, not {sent:?}") };
    assert!(bytes.len() < 32, "{}", bytes.len());
    b.handle(START, Input::Frame { peer: a.id(), bytes: bytes.clone() });
    assert_eq!(outputs(&mut b), []);
}

#[test]
fn a_restarted_node_replaces_its_former_life() {
    let (mut a, mut b) = (node(1, 1), node(2, 1));
    for _ in 0..5 {
        a.publish(START);
    }
    connect(START, &mut a, &mut b);
    b.handle(START, Input::Disconnected(a.id()));
    // Started again, with a clock that did not move on: the same generation and a lower number.
    let mut again = node(1, 1);
    connect(START, &mut again, &mut b);
    assert_eq!(b.version(&a.id()), again.version(&a.id()));
    assert_eq!(again.version(&a.id()).unwrap().generation, 2);
    let higher = node(1, 9);
    b.handle(START, Input::Frame { peer: a.id(), bytes: delta(vec![higher.own.clone()]) });
    assert_eq!(b.version(&a.id()).unwrap().generation, 9);
}

#[test]
fn a_silent_node_is_gone_and_old_news_do_not_revive_it() {
    let mut a = node(1, 1);
    let (relay, far) = (node(2, 1).id(), node(3, 1));
    a.handle(START, Input::Connected(relay));
    a.handle(START, Input::Frame { peer: relay, bytes: delta(vec![far.own.clone()]) });
    assert!(outputs(&mut a).contains(&Output::Up(far.id())));

    let expired = START + Timing::default().expiry;
    a.handle(expired, Input::Tick);
    assert!(outputs(&mut a).contains(&Output::Down(far.id())));
    a.handle(expired, Input::Frame { peer: relay, bytes: delta(vec![far.own.clone()]) });
    assert_eq!(a.profile(&far.id()), None);
    let newer = record(3, (1, 2), &Profile::default());
    a.handle(expired, Input::Frame { peer: relay, bytes: delta(vec![newer]) });
    assert!(a.profile(&far.id()).is_some());
}

#[test]
fn a_connected_node_stays_however_silent() {
    let (mut a, mut b) = (node(1, 1), node(2, 1));
    connect(START, &mut a, &mut b);
    let much_later = START + Duration::from_secs(600);
    a.handle(much_later, Input::Tick);
    assert!(a.profile(&b.id()).is_some());
    a.handle(much_later, Input::Disconnected(b.id()));
    a.handle(much_later + Timing::default().linger, Input::Tick);
    assert_eq!(a.profile(&b.id()), None);
}

#[test]
fn nobody_writes_for_somebody_else() {
    let (mut a, b) = (node(1, 1), node(2, 1));
    a.handle(START, Input::Connected(b.id()));
    let mut forged = record(3, (1, 1), &Profile::default());
    forged.entries.insert("agent".into(), postcard::to_stdvec("evil").unwrap());
    let mut bumped = record(3, (1, 1), &Profile::default());
    bumped.version.number = 99;
    let mut renamed = record(2, (1, 1), &Profile::default());
    renamed.node = node(3, 1).id();
    for record in [forged, bumped, renamed] {
        outputs(&mut a);
        a.handle(START, Input::Frame { peer: b.id(), bytes: delta(vec![record]) });
        let all = outputs(&mut a);
        assert!(matches!(all[..], [Output::Rejected { error: RecordError::Signature(_), .. }]), "{all:?}");
        assert_eq!(a.nodes().count(), 0);
    }
}

#[test]
fn records_over_a_bound_or_with_malformed_values_are_refused() {
    let signed = |entries: BTreeMap<String, Vec<u8>>| {
        Record::sign(&SigningKey::from_bytes(&key(3)), Version { generation: 1, number: 1 }, entries).verify()
    };
    let one = |key: &str, value: Vec<u8>| BTreeMap::from([(key.to_owned(), value)]);
    assert!(matches!(signed(one("x", vec![0; MAX_VALUE_BYTES + 1])), Err(RecordError::TooLarge(_))));
    assert!(matches!(signed(one(&"k".repeat(MAX_KEY_BYTES + 1), vec![])), Err(RecordError::TooLarge(_))));
    let many = (0..=MAX_KEYS).map(|n| (n.to_string(), vec![]));
    assert!(matches!(signed(many.collect()), Err(RecordError::TooLarge(_))));
    let big = (0..3).map(|n| (n.to_string(), vec![0; 6000]));
    assert!(matches!(signed(big.collect()), Err(RecordError::TooLarge(_))));
    assert!(matches!(signed(one("tier", vec![200])), Err(RecordError::Value { key: "tier", .. })));
    let offer = Offer {
        name: "NO".into(),
        digest: Digest::of(b""),
        bytes: 0,
        loaded: false,
        service_us: None,
        times: Vec::new(),
    };
    let models = postcard::to_stdvec(&vec![offer]).unwrap();
    assert!(matches!(signed(one("models", models)), Err(RecordError::Value { key: "models", .. })));
    let times = postcard::to_stdvec(&vec![(0u8, ShapeClass::of_size(9), 5u32)]).unwrap();
    assert!(matches!(signed(one("times", times)), Err(RecordError::Value { key: "times", .. })), "of no model");
    let refused =
        |key, value| matches!(signed(one(key, value)), Err(RecordError::Value { key: named, .. }) if named == key);
    let grant = granted(1, 3, RoomId::of("r"), 9).to_bytes().to_vec();
    let grants = |all: &[Vec<u8>]| postcard::to_stdvec(all).unwrap();
    assert!(signed(one("grants", grants(std::slice::from_ref(&grant)))).is_ok());
    assert!(
        refused("grants", grants(&[grant[1..].to_vec()])) && refused("grants", grants(&vec![grant; MAX_ROOMS + 1]))
    );
    let issuers = postcard::to_stdvec(&vec![node(1, 1).id(); MAX_ISSUERS + 1]).unwrap();
    assert!(refused("issuers", issuers) && refused("issuers", vec![1, 2]));
    assert!(signed(one("of the future", vec![1, 2, 3])).is_ok());
}

/// A peer may state no times by class.
#[test]
fn a_record_without_times_is_read() {
    let offer = Offer {
        name: "m".into(),
        digest: Digest::of(b"m"),
        bytes: 1,
        loaded: true,
        service_us: Some(5),
        times: vec![(ShapeClass::of_size(9), 5)],
    };
    let profile = Profile { models: vec![offer], ..Profile::default() };
    let version = Version { generation: 1, number: 1 };
    let mut entries = profile.to_entries();
    let key = SigningKey::from_bytes(&key(3));
    assert_eq!(Record::sign(&key, version, entries.clone()).verify().as_ref(), Ok(&profile));
    assert!(entries.remove("times").is_some());
    let before = Record::sign(&key, version, entries).verify().unwrap();
    assert!(before.models[0].times.is_empty() && before.models[0].service_us == Some(5));
}

#[test]
fn the_largest_profile_makes_a_valid_record() {
    let offer = |n: usize| Offer {
        name: format!("{n:0>64}"),
        digest: Digest::of(&n.to_le_bytes()),
        bytes: u64::MAX,
        loaded: true,
        service_us: Some(u32::MAX),
        times: (0..20).map(|log2| (ShapeClass::of_size(1 << log2), u32::MAX)).collect(),
    };
    let profile = Profile {
        tier: Tier::Cloud,
        agent: "é".repeat(100),
        addresses: vec!["a".repeat(256); 20],
        http: Some("h".repeat(256)),
        serves: true,
        slots: u32::MAX,
        queue: u32::MAX,
        models: (0..100).map(offer).collect(),
        rooms: (0..20).map(|number: u32| RoomId::of(&number.to_string())).collect(),
        grants: (0..20).map(|number: u8| granted(1, number.into(), RoomId::of("r"), u64::MAX)).collect(),
        issuers: (0..20).map(|number| PeerId::from_public_key([number; 32])).collect(),
    };
    let read = record(1, (u64::MAX, u64::MAX), &profile).verify().unwrap();
    assert_eq!((read.models.len(), read.addresses.len()), (MAX_OFFERS, MAX_ADDRESSES));
    assert_eq!((read.rooms.len(), read.grants.len(), read.issuers.len()), (MAX_ROOMS, MAX_ROOMS, MAX_ISSUERS));
    assert_eq!(read.models.iter().map(|offer| offer.times.len()).sum::<usize>(), MAX_TIMES);
    assert_eq!(read.models[0].times, profile.models[0].times);
}

#[test]
fn frames_stay_within_their_bound_and_the_rest_follows() {
    let fat = Profile { addresses: vec!["a".repeat(256); 16], ..Profile::default() };
    let (mut a, mut b) = (node(1, 1), node(2, 1));
    a.handle(START, Input::Connected(b.id()));
    for number in 10..60 {
        a.handle(START, Input::Frame { peer: b.id(), bytes: delta(vec![record(number, (1, 1), &fat)]) });
    }
    assert_eq!(a.nodes().count(), 50);
    a.handle(START, Input::Disconnected(b.id()));
    outputs(&mut a);
    connect(START, &mut a, &mut b);
    assert!(b.nodes().count() < 51, "all at once does not fit");
    for second in 1..60 {
        let now = START + Duration::from_secs(second);
        a.handle(now, Input::Connected(b.id()));
        a.handle(now, Input::Tick);
        for output in outputs(&mut a) {
            let Output::Send { bytes, .. } = output else { continue };
            assert!(bytes.len() <= MAX_PRESENCE_BYTES);
            b.handle(now, Input::Frame { peer: a.id(), bytes });
        }
        converse(now, &mut a, &mut b);
        if b.nodes().count() == 51 {
            return;
        }
    }
    panic!("b knows {} of 51", b.nodes().count());
}

#[test]
fn strangers_cannot_push_out_the_known() {
    let mut a = node(0, 1);
    let liar = node(60_000, 1).id();
    a.handle(START, Input::Connected(liar));
    // Filled from behind the signature check: making a thousand keys is not what is tested.
    let template = record(7, (1, 1), &Profile::default());
    for number in 0..MAX_NODES as u64 - 1 {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let node = PeerId::from_public_key(bytes);
        let expires = START + Duration::from_secs(30 + number);
        a.nodes.insert(
            node,
            Node {
                record: Record { node, ..template.clone() },
                profile: Profile::default(),
                granted: Vec::new(),
                from: liar,
                expires,
            },
        );
    }
    let stranger = record(9, (1, 1), &Profile::default());
    a.handle(START, Input::Frame { peer: liar, bytes: delta(vec![stranger.clone()]) });
    assert_eq!(a.profile(&stranger.node), None);
    // Somebody who connects and speaks for itself takes the place of the one that would expire first.
    a.handle(START, Input::Connected(stranger.node));
    a.handle(START, Input::Frame { peer: stranger.node, bytes: delta(vec![stranger.clone()]) });
    assert!(a.profile(&stranger.node).is_some());
    assert_eq!(a.nodes().count(), MAX_NODES - 1);
    for output in outputs(&mut a) {
        if let Output::Send { bytes, .. } = output {
            assert!(bytes.len() <= MAX_PRESENCE_BYTES);
        }
    }
}

#[test]
fn frames_of_the_unconnected_are_ignored() {
    let mut a = node(1, 1);
    let b = node(2, 1);
    a.handle(START, Input::Frame { peer: b.id(), bytes: delta(vec![b.own.clone()]) });
    assert_eq!(a.nodes().count(), 0);
    assert_eq!(outputs(&mut a), []);
}

#[test]
fn garbage_changes_nothing() {
    let mut a = node(1, 1);
    let b = node(2, 1);
    a.handle(START, Input::Connected(b.id()));
    let gated = Profile {
        rooms: vec![RoomId::of("r")],
        grants: vec![granted(9, 4, RoomId::of("r"), 7)],
        issuers: vec![node(9, 1).id()],
        ..Profile::default()
    };
    let good = delta(vec![record(3, (1, 1), &Profile::default()), record(4, (1, 1), &gated)]);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        bytes.truncate(rng.random_range(0..=bytes.len()));
        a.handle(START, Input::Frame { peer: b.id(), bytes });
    }
    // Only records whose own bytes were untouched can have been taken.
    for (peer, profile) in a.nodes() {
        let expected = if *peer == node(4, 1).id() { &gated } else { &Profile::default() };
        assert_eq!((profile, *peer == node(3, 1).id() || *peer == node(4, 1).id()), (expected, true));
    }
}

/// A peer that knows nothing of grants states none, and takes a record with them.
#[test]
fn a_record_without_grants_is_read_and_says_the_same_as_ever() {
    let profile = Profile { rooms: vec![RoomId::of("r")], ..Profile::default() };
    let entries = profile.to_entries();
    assert!(!entries.contains_key("grants") && !entries.contains_key("issuers"));
    assert_eq!(record(3, (1, 1), &profile).verify(), Ok(profile));
}

/// Grants that are somebody else's, or nobody's, are read and are none.
#[test]
fn only_a_nodes_own_grants_count_and_each_is_checked_once() {
    let (mut a, room) = (node(1, 1), RoomId::of("r"));
    a.handle(START, Input::Connected(node(3, 1).id()));
    let mut forged = granted(9, 3, room, 100);
    forged.not_after += 1;
    let good = granted(9, 3, room, 100);
    let profile = Profile {
        rooms: vec![room],
        grants: vec![granted(9, 4, room, 100), forged, good.clone()],
        ..Profile::default()
    };
    for number in 1..3 {
        let bytes = delta(vec![record(3, (1, number), &profile)]);
        a.handle(START, Input::Frame { peer: node(3, 1).id(), bytes });
        assert_eq!(a.granted(&node(3, 1).id()), [good.granted(&node(3, 1).id()).unwrap()]);
    }
    let renewed = Profile { grants: vec![granted(9, 3, room, 200)], ..profile };
    let bytes = delta(vec![record(3, (1, 3), &renewed)]);
    a.handle(START, Input::Frame { peer: node(3, 1).id(), bytes });
    assert_eq!(a.granted(&node(3, 1).id())[0].until, Timestamp::from_millis(200_000));
}

#[test]
fn a_node_that_asks_for_grants_tells_nobody_of_those_without() {
    let room = RoomId::of("r");
    let asking = Profile { issuers: vec![node(9, 1).id()], ..Profile::default() };
    let mut a = Presence::new(&key(1), 1, asking, Timing::default(), 1, START);
    let (mut member, mut other) = (node(2, 1), node(5, 1));
    let claim = |grants| Profile { rooms: vec![room], grants, ..Profile::default() };
    connect(START, &mut a, &mut member);
    connect(START, &mut a, &mut other);
    // Without a grant; by another issuer; until ten seconds from the start; and in no room at all.
    let strangers = [
        (10, claim(vec![])),
        (11, claim(vec![granted(8, 11, room, 100)])),
        (12, claim(vec![granted(9, 12, room, 10)])),
        (13, Profile::default()),
    ];
    for (number, profile) in &strangers {
        let stranger = node(*number, 1).id();
        a.handle(START, Input::Connected(stranger));
        a.handle(START, Input::Frame { peer: stranger, bytes: delta(vec![record(*number, (1, 1), profile)]) });
    }
    assert_eq!(a.nodes().count(), 6, "it knows them all");
    let told = |by: &Presence| [10, 11, 12, 13].map(|number| by.profile(&node(number, 1).id()).is_some());
    let gossip = |a: &mut Presence, b: &mut Presence, second: u64| {
        let now = START + Duration::from_secs(second);
        b.handle(now, Input::Frame { peer: a.id(), bytes: Frame::Root([0; 16]).encode() });
        converse(now, a, b);
    };
    gossip(&mut a, &mut member, 1);
    assert_eq!(told(&member), [false, false, true, true]);
    // Whoever is not told of them finds no difference, and no more does one who told of them.
    assert_eq!(quiet(&mut a, &mut member, 2), (true, true));
    let bytes = delta(strangers.iter().map(|(number, profile)| record(*number, (1, 1), profile)).collect());
    other.handle(START, Input::Frame { peer: a.id(), bytes });
    gossip(&mut a, &mut other, 3);
    assert_eq!((told(&other), quiet(&mut a, &mut other, 4)), ([true; 4], (true, true)));
    // The grant of one has expired.
    let mut late = node(6, 1);
    connect(START + Duration::from_secs(11), &mut a, &mut late);
    assert_eq!(told(&late), [false, false, false, true]);
}

/// Whether the roots of two that know the same make each other say nothing.
fn quiet(a: &mut Presence, b: &mut Presence, second: u64) -> (bool, bool) {
    let now = START + Duration::from_secs(second);
    let is_quiet = |from: &Presence, to: &mut Presence| {
        let bytes = Frame::Root(frame::root(&from.digest(now, &to.id()))).encode();
        outputs(to);
        to.handle(now, Input::Frame { peer: from.id(), bytes });
        let answers = |output: &Output| {
            matches!(output, Output::Send { peer, bytes }
                if *peer == from.id() && !matches!(Frame::decode(bytes), Ok(Frame::Root(_))))
        };
        !outputs(to).iter().any(answers)
    };
    (is_quiet(a, b), is_quiet(b, a))
}

/// The format itself; Ed25519 is deterministic, so the whole record is.
#[test]
fn golden_bytes() {
    let profile = Profile { tier: Tier::Edge, agent: "n".into(), queue: 3, ..Profile::default() };
    let record = record(1, (5, 6), &profile);
    assert_eq!(hex::encode(Frame::Root([7; 16]).encode()), format!("011100000000{}", "07".repeat(16)));
    let seen = Seen { node: record.node, version: record.version };
    let digest = Frame::Digest(vec![seen]).encode();
    assert_eq!(hex::encode(digest), format!("01240000000101{}0506", hex::encode(record.node.public_key())));
    assert_eq!(Digest::of(&delta(vec![record])).to_string()[..16], *"a02935e75c73d248");
    let gated = Profile {
        rooms: vec![RoomId::of("r")],
        grants: vec![granted(9, 1, RoomId::of("r"), 7)],
        issuers: vec![node(9, 1).id()],
        ..profile
    };
    assert_eq!(Digest::of(&delta(vec![self::record(1, (5, 6), &gated)])).to_string()[..16], *"2cca5df82e7296e1");
}
