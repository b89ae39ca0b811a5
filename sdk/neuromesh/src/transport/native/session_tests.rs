use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxer;
use neuromesh_core::webrtc::channel::Config;
use str0m::{Candidate, RtcConfig, config::Fingerprint};

use super::*;
use crate::rtc::{Muxer, Substream};

struct End {
    session: Session,
    hub: Hub,
    muxer: Muxer,
    address: SocketAddr,
}

/// Two connected sessions, with nothing between them but a clock that this test sets.
struct Pair {
    ends: [End; 2],
    now: Instant,
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Pair {
    fn new() -> Self {
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
            let (hub, muxer) = Hub::new(Config::default());
            let mut rtc = std::mem::replace(&mut machines[index].0, Rtc::new(now));
            rtc.add_local_candidate(Candidate::host(addresses[index], "udp").unwrap());
            rtc.add_remote_candidate(Candidate::host(addresses[1 - index], "udp").unwrap());
            let mut api = rtc.direct_api();
            api.set_remote_fingerprint(print);
            api.set_remote_ice_credentials(credentials);
            api.set_ice_controlling(index == 0);
            api.start_dtls(index == 0).unwrap();
            api.start_sctp(index == 0);
            ends.push(End { session: Session::new(rtc, hub.clone(), now), hub, muxer, address: addresses[index] });
        }
        let Ok(ends) = <[End; 2]>::try_from(ends) else { unreachable!("two were made") };
        let mut pair = Self { ends, now };
        while !pair.ends.iter().all(|end| end.session.is_connected()) {
            pair.step().unwrap();
        }
        pair
    }

    /// Carries every datagram once, or lets time pass when there is none.
    fn step(&mut self) -> Result<(), Lost> {
        let mut carried = false;
        for from in 0..2 {
            self.ends[from].session.settle()?;
            while let Some(transmit) = self.ends[from].session.transmits().pop_front() {
                carried = true;
                let source = self.ends[from].address;
                self.ends[1 - from].session.receive(self.now, source, transmit.destination, &transmit.contents)?;
            }
        }
        if !carried {
            let wake = self.ends.iter().map(|end| end.session.wake()).min().expect("there are two");
            self.now = wake.max(self.now + Duration::from_millis(1));
            for end in &mut self.ends {
                end.session.timeout(self.now)?;
            }
        }
        Ok(())
    }

    fn until<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        for _ in 0..200_000 {
            if let Some(found) = what(self) {
                return found;
            }
            self.step().unwrap();
        }
        panic!("it does not happen");
    }

    fn open(&mut self, who: usize) -> Substream {
        self.until(|pair| match Pin::new(&mut pair.ends[who].muxer).poll_outbound(&mut context()) {
            Poll::Ready(stream) => Some(stream.unwrap()),
            Poll::Pending => None,
        })
    }

    fn accept(&mut self, who: usize) -> Substream {
        self.until(|pair| match Pin::new(&mut pair.ends[who].muxer).poll_inbound(&mut context()) {
            Poll::Ready(stream) => Some(stream.unwrap()),
            Poll::Pending => None,
        })
    }

    fn write(&mut self, stream: &mut Substream, mut data: &[u8]) {
        while !data.is_empty() {
            let taken = self.until(|_| match Pin::new(&mut *stream).poll_write(&mut context(), data) {
                Poll::Ready(taken) => Some(taken.unwrap()),
                Poll::Pending => None,
            });
            data = &data[taken..];
        }
    }

    fn read(&mut self, stream: &mut Substream, into: &mut [u8]) -> io::Result<usize> {
        self.until(|_| match Pin::new(&mut *stream).poll_read(&mut context(), into) {
            Poll::Ready(count) => Some(count),
            Poll::Pending => None,
        })
    }
}

fn finish(stream: &mut Substream) {
    assert!(matches!(Pin::new(stream).poll_close(&mut context()), Poll::Ready(Ok(()))));
}

