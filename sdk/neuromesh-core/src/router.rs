//! Where a request runs: predicts what each candidate would take and picks the least.
//!
//! A prediction is the sum of the round trip, shipping the bytes, waiting behind other work, fetching and loading the
//! model, and running it. Every term starts from a prior and is replaced by what was measured here ([`Router::observe`]).
//! Running it is learned for each class of input sizes; between known classes the time is interpolated, beyond the largest it
//! grows with the size, and below the smallest it stays.
//! Two rules stand beside "the least": the last choice is kept until another one is better by a margin, so that noise
//! does not make requests (and their warm models) wander, and now and then a candidate that was never measured is tried
//! when its prior is not hopeless.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{Digest, Options, PeerId, Privacy, ShapeClass, Tier, Timestamp, request::Estimate};

mod learned;
mod reason;
#[cfg(test)]
mod tests;

pub(crate) use learned::at_class;
use learned::{Learned, Link};

/// The most (model, peer) pairs whose times are remembered; the longest unused one goes first.
pub const MAX_LEARNED: usize = 4096;
/// The most candidates listed in a decision.
pub const MAX_CONSIDERED: usize = 32;
/// From this size on a transfer says something about bandwidth, below it about fixed costs.
const BULK_BYTES: u64 = 64 << 10;

/// Constants of the [`Router`].
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Assumed until measured, in bytes per second.
    pub bandwidth: f64,
    /// Reading a held model into memory, in bytes per second.
    pub load_rate: f64,
    /// What loading costs however small the model.
    pub load_base: Duration,
    /// Assumed output size in bytes until seen.
    pub output_bytes: u64,
    /// Another candidate must be better by this share of the last choice's time …
    pub margin_ratio: f64,
    /// … and by this much.
    pub margin: Duration,
    /// One request in so many tries a candidate that was never measured; 0: none does.
    pub explore_one_in: u32,
    /// Only candidates predicted within this factor of the best are tried so.
    pub explore_within: f64,
    /// Measurements older than this count as a prior only.
    pub stale: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            bandwidth: 10e6,
            load_rate: 200e6,
            load_base: Duration::from_millis(50),
            output_bytes: 4096,
            margin_ratio: 0.15,
            margin: Duration::from_millis(2),
            explore_one_in: 8,
            explore_within: 3.0,
            stale: Duration::from_secs(300),
        }
    }
}

/// How far a candidate is from running the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In memory.
    Loaded,
    /// In its store.
    Held,
    /// To be fetched from another peer first.
    Fetch,
    /// Out of its reach.
    Missing,
}

/// A peer that might run the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The peer.
    pub peer: PeerId,
    /// Its tier, from the caller's point of view: `device` is this peer itself.
    pub tier: Tier,
    /// For this peer itself: where it stands in the eyes of others. Asking for that tier means it, too.
    pub stands: Option<Tier>,
    /// Whether a connection stands; true for this peer itself.
    pub connected: bool,
    /// Whether it runs models for the caller.
    pub serves: bool,
    /// How far it is from running the model.
    pub source: Source,
    /// Runs that it does at the same time.
    pub slots: u32,
    /// Runs that it has taken and not finished.
    pub queue: u32,
    /// Time in its engine for an input like this one, as it says itself.
    pub advertised: Option<Duration>,
    /// Why this request may not go there, when the caller of the router knows one: it was tried already, it is busy.
    pub ruled_out: Option<String>,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// Digest of the manifest.
    pub model: Digest,
    /// Bytes of the model's files.
    pub model_bytes: u64,
    /// Bytes of the input.
    pub input_bytes: u64,
    /// How large it is for the model.
    pub class: ShapeClass,
    /// What the caller wants.
    pub options: &'a Options,
    /// Time left until the deadline.
    pub remaining: Duration,
    /// Whether an unmeasured candidate may be tried; not for a second attempt.
    pub explore: bool,
}

/// The router's decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Who runs it.
    pub peer: PeerId,
    /// Its tier, from the caller's point of view.
    pub tier: Tier,
    /// How far it is from running the model.
    pub source: Source,
    /// How long it should take.
    pub predicted: Duration,
    /// Whether the prediction rests on measurements of this model there.
    pub measured: bool,
    /// One sentence for people.
    pub reason: String,
    /// The candidates, the chosen one first, then by time, those excluded last; at most [`MAX_CONSIDERED`].
    pub considered: Vec<Estimate>,
}

