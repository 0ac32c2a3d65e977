//! Data channels by their actors and handles: two associations on one thread, in virtual time; and over real
//! sockets, also through a bad network.

#[cfg(test)]
mod association;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod errors;
#[cfg(all(test, feature = "fault-injection"))]
mod faults;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod impaired;
#[cfg(test)]
mod pair;
