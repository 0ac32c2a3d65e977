//! Decide: the protocol state machines. Bytes in, bytes out, `now` as an argument.
//!
//! Nothing here knows actix, tokio, a socket, a clock or a global random generator; a test enforces it.

mod aes_gcm;
pub mod dcep;
pub mod demux;
pub mod dtls;
pub mod framing;
pub mod ice;
pub mod jsep;
pub mod mdns;
pub mod prefetch;
mod priority;
mod random;
pub mod receiver;
mod replay_window;
pub mod rtcp;
pub mod rtp;
pub mod sctp;
pub mod sdp;
pub mod sender;
pub mod srtp;
pub mod stun;
mod transmit;
pub mod turn;

pub use priority::Priority;
pub use transmit::{Protocol, Transmit};
