//! What a model may use.

/// Bounds that a model and its runs must respect. They hold for one model or run, not for all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of weights plus live activations of one run.
    pub memory: u64,
    /// Nodes in the graph.
    pub nodes: usize,
    /// Multiply-adds of one operator: bounds how long one [`Run::step`](crate::Run::step) can take.
    pub work: u64,
    /// Operators that one run executes, all turns of all loops together.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 2 << 30, nodes: 100_000, work: 1 << 38, steps: 100_000_000 }
    }
}

/// The operator sets of ONNX whose rules the engine knows.
pub(crate) const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 7..=23;

/// Dimensions of a tensor; real models stay below 8.
pub(crate) const MAX_RANK: usize = 16;

/// Decoded messages and strings per allowed node: what real files need, several times over.
pub(crate) const MESSAGES_PER_NODE: usize = 32;

/// Bytes that constant folding may add to a model beyond twice the size of its weights.
pub(crate) const FOLDING_SLACK: u64 = 1 << 20;

/// Multiply-adds of one operator that is executed at load, while constants are folded.
pub(crate) const FOLDING_WORK: u64 = 1 << 28;

/// Operators executed at load, while constants are folded.
pub(crate) const FOLDING_STEPS: usize = 10_000;

/// Functions of a file that call each other, one inside the other.
pub(crate) const MAX_FUNCTION_DEPTH: usize = 32;

/// Bytes of the file's encoding that the bodies of functions may take where they are put in, all together.
pub(crate) const INLINED_BYTES: u64 = 64 << 20;
