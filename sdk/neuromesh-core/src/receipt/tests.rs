use super::*;

fn receipt() -> Receipt {
    let key = SigningKey::from_bytes(&[1; 32]);
    let of = |text: &[u8]| Digest::of(text);
    Receipt::sign(&key, of(b"model"), of(b"input"), of(b"output"), 1500, Exactness::Exact)
}

#[test]
fn a_receipt_holds_until_any_field_changes() {
    assert_eq!(receipt().verify(), Ok(()));
    let other = Digest::of(b"other");
    let changes: [fn(&mut Receipt, Digest); 7] = [
        |r, other| r.model = other,
        |r, other| r.input = other,
        |r, other| r.output = other,
        |r, _| r.peer = PeerId::from_public_key(SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes()),
        |r, _| r.duration_us += 1,
        |r, _| r.exactness = Exactness::Approximate,
        |r, _| r.signature[0] ^= 1,
    ];
    for change in changes {
        let mut changed = receipt();
        change(&mut changed, other);
        assert_eq!(changed.verify(), Err(ReceiptError::Signature));
    }
}

#[test]
fn a_malformed_receipt_is_an_error() {
    let short = Receipt { signature: vec![0; 63], ..receipt() };
    assert_eq!(short.verify(), Err(ReceiptError::Signature));
    // Not a point of the curve.
    let mut bytes = [0; 32];
    bytes[0] = 2;
    let nobody = Receipt { peer: PeerId::from_public_key(bytes), ..receipt() };
    assert_eq!(nobody.verify(), Err(ReceiptError::Key));
}

#[test]
fn the_stored_form_keeps_it() {
    let json = serde_json::to_string(&receipt()).unwrap();
    assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt());
    let bytes = postcard::to_stdvec(&receipt()).unwrap();
    assert_eq!(postcard::from_bytes::<Receipt>(&bytes).unwrap(), receipt());
}
