//! What the actors of one shard share to reach the network: sockets, the table that says whose a
//! datagram is, and the queue of datagrams that leave.
//!
//! Everything here belongs to one thread (`Rc`, `RefCell`), so no packet takes a lock on its way
//! between a socket and the actors of its peer.

mod datagram_io;
mod egress;
mod interfaces;
mod mdns;
mod mdns_responder;
mod relay;
mod router;
mod socket;
mod socket_set;
mod tcp;
mod trust;
mod watch;

pub use egress::{Egress, FlushOutcome, Full, Refusal, Route};
pub use interfaces::{
    AddressMapping, HostAddress, InterfaceFilter, MappedCandidate, NetworkConfig, TcpMode, host_addresses,
};
pub(crate) use interfaces::{local_address, local_preference};
pub use mdns::resolve;
pub use mdns_responder::HiddenName;
pub use relay::{Relay, Wire};
pub use router::{Inbound, PeerKey, PeerLanes, Router, RouterSize};
pub use socket::Socket;
pub use socket_set::{Listener, PortChoice, SocketSet};
pub use tcp::{TcpLink, TcpLinks};
pub use trust::TlsTrust;
pub use watch::{AddressWatch, ListAddresses, TellAddressLost};
