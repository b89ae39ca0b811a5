//! Real peers on loopback: libp2p, stores, engine, nothing replaced.

mod documents;
mod engine;
mod models;
mod paths;
mod peers;
mod pipelines;
mod rooms;
mod streams;
