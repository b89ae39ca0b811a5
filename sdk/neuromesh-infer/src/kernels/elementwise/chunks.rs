//! Slices shared among threads, each thread with a part of its own.
#![allow(unsafe_code)]

use crate::kernels::threads::Threads;

/// How many elements make a task worth handing to another thread.
pub(in crate::kernels) const GRAIN: usize = 16_384;

/// Calls `f(index, chunk)` for each of the chunks of `size` elements (the last one may be shorter), on any thread.
pub(in crate::kernels) fn for_chunks<T: Send>(
    threads: &Threads,
    data: &mut [T],
    size: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    for_chunks_of_two(threads, (data, size), (&mut [(); 0], 0), |index, chunk, _| f(index, chunk));
}

/// [`for_chunks`] of two slices that are cut in step: `f(index, chunk of a, chunk of b)`. The second size may be 0: then all
/// its chunks are empty.
///
/// # Panics
/// When `b` has not as many chunks as `a`.
pub(in crate::kernels) fn for_chunks_of_two<A: Send, B: Send>(
    threads: &Threads,
    (a, a_size): (&mut [A], usize),
    (b, b_size): (&mut [B], usize),
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    if a.is_empty() {
        return;
    }
    let tasks = a.len().div_ceil(a_size);
    assert!(b_size == 0 || b.len().div_ceil(b_size) == tasks, "two slices with different numbers of chunks");
    let a = Shared { start: a.as_mut_ptr(), len: a.len(), size: a_size };
    let b = Shared { start: b.as_mut_ptr(), len: b.len(), size: b_size };
    threads.run(tasks, &|index| {
        // SAFETY: `run` hands out every index below `tasks` once, so that nobody else has these chunks; the slices are borrowed
        // until `run` returns, when all calls have ended.
        let (a, b) = unsafe { (a.chunk(index), b.chunk(index)) };
        f(index, a, b);
    });
}

/// How many rows of `row` elements make a task.
pub(in crate::kernels) fn rows_at_a_time(row: usize) -> usize {
    (GRAIN / row.max(1)).max(1)
}

struct Shared<T> {
    start: *mut T,
    len: usize,
    size: usize,
}

// SAFETY: the pointer is only used to make disjoint `&mut [T]`, which may be sent as `T` is `Send`.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// The slice is borrowed mutably for as long as the chunk lives, and nobody else has a chunk of this index.
    #[allow(clippy::mut_from_ref)]
    unsafe fn chunk(&self, index: usize) -> &mut [T] {
        let from = (index * self.size).min(self.len);
        let to = (from + self.size).min(self.len);
        // SAFETY: the range is within the slice, and disjoint from those of other indices.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), to - from) }
    }
}
