//! What a run holds and computes, against its limits; buffers that are used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    DataType, Fault, Limits,
    buffer::Buffer,
    shape::{self, Shape},
    value::Value,
};

/// Buffers that a run keeps for later, at most.
const MAX_FREE: usize = 1024;

/// The memory of one run. Every buffer of the run comes from here and returns by itself.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    shelf: Arc<Shelf>,
    /// Multiply-adds that one operator may take.
    work: u64,
}

/// Where buffers lie that nobody uses.
#[derive(Debug)]
pub(crate) struct Shelf(Mutex<Account>);

#[derive(Debug)]
struct Account {
    /// By capacity, smallest first.
    free: Vec<Buffer>,
    limit: u64,
    /// Bytes of weights and of buffers in use.
    live: u64,
    /// Bytes of free buffers.
    idle: u64,
    peak: u64,
}

impl Memory {
    /// Starts with what is held for as long as the run lives: the weights.
    pub fn new(limits: &Limits, held: u64) -> Self {
        let account = Account { free: Vec::new(), limit: limits.memory, live: held, idle: 0, peak: held };
        Self { shelf: Arc::new(Shelf(Mutex::new(account))), work: limits.work }
    }

    /// A buffer with undefined contents.
    pub fn buffer(&self, bytes: usize) -> Result<Buffer, Fault> {
        self.shelf.take(bytes).map(|buffer| buffer.reuse(bytes, &self.shelf))
    }

    /// A tensor with undefined elements.
    pub fn value(&self, data_type: DataType, shape: impl Into<Shape>) -> Result<Value, Fault> {
        let shape = shape.into();
        let elements = shape::checked(&shape)?;
        Ok(Value::new(data_type, shape, self.buffer(elements * data_type.size())?))
    }

    /// Checks the multiply-adds of an operator that is about to run.
    pub fn check_work(&self, factors: &[usize]) -> Result<(), Fault> {
        let needed = factors.iter().fold(1u64, |product, &factor| product.saturating_mul(factor as u64));
        match needed <= self.work {
            true => Ok(()),
            false => Err(Fault::Work { needed, limit: self.work }),
        }
    }

    /// Whether so many bytes more would fit.
    pub fn check(&self, bytes: u64) -> Result<(), Fault> {
        let account = self.shelf.lock();
        account.fits(bytes)
    }

    /// Bytes of weights and of buffers in use.
    pub fn live(&self) -> u64 {
        self.shelf.lock().live
    }

    /// The most bytes held so far, in use or kept for later.
    pub fn peak(&self) -> u64 {
        self.shelf.lock().peak
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Account> {
        // Nothing in here panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: usize) -> Result<Buffer, Fault> {
        let mut account = self.lock();
        let at = account.free.partition_point(|buffer| buffer.capacity() < bytes);
        // The smallest that is large enough, unless most of it would lie idle.
        let fits = account.free.get(at).is_some_and(|buffer| buffer.capacity() <= bytes.saturating_mul(2).max(4096));
        let buffer = match fits {
            true => {
                let buffer = account.free.remove(at);
                account.idle -= buffer.capacity() as u64;
                buffer
            }
            false => {
                account.fits(bytes as u64)?;
                // Room first: what is idle is given up before the run grows.
                let short = |account: &Account| account.live + account.idle + bytes as u64 > account.peak;
                while short(&account)
                    && let Some(buffer) = account.free.pop()
                {
                    account.idle -= buffer.capacity() as u64;
                }
                Buffer::zeroed(bytes)
            }
        };
        account.live += buffer.capacity() as u64;
        account.peak = account.peak.max(account.live + account.idle);
        Ok(buffer)
    }

    /// A buffer whose last owner let go of it.
    pub fn put_back(&self, buffer: Buffer) {
        let mut account = self.lock();
        let capacity = buffer.capacity();
        account.live = account.live.saturating_sub(capacity as u64);
        if account.free.len() < MAX_FREE {
            account.idle += capacity as u64;
            let at = account.free.partition_point(|other| other.capacity() < capacity);
            account.free.insert(at, buffer);
        }
    }
}

impl Account {
    fn fits(&self, bytes: u64) -> Result<(), Fault> {
        match self.live.saturating_add(bytes) {
            needed if needed > self.limit => Err(Fault::Memory { needed, limit: self.limit }),
            _ => Ok(()),
        }
    }
}
