use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::webrtc::frame::{MAX_MESSAGE, encode_data, encode_flag};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn open() -> Channel {
    let mut channel = Channel::new(Config::default());
    channel.handle(at(0), Input::Opened);
    channel
}

fn sent(channel: &mut Channel) -> Vec<Output> {
    std::iter::from_fn(|| channel.poll_output()).collect()
}

fn flag(flag: Flag) -> Output {
    Output::Send(encode_flag(flag))
}

fn read_all(channel: &mut Channel) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
    while let Ok(Some(len @ 1..)) = channel.read(&mut buffer) {
        all.extend_from_slice(&buffer[..len]);
    }
    all
}

/// Two ends and what is under way between them, in order.
struct Pair {
    ends: [Channel; 2],
    under_way: [VecDeque<Vec<u8>>; 2],
    now: u64,
}

impl Pair {
    fn new(config: Config) -> Self {
        let mut ends = [Channel::new(config), Channel::new(config)];
        ends.iter_mut().for_each(|end| end.handle(at(0), Input::Opened));
        Self { ends, under_way: [VecDeque::new(), VecDeque::new()], now: 0 }
    }

    /// Lets one end speak and hear one message; whether anything happened.
    fn step(&mut self, who: usize) -> bool {
        let mut happened = false;
        while let Some(output) = self.ends[who].poll_output() {
            happened = true;
            match output {
                Output::Send(message) => {
                    assert!(message.len() <= MAX_MESSAGE);
                    self.under_way[who].push_back(message);
                }
                Output::Close => {
                    // A close travels behind what was sent.
                    self.under_way[who].push_back(Vec::new());
                }
            }
        }
        let bytes = self.under_way[who].iter().map(Vec::len).sum();
        self.ends[who].handle(at(self.now), Input::Buffered(bytes));
        if let Some(message) = self.under_way[1 - who].pop_front() {
            happened = true;
            let input = if message.is_empty() { Input::Closed } else { Input::Message(message) };
            self.ends[who].handle(at(self.now), input);
        }
        happened
    }

    fn rest(&mut self) {
        while self.step(0) | self.step(1) {}
    }
}

#[test]
fn a_request_and_a_reply_with_half_close() {
    let mut pair = Pair::new(Config::default());
    assert_eq!(pair.ends[0].write(b"question"), Ok(8));
    pair.ends[0].finish(at(0)).unwrap();
    pair.rest();
    assert!(pair.ends[0].is_acknowledged());
    assert_eq!(read_all(&mut pair.ends[1]), b"question");
    assert_eq!(pair.ends[1].read(&mut [0; 1]), Ok(Some(0)));
    assert_eq!(pair.ends[1].write(b"answer"), Ok(6), "the other half is still open");
    pair.ends[1].finish(at(0)).unwrap();
    pair.rest();
    assert_eq!(read_all(&mut pair.ends[0]), b"answer", "also after the channel is gone");
    assert_eq!(pair.ends[0].read(&mut [0; 1]), Ok(Some(0)));
    assert!(pair.ends.iter().all(Channel::is_closed));
    assert_eq!(pair.ends[0].write(b"more"), Err(StreamError::Finished));
}

#[test]
fn nothing_is_sent_before_the_channel_opens() {
    let mut channel = Channel::new(Config::default());
    assert_eq!(channel.write(b"early"), Ok(0));
    assert!(!channel.is_writable());
    channel.finish(at(0)).unwrap();
    assert_eq!(channel.poll_output(), None);
    channel.handle(at(1), Input::Opened);
    assert_eq!(sent(&mut channel), [flag(Flag::Fin)]);
}

#[test]
fn writing_pauses_while_the_transport_is_full() {
    let mut channel = Channel::new(Config { write_window: 40_000, ..Config::default() });
    channel.handle(at(0), Input::Opened);
    let taken = channel.write(&vec![1; 1 << 20]).unwrap();
    assert!((40_000..40_000 + MAX_MESSAGE).contains(&taken), "{taken}");
    assert_eq!(channel.write(&[1]), Ok(0));
    assert_eq!(sent(&mut channel).len(), taken.div_ceil(MAX_DATA));
    assert_eq!(channel.write(&[1]), Ok(0), "sent is not yet gone");
    channel.handle(at(0), Input::Buffered(39_999));
    assert!(channel.is_writable());
    assert_eq!(channel.write(&[1]), Ok(1));
}

