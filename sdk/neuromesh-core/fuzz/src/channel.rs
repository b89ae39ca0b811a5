use std::{collections::VecDeque, time::Duration};

use neuromesh_core::{
    Timestamp,
    webrtc::{
        channel::{Channel, Config, Input, Output},
        frame::{Decoder, Flag, Frame, FrameError, MAX_DATA, MAX_MESSAGE, encode_data, encode_flag},
    },
};

use crate::script::Script;

const FLAGS: [Flag; 4] = [Flag::Fin, Flag::FinAck, Flag::StopSending, Flag::Reset];

/// Messages do not depend on how their bytes are cut.
pub fn decoded(bytes: &[u8]) {
    let all = |piece: usize| {
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        let result = bytes.chunks(piece).try_for_each(|bytes| decoder.push(bytes, |frame| frames.push(frame)));
        (frames, result)
    };
    let piece = 1 + bytes.first().map_or(0, |byte| usize::from(*byte) % 17);
    let (whole, in_pieces): ((Vec<Frame>, Result<(), FrameError>), _) = (all(usize::MAX), all(piece));
    assert_eq!(whole, in_pieces, "pieces of {piece}");
    assert!(whole.0.iter().all(|frame| frame.data.len() <= MAX_DATA));
}

/// One stream, and another side that does what it likes.
pub fn one_channel(bytes: &[u8]) {
    let mut script = Script(bytes);
    let config = Config { write_window: 20_000, read_buffer: 20_000, linger: Duration::from_secs(5) };
    let mut channel = Channel::new(config);
    let (mut now, mut outside, mut closed) = (0, 0, false);
    let mut buffer = [0; 4096];
    while script.goes_on() {
        let at = Timestamp::from_millis(now);
        match script.byte() % 12 {
            0 => channel.handle(at, Input::Opened),
            1 => channel.handle(at, Input::Closed),
            2 => channel.handle(at, Input::Timeout),
            3 => {
                outside = script.below(60_000);
                channel.handle(at, Input::Buffered(outside));
            }
            4 => channel.handle(at, Input::Message(script.take(40).to_vec())),
            5 => channel.handle(at, Input::Message(encode_data(&vec![3; script.below(MAX_DATA + 1)]))),
            6 => channel.handle(at, Input::Message(encode_flag(FLAGS[script.below(4)]))),
            7 => {
                let data = vec![5; script.below(60_000)];
                let taken = channel.write(&data).unwrap_or_default();
                assert!(
                    taken <= data.len()
                        && (taken == data.len() || !channel.is_writable() || channel.write(&[5]).is_err())
                );
            }
            8 => drop(channel.finish(at)),
            9 => drop(channel.read(&mut buffer)),
            10 if script.byte() % 8 == 0 => channel.abandon(at),
            10 if script.byte() % 8 == 1 => channel.handle(at, Input::Crowded(20_000)),
            _ => {
                now += script.below(8_000) as u64;
                let mut bytes = 0;
                while let Some(output) = channel.poll_output() {
                    assert!(!closed, "something follows the end");
                    match output {
                        Output::Send(message) => {
                            assert!(message.len() <= MAX_MESSAGE);
                            bytes += message.len();
                        }
                        Output::Close => closed = true,
                    }
                }
                // One message may begin within the window; flags are few, and said once.
                assert!(bytes <= config.write_window + MAX_MESSAGE + 16, "{bytes} bytes beside {outside}");
                assert!(!channel.has_output());
            }
        }
        assert!(channel.unread() <= config.read_buffer);
        assert!(!closed || (channel.is_closed() && channel.poll_timeout().is_none()));
    }
}

/// Two streams that speak to each other: what one has written, the other reads, whole and once.
pub fn two_channels(bytes: &[u8]) {
    let mut script = Script(bytes);
    let config = Config { write_window: 1 + script.below(40_000), ..Config::default() };
    let mut ends = [Channel::new(config), Channel::new(config)];
    let mut under_way = [VecDeque::<Vec<u8>>::new(), VecDeque::new()];
    let (mut written, mut read, mut ended) = ([0u64; 2], [0u64; 2], [false; 2]);
    let mut buffer = vec![0; 30_000];
    let at = Timestamp::from_millis(0);
    // The script decides for as long as it lasts; then both go on until they are done.
    let mut turn = 0;
    loop {
        let (who, what) = if script.goes_on() {
            (usize::from(script.byte() % 2), script.byte() % 5)
        } else {
            (turn % 2, 2 + (turn / 2 % 3) as u8)
        };
        turn += 1;
        assert!(turn < 100_000, "they do not come to an end");
        match what {
            0 => ends[who].handle(at, Input::Opened),
            1 => {
                let data: Vec<u8> =
                    (0..script.below(8_000) as u64).map(|index| sample(who, written[who] + index)).collect();
                if let Ok(taken) = ends[who].write(&data) {
                    written[who] += taken as u64;
                }
            }
            2 => {
                if !script.goes_on() {
                    ends[who].handle(at, Input::Opened);
                    ends[who].finish(at).expect("nobody gave up");
                }
                let count = ends[who].read(&mut buffer).expect("nothing was lost");
                for byte in &buffer[..count.unwrap_or(0)] {
                    assert_eq!(*byte, sample(1 - who, read[who]));
                    read[who] += 1;
                }
                ended[who] |= count == Some(0);
            }
            3 => {
                while let Some(output) = ends[who].poll_output() {
                    under_way[who].push_back(match output {
                        Output::Send(message) => message,
                        Output::Close => Vec::new(),
                    });
                }
                let waiting = under_way[who].iter().map(Vec::len).sum();
                ends[who].handle(at, Input::Buffered(waiting));
            }
            _ => {
                if let Some(message) = under_way[1 - who].pop_front() {
                    let input = if message.is_empty() { Input::Closed } else { Input::Message(message) };
                    ends[who].handle(at, input);
                }
            }
        }
        if ended == [true; 2] && ends.iter().all(Channel::is_closed) {
            break;
        }
    }
    assert_eq!([read[1], read[0]], written);
}

/// What stands at this place of what an end writes.
fn sample(who: usize, place: u64) -> u8 {
    (place.wrapping_mul(31) >> 3) as u8 ^ who as u8
}
