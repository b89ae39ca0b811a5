//! Memory that begins at a cache line, and a pointer that threads may share.

/// Owned memory, aligned to 64 bytes, zeroed.
#[derive(Clone)]
pub(crate) struct Storage {
    lines: Vec<Line>,
    bytes: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Storage {
    pub fn new(bytes: usize) -> Self {
        Storage { lines: vec![Line([0; 64]); bytes.div_ceil(64)], bytes }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn floats(&self) -> &[f32] {
        // SAFETY: the lines are at least `bytes` long and initialised, aligned for any number, and every pattern is a float.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.bytes / 4) }
    }

    pub fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for `floats`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.bytes / 4) }
    }

    pub fn signed(&self) -> &[i8] {
        // SAFETY: as for `floats`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.bytes) }
    }

    pub fn signed_mut(&mut self) -> &mut [i8] {
        // SAFETY: as for `floats`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.bytes) }
    }
}

/// A mutable slice that several threads write to, each its own part.
pub(crate) struct SyncPointer<T> {
    start: *mut T,
    len: usize,
}

impl<T> Clone for SyncPointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for SyncPointer<T> {}

// SAFETY: it is a slice of `T` that whoever uses it has promised to divide among threads.
unsafe impl<T: Send> Sync for SyncPointer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SyncPointer<T> {}

impl<T> SyncPointer<T> {
    pub fn new(slice: &mut [T]) -> Self {
        SyncPointer { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// The element at `offset`, which may be one beyond the last.
    pub fn at(&self, offset: usize) -> *mut T {
        debug_assert!(offset <= self.len);
        self.start.wrapping_add(offset)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// Nobody else uses these elements, and the slice that this was made of still lives.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, offset: usize, len: usize) -> &mut [T] {
        assert!(offset <= self.len && len <= self.len - offset, "a part lies outside of its slice");
        // SAFETY: within the slice; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(offset), len) }
    }
}

impl SyncPointer<f32> {
    /// The same memory as integers.
    pub fn cast_bits(self) -> SyncPointer<i32> {
        SyncPointer { start: self.start.cast(), len: self.len }
    }
}
