use ed25519_dalek::SigningKey;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{
    Digest, Payload, Receipt, SparseBytes, Tensor,
    part::{self, MAX_PART_BYTES},
    payload::{DType, MAX_NAME, MAX_RANK, MAX_TENSORS, Part},
    receipt::Exactness,
    request::Numerics,
};

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn payloads() -> Vec<Payload> {
    let tensor = Tensor { name: "x".into(), dtype: DType::I32, shape: vec![1, 2], data: vec![1, 0, 0, 0, 2, 0, 0, 0] };
    let parts = vec![Part { offset: 0, data: vec![1, 2] }, Part { offset: 8, data: vec![9] }];
    vec![
        Payload::Text("héllo".into()),
        Payload::Json("{}".into()),
        Payload::Bytes(SparseBytes { len: 9, parts }),
        Payload::Tensors(vec![tensor]),
        Payload::Tensors(Vec::new()),
    ]
}

fn request(input: Payload) -> InferRequest {
    InferRequest { model: digest(0xaa), budget_ms: 30_000, nonce: 7, numerics: Numerics::Exact, stream: false, input }
}

fn fast(input: Payload) -> InferRequest {
    InferRequest { numerics: Numerics::Fast, stream: true, ..request(input) }
}

fn part(text: &str, tokens: &[u32]) -> InferPart {
    InferPart(part::Part { text: text.into(), tokens: tokens.to_vec() })
}

fn reply(output: Payload) -> InferReply {
    let key = SigningKey::from_bytes(&[3; 32]);
    let receipt = Receipt::sign(&key, digest(1), digest(2), output.digest(), 1234, Exactness::Exact);
    InferReply::Ok(Box::new(InferSuccess { receipt, load_us: 5, queue_us: 300, output }))
}

/// One of everything, encoded.
fn messages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for payload in payloads() {
        all.push(request(payload.clone()).encode().unwrap());
        all.push(fast(payload.clone()).encode().unwrap());
        all.push(reply(payload).encode().unwrap());
    }
    all.push(InferReply::failure(ErrorKind::Busy, "later").encode().unwrap());
    all.push(part("hé", &[7, 70_000]).encode().unwrap());
    all.push(BlobRequest { digest: digest(9), offset: 1 << 40, len: 1000 }.encode());
    all.push(BlobReply::Data { total: 7, bytes: vec![1, 2, 3] }.encode().unwrap());
    all.push(BlobReply::Missing.encode().unwrap());
    all
}

fn decode_as_all(bytes: &[u8]) -> usize {
    usize::from(InferRequest::decode(bytes).is_ok())
        + usize::from(InferReply::decode(bytes).is_ok())
        + usize::from(InferPart::decode(bytes).is_ok())
        + usize::from(BlobRequest::decode(bytes).is_ok())
        + usize::from(BlobReply::decode(bytes).is_ok())
}

#[test]
fn messages_come_back_as_they_were() {
    for payload in payloads() {
        let asked = request(payload.clone());
        assert_eq!(InferRequest::decode(&asked.encode().unwrap()), Ok(asked));
        let asked = fast(payload.clone());
        assert_eq!(InferRequest::decode(&asked.encode().unwrap()), Ok(asked));
        let answered = reply(payload);
        assert_eq!(InferReply::decode(&answered.encode().unwrap()), Ok(answered));
    }
    let failure = InferReply::failure(ErrorKind::PluginFailed, "trap");
    assert_eq!(InferReply::decode(&failure.encode().unwrap()), Ok(failure));
    for told in [part("", &[1]), part("x", &[]), part(&"x".repeat(MAX_PART_BYTES - 8), &[u32::MAX; 2])] {
        let bytes = told.encode().unwrap();
        assert!(is_part(&bytes));
        assert_eq!(InferPart::decode(&bytes), Ok(told));
    }
    let blob = BlobRequest { digest: digest(9), offset: u64::MAX, len: 1 << 20 };
    assert_eq!(BlobRequest::decode(&blob.encode()), Ok(blob));
    for reply in [BlobReply::Missing, BlobReply::Data { total: u64::MAX, bytes: vec![0; 5] }] {
        assert_eq!(BlobReply::decode(&reply.encode().unwrap()), Ok(reply));
    }
}

/// The format itself. A change here is a change of protocol: raise [`VERSION`] and the protocol names.
#[test]
fn golden_bytes() {
    let a32 = "aa".repeat(32);
    let text = request(Payload::Text("hi".into())).encode().unwrap();
    assert_eq!(hex::encode(text), format!("0128000000{a32}b0ea0107000000026869"));
    let text = fast(Payload::Text("hi".into())).encode().unwrap();
    assert_eq!(hex::encode(text), format!("0128000000{a32}b0ea0107010100026869"));
    let tensors = request(payloads().remove(3)).encode().unwrap();
    assert_eq!(hex::encode(tensors), format!("012f000000{a32}b0ea010700000301017803020102080100000002000000"));
    let bytes = request(payloads().remove(2)).encode().unwrap();
    assert_eq!(hex::encode(bytes), format!("012d000000{a32}b0ea01070000020902000208010102 09").replace(' ', ""));
    let failure = InferReply::failure(ErrorKind::Busy, "later").encode().unwrap();
    assert_eq!(hex::encode(failure), "0001080000000108056c61746572");
    assert_eq!(hex::encode(part("hi", &[7, 300]).encode().unwrap()), "01010700000002686902 07ac02".replace(' ', ""));
    let success = reply(Payload::Json("{}".into())).encode().unwrap();
    assert_eq!((success[0], &Digest::of(&success[1..]).to_string()[..16]), (0, "22b24fa944ee2143"));
    let blob = BlobRequest { digest: digest(0xaa), offset: 300, len: 2 }.encode();
    assert_eq!(hex::encode(blob), format!("0123000000{a32}ac0202"));
    assert_eq!(hex::encode(BlobReply::Missing.encode().unwrap()), "010100000001");
    let data = BlobReply::Data { total: 300, bytes: vec![7, 8] }.encode().unwrap();
    assert_eq!(hex::encode(data), "010400000000ac02020708");
}

