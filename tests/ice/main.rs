//! ICE alone, over real sockets on loopback: what aioice's tests show of its `Connection`, by handle and by
//! messages. What needs time is in virtual time beside the agent (`src/proto/ice/tests`).

#[cfg(test)]
mod components;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod names;
#[cfg(test)]
mod network;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod servers;

#[cfg(test)]
#[path = "../ice_servers/coturn.rs"]
#[allow(dead_code, reason = "shared with tests/ice_servers")]
mod coturn;
#[cfg(test)]
#[path = "../calls/runner.rs"]
#[allow(dead_code, reason = "shared with tests/calls")]
mod runner;
