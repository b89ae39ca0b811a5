//! What a run holds and computes, against its limits; buffers that are used again.

mod arena;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use arena::Arena;
use arena::{Lifetime, MAX_PLANNED};

use crate::{
    DataType, Fault, Limits,
    buffer::Buffer,
    shape::{self, Shape},
    value::Value,
};

/// Free buffers that a run without a plan keeps, at most.
const MAX_FREE: usize = 256;

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
    limit: u64,
    /// Bytes of weights and of buffers in use.
    live: u64,
    /// Bytes of buffers that lie idle.
    idle: u64,
    peak: u64,
    /// The most bytes that were asked for at one time, with the weights: what a perfect plan would hold.
    needed: u64,
    asked: u64,
    /// What was taken so far, to plan the next run by.
    lifetimes: Vec<Lifetime>,
    clock: u32,
    /// The plan that this run follows, as long as it does, and its objects that lie idle.
    plan: Option<Arc<Arena>>,
    objects: Vec<Option<Buffer>>,
    /// Whether the run left its plan: its data decide what it takes, and planning again would not help.
    strayed: bool,
    /// Buffers outside of a plan, by capacity, smallest first.
    free: Vec<Buffer>,
}

/// The buffers of a run that is over, for the next one that follows the same plan.
#[derive(Debug, Default)]
pub(crate) struct Objects(Vec<Option<Buffer>>);

impl Memory {
    /// Starts with what is held for as long as the run lives: the weights.
    pub fn new(limits: &Limits, held: u64) -> Self {
        Self::planned(limits, held, None, Objects::default())
    }

    /// The same, following a plan, in buffers that may be left of an earlier run.
    pub fn planned(limits: &Limits, held: u64, plan: Option<Arc<Arena>>, objects: Objects) -> Self {
        let mut objects = objects.0;
        objects.resize_with(plan.as_ref().map_or(0, |plan| plan.objects.len()), || None);
        let idle = objects.iter().flatten().map(|buffer| buffer.capacity() as u64).sum::<u64>();
        let account = Account {
            limit: limits.memory,
            live: held,
            idle,
            peak: held + idle,
            needed: held,
            asked: held,
            lifetimes: Vec::new(),
            clock: 0,
            plan,
            objects,
            strayed: false,
            free: Vec::new(),
        };
        Self { shelf: Arc::new(Shelf(Mutex::new(account))), work: limits.work }
    }

    /// A buffer with undefined contents.
    pub fn buffer(&self, bytes: usize) -> Result<Buffer, Fault> {
        self.shelf.take(bytes).map(|(buffer, ticket)| buffer.reuse(bytes, &self.shelf, ticket))
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
        self.shelf.lock().fits(bytes)
    }

    /// Accounts for bytes that lie elsewhere, until the charge is dropped.
    #[cfg(feature = "burn")]
    pub fn charge(&self, bytes: u64) -> Result<Charge, Fault> {
        let mut account = self.shelf.lock();
        account.fits(bytes)?;
        account.live += bytes;
        account.peak = account.peak.max(account.live + account.idle);
        account.asked += bytes;
        account.needed = account.needed.max(account.asked);
        Ok(Charge { shelf: Arc::clone(&self.shelf), bytes })
    }

    /// Bytes of weights and of buffers in use.
    pub fn live(&self) -> u64 {
        self.shelf.lock().live
    }

    /// The most bytes held so far, in use or kept for later.
    pub fn peak(&self) -> u64 {
        self.shelf.lock().peak
    }

    /// The most bytes that were asked for at one time, with the weights: no plan could hold less.
    pub fn needed(&self) -> u64 {
        self.shelf.lock().needed
    }

    /// After a run to its end: a plan for the next one, unless this one followed a plan already.
    pub fn plan(&self) -> Option<Arena> {
        let account = self.shelf.lock();
        let worth = account.plan.is_none() && !account.strayed && account.lifetimes.len() <= MAX_PLANNED;
        worth.then(|| Arena::new(&account.lifetimes))
    }

    /// The buffers of the plan that the run followed to its end.
    pub fn into_objects(self) -> Option<(Arc<Arena>, Objects)> {
        let mut account = self.shelf.lock();
        let plan = account.plan.take()?;
        Some((plan, Objects(std::mem::take(&mut account.objects))))
    }
}

/// Bytes that a run holds on a device.
#[cfg(feature = "burn")]
#[derive(Debug)]
pub(crate) struct Charge {
    shelf: Arc<Shelf>,
    bytes: u64,
}

