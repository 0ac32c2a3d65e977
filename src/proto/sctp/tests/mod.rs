//! Associations under test: two of them over a network in virtual time, or one against crafted packets.
//!
//! The crate draws verification tags and initial TSNs by itself; what the network does, and what is
//! sent, follows the seed.

mod channels;
mod handshake;
mod hostile;
mod pair;
mod reliability;
