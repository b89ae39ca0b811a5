//! Messages that wait for somebody on their topic.
//!
//! Presence names the members of a room before each of them has said on its connections that it listens, and one that left and came
//! back has not said so for a moment: gossipsub refuses such a message. It waits a little instead.

use std::{collections::VecDeque, time::Duration};

use futures::channel::oneshot;
use libp2p::gossipsub::{Behaviour, IdentTopic, PublishError};
use neuromesh_core::Timestamp;

use crate::error::{Error, ErrorKind};

/// How long a message waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Messages that wait at a time; with them, a further one is refused at once.
const MAX_WAITING: usize = 64;

type Done = oneshot::Sender<Result<(), Error>>;

struct Message {
    topic: String,
    data: Vec<u8>,
    done: Done,
    until: Timestamp,
}

#[derive(Default)]
pub(super) struct Unheard(VecDeque<Message>);

fn refused(error: &PublishError) -> Error {
    let text = match error {
        PublishError::NoPeersSubscribedToTopic => "nobody in reach listens to this".to_owned(),
        error => error.to_string(),
    };
    Error::new(ErrorKind::Network, text)
}

impl Unheard {
    /// Sends to all who listen, as soon as anybody does.
    pub(super) fn publish(&mut self, gossip: &mut Behaviour, topic: String, data: Vec<u8>, done: Done, now: Timestamp) {
        match gossip.publish(IdentTopic::new(topic.clone()), data.clone()) {
            Err(PublishError::NoPeersSubscribedToTopic) if self.0.len() < MAX_WAITING => {
                self.0.push_back(Message { topic, data, done, until: now + PATIENCE });
            }
            result => {
                let _ = done.send(result.map(|_| ()).map_err(|error| refused(&error)));
            }
        }
    }

    /// Somebody listens to this topic now.
    pub(super) fn heard(&mut self, gossip: &mut Behaviour, topic: &str) {
        let (ready, waiting) = std::mem::take(&mut self.0).into_iter().partition(|message| message.topic == topic);
        self.0 = waiting;
        let ready: VecDeque<Message> = ready;
        for message in ready {
            let result = gossip.publish(IdentTopic::new(message.topic), message.data);
            let _ = message.done.send(result.map(|_| ()).map_err(|error| refused(&error)));
        }
    }

    /// Gives up what has waited long enough.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(message) = self.0.pop_front_if(|message| message.until <= now) {
            let _ = message.done.send(Err(refused(&PublishError::NoPeersSubscribedToTopic)));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.front().map(|message| message.until)
    }
}
