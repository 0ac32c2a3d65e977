//! Calls with STUN and TURN servers, over real sockets on loopback. The TURN server is coturn: where no
//! `turnserver` is installed, its tests say so and pass.

#[cfg(test)]
mod coturn;
#[cfg(test)]
mod names;
#[cfg(test)]
mod reflexive;
#[cfg(test)]
mod relayed;
#[cfg(test)]
mod relays;
#[cfg(test)]
mod unreachable;

#[cfg(test)]
#[path = "../calls/call.rs"]
#[allow(dead_code, reason = "shared with tests/calls")]
mod call;
#[cfg(test)]
#[path = "../calls/runner.rs"]
#[allow(dead_code, reason = "shared with tests/calls")]
mod runner;
