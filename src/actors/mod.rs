//! Move: actix, sockets, timers. A handler translates, calls one `proto` function, hands the output on.
//!
//! | actor | file | does |
//! |---|---|---|
//! | `Shard` | [`shard`] | one thread's share of the peers: sockets, send queue |
//! | `UdpSocket` | [`udp_socket`] | batched receive, finds the peer of each datagram |
//! | `PeerConnection` | [`peer_connection`] | signalling; parent of all below |
//! | `IceAgent` | [`ice_agent`] | connectivity checks, consent |
//! | `DtlsActor` | [`dtls`] | handshake, keys: decrypts and encrypts |
//! | `RtpReceiver` | [`rtp_receiver`] | loss, reports, key frame requests; supplies a track |
//! | `RtpSender` | [`rtp_sender`] | numbering, history, reports; takes a track |
//! | `LocalTrack` | [`track`] | a track fed by the application |

pub mod dtls;
mod fan_out;
#[cfg(feature = "fault-injection")]
pub mod fault_injection;
pub mod ice_agent;
pub mod kit;
pub mod lanes;
pub mod network;
pub mod peer_connection;
pub mod rtp_receiver;
pub mod rtp_sender;
mod sections;
pub mod shard;
mod statistics;
pub mod track;
pub mod transport;
pub mod turn_client;
pub mod udp_socket;
