//! Requests of local callers: choose, start, hedge, retry, answer.

use std::time::Duration;

use rand::Rng;

use super::{
    ErrorKind, Event, ExchangeError, Mesh, Output, Owner, RunError, TaskError, TaskOutput,
    catalog::seen_as,
    job::{Asking, BUSY, Job, RUNNING, Running, Via, patience},
};
use crate::{
    Answer, ExchangeId, Numerics, PeerId, Receipt, Request, RequestId, ShapeClass, TaskId, Tier, Timestamp,
    receipt::Exactness,
    request::{Attempt, Estimate, Route},
    router::{Candidate, Choice, MAX_CONSIDERED, Observation, Query, Source, at_class},
    wire::{InferReply, InferRequest, InferSuccess},
};

/// How long a busy peer is left alone the first time; doubled each time.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// The most times that busy peers are asked again within one request.
const MAX_BUSY: usize = 8;
/// The longest deadline.
const MAX_DEADLINE: Duration = Duration::from_secs(3600);

/// Why an approximate answer to an exact request is thrown away.
const NOT_EXACT: &str = "the answer is approximate, and an exact one was asked for";

/// Where the time of an attempt went, beside the engine's own.
struct Spent {
    load: Duration,
    queue: Duration,
    /// What the engine here expects of the next run.
    expected: Option<Duration>,
}

impl Mesh {
    pub(super) fn on_run(&mut self, now: Timestamp, id: RequestId, request: Request) {
        if self.jobs.contains_key(&id) {
            tracing::error!(request = %id, "a request id was used twice; the second request is dropped");
            return;
        }
        match self.accept(now, request) {
            Ok(job) => {
                self.jobs.insert(id, job);
                self.advance(now, id, true);
            }
            Err(error) => self.event(Event::Answered { id, result: Err(error) }),
        }
    }

    pub(super) fn on_cancel(&mut self, id: RequestId) {
        self.finish(id, Err(RunError::Cancelled));
    }