#[test]
fn a_reader_that_sleeps_costs_its_buffer_and_no_more() {
    let mut channel = Channel::new(Config { read_buffer: 50_000, ..Config::default() });
    channel.handle(at(0), Input::Opened);
    for _ in 0..3 {
        channel.handle(at(0), Input::Message(encode_data(&[1; 16_000])));
    }
    assert_eq!(sent(&mut channel), []);
    channel.handle(at(0), Input::Message(encode_data(&[1; 16_000])));
    assert_eq!(sent(&mut channel), [flag(Flag::StopSending), flag(Flag::Reset)]);
    assert_eq!(channel.read(&mut [0; 8]), Err(StreamError::Overflow(50_000)));
    assert_eq!(channel.write(b"x"), Err(StreamError::Overflow(50_000)));
    channel.handle(at(5_000), Input::Timeout);
    assert_eq!(sent(&mut channel), [Output::Close]);
}

#[test]
fn a_stream_is_ended_when_its_connection_is_crowded() {
    let mut channel = open();
    channel.handle(at(0), Input::Message(encode_data(&[1; 1000])));
    assert_eq!(channel.unread(), 1000);
    channel.handle(at(0), Input::Crowded(5000));
    assert_eq!(channel.unread(), 0);
    assert_eq!(sent(&mut channel), [flag(Flag::StopSending), flag(Flag::Reset)]);
    assert_eq!(channel.read(&mut [0; 8]), Err(StreamError::Overflow(5000)));
    channel.handle(at(0), Input::Message(encode_data(&[1; 1000])));
    assert_eq!(channel.unread(), 0);
}

#[test]
fn small_messages_cost_what_they_carry() {
    let mut channel = open();
    for _ in 0..10_000 {
        channel.handle(at(0), Input::Message(encode_data(&[1])));
    }
    assert!(channel.waiting.capacity() <= 16_384);
    assert_eq!(read_all(&mut channel).len(), 10_000);
}

#[test]
fn a_dropped_stream_tells_the_other_side_and_waits_a_while() {
    let mut channel = open();
    channel.write(b"half").unwrap();
    channel.abandon(at(100));
    assert_eq!(sent(&mut channel), [Output::Send(encode_data(b"half")), flag(Flag::StopSending), flag(Flag::Reset)]);
    assert_eq!(channel.poll_timeout(), Some(at(5_100)));
    channel.handle(at(5_099), Input::Timeout);
    assert_eq!(channel.poll_output(), None);
    channel.handle(at(5_100), Input::Timeout);
    assert_eq!(channel.poll_output(), Some(Output::Close));
    assert_eq!(channel.poll_timeout(), None);
}

#[test]
fn a_stream_dropped_after_its_end_waits_for_the_acknowledgement_alone() {
    let mut channel = open();
    channel.write(b"all").unwrap();
    channel.finish(at(0)).unwrap();
    channel.abandon(at(0));
    assert_eq!(
        sent(&mut channel),
        [Output::Send(encode_data(b"all")), flag(Flag::Fin), flag(Flag::StopSending)],
        "not a reset: what was written shall arrive"
    );
    channel.handle(at(1), Input::Message(encode_flag(Flag::FinAck)));
    assert_eq!(sent(&mut channel), [Output::Close]);
}

#[test]
fn flags_end_their_half() {
    let mut stopped = open();
    stopped.handle(at(0), Input::Message(encode_flag(Flag::StopSending)));
    assert_eq!(stopped.write(b"x"), Err(StreamError::Stopped));
    assert_eq!(stopped.read(&mut [0; 1]), Ok(None), "the other half goes on");

    let mut reset = open();
    reset.handle(at(0), Input::Message(encode_data(b"late")));
    reset.handle(at(0), Input::Message(encode_flag(Flag::Reset)));
    assert_eq!(reset.read(&mut [0; 1]), Err(StreamError::Reset));
    assert_eq!(reset.write(b"x"), Err(StreamError::Reset));
    assert_eq!(sent(&mut reset), [Output::Close]);

    let mut lost = open();
    lost.handle(at(0), Input::Message(encode_data(b"late")));
    lost.handle(at(0), Input::Closed);
    assert_eq!(read_all(&mut lost), b"late", "what came can be read");
    assert_eq!(lost.read(&mut [0; 1]), Err(StreamError::Lost));
}

