//! Whole meshes of sync machines in one process, by the seed; storage and connections are data.

mod bounds;
mod foreign;
mod hostile;
mod json;
mod merge;
mod network;
mod storage;