    /// A task of one of our own requests is done.
    pub(super) fn on_ran_here(
        &mut self,
        now: Timestamp,
        id: RequestId,
        task: TaskId,
        result: Result<TaskOutput, TaskError>,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(running) = job.take(Via::Task(task)) else { return };
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.on_failed(now, id, &running, error.kind, &error.message),
        };
        if let Err(error) = done.output.validate() {
            return self.on_failed(now, id, &running, ErrorKind::Failed, &format!("the model's output: {error}"));
        }
        if !allows(job, done.exactness) {
            return self.on_failed(now, id, &running, ErrorKind::Failed, NOT_EXACT);
        }
        let (model, input, expected) = (job.model, job.input_digest, done.expected);
        let micros = u64::try_from(done.service.as_micros()).unwrap_or(u64::MAX);
        let receipt = Receipt::sign(&self.key, model, input, done.output.digest(), micros, done.exactness);
        let queue = now.since(running.since).saturating_sub(done.load.saturating_add(done.service));
        let success = InferSuccess { receipt, load_us: 0, queue_us: 0, output: done.output };
        self.on_success(now, id, &running, success, &Spent { load: done.load, queue, expected });
    }

    pub(super) fn on_replied(&mut self, now: Timestamp, exchange: ExchangeId, result: Result<Vec<u8>, ExchangeError>) {
        let Some(asking) = self.asking.remove(&exchange) else { return };
        let id = asking.job;
        let Some(running) = self.jobs.get_mut(&id).and_then(|job| job.take(Via::Exchange(exchange))) else { return };
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(ExchangeError::Lost(why)) => return self.on_lost(now, id, &running, &why),
            Err(error) => return self.on_failed(now, id, &running, ErrorKind::NetworkError, &error.to_string()),
        };
        match InferReply::decode(&bytes) {
            Err(error) => self.on_failed(now, id, &running, ErrorKind::NetworkError, &error.to_string()),
            Ok(InferReply::Err(failure)) => self.on_failed(now, id, &running, failure.kind, &failure.message),
            Ok(InferReply::Ok(success)) => match self.check(id, &running, &success) {
                Err(why) => self.on_failed(now, id, &running, ErrorKind::Failed, why),
                Ok(()) => {
                    let load = Duration::from_micros(success.load_us);
                    let queue = Duration::from_micros(success.queue_us);
                    self.on_success(now, id, &running, *success, &Spent { load, queue, expected: None });
                }
            },
        }
    }

    /// The connection to a peer is gone, and with it everything asked of it.
    pub(super) fn abandon_peer(&mut self, now: Timestamp, peer: PeerId) {
        let asked: Vec<ExchangeId> =
            self.asking.iter().filter(|(_, asking)| asking.peer == peer).map(|(exchange, _)| *exchange).collect();
        for exchange in asked {
            self.outputs.push_back(Output::AbortAsk { exchange });
            self.on_replied(now, exchange, Err(ExchangeError::Lost("the connection closed".to_owned())));
        }
        self.stop_serving_peer(peer);
    }

    pub(super) fn wake_jobs(&mut self, now: Timestamp) {
        let due: Vec<RequestId> =
            self.jobs.iter().filter(|(_, job)| job.wake_at().is_some_and(|at| at <= now)).map(|(id, _)| *id).collect();
        for id in due {
            self.wake_job(now, id);
        }
    }

    fn accept(&mut self, now: Timestamp, request: Request) -> Result<Job, RunError> {
        let limit = self.config.limits.requests;
        if self.jobs.len() >= limit {
            return Err(RunError::TooManyRequests { limit });
        }
        request.input.validate()?;
        let Some(model) = self.resolve(&request.model) else {
            return Err(RunError::ModelNotFound { model: request.model.chars().take(128).collect() });
        };
        let deadline = request.options.deadline.unwrap_or(self.config.deadline).min(MAX_DEADLINE);
        Ok(Job {
            name: request.model,
            model,
            input_digest: request.input.digest(),
            class: ShapeClass::of(&request.input),
            input: request.input,
            options: request.options,
            nonce: self.rng.random(),
            started: now,
            deadline: now + deadline,
            running: Vec::new(),
            attempts: Vec::new(),
            tried: Default::default(),
            busy: Default::default(),
            considered: Vec::new(),
            given: Default::default(),
            last_failure: None,
        })
    }

    fn wake_job(&mut self, now: Timestamp, id: RequestId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.deadline <= now {
            let deadline_ms = u64::try_from(job.deadline.since(job.started).as_millis()).unwrap_or(u64::MAX);
            for running in &job.running {
                job.attempts[running.attempt].outcome = "late".to_owned();
            }
            let attempts = job.attempts.clone();
            return self.finish(id, Err(RunError::DeadlineExceeded { deadline_ms, attempts }));
        }
        let mut late = Vec::new();
        for running in job.running.iter_mut().filter(|running| running.late_at.is_some_and(|at| at <= now)) {
            running.late_at = None;
            job.attempts[running.attempt].outcome = "late".to_owned();
            job.tried.insert(running.peer, "is late with this request".to_owned());
            late.push((running.peer, now.since(running.since)));
        }
        let (model, class) = (job.model, job.class);
        for (peer, elapsed) in late {
            self.router.observe_late(now, model, class, peer, elapsed);
            self.event(Event::Retried { id, peer, outcome: "late".to_owned() });
        }
        self.advance(now, id, false);
    }

    /// Starts the next attempt, if there is one to start; ends the request when nothing is left to wait for.
    fn advance(&mut self, now: Timestamp, id: RequestId, explore: bool) {
        let limits = &self.config.limits;
        let Some(job) = self.jobs.get(&id) else { return };
        // Something is still expected to answer in time.
        if job.running.iter().any(|running| running.late_at.is_some()) {
            return;
        }
        let spent = job.counted() >= limits.attempts || job.attempts.len() >= limits.attempts + MAX_BUSY;
        let choice = if spent { Err(Vec::new()) } else { self.choose(now, id, explore) };
        match choice {
            Ok(choice) => self.start(now, id, choice),
            Err(considered) => self.give_up(now, id, spent, considered),
        }
    }

    fn choose(&mut self, now: Timestamp, id: RequestId, explore: bool) -> Result<Choice, Vec<Estimate>> {
        let job = &self.jobs[&id];
        let candidates = self.candidates(now, job);
        let query = Query {
            model: job.model,
            model_bytes: self.model_bytes(&job.model),
            input_bytes: job.input.size() as u64,
            class: job.class,
            options: &job.options,
            remaining: job.deadline.since(now),
            explore,
        };
        self.router.choose(now, &query, &candidates)
    }

    fn candidates(&self, now: Timestamp, job: &Job) -> Vec<Candidate> {
        let hedging = !job.running.is_empty();
        let ruled_out = |peer: &PeerId, source: Source| {
            let busy = || job.busy.get(peer).filter(|until| **until > now).map(|_| "is busy".to_owned());
            let fetch = || (hedging && source == Source::Fetch).then(|| "would have to fetch the model".to_owned());
            job.tried.get(peer).cloned().or_else(busy).or_else(fetch)
        };
        let source = self.own_source(&job.model);
        let full = (!self.has_room(job.input.size())).then(|| "is busy".to_owned());
        let own = Candidate {
            peer: self.me,
            tier: Tier::Device,
            stands: Some(self.config.tier),
            connected: true,
            serves: true,
            source,
            slots: self.config.limits.slots,
            queue: u32::try_from(self.tasks.len()).unwrap_or(u32::MAX),
            advertised: advertised(self.own_times(&job.model).into_iter(), job.class),
            ruled_out: ruled_out(&self.me, source).or(full),
        };
        let held = self.held.contains_key(&job.model);
        let offers = self.presence.nodes().filter(|(_, profile)| profile.offer(&job.model).is_some());
        let offered: Vec<PeerId> = offers.map(|(peer, _)| *peer).collect();
        let mut candidates = vec![own];
        for (peer, profile) in self.presence.nodes() {
            let connected = self.links.contains_key(peer);
            let offer = profile.offer(&job.model);
            if !connected && offer.is_none() {
                continue;
            }
            // Servers fetch what they lack, from whoever has it: this peer or one that need not be connected to it.
            let elsewhere = || offered.iter().any(|holder| holder != peer);
            let fetches = matches!(profile.tier, Tier::Edge | Tier::Cloud) && (held || elsewhere());
            let source = match offer {
                Some(offer) if offer.loaded => Source::Loaded,
                Some(_) => Source::Held,
                None if fetches => Source::Fetch,
                None => Source::Missing,
            };
            let asked = self.asking.values().filter(|asking| asking.peer == *peer).count();
            candidates.push(Candidate {
                peer: *peer,
                tier: seen_as(profile.tier),
                stands: None,
                connected,
                serves: profile.serves,
                source,
                slots: profile.slots,
                queue: profile.queue.max(u32::try_from(asked).unwrap_or(u32::MAX)),
                advertised: offer.and_then(|offer| {
                    let times = offer.times.iter().map(|(class, us)| (*class, micros(*us)));
                    advertised(times, job.class).or_else(|| offer.service_us.map(micros))
                }),
                ruled_out: ruled_out(peer, source),
            });
        }
        candidates
    }

    fn start(&mut self, now: Timestamp, id: RequestId, choice: Choice) {
        let job = self.jobs.get_mut(&id).expect("chosen for a job that exists");
        // The oldest late attempt makes room for the new one.
        let surplus = (job.running.len() + 1).saturating_sub(job.most_running(self.config.limits.hedges));
        let dropped: Vec<Running> = job.running.drain(..surplus).collect();
        tracing::debug!(request = %id, peer = %choice.peer, reason = %choice.reason, "chose where to run");
        let left = job.deadline.since(now);
        let trusted = choice.measured && choice.source == Source::Loaded;
        let late_at = Some(now + patience(choice.predicted, trusted, left));
        let attempt = job.attempts.len();
        job.attempts.push(Attempt { peer: choice.peer, tier: choice.tier, outcome: RUNNING.to_owned() });
        job.busy.remove(&choice.peer);
        job.considered = choice.considered;
        let (model, name) = (job.model, job.name.clone());
        let (numerics, stream) = (job.options.numerics, job.options.stream);

        let (via, sent_bytes) = if choice.peer == self.me {
            let input = job.input.clone();
            (Via::Task(self.start_task(Owner::Job(id), model, numerics, stream, input)), 0)
        } else {
            let budget_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            let bytes = InferRequest::encode_parts(model, budget_ms, job.nonce, numerics, stream, &job.input)
                .expect("the input was validated when the request was accepted");
            let exchange = ExchangeId(self.next_exchange);
            self.next_exchange += 1;
            self.asking.insert(exchange, Asking { job: id, peer: choice.peer });
            let sent_bytes = bytes.len() as u64;
            self.outputs.push_back(Output::Ask { exchange, peer: choice.peer, bytes });
            (Via::Exchange(exchange), sent_bytes)
        };
        let job = self.jobs.get_mut(&id).expect("still there");
        job.running.push(Running {
            attempt,
            peer: choice.peer,
            tier: choice.tier,
            via,
            since: now,
            late_at,
            source: choice.source,
            reason: choice.reason,
            sent_bytes,
            place: Default::default(),
        });
        dropped.iter().for_each(|running| self.stop(running));
        self.event(Event::Sent { id, peer: choice.peer, tier: choice.tier, model: name });
    }

    fn give_up(&mut self, now: Timestamp, id: RequestId, spent: bool, mut considered: Vec<Estimate>) {
        let job = self.jobs.get_mut(&id).expect("given up while it exists");
        job.busy.retain(|_, until| *until > now);
        if !job.running.is_empty() || (!spent && !job.busy.is_empty()) {
            return;
        }
        // This peer's own engine is full: it is asked again as any other busy peer.
        let own_busy = considered.iter().any(|e| e.peer == self.me && e.excluded.as_deref() == Some("is busy"));
        if !spent && own_busy {
            job.busy.insert(self.me, now + BUSY_PAUSE);
            return;
        }
        considered.truncate(MAX_CONSIDERED);
        let error = match job.last_failure.take() {
            None => RunError::NoCandidate { model: job.name.clone(), considered },
            Some((ErrorKind::InvalidInput, message)) => RunError::InvalidInput(message),
            Some((kind, message)) => RunError::Failed { kind, message, attempts: job.attempts.clone() },
        };
        self.finish(id, Err(error));
    }

    fn check(&self, id: RequestId, running: &Running, success: &InferSuccess) -> Result<(), &'static str> {
        let job = &self.jobs[&id];
        let receipt = &success.receipt;
        if receipt.peer != running.peer || receipt.model != job.model || receipt.input != job.input_digest {
            return Err("the receipt is about another peer, model or input");
        }
        if receipt.output != success.output.digest() {
            return Err("the receipt is about another output");
        }
        if !allows(job, receipt.exactness) {
            return Err(NOT_EXACT);
        }
        receipt.verify().map_err(|_| "the receipt's signature does not hold")
    }

    fn on_success(&mut self, now: Timestamp, id: RequestId, running: &Running, success: InferSuccess, spent: &Spent) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.options.stream {
            match job.given.complete(&success.output) {
                Err(_) => {
                    let (peer, tier) = (running.peer, running.tier);
                    return self.finish(id, Err(RunError::Diverged { peer, tier }));
                }
                Ok(rest) if rest.is_empty() => {}
                Ok(rest) => self.outputs.push_back(Output::Event(Event::Part { id, part: rest })),
            }
        }
        let output_bytes = success.output.size() as u64;
        let observation = Observation {
            peer: running.peer,
            model: job.model,
            class: job.class,
            elapsed: now.since(running.since),
            load: spent.load,
            queue: spent.queue,
            service: Duration::from_micros(success.receipt.duration_us),
            expected: spent.expected,
            shipped: if running.peer == self.me { 0 } else { running.sent_bytes + output_bytes },
            output_bytes,
            source: running.source,
        };
        job.attempts[running.attempt].outcome = "answered".to_owned();
        for other in &job.running {
            job.attempts[other.attempt].outcome = "late".to_owned();
        }
        // "The last one answered": the answer of the first after a hedge was sent is still told last.
        let answered = job.attempts.remove(running.attempt);
        job.attempts.push(answered);
        let route = Route {
            tier: running.tier,
            peer: running.peer,
            reason: running.reason.clone(),
            elapsed_ms: u64::try_from(now.since(job.started).as_millis()).unwrap_or(u64::MAX),
            considered: std::mem::take(&mut job.considered),
            attempts: std::mem::take(&mut job.attempts),
        };
        self.router.observe(now, &observation);
        // Listeners are told of other peers only, and what is no peer is forgotten.
        if running.peer == self.me {
            self.models_stale = true;
        } else {
            self.refresh_peer(now, running.peer);
        }
        self.profile_stale = true;
        self.finish(id, Ok(Answer { output: success.output, receipt: success.receipt, route }));
    }

    fn on_lost(&mut self, now: Timestamp, id: RequestId, running: &Running, why: &str) {
        self.router.observe_failure(now, running.peer);
        self.on_attempt_over(now, id, running, "lost".to_owned(), ErrorKind::NetworkError, why);
    }

    pub(super) fn on_failed(
        &mut self,
        now: Timestamp,
        id: RequestId,
        running: &Running,
        kind: ErrorKind,
        message: &str,
    ) {
        if kind == ErrorKind::Busy {
            let Some(job) = self.jobs.get_mut(&id) else { return };
            let times = job.attempts.iter().filter(|a| a.peer == running.peer && a.outcome == BUSY).count();
            let pause = BUSY_PAUSE * (1 << times.min(6));
            job.busy.insert(running.peer, now + pause.mul_f64(self.rng.random_range(1.0..1.5)));
            return self.on_attempt_over(now, id, running, BUSY.to_owned(), kind, message);
        }
        if kind == ErrorKind::InvalidInput && running.peer == self.me {
            return self.finish(id, Err(RunError::InvalidInput(message.to_owned())));
        }
        // That an input does not fit its model is not the peer's fault.
        if kind != ErrorKind::InvalidInput {
            self.router.observe_failure(now, running.peer);
        }
        self.on_attempt_over(now, id, running, format!("failed: {message}"), kind, message);
    }

    fn on_attempt_over(
        &mut self,
        now: Timestamp,
        id: RequestId,
        running: &Running,
        outcome: String,
        kind: ErrorKind,
        message: &str,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.attempts[running.attempt].outcome.clone_from(&outcome);
        job.last_failure = Some((kind, message.to_owned()));
        if kind != ErrorKind::Busy {
            job.tried.insert(running.peer, format!("was tried: {outcome}"));
        }
        self.event(Event::Retried { id, peer: running.peer, outcome });
        self.advance(now, id, false);
    }

    /// The one way out of a request.
    pub(super) fn finish(&mut self, id: RequestId, result: Result<Answer, RunError>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        job.running.iter().for_each(|running| self.stop(running));
        self.event(Event::Answered { id, result });
    }

    pub(super) fn stop(&mut self, running: &Running) {
        match running.via {
            Via::Task(task) => self.cancel_task(task),
            Via::Exchange(exchange) => {
                if self.asking.remove(&exchange).is_some() {
                    self.outputs.push_back(Output::AbortAsk { exchange });
                }
            }
        }
    }
}

/// Whether an answer will do.
fn allows(job: &Job, exactness: Exactness) -> bool {
    exactness == Exactness::Exact || job.options.numerics == Numerics::Fast
}

fn advertised(times: impl Iterator<Item = (ShapeClass, Duration)>, class: ShapeClass) -> Option<Duration> {
    let seconds = at_class(times.map(|(class, time)| (class, time.as_secs_f64())), class)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn micros(us: u32) -> Duration {
    Duration::from_micros(us.into())
}
