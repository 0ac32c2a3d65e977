//! The server as its clients see it: real sockets on loopback, one server per test.

#[cfg(test)]
mod data;
#[cfg(all(test, feature = "fault-injection"))]
mod faults;
#[cfg(test)]
mod http;
#[cfg(test)]
mod https;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod media;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shards;
#[cfg(test)]
mod signalling;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod web;
#[cfg(test)]
mod websocket;
