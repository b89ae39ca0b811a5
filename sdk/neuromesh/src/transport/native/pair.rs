//! Two connected sessions for tests, a way between them that loses, delays and damages datagrams by a seed, and a clock that the test
//! sets: nothing sleeps, nothing touches a socket.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxer;
use neuromesh_core::webrtc::channel::Config;
use rand::{Rng, SeedableRng, rngs::StdRng};
use str0m::{Candidate, RtcConfig, config::Fingerprint};

use super::*;
use crate::rtc::{Muxer, Substream};

/// What chances are out of.
const ALL: u32 = 10_000;

/// What happens to datagrams on their way, in each direction by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// How many of [`ALL`] never arrive.
    pub(super) lost: u32,
    /// How many arrive twice.
    pub(super) doubled: u32,
    /// How many arrive with a changed byte.
    pub(super) damaged: u32,
    /// How long each takes.
    pub(super) delay: Duration,
    /// How much longer some take, at most: others overtake them.
    pub(super) jitter: Duration,
    /// Bytes that pass in a millisecond, and bytes that may wait for that; what finds no room is lost.
    pub(super) narrow: Option<(usize, usize)>,
}

struct Link {
    way: Way,
    rng: StdRng,
    dead: bool,
    /// When, a number that keeps the order, to whom, what.
    under_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    next: u64,
    /// Datagrams that found no room in the narrow place.
    refused: usize,
    /// Until when the narrow place is taken, for each direction.
    taken: [Option<Instant>; 2],
}

impl Link {
    fn send(&mut self, now: Instant, to: usize, datagram: Vec<u8>) {
        if self.dead || self.hit(self.way.lost) {
            return;
        }
        let mut leaves = now;
        if let Some((rate, room)) = self.way.narrow {
            let begins = self.taken[to].map_or(now, |at| at.max(now));
            let waiting = begins.saturating_duration_since(now).as_micros() as usize * rate / 1000;
            if waiting + datagram.len() > room {
                self.refused += 1;
                return;
            }
            leaves = begins + Duration::from_micros((datagram.len() * 1000 / rate) as u64);
            self.taken[to] = Some(leaves);
        }
        for _ in 0..1 + u32::from(self.hit(self.way.doubled)) {
            let mut copy = datagram.clone();
            if self.hit(self.way.damaged) {
                let at = self.rng.random_range(0..copy.len());
                copy[at] ^= self.rng.random_range(1..=255);
            }
            let late = self.way.jitter.mul_f64(self.rng.random());
            self.under_way.insert((leaves + self.way.delay + late, self.next), (to, copy));
            self.next += 1;
        }
    }

    fn hit(&mut self, chance: u32) -> bool {
        chance > 0 && self.rng.random_ratio(chance, ALL)
    }

