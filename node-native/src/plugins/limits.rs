//! What one call of a plugin may use.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Bounds of one call.
#[derive(Clone, Debug)]
pub struct PluginLimits {
    /// Bytes of memory.
    pub memory: usize,
    /// Time in the plugin's own code; the model's run does not count, its caller's deadline bounds it.
    pub time: Duration,
    /// Bytes of the answer.
    pub output: usize,
    /// Bytes of a component.
    pub component: usize,
    /// Core modules instantiated.
    pub instances: usize,
    /// Entries of all tables together.
    pub table_entries: usize,
    /// Compiled components that are kept.
    pub compiled: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            time: Duration::from_secs(5),
            output: 1 << 20,
            component: 16 << 20,
            instances: 16,
            table_entries: 100_000,
            compiled: 16,
        }
    }
}

/// Counts what one store uses. Wasmtime asks it before anything grows.
#[derive(Debug)]
pub(super) struct Meter {
    memory: usize,
    memory_limit: usize,
    entries: usize,
    entries_limit: usize,
    instances: usize,
    /// Whether memory was refused: the trap that follows is then told as what it is.
    pub(super) refused: bool,
}

impl Meter {
    pub(super) fn new(limits: &PluginLimits) -> Self {
        Self {
            memory: 0,
            memory_limit: limits.memory,
            entries: 0,
            entries_limit: limits.table_entries,
            instances: limits.instances,
            refused: false,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let allowed = total <= self.memory_limit;
        if allowed {
            self.memory = total;
        } else {
            self.refused = true;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.entries.saturating_add(desired.saturating_sub(current));
        let allowed = total <= self.entries_limit;
        if allowed {
            self.entries = total;
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}
