//! Calls between two connections of this library over real sockets on loopback, actors and all.

#[cfg(test)]
mod api;
#[cfg(test)]
mod call;
#[cfg(test)]
mod churn;
#[cfg(test)]
mod controls;
#[cfg(test)]
mod data;
#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod media;
#[cfg(test)]
mod ortc;
#[cfg(test)]
mod perfect;
#[cfg(test)]
mod relays;
#[cfg(test)]
mod renegotiation;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod security;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod transports;

#[cfg(test)]
mod runner;

#[cfg(test)]
use runner::{run, run_undisturbed, run_within};