/// What one answered attempt took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who ran it.
    pub peer: PeerId,
    /// Which model.
    pub model: Digest,
    /// On an input of which size.
    pub class: ShapeClass,
    /// From sending the request to having the answer.
    pub elapsed: Duration,
    /// Fetching and loading the model.
    pub load: Duration,
    /// Waiting behind other work.
    pub queue: Duration,
    /// Time in the engine.
    pub service: Duration,
    /// What the engine expects of the next such run, where it knows better than this one shows.
    pub expected: Option<Duration>,
    /// Bytes sent and received; zero for this peer itself.
    pub shipped: u64,
    /// Bytes of the output.
    pub output_bytes: u64,
    /// How far the peer was from running it when it was asked.
    pub source: Source,
}

/// Learns times and chooses. Holds no connections and no queue: the caller lists the candidates each time.
#[derive(Debug)]
pub struct Router {
    me: PeerId,
    tuning: Tuning,
    rng: ChaCha8Rng,
    links: BTreeMap<PeerId, Link>,
    runs: BTreeMap<(Digest, PeerId), Runs>,
    last: BTreeMap<Digest, PeerId>,
}

#[derive(Debug, Default)]
struct Runs {
    /// Whatever the input; at least as new as any class.
    service: Learned,
    /// There are 65 classes at most.
    classes: BTreeMap<ShapeClass, Learned>,
    load: Learned,
    output: Learned,
}

/// An estimate with what the ranking needs to know besides.
struct Ranked<'a> {
    candidate: &'a Candidate,
    estimate: Estimate,
    total: f64,
    measured: bool,
    /// Lower classes first, whatever they take: sound before failing, in time before late, preferred before others.
    class: (bool, bool, bool),
}

impl Runs {
    /// What the engine itself expects is better than what one run took, and smoothed already.
    fn add(&mut self, now: Timestamp, class: ShapeClass, ms: f64, expected: Option<Duration>) {
        let known = self.classes.entry(class).or_default();
        match expected.map(millis) {
            Some(expected) => known.set(now, expected),
            None => known.add(now, ms),
        }
        self.service.add(now, expected.map_or(ms, millis));
    }

    /// What is known, at this class.
    fn at(&self, class: ShapeClass) -> Option<f64> {
        at_class(self.classes.iter().filter_map(|(class, known)| Some((*class, known.value?))), class)
    }
}

