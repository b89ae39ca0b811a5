use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const NOON: u64 = 1_800_000_000;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn peer(number: u8) -> PeerId {
    PeerId::from_public_key(key(number).verifying_key().to_bytes())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn grant() -> Grant {
    Grant::sign(&[1; 32], RoomId::of("studio"), peer(2), NOON)
}

#[test]
fn it_holds_for_its_room_its_peer_its_issuer_and_its_time_alone() {
    let (grant, room, issuers) = (grant(), RoomId::of("studio"), BTreeSet::from([peer(1), peer(9)]));
    let granted = Granted { room, issuer: peer(1), until: at(NOON) };
    assert_eq!(grant.check(&room, &peer(2), &issuers, at(NOON - 1)), Ok(granted));
    assert_eq!(grant.check(&room, &peer(2), &BTreeSet::new(), at(0)), Ok(granted), "nobody asks for an issuer");
    assert_eq!(grant.check(&RoomId::of("other"), &peer(2), &issuers, at(0)), Err(GrantError::WrongRoom));
    assert_eq!(grant.check(&room, &peer(3), &issuers, at(0)), Err(GrantError::WrongHolder(peer(2))));
    let others = BTreeSet::from([peer(9)]);
    assert_eq!(grant.check(&room, &peer(2), &others, at(0)), Err(GrantError::UnknownIssuer(peer(1))));
    assert_eq!(grant.check(&room, &peer(2), &issuers, at(NOON)), Err(GrantError::Expired));
    let forever = Grant::sign(&[1; 32], room, peer(2), u64::MAX);
    assert!(forever.check(&room, &peer(2), &issuers, at(NOON)).is_ok());
}

#[test]
fn nothing_in_it_can_be_changed() {
    let grant = grant();
    for index in 1..GRANT_BYTES {
        let mut bytes = grant.to_bytes();
        bytes[index] ^= 1;
        let changed = Grant::from_bytes(&bytes).expect("still of this form");
        assert_eq!(changed.granted(&changed.holder), Err(GrantError::Signature), "byte {index}");
    }
    // What the same key signed elsewhere is no grant.
    let mut foreign = grant.clone();
    foreign.signature = key(1).sign(&grant.to_bytes()[..SIGNED_BYTES]).to_bytes();
    assert_eq!(foreign.granted(&peer(2)), Err(GrantError::Signature));
    // A key of small order verifies anything where the check is lax.
    let small = Grant { issuer: PeerId::from_public_key([0; 32]), signature: [0; 64], ..grant };
    assert_eq!(small.granted(&peer(2)), Err(GrantError::Signature));
}

#[test]
fn bytes_and_text_have_one_form() {
    let grant = grant();
    let (bytes, text) = (grant.to_bytes(), grant.to_string());
    assert_eq!((text.len(), Grant::from_bytes(&bytes)), (TOKEN_CHARS, Ok(grant.clone())));
    assert_eq!(text.parse(), Ok(grant));
    for wrong in [
        "",
        TOKEN_PREFIX,
        &text[1..],
        &text[..text.len() - 1],
        &format!("{text}="),
        &format!("{text}A"),
        &format!(" {}", &text[..text.len() - 1]),
        &text.replacen("nmroom_", "nmroom-", 1),
        &format!("{}+", &text[..text.len() - 1]),
        &"é".repeat(TOKEN_CHARS / 2),
        &"A".repeat(1 << 20),
    ] {
        assert_eq!(wrong.parse::<Grant>(), Err(GrantError::Malformed), "{wrong:.40}");
    }
    for len in (0..GRANT_BYTES).chain([GRANT_BYTES + 1]) {
        let mut cut = bytes.to_vec();
        cut.resize(len, 0);
        assert_eq!(Grant::from_bytes(&cut), Err(GrantError::Malformed), "{len} bytes");
    }
    let mut later = bytes;
    later[0] = 2;
    assert_eq!(Grant::from_bytes(&later), Err(GrantError::Version(2)));
}

#[test]
fn damaged_ones_are_refused_and_nothing_panics() {
    let (grant, mut rng) = (grant(), ChaCha8Rng::seed_from_u64(11));
    let (bytes, text) = (grant.to_bytes(), grant.to_string());
    for _ in 0..3000 {
        let mut damaged = bytes.to_vec();
        for _ in 0..rng.random_range(1..5) {
            let at = rng.random_range(0..damaged.len());
            damaged[at] = rng.random();
        }
        damaged.truncate(rng.random_range(0..=2 * GRANT_BYTES));
        if let Ok(read) = Grant::from_bytes(&damaged) {
            assert_eq!(read.to_bytes(), damaged[..], "one form");
            assert_eq!(read.granted(&peer(2)).is_ok(), damaged == bytes);
        }
        let mut damaged: Vec<char> = text.chars().collect();
        let at = rng.random_range(0..damaged.len());
        damaged[at] = rng.random();
        let damaged: String = damaged.into_iter().collect();
        if let Ok(read) = damaged.parse::<Grant>() {
            assert_eq!((read.to_string(), read.granted(&peer(2)).is_ok()), (damaged.clone(), damaged == text));
        }
    }
}

/// The format itself; Ed25519 is deterministic.
#[test]
fn golden_bytes() {
    let bytes = hex::encode(grant().to_bytes());
    let room = RoomId::of("studio");
    let expected =
        format!("01{room}{}00d2496b00000000{}", hex::encode(peer(2).public_key()), hex::encode(peer(1).public_key()));
    assert_eq!(bytes[..2 * SIGNED_BYTES], expected);
    assert_eq!(crate::Digest::of(&grant().to_bytes()).to_string()[..16], *"c8c8aacc324065b2");
}
