use super::*;

fn tensor(shape: Vec<u32>, data: Vec<u8>) -> Payload {
    Payload::Tensors(vec![Tensor { name: "x".into(), dtype: DType::F32, shape, data }])
}

fn bytes(len: u64, parts: &[(u64, usize)]) -> Payload {
    let parts = parts.iter().map(|(offset, len)| Part { offset: *offset, data: vec![0; *len] }).collect();
    Payload::Bytes(SparseBytes { len, parts })
}

#[test]
fn shapes_and_data_must_agree() {
    assert_eq!(tensor(vec![2, 3], vec![0; 24]).validate(), Ok(()));
    assert_eq!(tensor(vec![], vec![0; 4]).validate(), Ok(()));
    assert_eq!(tensor(vec![0, 7], vec![]).validate(), Ok(()));
    let error = tensor(vec![2, 3], vec![0; 23]).validate().unwrap_err();
    assert_eq!(error, PayloadError::DataLength { name: "x".into(), expected: 24, actual: 23 });
    assert!(tensor(vec![u32::MAX; 8], vec![0; 4]).validate().is_err());
    assert!(matches!(tensor(vec![1; 9], vec![0; 4]).validate(), Err(PayloadError::TooMany { count: 9, .. })));
}

#[test]
fn parts_must_be_in_order_and_inside() {
    for (len, parts) in [(10, vec![(0, 3), (3, 2), (9, 1)]), (0, vec![]), (5, vec![(5, 0)])] {
        assert_eq!(bytes(len, &parts).validate(), Ok(()), "{parts:?}");
    }
    for (len, parts) in
        [(10, vec![(3, 2), (0, 3)]), (10, vec![(0, 4), (3, 2)]), (10, vec![(9, 2)]), (1, vec![(u64::MAX, 1)])]
    {
        assert_eq!(bytes(len, &parts).validate(), Err(PayloadError::Parts { len }), "{parts:?}");
    }
    assert!(bytes(100, &[(0, 0); MAX_PARTS + 1]).validate().is_err());
}

#[test]
fn size_is_bounded() {
    assert_eq!(Payload::Text("x".repeat(MAX_PAYLOAD_BYTES)).validate(), Ok(()));
    let size = MAX_PAYLOAD_BYTES + 1;
    assert_eq!(Payload::Json("x".repeat(size)).validate(), Err(PayloadError::TooLarge { size }));
}

#[test]
fn the_ends_of_a_file_are_enough_for_who_reads_them() {
    let data: Vec<u8> = (0..100).collect();
    let ends = SparseBytes::ends(&data, 10, 5);
    assert_eq!((ends.len, ends.parts.len()), (100, 2));
    assert_eq!(ends.read(95, 5), Some(&data[95..]));
    assert_eq!(ends.read(8, 2), Some(&data[8..10]));
    for (offset, len) in [(8, 3), (50, 1), (96, 5), (u64::MAX, 1), (0, usize::MAX)] {
        assert_eq!(ends.read(offset, len), None, "{offset} {len}");
    }
    assert_eq!(SparseBytes::ends(&data, 60, 40), SparseBytes::whole(data.clone()));
    assert_eq!(SparseBytes::ends(&data, usize::MAX, 1), SparseBytes::whole(data));
}

#[test]
fn different_payloads_have_different_digests() {
    let all = [
        Payload::Text("ab".into()),
        Payload::Json("ab".into()),
        Payload::Bytes(SparseBytes::whole(b"ab".to_vec())),
        bytes(2, &[]),
        bytes(2, &[(0, 1)]),
        bytes(2, &[(1, 1)]),
        tensor(vec![1], vec![0; 4]),
        tensor(vec![1, 1], vec![0; 4]),
        Payload::Tensors(vec![]),
    ];
    let digests: std::collections::BTreeSet<Digest> = all.iter().map(Payload::digest).collect();
    assert_eq!(digests.len(), all.len());
    // What receipts name for ever: a change here makes every old receipt worthless.
    assert_eq!(all[0].digest().to_string()[..16], *"03ff3d1070ee85cd");
}

#[test]
fn classes_are_powers_of_two() {
    for (size, class) in
        [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 20, 20), ((1 << 20) + 1, 21), (u64::MAX, 64)]
    {
        assert_eq!(ShapeClass::of_size(size).log2(), class, "{size}");
    }
    let ids = Tensor { name: "ids".into(), dtype: DType::I64, shape: vec![1, 32], data: vec![0; 256] };
    assert_eq!(ShapeClass::of(&Payload::Tensors(vec![ids.clone(), ids])), ShapeClass::of_size(64));
    assert_eq!(ShapeClass::of(&Payload::Text("a sentence".into())), ShapeClass::of_size(10));
    let ends = SparseBytes::ends(&[0; 5000], 100, 28);
    assert_eq!(
        ShapeClass::of(&Payload::Bytes(ends)),
        ShapeClass::of_size(128),
        "bytes that are not at hand do not count"
    );
}
