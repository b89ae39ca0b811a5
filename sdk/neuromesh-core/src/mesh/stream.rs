//! Parts of answers, to other peers and to local callers.

use super::{
    ErrorKind, Event, Mesh, Output, Owner, RunError,
    job::{Via, stall},
};
use crate::{
    ExchangeId, Part, RequestId, TaskId, Timestamp, part::MAX_PART_BYTES, payload::MAX_PAYLOAD_BYTES, wire::InferPart,
};

/// Parts on their way to an asker: one that was handed to the driver, and what has been made since, which waits as one. So a
/// slow asker gets fewer and longer parts, and none is lost: what waits when the answer is there comes with it.
#[derive(Debug, Default)]
pub(super) struct Telling {
    under_way: bool,
    waiting: Part,
}

impl Mesh {
    pub(super) fn on_task_part(&mut self, now: Timestamp, task: TaskId, part: Part) {
        match self.tasks.get(&task).map(|task| task.owner) {
            Some(Owner::Job(id)) => self.on_part(now, id, Via::Task(task), &part),
            Some(Owner::Exchange(exchange)) => {
                let Some(serving) = self.serving.get_mut(&exchange) else { return };
                let Some(telling) = &mut serving.telling else { return };
                telling.waiting.append(part);
                // More than an answer may hold: the run goes on to fail by itself.
                if telling.waiting.size() > MAX_PAYLOAD_BYTES {
                    serving.telling = None;
                } else {
                    self.tell_part(exchange);
                }
            }
            Some(Owner::Nobody) | None => {}
        }
    }

    pub(super) fn on_part_sent(&mut self, exchange: ExchangeId) {
        let telling = self.serving.get_mut(&exchange).and_then(|serving| serving.telling.as_mut());
        if let Some(telling) = telling {
            telling.under_way = false;
            self.tell_part(exchange);
        }
    }

    pub(super) fn on_part_came(&mut self, now: Timestamp, exchange: ExchangeId, bytes: &[u8]) {
        let Some(asking) = self.asking.get(&exchange) else { return };
        let (id, via) = (asking.job, Via::Exchange(exchange));
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let error = match InferPart::decode(bytes) {
            Ok(InferPart(part)) if job.options.stream => return self.on_part(now, id, via, &part),
            Ok(_) => "parts of the answer came, and none were asked for".to_owned(),
            Err(error) => error.to_string(),
        };
        let Some(running) = job.take(via) else { return };
        self.stop(&running);
        self.on_failed(now, id, &running, ErrorKind::NetworkError, &error);
    }

    fn tell_part(&mut self, exchange: ExchangeId) {
        let Some(telling) = self.serving.get_mut(&exchange).and_then(|serving| serving.telling.as_mut()) else {
            return;
        };
        if telling.under_way || telling.waiting.is_empty() {
            return;
        }
        telling.under_way = true;
        let part = InferPart(telling.waiting.split_front(MAX_PART_BYTES));
        let bytes = part.encode().expect("a front is within the bound, and not empty");
        self.outputs.push_back(Output::Part { exchange, bytes });
    }

    /// An attempt of one of our own requests tells more of its answer.
    fn on_part(&mut self, now: Timestamp, id: RequestId, via: Via, part: &Part) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.options.stream && !part.is_empty()) else { return };
        let Some(index) = job.running.iter().position(|running| running.via == via) else { return };
        let running = &mut job.running[index];
        let (peer, tier) = (running.peer, running.tier);
        let Ok(fresh) = job.given.extend(&mut running.place, part) else {
            return self.finish(id, Err(RunError::Diverged { peer, tier }));
        };
        running.late_at = Some(now + stall(job.deadline.since(now)));
        // The first to say something goes on alone.
        let told = job.running.remove(index);
        let others = std::mem::replace(&mut job.running, vec![told]);
        for other in &others {
            job.attempts[other.attempt].outcome = "late".to_owned();
        }
        others.iter().for_each(|other| self.stop(other));
        if !fresh.is_empty() {
            self.event(Event::Part { id, part: fresh });
        }
    }
}
