//! Accounts for memory and work before they are spent.

use crate::{DataType, Fault, Limits, shape, value::held_size};

/// The most that the CPU backend's matrix product packs at once: it is sized by the caches.
const MATRIX_WORKSPACE: u64 = 2 << 20;

/// What a run holds, against its limits.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    memory: u64,
    work: u64,
    live: u64,
    /// Charged by the operator that is being executed.
    pending: u64,
    peak: u64,
}

impl Meter {
    /// Starts with what is held for as long as the run lives: the weights.
    pub fn new(limits: &Limits, held: u64) -> Self {
        Self { memory: limits.memory, work: limits.work, live: held, pending: 0, peak: held }
    }

    /// Charges a tensor that is about to be made, and gives its number of elements.
    pub fn charge(&mut self, shape: &[usize], data_type: DataType) -> Result<usize, Fault> {
        let elements = shape::checked(shape)?;
        self.charge_bytes((elements as u64).saturating_mul(held_size(data_type)))?;
        Ok(elements)
    }

    pub fn charge_bytes(&mut self, bytes: u64) -> Result<(), Fault> {
        let needed = self.live.saturating_add(self.pending).saturating_add(bytes);
        if needed > self.memory {
            return Err(Fault::Memory { needed, limit: self.memory });
        }
        self.pending += bytes;
        self.peak = self.peak.max(needed);
        Ok(())
    }

    /// Charges what a matrix product holds meanwhile: pieces of both operands, repacked.
    pub fn charge_packing(&mut self, left: usize, right: usize) -> Result<(), Fault> {
        self.charge_bytes((left.saturating_add(right) as u64).saturating_mul(4).min(MATRIX_WORKSPACE))
    }

    /// Checks the multiply-adds of an operator that is about to run.
    pub fn check_work(&self, factors: &[usize]) -> Result<(), Fault> {
        let needed = factors.iter().fold(1u64, |product, &factor| product.saturating_mul(factor as u64));
        match needed <= self.work {
            true => Ok(()),
            false => Err(Fault::Work { needed, limit: self.work }),
        }
    }

    /// The operator is done: its results stay, its scratch memory is gone.
    pub fn settle(&mut self, results: u64) {
        self.pending = 0;
        self.live = self.live.saturating_add(results);
        self.peak = self.peak.max(self.live);
    }

    pub fn release(&mut self, bytes: u64) {
        self.live = self.live.saturating_sub(bytes);
    }

    pub fn live(&self) -> u64 {
        self.live
    }

    pub fn peak(&self) -> u64 {
        self.peak
    }
}
