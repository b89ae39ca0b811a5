//! Sounds: WAV files, sample rates, and speech against Silero's own rules with ONNX Runtime.

use std::{f64::consts::PI, sync::Arc};

use neuromesh_infer::{
    Limits, Model,
    audio::{AudioError, MAX_SAMPLES, Segment, Sound, Voice, VoiceDetector, VoiceSpec, read_wav, resample, segments},
};

use crate::models::cache;

const RATE: u32 = 16_000;

fn silero(name: &str) -> Arc<Model> {
    let path = cache().join("reference").join(name).join("model.onnx");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{} ({error}): run `make test`", path.display()));
    Arc::new(Model::load(bytes.into(), &Limits::default()).unwrap())
}

/// Two stretches of syllables, harmonics of a gliding pitch under three formants, and a short one; six seconds, 16 bits.
fn syllables() -> Vec<i16> {
    let a = [(730.0, 90.0, 1.0), (1090.0, 110.0, 0.5), (2440.0, 160.0, 0.25)];
    let i = [(270.0, 60.0, 1.0), (2290.0, 120.0, 0.4), (3010.0, 170.0, 0.25)];
    let o = [(570.0, 80.0, 1.0), (840.0, 100.0, 0.6), (2410.0, 160.0, 0.15)];
    let spoken = [
        (0.5, 0.72, a),
        (0.75, 0.95, i),
        (1.0, 1.22, o),
        (1.26, 1.5, a),
        (3.0, 3.3, o),
        (3.33, 3.6, a),
        (3.62, 3.9, i),
        (3.95, 4.3, a),
        (5.0, 5.06, a),
    ];
    let rate = f64::from(RATE);
    let mut sound = vec![0f64; 6 * RATE as usize];
    for (index, (from, to, formants)) in spoken.into_iter().enumerate() {
        let pitch = if index % 2 == 1 { 125.0 } else { 140.0 };
        let mut turns = 0.0;
        let span = (from * rate) as usize..(to * rate) as usize;
        for (n, sample) in span.clone().zip(&mut sound[span]) {
            let at = (n as f64 / rate - from) / (to - from);
            turns += pitch * (1.0 - 0.15 * at);
            let phase = 2.0 * PI * turns / rate;
            let voice = (1..40).map(|h| (f64::from(h), f64::from(h) * pitch)).take_while(|(_, f)| *f <= 4000.0);
            let voice = voice.map(|(h, f)| {
                let gain: f64 =
                    formants.iter().map(|(centre, width, gain)| gain / (1.0 + ((f - centre) / width).powi(2))).sum();
                gain * (h * phase).sin()
            });
            *sample += 0.12 * voice.sum::<f64>() * (PI * at).sin().max(0.0).sqrt();
        }
    }
    sound.into_iter().map(|x| (x.clamp(-1.0, 1.0) * 32767.0).round_ties_even() as i16).collect()
}

/// A WAV file of one chunk more than needed.
fn wav(tag: u16, channels: u16, bits: u16, rate: u32, data: &[u8]) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut file = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
    file.extend(tag.to_le_bytes().into_iter().chain(channels.to_le_bytes()));
    file.extend(rate.to_le_bytes().into_iter().chain((rate * u32::from(block)).to_le_bytes()));
    file.extend(block.to_le_bytes().into_iter().chain(bits.to_le_bytes()).chain(*b"data"));
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

fn detect(model: &str, sound: &Sound) -> Voice {
    let detector = Arc::new(VoiceDetector::new(silero(model), VoiceSpec::default()).unwrap());
    let mut run = detector.start(sound).unwrap();
    loop {
        if let Some(voice) = run.step().unwrap() {
            return voice;
        }
    }
}

