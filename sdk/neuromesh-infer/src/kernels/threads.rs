//! A pool of threads that share one loop at a time.
//!
//! [`Threads::run`] publishes a loop; whoever is awake takes its indices one by one, the caller among them. The pool never
//! allocates after it was made, never waits for a worker that has not begun, and runs a loop on the caller alone when the pool
//! is at work already (a loop within a loop, or two callers at once).
//!
//! Workers are whoever calls [`Worker::work`]: natively threads that [`Threads::new`] spawns; where the platform cannot spawn
//! ([`Threads::new`] finds out by trying) there are none, or they come in from outside by [`Threads::staffed_by_caller`].
#![allow(unsafe_code)]

use super::cpu::LOOKS;
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A handle on the pool. Clones share it; the workers leave when the last handle is dropped.
#[derive(Clone, Default)]
pub struct Threads {
    pool: Option<Arc<Pool>>,
    /// At most so many of the pool's threads, if there is a bound.
    limit: Option<usize>,
}

impl Threads {
    /// No pool: everything runs on the caller.
    pub fn single() -> Self {
        Threads { pool: None, limit: None }
    }

    /// `count` threads, the caller among them; fewer where the platform gives fewer.
    pub fn new(count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let mut workers = Vec::new();
        for index in 1..count {
            let worker = Worker { shared: Arc::clone(&shared) };
            match std::thread::Builder::new().name(format!("neuromesh-{index}")).spawn(move || worker.work()) {
                Ok(handle) => workers.push(handle),
                Err(_) => break,
            }
        }
        if workers.is_empty() {
            return Threads::single();
        }
        Threads { pool: Some(Arc::new(Pool { count: workers.len() + 1, shared, workers })), limit: None }
    }

    /// A pool meant for `count` threads that spawns none: `count - 1` [`Worker`]s are to be given to threads made elsewhere.
    /// Until they arrive, the caller does the work of all.
    pub fn staffed_by_caller(count: usize) -> (Self, Vec<Worker>) {
        let shared = Arc::new(Shared::default());
        let workers = (1..count).map(|_| Worker { shared: Arc::clone(&shared) }).collect();
        let pool = Pool { count: count.max(1), shared, workers: Vec::new() };
        (Threads { pool: Some(Arc::new(pool)), limit: None }, workers)
    }

    /// The same pool, of which at most `count` threads share a loop, the caller among them.
    pub fn at_most(&self, count: usize) -> Self {
        Threads { pool: self.pool.clone(), limit: Some(count.max(1)) }
    }

    /// How many threads share a loop at most.
    pub fn count(&self) -> usize {
        let pool = self.pool.as_ref().map_or(1, |pool| pool.count);
        self.limit.map_or(pool, |limit| limit.min(pool))
    }

    /// Calls `f` with each of `0..tasks` exactly once and returns when all calls have returned.
    ///
    /// # Panics
    /// When a call panicked, with its payload, after the other calls have ended.
    pub fn run(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        let count = self.count();
        match &self.pool {
            Some(pool) if tasks > 1 && count > 1 && pool.shared.take() => {
                if tasks <= count || count == pool.count {
                    return pool.shared.lead(tasks, f);
                }
                // As many tasks as threads may come, each of which takes what is next.
                let next = AtomicUsize::new(0);
                pool.shared.lead(count, &|_| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= tasks {
                            break;
                        }
                        f(index);
                    }
                });
            }
            _ => (0..tasks).for_each(f),
        }
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("count", &self.count()).finish()
    }
}

/// A place in the pool for one thread.
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// Shares the loops of the pool until its last handle is dropped. Blocks.
    pub fn work(self) {
        let shared = &*self.shared;
        let mut seen = 0;
        while let Some(round) = shared.next_round(seen) {
            seen = round;
            if shared.enter() {
                shared.share();
                shared.leave();
            }
        }
    }
}

struct Pool {
    count: usize,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.lock());
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks, so that this is never an error.
            let _ = worker.join();
        }
    }
}

/// The gate's bit that lets workers in; the bits below count those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

#[derive(Default)]
struct Shared {
    /// A caller is using the pool.
    taken: AtomicBool,
    /// Counts the loops that were published; workers wait for it to change.
    round: AtomicUsize,
    /// Who may read `job`: the caller that took the pool, and the workers counted here.
    gate: AtomicUsize,
    /// The first index that nobody has taken.
    next: AtomicUsize,
    job: UnsafeCell<Job>,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
    done: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy, Default)]
struct Job {
    tasks: usize,
    f: Option<*const (dyn Fn(usize) + Sync)>,
}

// SAFETY: `job` is written only by the thread that holds `taken`, while the gate is shut and empty, and read only from inside
// the gate; its pointer is to a `Sync` closure that outlives the time the gate is occupied.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is not tied to a thread, as the closure is `Sync`.
unsafe impl Send for Shared {}

impl Shared {
    fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::Acquire)
    }

    /// Publishes the loop, shares it, and waits until everybody has left it. The caller has taken the pool.
    fn lead(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        let f: *const (dyn Fn(usize) + Sync + '_) = f;
        // SAFETY: only the lifetime is erased; nobody reads the pointer after this function has shut the gate and seen it
        // empty, which it does before it returns, also when a task panics (`share` catches that).
        let f: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(f) };
        // SAFETY: the gate is shut and empty, and this thread holds `taken`: nobody else looks at the job.
        unsafe { *self.job.get() = Job { tasks, f: Some(f) } };
        self.next.store(0, Ordering::Relaxed);
        self.gate.store(OPEN, Ordering::Release);
        self.round.fetch_add(1, Ordering::SeqCst);
        let sleepers = self.sleepers.load(Ordering::SeqCst);
        if sleepers > 0 {
            drop(self.lock());
            (1..tasks).take(sleepers).for_each(|_| self.wake.notify_one());
        }

        self.share();

        self.gate.fetch_and(!OPEN, Ordering::AcqRel);
        if !spin(|| self.gate.load(Ordering::Acquire) == 0) {
            let mut guard = self.lock();
            while self.gate.load(Ordering::Acquire) != 0 {
                guard = self.done.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.taken.store(false, Ordering::Release);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Takes indices until there are none. The caller is inside the gate, or leads.
    fn share(&self) {
        // SAFETY: whoever is inside the gate may read the job, and it stays as it is until the gate is empty.
        let Job { tasks, f } = unsafe { *self.job.get() };
        let Some(f) = f else { return };
        let rest = || {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= tasks {
                    break;
                }
                // SAFETY: the closure lives until `lead` returns, which waits for this thread to leave the gate.
                unsafe { (*f)(index) };
            }
        };
        // The indices after a panic are run too, by the others or by this thread.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(rest)) {
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
        }
    }

    fn enter(&self) -> bool {
        self.gate
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |gate| (gate & OPEN != 0).then_some(gate + 1))
            .is_ok()
    }

    fn leave(&self) {
        if self.gate.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(self.lock());
            self.done.notify_one();
        }
    }

    /// Waits for a loop that is not `seen`; none when the pool is dropped.
    fn next_round(&self, seen: usize) -> Option<usize> {
        let news = || self.round.load(Ordering::SeqCst) != seen || self.stop.load(Ordering::SeqCst);
        if !spin(news) {
            let mut guard = self.lock();
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            while !news() {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
        (!self.stop.load(Ordering::SeqCst)).then(|| self.round.load(Ordering::SeqCst))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for a short while whether something has happened.
fn spin(happened: impl Fn() -> bool) -> bool {
    (0..LOOKS).any(|_| {
        std::hint::spin_loop();
        happened()
    })
}

#[cfg(test)]
mod tests;
