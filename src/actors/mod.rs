//! Move: actix, sockets, timers. A handler translates, calls one `proto` function, hands the output on.
//!
//! | actor | file | does |
//! |---|---|---|
//! | `Shard` | [`shard`] | one thread's share of the peers: sockets, send queue |
//! | `UdpSocket` | [`udp_socket`] | batched receive, finds the peer of each datagram |
//! | `PeerConnection` | [`peer_connection`] | signalling; parent of all below |
//! | `IceAgent` | [`ice_agent`] | connectivity checks, consent |
//! | `IceConnectionActor` | [`ice_connection`] | ICE alone: one agent for each component |
//! | `DtlsActor` | [`dtls`] | handshake, keys: decrypts and encrypts |
//! | `SctpAssoc` | [`sctp_assoc`] | the association under all data channels |
//! | `DataChannel` | [`data_channel`] | one channel: flow control towards the application |
//! | `RtpReceiver` | [`rtp_receiver`] | loss, reports, key frame requests; supplies a track |
//! | `RtpSender` | [`rtp_sender`] | numbering, history, reports; takes a track |
//! | `LocalTrack` | [`track`] | a track fed by the application |
//! | `TrackRelay` | [`track_relay`] | a track of another thread, for the senders of this one |

pub mod data_channel;
pub mod dtls;
mod fan_out;
#[cfg(feature = "fault-injection")]
pub mod fault_injection;
pub mod ice_agent;
pub mod ice_connection;
pub mod kit;
pub mod lanes;
mod lots;
#[cfg(test)]
mod media_tests;
pub mod network;
pub mod ortc;
pub mod peer_connection;
pub mod rtp_receiver;
pub mod rtp_sender;
pub mod sctp_assoc;
mod sections;
pub mod shard;
pub mod tcp_connection;
pub mod tcp_listener;
pub mod track;
pub mod track_relay;
mod traffic;
pub mod transport;
pub mod turn_client;
pub mod udp_socket;