#[test]
fn speech_is_found_where_silero_finds_it() {
    let data: Vec<u8> = syllables().into_iter().flat_map(i16::to_le_bytes).collect();
    let sound = read_wav(&wav(1, 1, 16, RATE, &data)).unwrap();
    // Of `get_speech_timestamps` of silero-vad 6.2.3 with ONNX Runtime on the same samples.
    let expected = [Segment { start: 7712, end: 26_080 }, Segment { start: 57_376, end: 70_624 }];
    let voice = detect("silero", &sound);
    assert_eq!(voice.segments, expected);
    assert_eq!(voice.probabilities.len(), 188);
    let near = |index: usize, expected: f32| assert!((voice.probabilities[index] - expected).abs() < 0.001, "{index}");
    [(15, 0.089), (16, 0.929), (38, 0.348), (94, 0.804), (118, 0.868), (138, 0.057)]
        .into_iter()
        .for_each(|(at, p)| near(at, p));
    assert_eq!(detect("silero-16k-op15", &sound).segments, expected);
    // At another rate it is about the same.
    let voice = detect("silero", &resample(&sound, 44_100).unwrap());
    assert_eq!(voice.segments.len(), 2);
    for (found, expected) in voice.segments.iter().zip(expected) {
        assert!(found.start.abs_diff(expected.start) <= 1024 && found.end.abs_diff(expected.end) <= 1024, "{found:?}");
    }
    assert_eq!(detect("silero", &Sound::new(RATE, Vec::new()).unwrap()).segments, []);
}

#[test]
fn segments_are_those_of_silero() {
    let expected: [&[(usize, usize)]; 6] = [
        &[
            (24608, 29664),
            (31776, 39904),
            (43552, 54240),
            (56864, 79328),
            (81952, 93664),
            (96288, 104416),
            (107040, 161760),
            (171552, 192480),
            (196640, 204700),
        ],
        &[
            (4128, 14816),
            (18464, 25568),
            (42528, 50656),
            (53280, 72160),
            (81952, 97248),
            (99872, 126432),
            (132128, 140256),
            (142880, 158176),
            (160800, 204700),
        ],
        &[
            (13856, 20448),
            (31776, 43488),
            (67616, 75744),
            (96288, 104416),
            (114208, 122336),
            (128544, 136672),
            (146464, 162784),
            (164384, 179680),
            (189472, 204700),
        ],
        &[
            (6688, 18400),
            (21024, 29152),
            (35872, 47072),
            (49696, 61408),
            (74784, 96736),
            (99872, 129504),
            (139296, 151008),
            (153632, 168928),
            (193056, 201184),
        ],
        &[(38944, 47072), (49696, 64992), (81952, 104416), (110624, 133600), (183328, 194016)],
        &[
            (21024, 29152),
            (35360, 45024),
            (56864, 79328),
            (103456, 111584),
            (117792, 123872),
            (128544, 143840),
            (150048, 158688),
            (167968, 176096),
            (185888, 194016),
            (196640, 204700),
        ],
    ];
    for (seed, expected) in (1u32..).zip(expected) {
        let (mut state, mut base) = (seed, 0.0);
        let next = |index: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let drawn = f64::from(state >> 16) / 65_536.0;
            if index.is_multiple_of(7) {
                base = drawn;
            }
            (base * 0.8 + drawn * 0.2).clamp(0.0, 1.0) as f32
        };
        let probabilities: Vec<f32> = (0..400).map(next).collect();
        let found = segments(&VoiceSpec::default(), &probabilities, 400 * 512 - 100);
        assert_eq!(found.iter().map(|segment| (segment.start, segment.end)).collect::<Vec<_>>(), expected, "{seed}");
    }
}

