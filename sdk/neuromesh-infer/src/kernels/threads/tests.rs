use super::*;

fn sum_of(threads: &Threads, tasks: usize) -> (usize, bool) {
    let calls: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    threads.run(tasks, &|index| {
        calls[index].fetch_add(1, Ordering::Relaxed);
    });
    (calls.len(), calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1))
}

#[test]
fn every_index_once() {
    for count in 1..5 {
        let threads = Threads::new(count);
        for tasks in [0, 1, 2, 3, 7, 100] {
            for _ in 0..50 {
                assert_eq!(sum_of(&threads, tasks), (tasks, true));
            }
        }
    }
}

#[test]
fn a_bound_on_the_threads_of_a_pool() {
    let threads = Threads::new(4);
    for bound in 1..6 {
        let few = threads.at_most(bound);
        assert_eq!(few.count(), bound.min(4));
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let calls: Vec<AtomicUsize> = (0..200).map(|_| AtomicUsize::new(0)).collect();
        few.run(calls.len(), &|index| {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            calls[index].fetch_add(1, Ordering::Relaxed);
            inside.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(most.load(Ordering::SeqCst) <= bound);
        assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
    }
}

#[test]
fn sleeping_workers_wake() {
    let threads = Threads::new(3);
    for _ in 0..3 {
        let shared = &threads.pool.as_ref().expect("it has workers").shared;
        while shared.sleepers.load(Ordering::SeqCst) < threads.count() - 1 {
            std::thread::yield_now();
        }
        assert_eq!(sum_of(&threads, 64), (64, true));
    }
}

#[test]
fn nested_and_concurrent_loops() {
    let threads = Threads::new(3);
    let inner = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20 {
                    threads.run(5, &|_| {
                        threads.run(4, &|_| {
                            inner.fetch_add(1, Ordering::Relaxed);
                        });
                    });
                }
            });
        }
    });
    assert_eq!(inner.load(Ordering::Relaxed), 3 * 20 * 5 * 4);
}

#[test]
fn a_panic_is_the_callers_and_the_pool_lives_on() {
    let threads = Threads::new(2);
    let done = AtomicUsize::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        threads.run(8, &|index| {
            if index == 3 {
                resume_unwind(Box::new("three"));
            }
            done.fetch_add(1, Ordering::Relaxed);
        });
    }));
    let payload = outcome.expect_err("the panic reaches the caller");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"three"));
    assert_eq!(done.load(Ordering::Relaxed), 7);
    assert_eq!(sum_of(&threads, 9), (9, true));
}

#[test]
fn workers_from_elsewhere() {
    let (threads, workers) = Threads::staffed_by_caller(3);
    assert_eq!((threads.count(), workers.len()), (3, 2));
    assert_eq!(sum_of(&threads, 10), (10, true), "before anybody has come");
    let handles: Vec<_> = workers.into_iter().map(|worker| std::thread::spawn(move || worker.work())).collect();
    assert_eq!(sum_of(&threads, 10), (10, true));
    drop(threads);
    handles.into_iter().for_each(|handle| handle.join().expect("they leave when the last handle is dropped"));
}