    /// What has arrived by now.
    fn arrived(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        let entry = self.under_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

pub(super) struct End {
    pub(super) session: Session,
    pub(super) hub: Hub,
    pub(super) muxer: Muxer,
    address: SocketAddr,
}

/// Two connected sessions.
pub(super) struct Pair {
    pub(super) ends: [End; 2],
    pub(super) now: Instant,
    link: Link,
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Pair {
    /// With nothing between them.
    pub(super) fn new() -> Self {
        Self::over(Way::default(), 1)
    }

    /// As peers that negotiated have it; the way is as bad while they connect.
    pub(super) fn over(way: Way, seed: u64) -> Self {
        let now = clock();
        let addresses: [SocketAddr; 2] = ["192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap()];
        let mut machines = addresses.map(|_| {
            let mut machine = RtcConfig::new().clear_codecs().set_sctp_max_buffered_amount(IN_FLIGHT).build(now);
            let print: Fingerprint = machine.direct_api().local_dtls_fingerprint().clone();
            let credentials = machine.direct_api().local_ice_credentials();
            (machine, print, credentials)
        });
        let others = [(machines[1].1.clone(), machines[1].2.clone()), (machines[0].1.clone(), machines[0].2.clone())];
        let mut ends = Vec::new();
        for (index, (print, credentials)) in others.into_iter().enumerate() {
            let mut rtc = std::mem::replace(&mut machines[index].0, Rtc::new(now));
            rtc.add_local_candidate(Candidate::host(addresses[index], "udp").unwrap());
            rtc.add_remote_candidate(Candidate::host(addresses[1 - index], "udp").unwrap());
            let mut api = rtc.direct_api();
            api.set_remote_fingerprint(print);
            api.set_remote_ice_credentials(credentials);
            api.set_ice_controlling(index == 0);
            api.start_dtls(index == 0).unwrap();
            api.start_sctp(index == 0);
            let (hub, muxer) = Hub::new(Config::default());
            ends.push(End { session: Session::new(rtc, hub.clone(), now), hub, muxer, address: addresses[index] });
        }
        let Ok(ends) = <[End; 2]>::try_from(ends) else { unreachable!("two were made") };
        Self::connect(ends, now, way, seed)
    }

    /// Waits until both are connected.
    pub(super) fn connect(ends: [End; 2], now: Instant, way: Way, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let link = Link { way, rng, dead: false, under_way: BTreeMap::new(), next: 0, refused: 0, taken: [None; 2] };
        let mut pair = Self { ends, now, link };
        pair.until(|pair| pair.ends.iter().all(|end| end.session.is_connected()).then_some(()));
        pair
    }

    /// How many datagrams found no room in the narrow place.
    pub(super) fn refused(&self) -> usize {
        self.link.refused
    }

    /// From now on nothing arrives.
    pub(super) fn cut(&mut self) {
        self.link.dead = true;
        self.link.under_way.clear();
    }

    /// Carries what is there to be carried, or lets time pass when nothing arrives now.
    pub(super) fn step(&mut self) -> Result<(), Lost> {
        for from in 0..2 {
            let end = &mut self.ends[from];
            end.session.settle()?;
            while let Some(transmit) = end.session.transmits().pop_front() {
                self.link.send(self.now, 1 - from, transmit.contents.to_vec());
            }
        }
        let mut carried = false;
        while let Some((to, datagram)) = self.link.arrived(self.now) {
            carried = true;
            let (source, destination) = (self.ends[1 - to].address, self.ends[to].address);
            self.ends[to].session.receive(self.now, source, destination, &datagram)?;
        }
        if !carried {
            let wake = self.ends.iter().map(|end| end.session.wake()).min().expect("there are two");
            let wake = wake.max(self.now + Duration::from_millis(1));
            let arrival = self.link.under_way.first_key_value().map(|((at, _), _)| *at);
            self.now = arrival.map_or(wake, |at| at.min(wake));
            for end in &mut self.ends {
                if end.session.wake() <= self.now {
                    end.session.timeout(self.now)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn until<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        for _ in 0..200_000 {
            if let Some(found) = what(self) {
                return found;
            }
            self.step().unwrap();
        }
        panic!("it does not happen");
    }

    pub(super) fn open(&mut self, who: usize) -> Substream {
        self.until(|pair| match Pin::new(&mut pair.ends[who].muxer).poll_outbound(&mut context()) {
            Poll::Ready(stream) => Some(stream.unwrap()),
            Poll::Pending => None,
        })
    }

    pub(super) fn accept(&mut self, who: usize) -> Substream {
        self.until(|pair| match Pin::new(&mut pair.ends[who].muxer).poll_inbound(&mut context()) {
            Poll::Ready(stream) => Some(stream.unwrap()),
            Poll::Pending => None,
        })
    }

    pub(super) fn write(&mut self, stream: &mut Substream, mut data: &[u8]) {
        while !data.is_empty() {
            let taken = self.until(|_| write(stream, data).map(Result::unwrap));
            data = &data[taken..];
        }
    }

    pub(super) fn read(&mut self, stream: &mut Substream, into: &mut [u8]) -> io::Result<usize> {
        self.until(|_| read(stream, into))
    }
}

/// What is taken at once, if anything.
pub(super) fn write(stream: &mut Substream, data: &[u8]) -> Option<io::Result<usize>> {
    ready(Pin::new(stream).poll_write(&mut context(), data))
}

/// What is there to be read, if anything.
pub(super) fn read(stream: &mut Substream, into: &mut [u8]) -> Option<io::Result<usize>> {
    ready(Pin::new(stream).poll_read(&mut context(), into))
}

pub(super) fn finish(stream: &mut Substream) {
    assert!(matches!(Pin::new(stream).poll_close(&mut context()), Poll::Ready(Ok(()))));
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
