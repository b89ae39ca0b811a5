use super::{
    pair::{Pair, Way, finish, write},
    *,
};

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
    let refused = pair.until(|pair| match write(&mut stuck, &[1; 16 << 10]) {
        Some(Err(error)) => Some(error),
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

#[test]
fn hundreds_at_once_from_both_sides() {
    let mut pair = Pair::over(Way { lost: 50, delay: Duration::from_millis(5), ..Way::default() }, 1);
    let mut open: [Vec<_>; 2] = Default::default();
    for index in 0..400 {
        let who = index % 2;
        let mut asking = pair.open(who);
        pair.write(&mut asking, &[who as u8; 3000]);
        finish(&mut asking);
        open[who].push(asking);
    }
    for (who, asked) in open.into_iter().enumerate() {
        for _ in 0..200 {
            let mut answering = pair.accept(1 - who);
            let (mut buffer, mut heard) = ([0; 4096], Vec::new());
            loop {
                match pair.read(&mut answering, &mut buffer).unwrap() {
                    0 => break,
                    count => heard.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(heard, [who as u8; 3000]);
            finish(&mut answering);
        }
        for mut asking in asked {
            assert_eq!(pair.read(&mut asking, &mut [0; 16]).unwrap(), 0);
        }
    }
    pair.until(|pair| pair.ends.iter().all(|end| end.hub.streams() == 0 && end.session.table.is_empty()).then_some(()));
}
