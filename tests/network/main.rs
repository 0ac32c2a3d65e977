//! What the network settings do, over real sockets on loopback: TCP instead of UDP, ports, addresses, names.

#[cfg(test)]
mod hostile_tcp;
#[cfg(test)]
mod names;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod reflexive;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod tcp;
