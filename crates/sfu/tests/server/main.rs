//! The server as its clients see it: real sockets on loopback, one server per test.

mod http;
mod limits;
mod media;
mod peer;
mod program;
mod rooms;
mod server;
mod signalling;
mod socket;
mod web;
