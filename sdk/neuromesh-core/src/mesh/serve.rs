//! Runs for other peers.

use std::time::Duration;

use super::{ErrorKind, Mesh, Output, Owner, TaskError, TaskOutput};
use crate::{
    Digest, ExchangeId, PeerId, Receipt, ShapeClass, TaskId, Timestamp,
    mesh::stream::Telling,
    router::Source,
    wire::{InferReply, InferRequest, InferSuccess},
};

/// However long a peer says it will wait, its run is stopped after this.
const MAX_BUDGET: Duration = Duration::from_secs(600);

/// An exchange that has no reply yet.
#[derive(Debug)]
pub(super) struct Serving {
    pub peer: PeerId,
    task: TaskId,
    model: Digest,
    class: ShapeClass,
    input: Digest,
    since: Timestamp,
    pub deadline: Timestamp,
    /// Parts on their way to the asker, if it wants them.
    pub telling: Option<Telling>,
}

impl Mesh {
    pub(super) fn on_asked(&mut self, now: Timestamp, exchange: ExchangeId, peer: PeerId, bytes: &[u8]) {
        if self.serving.contains_key(&exchange) {
            tracing::error!(%exchange, "an exchange id was used twice; the second question is dropped");
            return;
        }
        match self.admit(now, &peer, bytes) {
            Err((kind, message)) => self.reply(exchange, &InferReply::failure(kind, &message)),
            Ok(request) => {
                let input = request.input.digest();
                let deadline = now + Duration::from_millis(request.budget_ms.into()).min(MAX_BUDGET);
                let class = ShapeClass::of(&request.input);
                let owner = Owner::Exchange(exchange);
                let telling = request.stream.then(Telling::default);
                let task = self.start_task(owner, request.model, request.numerics, request.stream, request.input);
                let serving = Serving { peer, task, model: request.model, class, input, since: now, deadline, telling };
                self.serving.insert(exchange, serving);
            }
        }
    }

    pub(super) fn on_served(&mut self, now: Timestamp, exchange: ExchangeId, result: Result<TaskOutput, TaskError>) {
        let Some(serving) = self.serving.remove(&exchange) else { return };
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.reply(exchange, &InferReply::failure(error.kind, &error.message)),
        };
        self.router.observe_service(now, serving.model, serving.class, done.service, done.expected);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let receipt = Receipt::sign(
            &self.key,
            serving.model,
            serving.input,
            done.output.digest(),
            micros(done.service),
            done.exactness,
        );
        let queue = now.since(serving.since).saturating_sub(done.load.saturating_add(done.service));
        let success =
            InferSuccess { receipt, load_us: micros(done.load), queue_us: micros(queue), output: done.output };
        self.reply(exchange, &InferReply::Ok(Box::new(success)));
    }

    /// The asker is gone or no longer interested.
    pub(super) fn stop_serving(&mut self, exchange: ExchangeId) {
        if let Some(serving) = self.serving.remove(&exchange) {
            self.cancel_task(serving.task);
        }
    }

    pub(super) fn stop_serving_peer(&mut self, peer: PeerId) {
        let asked: Vec<ExchangeId> =
            self.serving.iter().filter(|(_, serving)| serving.peer == peer).map(|(exchange, _)| *exchange).collect();
        asked.into_iter().for_each(|exchange| self.stop_serving(exchange));
    }

    pub(super) fn wake_serving(&mut self, now: Timestamp) {
        let due: Vec<ExchangeId> =
            self.serving.iter().filter(|(_, serving)| serving.deadline <= now).map(|(id, _)| *id).collect();
        for exchange in due {
            self.stop_serving(exchange);
            let reply = InferReply::failure(ErrorKind::DeadlineExceeded, "the asker's time is over");
            self.reply(exchange, &reply);
        }
    }

    fn admit(&self, now: Timestamp, peer: &PeerId, bytes: &[u8]) -> Result<InferRequest, (ErrorKind, String)> {
        let request = InferRequest::decode(bytes).map_err(|error| (ErrorKind::InvalidInput, error.to_string()))?;
        if !self.config.serves && !self.serves_in_a_room(now, peer) {
            return Err((ErrorKind::Failed, "this peer does not run models for others".to_owned()));
        }
        if !self.has_room(request.input.size()) {
            return Err((ErrorKind::Busy, format!("{} model runs are waiting here already", self.tasks.len())));
        }
        if self.own_source(&request.model) == Source::Missing {
            let message = format!("model {} is neither here nor at a connected peer", request.model);
            return Err((ErrorKind::ModelNotFound, message));
        }
        Ok(request)
    }

    fn reply(&mut self, exchange: ExchangeId, reply: &InferReply) {
        let bytes = reply.encode().or_else(|error| {
            InferReply::failure(ErrorKind::Failed, &format!("the model's output cannot be sent: {error}")).encode()
        });
        let bytes = bytes.expect("failures always encode");
        self.outputs.push_back(Output::Reply { exchange, bytes });
    }
}