#[test]
fn a_message_is_taken_whole_or_not_at_all() {
    for message in messages() {
        assert_eq!(decode_as_all(&message), 1, "{}", hex::encode(&message));
        for cut in 0..message.len() {
            assert_eq!(decode_as_all(&message[..cut]), 0, "cut at {cut}: {}", hex::encode(&message));
        }
        let mut longer = message.clone();
        longer.push(0);
        assert_eq!(decode_as_all(&longer), 0, "{}", hex::encode(&message));
    }
}

#[test]
fn an_unknown_version_says_so() {
    let mut message = BlobReply::Missing.encode().unwrap();
    message[0] = 9;
    assert_eq!(BlobReply::decode(&message), Err(WireError::Version(9)));
}

#[test]
fn random_and_mutated_bytes_never_panic() {
    let seed = 1;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let messages = messages();
    for round in 0..20_000 {
        let mut bytes = if round % 4 == 0 {
            let len = rng.random_range(0..200);
            (0..len).map(|_| rng.random()).collect()
        } else {
            messages[rng.random_range(0..messages.len())].clone()
        };
        for _ in 0..rng.random_range(0..4) {
            if !bytes.is_empty() {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..3) {
                    0 => bytes[at] = rng.random(),
                    1 => bytes[at] ^= 1 << rng.random_range(0..8),
                    _ => drop(bytes.splice(at..at, [0xff; 4])),
                }
            }
        }
        decode_as_all(&bytes);
    }
}

/// A header that promises gigabytes is refused by what is there, before anything is reserved for it.
#[test]
fn promises_reserve_nothing() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    // A reply whose tensor list claims 2^32 - 1 entries, and a text of as many bytes.
    for tag in [0u8, 1, 2, 3] {
        let mut head = digest(1).as_bytes().to_vec();
        head.extend_from_slice(&[1, 1, 0, 0, tag]);
        head.extend_from_slice(&huge);
        let mut message = vec![VERSION];
        message.extend_from_slice(&(head.len() as u32).to_le_bytes());
        message.extend_from_slice(&head);
        assert!(InferRequest::decode(&message).is_err());
    }
    let mut message = vec![VERSION];
    message.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(InferRequest::decode(&message), Err(WireError::TooLarge { .. })));
}

#[test]
fn bounds_hold_on_both_sides() {
    let too_long = vec![VERSION; MAX_INFER_BYTES + 1];
    assert!(matches!(InferRequest::decode(&too_long), Err(WireError::TooLarge { .. })));
    let over = BlobRequest { digest: digest(1), offset: 0, len: MAX_BLOB_CHUNK as u32 + 1 };
    assert!(matches!(BlobRequest::decode(&over.encode()), Err(WireError::TooLarge { .. })));
    let over = BlobReply::Data { total: 0, bytes: vec![0; MAX_BLOB_CHUNK + 1] };
    assert!(matches!(over.encode(), Err(WireError::TooLarge { .. })));
    let whole = BlobReply::Data { total: u64::MAX, bytes: vec![0; MAX_BLOB_CHUNK] }.encode().unwrap();
    assert!(whole.len() <= MAX_BLOB_BYTES);
    let text = Payload::Text("x".repeat(MAX_PAYLOAD_BYTES + 1));
    assert!(matches!(request(text).encode(), Err(WireError::Payload(_))));
    let over = part(&"x".repeat(MAX_PART_BYTES), &[1]);
    assert!(matches!(over.encode(), Err(WireError::TooLarge { .. })));
    assert!(matches!(InferPart::decode(&encode_after(&[1], &over.0, 0)), Err(WireError::TooLarge { .. })));
    assert!(
        part("", &[]).encode().is_err() && InferPart::decode(&encode_after(&[1], &part::Part::default(), 0)).is_err()
    );
    let most = part("", &[u32::MAX; MAX_PART_BYTES / 4]);
    assert_eq!(InferPart::decode(&most.encode().unwrap()), Ok(most));
}

/// The header of the largest valid payload fits in its bound, so that encoding a valid payload cannot fail.
#[test]
fn the_longest_header_fits() {
    let tensor = Tensor {
        name: "n".repeat(MAX_NAME),
        dtype: DType::F32,
        shape: [vec![u32::MAX; 1], vec![0], vec![u32::MAX; MAX_RANK - 2]].concat(),
        data: Vec::new(),
    };
    let bytes = request(Payload::Tensors(vec![tensor; MAX_TENSORS])).encode().unwrap();
    assert!(bytes.len() <= MAX_INFER_HEADER_BYTES, "{}", bytes.len());
}

#[test]
fn error_texts_are_cut_at_a_character() {
    let InferReply::Err(failure) = InferReply::failure(ErrorKind::Failed, &"é".repeat(MAX_ERROR_TEXT)) else {
        panic!("a failure is a failure")
    };
    assert_eq!(failure.message.len(), MAX_ERROR_TEXT);
    assert_eq!(clip("aé", 2), "a");
}
