use super::*;

#[test]
fn a_peer_id_prints_as_libp2p_does() {
    // From the libp2p specification of peer ids.
    let text = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let peer: PeerId = text.parse().unwrap();
    assert_eq!(peer.to_string(), text);
    assert_eq!(peer.short(), "AJU5SA");
    assert_eq!(PeerId::from_multihash(&peer.to_multihash()), Ok(peer));
    assert_eq!(serde_json::to_string(&peer).unwrap(), format!("{text:?}"));
    assert_eq!(serde_json::from_str::<PeerId>(&format!("{text:?}")).unwrap(), peer);
}

#[test]
fn other_texts_are_no_peer_ids() {
    // Empty, not base58, an RSA key's id, a bare key.
    for text in ["", "0OIl", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "11111111111111111111111111111111"] {
        assert_eq!(text.parse::<PeerId>(), Err(IdError::PeerId), "{text:?}");
    }
}

#[test]
fn a_digest_is_blake3_in_hexadecimal() {
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(Digest::of(b"").to_string(), empty);
    assert_eq!(empty.parse(), Ok(Digest::of(b"")));
    assert_eq!("af13".parse::<Digest>(), Err(IdError::Digest));
    assert_eq!("g".repeat(64).parse::<Digest>(), Err(IdError::Digest));
    let mut writer = DigestWriter::new();
    writer.update(b"ab");
    writer.update(b"c");
    assert_eq!(writer.finish(), Digest::of(b"abc"));
}

#[test]
fn ids_are_thirty_two_bytes_on_the_wire() {
    let digest = Digest::of(b"x");
    let bytes = postcard::to_stdvec(&digest).unwrap();
    assert_eq!(bytes, digest.as_bytes());
    assert_eq!(postcard::from_bytes::<Digest>(&bytes).unwrap(), digest);
}
