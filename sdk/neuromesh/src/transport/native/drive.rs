//! The task that moves a connection's datagrams.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    session::{Lost, Session, clock},
    sockets::Sockets,
};
use crate::{platform, rtc::Hub};

/// Datagrams that are taken in before something else has its turn.
const BATCH: usize = 32;
/// How soon a socket that took no more is tried again.
const AGAIN: Duration = Duration::from_millis(1);

/// What a kind of connection does besides moving datagrams.
pub(super) trait Pilot: Send {
    /// Does what is to be done now. An error ends the connection.
    fn poll(&mut self, cx: &mut Context<'_>, session: &mut Session) -> Poll<Result<(), Lost>>;
    /// Looks at a connection to which something happened.
    fn look(&mut self, session: &mut Session);
}

/// Runs a connection until it ends.
pub(super) async fn drive(mut session: Session, mut sockets: Sockets, hub: Hub, mut pilot: impl Pilot) {
    let Err(lost) = serve(&mut session, &mut sockets, &hub, &mut pilot).await;
    tracing::debug!(reason = %lost, "peer connection ends");
    hub.lost(lost.to_string());
    session.close();
    // Whoever misses the goodbye finds out by itself.
    sockets.send(session.transmits(), &mut Vec::new());
}

async fn serve(
    session: &mut Session,
    sockets: &mut Sockets,
    hub: &Hub,
    pilot: &mut impl Pilot,
) -> Result<Infallible, Lost> {
    let mut run = Vec::new();
    loop {
        session.settle()?;
        pilot.look(session);
        let sent = sockets.send(session.transmits(), &mut run);
        let mut wake = Instant::from_std(session.wake());
        if let Some(at) = hub.poll_timeout() {
            wake = wake.min(Instant::now() + at.since(platform::now()));
        }
        if !sent {
            wake = wake.min(Instant::now() + AGAIN);
        }
        let mut timer = pin!(sleep_until(wake));
        poll_fn(|cx| {
            let mut happened = receive(cx, session, sockets)?;
            happened |= sent && hub.poll_woken(cx).is_ready();
            while let Poll::Ready(steered) = pilot.poll(cx, session) {
                steered?;
                happened = true;
            }
            if timer.as_mut().poll(cx).is_ready() {
                session.timeout(clock())?;
                happened = true;
            }
            if happened { Poll::Ready(Ok::<_, Lost>(())) } else { Poll::Pending }
        })
        .await?;
    }
}

/// Takes in what has come, in moderation; whether anything has.
fn receive(cx: &mut Context<'_>, session: &mut Session, sockets: &mut Sockets) -> Result<bool, Lost> {
    for count in 0..BATCH {
        match sockets.poll_receive(cx) {
            Poll::Ready(received) => {
                let (datagram, local) = received?;
                session.receive(clock(), datagram.source, local, datagram.bytes)?;
            }
            Poll::Pending => return Ok(count > 0),
        }
    }
    Ok(true)
}
