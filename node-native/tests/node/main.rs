//! The node, whole: the binary as an operator runs it, over real sockets.

mod cli;
mod fixture;
mod http;
mod magika;
mod mesh;
mod relay;
mod rooms;
mod store;
mod streams;
