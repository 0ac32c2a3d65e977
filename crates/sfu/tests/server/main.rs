//! The server as its clients see it: real sockets on loopback, one server per test.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

#[cfg(feature = "fault-injection")]
mod faults;
mod http;
mod https;
mod limits;
mod media;
mod peer;
mod program;
mod rooms;
mod server;
mod signalling;
mod socket;
mod web;
