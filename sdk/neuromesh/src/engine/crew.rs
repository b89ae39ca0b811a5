//! The engine's threads, lent to runs: all of them together never work on more threads than there are.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use neuromesh_infer::kernels::threads::Threads;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most threads of an engine: beyond it the parts of one operator are too small to be worth sharing.
pub const MAX_THREADS: usize = 256;

/// Lends threads. A run takes one, and as many more as are free when it begins; while others wait, it gives these back
/// between two operators.
pub(super) struct Crew {
    total: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Counts loans, so that a run can tell that another one began.
    loans: AtomicU64,
    /// Pools that nobody uses, the longest unused first; at most `total` threads in all.
    idle: Mutex<Vec<Threads>>,
}

/// Threads of one run.
pub(super) struct Loan {
    crew: Arc<Crew>,
    own: OwnedSemaphorePermit,
    helpers: Option<(OwnedSemaphorePermit, Threads)>,
    number: u64,
    /// Whether nobody else was at work whenever helpers were asked for.
    alone: bool,
}

impl Crew {
    pub fn new(threads: usize) -> Arc<Self> {
        let total = threads.clamp(1, MAX_THREADS);
        Arc::new(Self {
            total,
            free: Arc::new(Semaphore::new(total)),
            waiting: AtomicUsize::new(0),
            loans: AtomicU64::new(0),
            idle: Mutex::default(),
        })
    }

    pub fn total(&self) -> usize {
        self.total
    }

    /// One thread, once there is one.
    pub async fn lend(self: &Arc<Self>) -> Loan {
        let own = match self.free.clone().try_acquire_owned() {
            Ok(own) => own,
            Err(_) => {
                let _waits = Waits::new(&self.waiting);
                self.free.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        let number = self.loans.fetch_add(1, Ordering::SeqCst) + 1;
        Loan { crew: self.clone(), own, helpers: None, number, alone: true }
    }

    fn pool(&self, count: usize) -> Threads {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.iter().rposition(|pool| pool.count() == count) {
            Some(at) => idle.remove(at),
            None => {
                drop(idle);
                Threads::new(count)
            }
        }
    }

    fn put_back(&self, pool: Threads) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(pool);
        let mut surplus = Vec::new();
        while idle.iter().map(Threads::count).sum::<usize>() > self.total {
            surplus.push(idle.remove(0));
        }
        // Their threads are joined, which is not to be done under the lock.
        drop(idle);
        drop(surplus);
    }
}

impl Loan {
    /// Takes helpers, so that `count` threads share the work; where so many are not free, the next power of two below of
    /// which there are. Whether it is `count`.
    pub fn widen(&mut self, count: usize) -> bool {
        let fewer = |count: &usize| Some(count.div_ceil(2).next_power_of_two()).filter(|fewer| fewer < count);
        for count in std::iter::successors(Some(count), fewer).filter(|count| *count > 1) {
            let more = u32::try_from(count - 1).unwrap_or(u32::MAX);
            if let Ok(permits) = self.crew.free.clone().try_acquire_many_owned(more) {
                self.helpers = Some((permits, self.crew.pool(count)));
                break;
            }
        }
        let held = self.own.num_permits() + self.helpers.as_ref().map_or(0, |(permits, _)| permits.num_permits());
        self.alone &= self.crew.free.available_permits() + held == self.crew.total;
        held == count
    }

    /// Who helps.
    pub fn threads(&self) -> Threads {
        self.helpers.as_ref().map_or_else(Threads::single, |(_, pool)| pool.clone())
    }

    /// Whether helpers are there that another run waits for.
    pub fn is_wanted(&self) -> bool {
        self.helpers.is_some() && self.crew.waiting.load(Ordering::Relaxed) > 0
    }

    /// Lets the helpers go; the run must not use them any more.
    pub fn narrow(&mut self) {
        if let Some((permits, pool)) = self.helpers.take() {
            self.crew.put_back(pool);
            drop(permits);
        }
    }

    /// Whether no other run was at work beside this one.
    pub fn was_undisturbed(&self) -> bool {
        self.alone && self.crew.loans.load(Ordering::SeqCst) == self.number
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.narrow();
    }
}

/// Counts somebody who waits, also when they give up.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(crew: &Crew) -> usize {
        crew.total - crew.free.available_permits()
    }

    #[tokio::test]
    async fn no_more_threads_are_lent_than_there_are() {
        let crew = Crew::new(4);
        let mut first = crew.lend().await;
        assert!(first.widen(4) && first.threads().count() == 4 && busy(&crew) == 4);
        assert!(!first.is_wanted() && first.was_undisturbed());

        let mut waiting = Box::pin(crew.lend());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        assert!(first.is_wanted());
        first.narrow();
        assert_eq!(first.threads().count(), 1);
        let mut second = waiting.await;
        assert!(!first.was_undisturbed());
        assert_eq!((busy(&crew), first.is_wanted()), (2, false));
        assert!(!second.widen(4) && second.threads().count() == 2, "two of four are free, and one is held already");
        assert_eq!(busy(&crew), 3);
        second.narrow();
        assert!(second.widen(2) && second.threads().count() == 2);
        second.narrow();
        assert!(second.widen(1) && second.threads().count() == 1);
        assert!(!second.was_undisturbed(), "the first one is at work");
        drop((first, second));
        assert_eq!(busy(&crew), 0);

        let crew = Crew::new(7);
        let (mut first, mut second) = (crew.lend().await, crew.lend().await);
        assert!(!first.widen(7) && first.threads().count() == 4, "five are free");
        assert!(!second.widen(4) && second.threads().count() == 2, "two are free");
        assert_eq!(busy(&crew), 6);
    }

    #[tokio::test]
    async fn whoever_gives_up_waits_no_more() {
        let crew = Crew::new(2);
        let mut first = crew.lend().await;
        assert!(first.widen(2));
        let mut waiting = Box::pin(crew.lend());
        assert!(futures::poll!(waiting.as_mut()).is_pending() && first.is_wanted());
        drop(waiting);
        assert!(!first.is_wanted() && first.was_undisturbed());
    }

    #[tokio::test]
    async fn pools_are_used_again_and_those_that_lie_idle_are_bounded() {
        let crew = Crew::new(6);
        for count in [6, 2, 4, 3, 6, 5, 2] {
            let mut loan = crew.lend().await;
            assert!(loan.widen(count) && loan.threads().count() == count);
            drop(loan);
            let idle: Vec<usize> = crew.idle.lock().unwrap().iter().map(Threads::count).collect();
            assert!(idle.iter().sum::<usize>() <= 6 && idle.last() == Some(&count), "{idle:?}");
        }
        assert_eq!(Crew::new(0).total(), 1);
        assert_eq!(Crew::new(usize::MAX).total(), MAX_THREADS);
    }

    #[tokio::test]
    async fn a_run_beside_another_is_disturbed() {
        let crew = Crew::new(4);
        let mut first = crew.lend().await;
        first.widen(2);
        assert!(first.was_undisturbed());
        let second = crew.lend().await;
        drop(second);
        assert!(!first.was_undisturbed(), "also when the other one is over");
    }
}
