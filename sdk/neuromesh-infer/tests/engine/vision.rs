//! Pictures: resizing against Pillow's bytes, and every step in its place.

use neuromesh_infer::{
    Data, Tensor,
    vision::{Channels, Filter, ImageSpec, Layout, MAX_SIDE, Pad, Picture, Resize, VisionError, reduce},
};

/// What Pillow 13 makes of the same pixels: source and result as width and height, and the FNV-1a hash of its bytes.
const PILLOW: [(Filter, [usize; 4], u64); 21] = [
    (Filter::Triangle, [37, 23, 16, 16], 0x2005_5ebe_5b1b_2769),
    (Filter::Triangle, [16, 16, 37, 23], 0x516f_dcf8_9a8a_a054),
    (Filter::Triangle, [100, 7, 5, 50], 0x1ee3_42e5_02e6_cf3a),
    (Filter::Triangle, [64, 48, 64, 20], 0x9115_16b7_41ad_dbf2),
    (Filter::Triangle, [5, 5, 224, 224], 0xacae_b73f_3fb1_494d),
    (Filter::Triangle, [300, 200, 48, 32], 0xfa70_b6e0_1e68_a5e1),
    (Filter::Triangle, [3, 3, 1, 1], 0x2537_2d19_b8be_570b),
    (Filter::Cubic, [37, 23, 16, 16], 0x797d_94cb_52cb_192d),
    (Filter::Cubic, [16, 16, 37, 23], 0x413d_ca85_7f3b_fe4d),
    (Filter::Cubic, [100, 7, 5, 50], 0x4fe4_d4e9_360d_f851),
    (Filter::Cubic, [64, 48, 64, 20], 0x4afe_0561_4750_72f1),
    (Filter::Cubic, [5, 5, 224, 224], 0x2262_fac3_3725_e771),
    (Filter::Cubic, [300, 200, 48, 32], 0xb7ea_3029_f3ee_2ece),
    (Filter::Cubic, [3, 3, 1, 1], 0x41d4_7c19_c9b1_fa90),
    (Filter::Box, [37, 23, 16, 16], 0x73f4_96e4_622b_bced),
    (Filter::Box, [16, 16, 37, 23], 0x1829_5644_220d_d555),
    (Filter::Box, [100, 7, 5, 50], 0x51b7_3a06_e67f_9b43),
    (Filter::Box, [64, 48, 64, 20], 0x2499_b7c2_a0da_e43b),
    (Filter::Box, [5, 5, 224, 224], 0x2378_4cf0_91c6_8fdd),
    (Filter::Box, [300, 200, 48, 32], 0x0c47_b5b3_7fa5_560d),
    (Filter::Box, [3, 3, 1, 1], 0xe06f_e519_91ef_0724),
];

/// The pixels that Pillow got.
fn noise(width: usize, height: usize) -> Picture {
    let mut state = (width * height) as u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Picture { width, height, rgb: (0..width * height * 3).map(next).collect() }
}

fn plain() -> ImageSpec {
    ImageSpec {
        resize: None,
        filter: Filter::Triangle,
        crop: None,
        pad: None,
        fill: [0; 3],
        channels: Channels::Rgb,
        divisor: 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        layout: Layout::Nhwc,
        bytes: true,
    }
}

fn bytes(spec: &ImageSpec, picture: &Picture) -> (Vec<usize>, Vec<u8>) {
    match spec.apply(picture).unwrap() {
        Tensor { shape, data: Data::U8(data) } => (shape, data),
        other => panic!("{other:?}"),
    }
}

#[test]
fn resizing_gives_pillows_bytes() {
    for (filter, [width, height, to_width, to_height], expected) in PILLOW {
        let spec = ImageSpec { resize: Some(Resize::Exact([to_width, to_height])), filter, ..plain() };
        let (shape, data) = bytes(&spec, &noise(width, height));
        assert_eq!(shape, [1, to_height, to_width, 3]);
        let hash = data.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        assert_eq!(hash, expected, "{filter:?} {width} x {height} to {to_width} x {to_height}");
    }
}

#[test]
fn linear_looks_at_two_neighbours_only() {
    let row = [0u8, 100, 200, 60].map(|x| [x; 3]).concat();
    let picture = Picture { width: 4, height: 1, rgb: row };
    let spec = ImageSpec { resize: Some(Resize::Exact([2, 1])), filter: Filter::Linear, ..plain() };
    // Centres at 1 and 3 of 4: halves of both neighbours.
    assert_eq!(bytes(&spec, &picture).1, [50, 50, 50, 130, 130, 130]);
    let spec = ImageSpec { resize: Some(Resize::Exact([8, 1])), ..spec };
    let wide: Vec<u8> = bytes(&spec, &picture).1.into_iter().step_by(3).collect();
    assert_eq!(wide, [0, 25, 75, 125, 175, 165, 95, 60]);
}

#[test]
fn sizes_follow_the_sides() {
    let cases = [
        (Resize::Shortest(256), [640, 480], [341, 256]),
        (Resize::Shortest(256), [480, 640], [256, 341]),
        (Resize::Longest(100), [50, 200], [25, 100]),
        (Resize::Longest(10), [1, 2000], [1, 10]),
        (Resize::Within(960, 32), [1920, 1080], [960, 544]),
        (Resize::Within(960, 32), [100, 5], [96, 32]),
        (Resize::Height(48, 320), [100, 30], [160, 48]),
        (Resize::Height(48, 320), [1000, 30], [320, 48]),
        (Resize::Height(48, 320), [31, 48], [31, 48]),
    ];
    for (resize, [width, height], [to_width, to_height]) in cases {
        let spec = ImageSpec { resize: Some(resize), ..plain() };
        assert_eq!(
            bytes(&spec, &noise(width, height)).0,
            [1, to_height, to_width, 3],
            "{resize:?} of {width} x {height}"
        );
    }
}

