//! Sessions over bad ways. A failure names the way and the seed; str0m draws its own randomness besides.

use super::{
    pair::{Pair, Way, finish, read, write},
    *,
};
use crate::rtc::Substream;

const SEEDS: u64 = 2;
/// The longest that anything here takes, in the time that the test sets.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a stream of a message, or the other half of one, may have here beyond the window: a message that began below it, and flags.
const WINDOW: usize = (1 << 20) + (32 << 10);
/// Datagrams of all that may be under way, and of what is made at once besides.
const MAX_TRANSMITS: usize = MAX_OUT + IN_FLIGHT / 1000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A half of a stream: what it says, and what it has heard.
struct Half {
    stream: Substream,
    says: Vec<u8>,
    said: usize,
    finished: bool,
    heard: Vec<u8>,
    ended: bool,
}

impl Half {
    fn new(stream: Substream, says: Vec<u8>) -> Self {
        Self { stream, says, said: 0, finished: false, heard: Vec::new(), ended: false }
    }

    /// Whether anything could be done.
    fn go_on(&mut self, buffer: &mut [u8]) -> bool {
        let mut any = false;
        if self.said < self.says.len() {
            if let Some(taken) = write(&mut self.stream, &self.says[self.said..]) {
                self.said += taken.unwrap();
                any = true;
            }
        } else if !self.finished {
            finish(&mut self.stream);
            self.finished = true;
        }
        while !self.ended
            && let Some(count) = read(&mut self.stream, buffer)
        {
            let count = count.unwrap();
            self.heard.extend_from_slice(&buffer[..count]);
            self.ended = count == 0;
            any = true;
        }
        any
    }

    fn is_over(&self) -> bool {
        self.finished && self.ended
    }
}

fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|index| ((index + salt) as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

/// Says `there` one way and `back` the other on one stream, at the same time, each ending by itself; how long it took.
fn exchange(pair: &mut Pair, there: usize, back: usize) -> Duration {
    let began = pair.now;
    let mut asking = pair.open(0);
    // A channel is heard of by its first message.
    pair.write(&mut asking, &[7]);
    let mut answering = pair.accept(1);
    assert_eq!(pair.read(&mut answering, &mut [0]).unwrap(), 1);
    let mut halves = [Half::new(asking, pattern(there, 0)), Half::new(answering, pattern(back, 1))];
    let mut buffer = vec![0; 64 << 10];
    while !halves.iter().all(Half::is_over) {
        let any = halves.iter_mut().fold(false, |any, half| half.go_on(&mut buffer) | any);
        if !any {
            pair.step().unwrap();
        }
        assert!(pair.now - began < PATIENCE, "{} and {} bytes came", halves[0].heard.len(), halves[1].heard.len());
        bounded(pair);
    }
    let [asked, answered] = halves;
    assert!(answered.heard == asked.says, "{} of {there} bytes, or others", answered.heard.len());
    assert!(asked.heard == answered.says, "{} of {back} bytes, or others", asked.heard.len());
    pair.now - began
}

/// What a session holds is within its bounds.
fn bounded(pair: &mut Pair) {
    for end in &mut pair.ends {
        let session = &mut end.session;
        let entries: Vec<_> = session.table.entries.values().collect();
        let queued: usize = entries.iter().map(|entry| entry.queued).sum();
        let inside: usize = entries.iter().map(|entry| entry.inside(&mut session.rtc)).sum();
        assert!(queued <= WINDOW * entries.len(), "{queued} bytes wait");
        assert!(inside <= session.window + (16 << 10), "{inside} bytes are in the machine");
        assert!(session.transmits.len() <= MAX_TRANSMITS, "{} datagrams wait", session.transmits.len());
    }
}

fn over(way: Way, sizes: &[usize]) {
    for seed in 0..SEEDS {
        eprintln!("{way:?}, seed {seed}");
        let mut pair = Pair::over(way, seed);
        for size in sizes {
            let took = exchange(&mut pair, *size, *size);
            eprintln!("  {size} bytes each way took {took:?}");
        }
        pair.until(|pair| pair.ends.iter().all(|end| end.hub.streams() == 0).then_some(()));
    }
}

const SIZES: [usize; 6] = [1, 100, 16_379, 70_000, 1 << 20, 3 << 20];

#[test]
fn what_is_lost_is_sent_again() {
    for lost in [10, 100, 500] {
        over(Way { lost, delay: ms(10), ..Way::default() }, &SIZES);
    }
}

#[test]
fn what_is_overtaken_is_put_in_order() {
    for jitter in [1, 30] {
        over(Way { delay: ms(10), jitter: ms(jitter), ..Way::default() }, &SIZES);
    }
}

#[test]
fn what_comes_twice_counts_once() {
    over(Way { doubled: 1000, delay: ms(5), jitter: ms(3), ..Way::default() }, &SIZES);
}

#[test]
fn what_is_damaged_counts_as_lost() {
    over(Way { damaged: 200, delay: ms(5), ..Way::default() }, &SIZES);
}

#[test]
fn a_narrow_place_is_shared_and_a_far_one_reached() {
    over(Way { narrow: Some((1000, 50_000)), delay: ms(40), ..Way::default() }, &SIZES);
    over(Way { delay: ms(300), ..Way::default() }, &SIZES);
}

#[test]
fn a_short_way_is_not_filled_until_it_overflows() {
    // What a browser's socket holds, behind which it reads at its own pace.
    let mut pair = Pair::over(Way { narrow: Some((30 << 10, 90_000)), ..Way::default() }, 1);
    let took = exchange(&mut pair, 24 << 20, 0);
    assert_eq!(pair.refused(), 0, "lost in {took:?}");
    assert!(took < Duration::from_millis(1250), "{took:?}, where 880 ms are needed");
}

#[test]
fn everything_at_once() {
    let way = Way { lost: 50, doubled: 50, damaged: 20, delay: ms(20), jitter: ms(10), narrow: Some((4000, 100_000)) };
    over(way, &SIZES);
}

#[test]
fn sixteen_mebibytes_arrive_whole() {
    let size = 16 << 20;
    let took = exchange(&mut Pair::over(Way { delay: ms(1), ..Way::default() }, 1), size, size);
    assert!(took < Duration::from_secs(4), "{took:?} on a way that loses nothing");
    exchange(&mut Pair::over(Way { lost: 100, delay: ms(5), jitter: ms(2), ..Way::default() }, 1), size, size);
}

#[test]
fn one_half_may_end_long_before_the_other() {
    let mut pair = Pair::over(Way { lost: 200, delay: ms(10), ..Way::default() }, 3);
    exchange(&mut pair, 0, 1 << 20);
    exchange(&mut pair, 1 << 20, 0);
}

#[test]
fn a_way_that_ends_is_an_error_in_time_on_both_sides() {
    for way in [Way::default(), Way { lost: 100, delay: ms(30), ..Way::default() }] {
        let mut pair = Pair::over(way, 1);
        let mut stream = pair.open(0);
        pair.write(&mut stream, &[1; 3 << 20]);
        pair.cut();
        for side in 0..2 {
            let end = &mut pair.ends[side];
            let mut now = pair.now;
            let lost = loop {
                end.session.transmits().clear();
                now = end.session.wake().max(now + ms(1));
                if let Err(lost) = end.session.timeout(now).and_then(|()| end.session.settle()) {
                    break lost;
                }
            };
            assert!(matches!(lost, Lost::Interrupted), "{side}: {lost}");
            assert!(now - pair.now < Duration::from_secs(60), "{side}: {:?}", now - pair.now);
        }
    }
}
