//! What the targets do: they take bytes for what a peer sends, and for the order in which everything happens.
//!
//! `seeds` writes a corpus of what well-behaved peers say.

mod channel;
mod script;
mod signal;

pub use channel::{decoded, one_channel, two_channels};
pub use signal::{negotiation, signals};