impl Router {
    /// A router that has measured nothing.
    pub fn new(me: PeerId, tuning: Tuning, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { me, tuning, rng, links: BTreeMap::new(), runs: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// Picks a candidate.
    ///
    /// # Errors
    /// All candidates with the reason why each one is excluded.
    pub fn choose(
        &mut self,
        now: Timestamp,
        query: &Query<'_>,
        candidates: &[Candidate],
    ) -> Result<Choice, Vec<Estimate>> {
        let mut ranked: Vec<Ranked<'_>> = candidates.iter().map(|c| self.rank(now, query, c)).collect();
        ranked.sort_by(order);
        let usable = ranked.iter().take_while(|r| r.estimate.excluded.is_none()).count();
        if usable == 0 {
            return Err(ranked.into_iter().map(|r| r.estimate).collect());
        }
        let (index, why) = self.pick(query, &ranked[..usable]);
        let chosen = ranked.remove(index);
        ranked.insert(0, chosen);
        let first = &ranked[0];
        if query.explore && why != reason::Why::Explore {
            self.last.insert(query.model, first.candidate.peer);
            while self.last.len() > MAX_LEARNED {
                self.last.pop_first();
            }
        }
        Ok(Choice {
            peer: first.candidate.peer,
            tier: first.candidate.tier,
            source: first.candidate.source,
            predicted: Duration::try_from_secs_f64(first.total / 1e3).unwrap_or(Duration::MAX),
            measured: first.measured,
            reason: reason::sentence(&ranked, usable, why, query.options),
            considered: ranked.into_iter().map(|r| r.estimate).take(MAX_CONSIDERED).collect(),
        })
    }

    /// Learns from a measured round trip.
    pub fn observe_rtt(&mut self, now: Timestamp, peer: PeerId, rtt: Duration) {
        self.links.entry(peer).or_default().rtt.add(now, millis(rtt));
    }

    /// Learns from an answer.
    pub fn observe(&mut self, now: Timestamp, seen: &Observation) {
        let bandwidth = self.tuning.bandwidth;
        let link = self.links.entry(seen.peer).or_default();
        link.strikes = 0;
        let rtt = link.rtt.value.unwrap_or(0.0);
        let rest =
            (millis(seen.elapsed) - millis(seen.load) - millis(seen.queue) - millis(seen.service) - rtt).max(0.0);
        if seen.shipped >= BULK_BYTES {
            let transfer = (rest - link.overhead.value.unwrap_or(0.0)).max(0.1);
            link.bandwidth.add(now, (seen.shipped as f64 / transfer * 1e3).clamp(1e4, 1e10));
        } else {
            let transfer = seen.shipped as f64 / link.bandwidth.value.unwrap_or(bandwidth) * 1e3;
            link.overhead.add(now, (rest - transfer).max(0.0));
        }
        let runs = self.runs_mut(seen.model, seen.peer);
        // A peer that claims more than the whole exchange took is not believed; clocks tick in milliseconds.
        let service = millis(seen.service).min(millis(seen.elapsed) + 1.0);
        runs.add(now, seen.class, service, seen.expected);
        runs.output.add(now, seen.output_bytes as f64);
        // A load that began with a fetch says nothing about the next one.
        if seen.source == Source::Held && !seen.load.is_zero() {
            runs.load.add(now, millis(seen.load));
        }
    }

    /// Learns that a model ran in this peer's own engine, for whomever.
    pub fn observe_service(
        &mut self,
        now: Timestamp,
        model: Digest,
        class: ShapeClass,
        service: Duration,
        expected: Option<Duration>,
    ) {
        let me = self.me;
        self.runs_mut(model, me).add(now, class, millis(service), expected);
    }

    /// Learns that no answer came in time: it takes at least this long there.
    pub fn observe_late(&mut self, now: Timestamp, model: Digest, class: ShapeClass, peer: PeerId, elapsed: Duration) {
        let elapsed = millis(elapsed);
        let runs = self.runs_mut(model, peer);
        if runs.classes.get(&class).and_then(|known| known.value).is_none_or(|known| known < elapsed) {
            runs.add(now, class, elapsed, None);
        }
    }

    /// Learns that a peer failed: it is the last choice for a while, longer each time, until it answers again.
    pub fn observe_failure(&mut self, now: Timestamp, peer: PeerId) {
        let link = self.links.entry(peer).or_default();
        link.strikes = (link.strikes + 1).min(6);
        link.avoid_until = now + Duration::from_millis(500 << link.strikes);
    }

    /// Forgets a peer that is gone.
    pub fn forget(&mut self, peer: &PeerId) {
        self.links.remove(peer);
        self.runs.retain(|(_, of), _| of != peer);
        self.last.retain(|_, of| of != peer);
    }

    /// The smoothed round trip.
    pub fn rtt(&self, peer: &PeerId) -> Option<Duration> {
        let ms = self.links.get(peer)?.rtt.value?;
        Some(Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX))
    }

    /// The smoothed times in a peer's engine by class, as measured here.
    pub fn services(&self, model: &Digest, peer: &PeerId) -> Vec<(ShapeClass, Duration)> {
        let known = self.runs.get(&(*model, *peer)).map(|runs| &runs.classes);
        let time = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX);
        known.into_iter().flatten().filter_map(|(class, known)| Some((*class, time(known.value?)))).collect()
    }

