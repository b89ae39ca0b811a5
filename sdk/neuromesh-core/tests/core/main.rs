//! Whole networks of the core's machines, in one thread and by the seed. A failure prints its seed.

mod convergence;
mod faults;
mod grants;
mod hostile;
mod requests;
mod rooms;
mod streams;
mod world;