#[test]
fn thousands_of_streams_leave_nothing_behind() {
    let mut pair = Pair::new();
    for index in 0..2000 {
        let who = index % 2;
        let mut asking = pair.open(who);
        pair.write(&mut asking, b"question");
        finish(&mut asking);
        let mut answering = pair.accept(1 - who);
        let mut buffer = [0; 16];
        assert_eq!(pair.read(&mut answering, &mut buffer).unwrap(), 8);
        assert_eq!(pair.read(&mut answering, &mut buffer).unwrap(), 0, "its half is over");
        pair.write(&mut answering, b"answer");
        finish(&mut answering);
        drop(answering);
        assert_eq!(pair.read(&mut asking, &mut buffer).unwrap(), 6);
        assert_eq!(pair.read(&mut asking, &mut buffer).unwrap(), 0);
        drop(asking);
        // What still waits for its last word, at most.
        assert!(pair.ends.iter().all(|end| end.session.table.entries.len() < 64), "after {index}");
    }
    pair.until(|pair| pair.ends.iter().all(|end| end.hub.streams() == 0 && end.session.table.is_empty()).then_some(()));
}

#[test]
fn a_reader_that_stops_holds_up_nobody_else() {
    let mut pair = Pair::new();
    let mut stuck = pair.open(0);
    pair.write(&mut stuck, &[1; 4 << 20]);
    let _unread = pair.accept(1);
    let mut other = pair.open(0);
    pair.write(&mut other, b"through");
    let mut heard = pair.accept(1);
    let mut buffer = [0; 16];
    assert_eq!(pair.read(&mut heard, &mut buffer).unwrap(), 7);
    // Beyond its buffer the stream ends, not the connection.
    let refused = pair.until(|pair| match Pin::new(&mut stuck).poll_write(&mut context(), &[1; 16 << 10]) {
        Poll::Ready(Err(error)) => Some(error),
        _ => {
            let left: usize = pair.ends[0].session.table.entries.values().map(|entry| entry.queued).sum();
            assert!(left <= (1 << 20) + (32 << 10), "{left}");
            None
        }
    });
    assert!(matches!(refused.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{refused}");
    pair.write(&mut other, b"still");
    assert_eq!(pair.read(&mut heard, &mut buffer).unwrap(), 5);
}

#[test]
fn a_flood_of_channels_ends_in_an_error() {
    let mut pair = Pair::new();
    // More than are allowed; beyond that the flooding machine itself takes its time.
    for _ in 0..MAX_CHANNELS + 500 {
        pair.ends[0].session.rtc.direct_api().create_data_channel(ChannelConfig::default());
    }
    let bound = MAX_CHANNELS + 1;
    let lost = loop {
        if let Err(lost) = pair.step() {
            break Some(lost);
        }
        let known = pair.ends[1].session.table.entries.len();
        assert!(known <= bound && pair.ends[1].hub.streams() <= 1024, "{known}");
        if pair.ends[0].session.table.entries.len() + known == 0 {
            break None;
        }
    };
    assert!(lost.is_none_or(|lost| matches!(lost, Lost::Flooded)));
}

#[test]
fn a_connection_that_is_not_heard_of_is_given_up() {
    let mut pair = Pair::new();
    let mut stream = pair.open(0);
    pair.write(&mut stream, b"question");
    let began = pair.now;
    let lost = loop {
        let end = &mut pair.ends[0].session;
        end.transmits().clear();
        pair.now = end.wake().max(pair.now + Duration::from_millis(1));
        if let Err(lost) = end.timeout(pair.now).and_then(|()| end.settle()) {
            break lost;
        }
    };
    assert!(matches!(lost, Lost::Interrupted), "{lost}");
    let after = pair.now - began;
    assert!(after < Duration::from_secs(60), "{after:?}");
}

#[test]
fn the_window_grows_with_the_way() {
    assert_eq!(window(Duration::from_millis(3)), LEAST_IN_FLIGHT);
    assert_eq!(window(Duration::from_millis(35)), LEAST_IN_FLIGHT + 10 * PER_MILLISECOND);
    assert_eq!(window(Duration::from_secs(9)), IN_FLIGHT);
}