    /// The smoothed time in a peer's engine whatever the input, as measured here.
    pub fn service(&self, model: &Digest, peer: &PeerId) -> Option<Duration> {
        let ms = self.runs.get(&(*model, *peer))?.service.value?;
        Some(Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX))
    }

    fn runs_mut(&mut self, model: Digest, peer: PeerId) -> &mut Runs {
        let key = (model, peer);
        if !self.runs.contains_key(&key) && self.runs.len() >= MAX_LEARNED {
            let oldest = self.runs.iter().min_by_key(|(_, runs)| runs.service.at).map(|(key, _)| *key);
            oldest.into_iter().for_each(|key| {
                self.runs.remove(&key);
            });
        }
        self.runs.entry(key).or_default()
    }

    fn rank<'a>(&self, now: Timestamp, query: &Query<'_>, candidate: &'a Candidate) -> Ranked<'a> {
        let link = self.links.get(&candidate.peer);
        let runs = self.runs.get(&(query.model, candidate.peer));
        let local = candidate.peer == self.me;
        let bandwidth = link.and_then(|l| l.bandwidth.value).unwrap_or(self.tuning.bandwidth);
        let overhead = link.and_then(|l| l.overhead.value).unwrap_or(0.0);

        let stale = self.tuning.stale;
        let of_class = runs.and_then(|runs| runs.classes.get(&query.class)).copied().unwrap_or_default();
        let measured = of_class.is_fresh(now, stale);
        let service = of_class
            .value
            .filter(|_| measured)
            .or_else(|| candidate.advertised.map(millis))
            .or_else(|| runs?.at(query.class))
            .unwrap_or_else(|| default_service(candidate.tier));

        let rtt = match (local, link.and_then(|l| l.rtt.value)) {
            (true, _) => 0.0,
            (false, measured) => measured.unwrap_or_else(|| default_rtt(candidate.tier)),
        };
        let output = runs.and_then(|r| r.output.value).unwrap_or(self.tuning.output_bytes as f64);
        let ship = if local { overhead } else { overhead + (query.input_bytes as f64 + output) / bandwidth * 1e3 };
        let slots = candidate.slots.max(1);
        let waiting = f64::from(candidate.queue.saturating_add(1).saturating_sub(slots)) / f64::from(slots);
        let queue = waiting * service;
        let bytes = query.model_bytes as f64;
        let held = runs
            .and_then(|r| r.load.value)
            .unwrap_or_else(|| millis(self.tuning.load_base) + bytes / self.tuning.load_rate * 1e3);
        let load = match candidate.source {
            Source::Loaded | Source::Missing => 0.0,
            Source::Held => held,
            Source::Fetch => held + bytes / self.tuning.bandwidth * 1e3,
        };

        let total = rtt + ship + queue + load + service;
        let options = query.options;
        let preferred = options.prefer.is_none_or(|tier| is_tier(candidate, tier));
        let failing = link.is_some_and(|l| l.strikes > 0 && l.avoid_until > now);
        let estimate = Estimate {
            peer: candidate.peer,
            tier: candidate.tier,
            rtt_ms: whole(rtt),
            ship_ms: whole(ship),
            queue_ms: whole(queue),
            load_ms: whole(load),
            service_ms: whole(service),
            total_ms: whole(total),
            excluded: exclusion(candidate, options, local),
        };
        let class = (failing, total > millis(query.remaining), !preferred);
        Ranked { candidate, estimate, total, measured, class }
    }

    fn pick(&mut self, query: &Query<'_>, usable: &[Ranked<'_>]) -> (usize, reason::Why) {
        let best = &usable[0];
        let peers = || usable.iter().take_while(|r| r.class == best.class).enumerate();
        if query.explore && self.tuning.explore_one_in > 0 {
            let limit = best.total * self.tuning.explore_within;
            let untried: Vec<usize> =
                peers().skip(1).filter(|(_, r)| !r.measured && r.total <= limit).map(|(index, _)| index).collect();
            // Drawn only when there is something to try, and then always, so that a replay draws the same.
            if best.measured
                && let Some(index) = untried.choose(&mut self.rng)
                && self.rng.random_ratio(1, self.tuning.explore_one_in)
            {
                return (*index, reason::Why::Explore);
            }
        }
        let last = self.last.get(&query.model);
        match peers().find(|(_, r)| Some(&r.candidate.peer) == last) {
            Some((index, kept)) if index > 0 => {
                let margin = (kept.total * self.tuning.margin_ratio).max(millis(self.tuning.margin));
                let keep = kept.total - best.total < margin;
                if keep { (index, reason::Why::Keep) } else { (0, reason::Why::Least) }
            }
            _ => (0, reason::Why::Least),
        }
    }
}

fn order(a: &Ranked<'_>, b: &Ranked<'_>) -> Ordering {
    let excluded = |r: &Ranked<'_>| r.estimate.excluded.is_some();
    (excluded(a), a.class)
        .cmp(&(excluded(b), b.class))
        .then(a.total.total_cmp(&b.total))
        .then(a.candidate.peer.cmp(&b.candidate.peer))
}

fn exclusion(candidate: &Candidate, options: &Options, local: bool) -> Option<String> {
    let text = |text: &str| Some(text.to_owned());
    if options.privacy == Privacy::Device && !local {
        return text("is another device, and the input must not leave this one");
    }
    if let Some(tier) = options.tier
        && !is_tier(candidate, tier)
    {
        return Some(format!("is not of the tier asked for ({tier})"));
    }
    if !candidate.connected {
        return text("is not connected");
    }
    if !candidate.serves {
        return text("does not run models for others");
    }
    if candidate.source == Source::Missing {
        return text("has no such model and no peer to fetch it from");
    }
    candidate.ruled_out.clone()
}

fn is_tier(candidate: &Candidate, tier: Tier) -> bool {
    candidate.tier == tier || candidate.stands == Some(tier)
}

/// Round trips assumed until measured, in milliseconds.
const fn default_rtt(tier: Tier) -> f64 {
    match tier {
        Tier::Device => 0.0,
        Tier::Peer | Tier::Edge => 30.0,
        Tier::Cloud => 80.0,
    }
}

/// Times in the engine assumed until anybody says better, in milliseconds.
const fn default_service(tier: Tier) -> f64 {
    match tier {
        Tier::Device => 200.0,
        Tier::Peer => 250.0,
        Tier::Edge => 60.0,
        Tier::Cloud => 40.0,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn whole(ms: f64) -> u32 {
    // A cast from float saturates, which is what a prediction beyond 49 days deserves.
    ms.round() as u32
}