#[cfg(feature = "burn")]
impl Drop for Charge {
    fn drop(&mut self) {
        let mut account = self.shelf.lock();
        account.live = account.live.saturating_sub(self.bytes);
        account.asked = account.asked.saturating_sub(self.bytes);
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Account> {
        // Nothing in here panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer, and the number under which it is known.
    fn take(&self, bytes: usize) -> Result<(Buffer, u32), Fault> {
        let mut account = self.lock();
        let ticket = account.lifetimes.len() as u32;
        let buffer = match account.planned(ticket as usize, bytes)? {
            Some(buffer) => buffer,
            None => account.unplanned(bytes)?,
        };
        let capacity = buffer.capacity() as u64;
        account.live += capacity;
        account.peak = account.peak.max(account.live + account.idle);
        account.asked += bytes as u64;
        account.needed = account.needed.max(account.asked);
        if account.lifetimes.len() <= MAX_PLANNED {
            let born = account.clock;
            account.lifetimes.push(Lifetime { bytes, born, died: u32::MAX });
            account.clock += 1;
        }
        Ok((buffer, ticket))
    }

    /// A buffer whose last owner let go of it.
    pub fn put_back(&self, buffer: Buffer, ticket: u32) {
        let mut account = self.lock();
        let capacity = buffer.capacity() as u64;
        account.live = account.live.saturating_sub(capacity);
        account.asked = account.asked.saturating_sub(buffer.bytes() as u64);
        let now = account.clock;
        if let Some(lifetime) = account.lifetimes.get_mut(ticket as usize) {
            lifetime.died = now;
            account.clock += 1;
        }
        let place = account.plan.as_ref().and_then(|plan| plan.places.get(ticket as usize).copied());
        match place {
            Some((_, object)) => account.objects[object] = Some(buffer),
            None if account.free.len() < MAX_FREE => {
                let at = account.free.partition_point(|other| other.capacity() < buffer.capacity());
                account.free.insert(at, buffer);
            }
            None => return,
        }
        account.idle += capacity;
    }
}

impl Account {
    fn fits(&self, bytes: u64) -> Result<(), Fault> {
        match self.live.saturating_add(bytes) {
            needed if needed > self.limit => Err(Fault::Memory { needed, limit: self.limit }),
            _ => Ok(()),
        }
    }

    /// The buffer that the plan has for this, if the run goes as it did when the plan was made.
    fn planned(&mut self, ticket: usize, bytes: usize) -> Result<Option<Buffer>, Fault> {
        let Some(plan) = &self.plan else {
            return Ok(None);
        };
        let place = plan.places.get(ticket).filter(|(planned, _)| *planned == bytes);
        let Some(&(_, object)) = place else {
            // A branch went another way: the rest of this run does without.
            self.plan = None;
            self.strayed = true;
            let left = std::mem::take(&mut self.objects);
            self.idle -= left.iter().flatten().map(|buffer| buffer.capacity() as u64).sum::<u64>();
            return Ok(None);
        };
        let size = plan.objects[object];
        match self.objects[object].take() {
            Some(buffer) => {
                self.idle -= buffer.capacity() as u64;
                Ok(Some(buffer))
            }
            None => {
                self.fits(size as u64)?;
                self.allocate(size).map(Some)
            }
        }
    }

    fn unplanned(&mut self, bytes: usize) -> Result<Buffer, Fault> {
        let at = self.free.partition_point(|buffer| buffer.capacity() < bytes);
        // The smallest that is large enough, unless most of it would lie idle.
        if self.free.get(at).is_some_and(|buffer| buffer.capacity() <= bytes.saturating_mul(2).max(4096)) {
            let buffer = self.free.remove(at);
            self.idle -= buffer.capacity() as u64;
            return Ok(buffer);
        }
        self.fits(bytes as u64)?;
        // What is idle is given up before the run grows.
        while self.live + self.idle + bytes as u64 > self.peak
            && let Some(buffer) = self.free.pop()
        {
            self.idle -= buffer.capacity() as u64;
        }
        self.allocate(bytes)
    }

    /// A buffer within the limit, if the machine or the tab still has that memory.
    fn allocate(&self, bytes: usize) -> Result<Buffer, Fault> {
        let needed = self.live.saturating_add(bytes as u64);
        Buffer::try_zeroed(bytes).ok_or(Fault::Memory { needed, limit: self.live + self.idle })
    }
}