#[test]
fn crops_and_pads_keep_the_middle() {
    let picture = noise(5, 4);
    let spec = ImageSpec { crop: Some([2, 2]), ..plain() };
    // 1.5 from the left goes to the even 2, 1 from the top.
    let at = |x: usize, y: usize| picture.rgb[(y * 5 + x) * 3..][..3].to_vec();
    assert_eq!(bytes(&spec, &picture).1, [at(2, 1), at(3, 1), at(2, 2), at(3, 2)].concat());
    let spec = ImageSpec { crop: Some([7, 4]), fill: [1, 2, 3], ..plain() };
    let (shape, data) = bytes(&spec, &picture);
    assert_eq!(
        (shape.as_slice(), &data[..3], &data[3..18], &data[18..21]),
        (&[1, 4, 7, 3][..], &[1u8, 2, 3][..], &picture.rgb[..15], &[1, 2, 3][..])
    );
    for (centre, first) in [(true, [9, 9, 9].to_vec()), (false, at(0, 0))] {
        let pad = Some(Pad { width: 8, height: 8, centre });
        let (shape, data) = bytes(&ImageSpec { pad, fill: [9; 3], ..plain() }, &picture);
        assert_eq!((shape.as_slice(), &data[..3]), (&[1, 8, 8, 3][..], &first[..]));
    }
}

#[test]
fn values_are_normalized_and_laid_out() {
    let picture = Picture { width: 2, height: 1, rgb: vec![255, 0, 51, 102, 153, 204] };
    let spec =
        ImageSpec { bytes: false, mean: [0.5, 0.25, 0.0], std: [0.5, 1.0, 2.0], layout: Layout::Nchw, ..plain() };
    let value = |x: u8, c: usize| (f32::from(x) / 255.0 - spec.mean[c]) / spec.std[c];
    let expected = vec![value(255, 0), value(102, 0), value(0, 1), value(153, 1), value(51, 2), value(204, 2)];
    assert_eq!(spec.apply(&picture).unwrap(), Tensor { shape: vec![1, 3, 1, 2], data: Data::F32(expected) });
    let blue = ImageSpec { channels: Channels::Bgr, ..plain() };
    assert_eq!(bytes(&blue, &picture).1, [51, 0, 255, 204, 153, 102]);
    let gray = ImageSpec { channels: Channels::Gray, ..plain() };
    assert_eq!(bytes(&gray, &picture), (vec![1, 1, 2, 1], vec![82, 144]));
}

#[test]
fn reducing_takes_the_mean_of_squares() {
    let picture = Picture { width: 3, height: 2, rgb: [0u8, 1, 9, 2, 4, 20].iter().flat_map(|x| [*x; 3]).collect() };
    // (0 + 1 + 2 + 4) / 4 = 1.75, (9 + 20) / 2 = 14.5.
    assert_eq!(reduce(&picture, 2), Picture { width: 2, height: 1, rgb: vec![2, 2, 2, 15, 15, 15] });
}

#[test]
fn what_is_no_picture_is_refused() {
    assert!(matches!(Picture::new(&[0; 11], 2, 2, 3), Err(VisionError::Shape { .. })));
    assert!(matches!(Picture::new(&[0; 8], 2, 2, 2), Err(VisionError::Shape { .. })));
    assert!(matches!(Picture::new(&[], 0, 4, 3), Err(VisionError::Shape { .. })));
    assert!(matches!(Picture::new(&[], usize::MAX, 2, 3), Err(VisionError::TooLarge { .. })));
    let rgba = Picture::new(&[1, 2, 3, 0, 4, 5, 6, 255], 1, 2, 4).unwrap();
    assert_eq!(rgba.rgb, [1, 2, 3, 4, 5, 6]);
    assert_eq!(Picture::new(&[7, 8], 1, 2, 1).unwrap().rgb, [7, 7, 7, 8, 8, 8]);
    let picture = noise(4, 4);
    let bad = [
        ImageSpec { std: [0.0; 3], ..plain() },
        ImageSpec { mean: [f32::NAN; 3], ..plain() },
        ImageSpec { divisor: 0.0, ..plain() },
        ImageSpec { resize: Some(Resize::Shortest(0)), ..plain() },
        ImageSpec { resize: Some(Resize::Within(9, 0)), ..plain() },
    ];
    bad.iter().for_each(|spec| assert!(matches!(spec.apply(&picture), Err(VisionError::Spec(_))), "{spec:?}"));
    let large = [
        ImageSpec { resize: Some(Resize::Exact([MAX_SIDE, MAX_SIDE])), ..plain() },
        ImageSpec { resize: Some(Resize::Shortest(usize::MAX)), ..plain() },
        ImageSpec { resize: Some(Resize::Within(4, usize::MAX)), ..plain() },
        ImageSpec { crop: Some([usize::MAX, 2]), ..plain() },
        ImageSpec { pad: Some(Pad { width: 1 << 30, height: 2, centre: true }), ..plain() },
    ];
    large
        .iter()
        .for_each(|spec| assert!(matches!(spec.apply(&picture), Err(VisionError::TooLarge { .. })), "{spec:?}"));
}