#[test]
fn wav_files_of_every_kind_are_read() {
    let read = |tag, channels, bits, data: &[u8]| read_wav(&wav(tag, channels, bits, 8000, data)).unwrap().samples;
    assert_eq!(read(1, 1, 8, &[0, 128, 255]), [-1.0, 0.0, 127.0 / 128.0]);
    assert_eq!(read(1, 2, 16, &[0, 0x80, 0, 0, 0, 0x40, 0, 0x40, 1]), [-0.5, 0.5]);
    assert_eq!(read(1, 1, 24, &[0, 0, 0x80, 0, 0, 0x40]), [-1.0, 0.5]);
    assert_eq!(read(1, 1, 32, &i32::MIN.to_le_bytes()), [-1.0]);
    assert_eq!(read(3, 1, 32, &0.25f32.to_le_bytes()), [0.25]);
    let whole = wav(1, 1, 16, 8000, &[1, 2, 3, 4]);
    for cut in 0..whole.len() {
        // Samples that are missing at the end are no error; all else is.
        assert_eq!(read_wav(&whole[..cut]).is_ok(), cut + 4 >= whole.len(), "{cut}");
    }
    let bad = [wav(2, 1, 16, 8000, &[]), wav(1, 0, 16, 8000, &[]), wav(1, 33, 16, 8000, &[]), wav(1, 1, 12, 8000, &[])];
    bad.iter().for_each(|file| assert!(matches!(read_wav(file), Err(AudioError::Wav(_)))));
    assert_eq!(read_wav(&wav(1, 1, 16, 1, &[])), Err(AudioError::Rate(1)));
    assert_eq!(read_wav(&wav(3, 1, 32, 8000, &f32::NAN.to_le_bytes())), Err(AudioError::NotFinite(0)));
}

#[test]
fn another_rate_keeps_tones_and_drops_what_is_too_high() {
    let tone = |rate: u32, f: f64| {
        let sample = |n: u32| (2.0 * PI * f * f64::from(n) / f64::from(rate)).sin() as f32;
        Sound::new(rate, (0..rate).map(sample).collect()).unwrap()
    };
    for (from, to, f) in
        [(8000, 16_000, 1000.0), (44_100, 16_000, 3000.0), (48_000, 8000, 440.0), (22_050, 16_000, 5000.0)]
    {
        let (made, exact) = (resample(&tone(from, f), to).unwrap(), tone(to, f));
        assert_eq!((made.rate, made.samples.len()), (to, to as usize));
        let inner = 400..to as usize - 400;
        let worst = inner.map(|n| (made.samples[n] - exact.samples[n]).abs()).fold(0f32, f32::max);
        assert!(worst < 5e-3, "{from} to {to}: {worst}");
    }
    let high = resample(&tone(48_000, 11_000.0), 16_000).unwrap();
    let loudest = high.samples[400..15_600].iter().fold(0f32, |loudest, x| loudest.max(x.abs()));
    assert!(loudest < 1e-3, "{loudest}");
    let steady = resample(&Sound::new(44_101, vec![1.0; 9000]).unwrap(), 16_000).unwrap();
    assert!(steady.samples[100..3000].iter().all(|x| (x - 1.0).abs() < 1e-5));
}

#[test]
fn sounds_and_models_that_do_not_fit_are_refused() {
    assert_eq!(Sound::new(1, vec![]), Err(AudioError::Rate(1)));
    assert_eq!(Sound::new(RATE, vec![f32::INFINITY]), Err(AudioError::NotFinite(0)));
    let long = Sound { rate: 4000, samples: vec![0.0; MAX_SAMPLES] };
    assert_eq!(resample(&long, 8000), Err(AudioError::TooLong(2 * MAX_SAMPLES)));
    let model = silero("silero");
    let bad = [
        VoiceSpec { window: 0, ..VoiceSpec::default() },
        VoiceSpec { context: 513, ..VoiceSpec::default() },
        VoiceSpec { threshold: 0.0, ..VoiceSpec::default() },
        VoiceSpec { pad_ms: u32::MAX, ..VoiceSpec::default() },
    ];
    for spec in bad {
        assert!(matches!(VoiceDetector::new(Arc::clone(&model), spec), Err(AudioError::Model(_))));
    }
    assert!(matches!(VoiceDetector::new(silero("magika"), VoiceSpec::default()), Err(AudioError::Model(_))));
}