#[test]
fn a_flood_of_flags_is_answered_once() {
    let mut channel = open();
    for _ in 0..1000 {
        for flag in [Flag::Fin, Flag::FinAck, Flag::StopSending] {
            channel.handle(at(0), Input::Message(encode_flag(flag)));
        }
    }
    assert_eq!(sent(&mut channel), [flag(Flag::FinAck), Output::Close]);
}

#[test]
fn noise_resets_the_stream() {
    let mut channel = open();
    channel.handle(at(0), Input::Message(vec![0xff; 20]));
    assert_eq!(sent(&mut channel), [flag(Flag::StopSending), flag(Flag::Reset)]);
    assert!(matches!(channel.read(&mut [0; 1]), Err(StreamError::Protocol(_))));
    channel.handle(at(0), Input::Message(encode_data(b"more")));
    assert!(channel.read(&mut [0; 1]).is_err(), "nothing is taken after that");
}

#[test]
fn what_is_written_arrives_whole_in_any_schedule() {
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pair = Pair::new(Config { write_window: rng.random_range(1..100_000), ..Config::default() });
        let mut wanted: [Vec<u8>; 2] =
            std::array::from_fn(|_| (0..rng.random_range(0..200_000)).map(|_| rng.random()).collect());
        wanted[0].truncate(if seed % 5 == 0 { 0 } else { usize::MAX });
        let (mut written, mut read) = ([0; 2], [Vec::new(), Vec::new()]);
        let mut ended = [false; 2];
        for turn in 0.. {
            assert!(turn < 200_000, "seed {seed} does not end");
            let who = usize::from(rng.random_bool(0.5));
            match rng.random_range(0..4) {
                0 if written[who] < wanted[who].len() => {
                    let end = wanted[who].len().min(written[who] + rng.random_range(1..60_000));
                    written[who] += pair.ends[who].write(&wanted[who][written[who]..end]).unwrap();
                }
                0 => pair.ends[who].finish(at(pair.now)).unwrap(),
                1 => {
                    let mut buffer = vec![0; rng.random_range(1..40_000)];
                    if let Some(len) = pair.ends[who].read(&mut buffer).unwrap() {
                        read[who].extend_from_slice(&buffer[..len]);
                        ended[who] |= len == 0;
                    }
                }
                _ => {
                    pair.step(who);
                }
            }
            if ended == [true; 2] {
                break;
            }
        }
        assert_eq!(read[1], wanted[0], "seed {seed}");
        assert_eq!(read[0], wanted[1], "seed {seed}");
        pair.rest();
        assert!(pair.ends.iter().all(Channel::is_closed), "seed {seed}: a channel stays open");
    }
}

#[test]
fn any_input_in_any_state_stays_within_bounds() {
    for seed in 0..500 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let config = Config { write_window: 30_000, read_buffer: 30_000, ..Config::default() };
        let mut channel = Channel::new(config);
        let (mut now, mut closes) = (0, 0);
        for _ in 0..200 {
            now += rng.random_range(0..400);
            match rng.random_range(0..12) {
                0 => channel.handle(at(now), Input::Opened),
                1 => channel.handle(at(now), Input::Closed),
                2 => channel.handle(at(now), Input::Timeout),
                3 => channel.handle(at(now), Input::Buffered(rng.random_range(0..50_000))),
                4 => {
                    channel.handle(at(now), Input::Message((0..rng.random_range(0..9)).map(|_| rng.random()).collect()))
                }
                5 => channel.handle(at(now), Input::Message(encode_data(&vec![0; rng.random_range(0..MAX_DATA)]))),
                6 => {
                    let flags = [Flag::Fin, Flag::FinAck, Flag::StopSending, Flag::Reset];
                    channel.handle(at(now), Input::Message(encode_flag(flags[rng.random_range(0..4)])));
                }
                7 => drop(channel.write(&vec![0; rng.random_range(0..50_000)])),
                8 => drop(channel.finish(at(now))),
                9 => drop(channel.read(&mut vec![0; rng.random_range(0..50_000)])),
                10 if rng.random_bool(0.1) => channel.abandon(at(now)),
                10 if rng.random_bool(0.1) => channel.handle(at(now), Input::Crowded(1)),
                _ => closes += sent(&mut channel).iter().filter(|output| **output == Output::Close).count(),
            }
            assert!(channel.waiting.len() <= config.read_buffer, "seed {seed}");
            assert!(channel.out_bytes <= config.write_window + MAX_MESSAGE + 12, "seed {seed}");
            assert!(closes <= 1, "seed {seed}");
        }
    }
}
