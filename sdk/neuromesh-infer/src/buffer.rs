//! Memory for elements of any type, aligned for the widest vectors.

use std::sync::{Arc, Weak};

use bytemuck::Pod;

use crate::memory::Shelf;

/// Alignment of the first element, in bytes: a cache line, and the widest vector register.
const ALIGNMENT: usize = 64;

/// A row of elements. When its last owner lets go of it, it returns to the memory that it came from.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    words: Vec<u64>,
    /// The first aligned byte.
    start: usize,
    bytes: usize,
    home: Weak<Shelf>,
    /// The number under which its home knows it.
    ticket: u32,
}

impl Buffer {
    /// Zeros that belong to no run: weights, constants.
    pub fn zeroed(bytes: usize) -> Self {
        Self::aligned(vec![0u64; bytes.div_ceil(8) + ALIGNMENT / 8], bytes)
    }

    /// The same, if there is memory for it: in a tab, to ask for too much would end the engine.
    pub fn try_zeroed(bytes: usize) -> Option<Self> {
        let count = bytes.div_ceil(8) + ALIGNMENT / 8;
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize(count, 0);
        Some(Self::aligned(words, bytes))
    }

    fn aligned(words: Vec<u64>, bytes: usize) -> Self {
        let start = words.as_ptr().align_offset(ALIGNMENT) * 8;
        Self { words, start, bytes, home: Weak::new(), ticket: 0 }
    }

    /// A copy that belongs to no run.
    pub fn from_slice<T: Pod>(elements: &[T]) -> Self {
        let mut buffer = Self::zeroed(size_of_val(elements));
        buffer.slice_mut().copy_from_slice(elements);
        buffer
    }

    /// The same memory for another number of bytes, with whatever it holds.
    pub fn reuse(mut self, bytes: usize, home: &Arc<Shelf>, ticket: u32) -> Self {
        assert!(bytes <= self.capacity(), "a buffer of {} bytes was taken for {bytes}", self.capacity());
        self.bytes = bytes;
        self.home = Arc::downgrade(home);
        self.ticket = ticket;
        self
    }

    /// Bytes that it can hold.
    pub fn capacity(&self) -> usize {
        (self.words.len() * 8).saturating_sub(ALIGNMENT)
    }

    /// Whether it belongs to no run.
    pub fn is_free(&self) -> bool {
        self.home.ptr_eq(&Weak::new())
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its elements; the caller knows their type.
    pub fn slice<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(&self.words)[self.start..self.start + self.bytes])
    }

    pub fn slice_mut<T: Pod>(&mut self) -> &mut [T] {
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut self.words);
        bytemuck::cast_slice_mut(&mut bytes[self.start..self.start + self.bytes])
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let words = std::mem::take(&mut self.words);
            let buffer = Buffer { words, start: self.start, bytes: self.bytes, home: Weak::new(), ticket: 0 };
            home.put_back(buffer, self.ticket);
        }
    }
}
