//! DTLS 1.2 sessions over OpenSSL (RFC 6347, RFC 5764, RFC 8827 §6.5).
//!
//! A [`Session`] is one handshake, which OpenSSL does, and the record layer after it, which it does not
//! (`protection` says why). It is sans-IO: datagrams and time come
//! in as arguments, datagrams and events are polled out. Invariants:
//!
//! - Nothing is reported as connected, and no byte of data is delivered, before the peer's certificate
//!   matched a signalled fingerprint (RFC 8842 §5.2).
//! - Retransmission follows the `now` that is passed in. OpenSSL's own timer, which reads the clock, never
//!   decides anything; `openssl_timer` explains how.
//! - OpenSSL sees a handshake flight only when it is complete and in order (`inbound_flight`): garbage,
//!   unauthenticated alerts, stray fragments and reordering end there.
//! - Once connected, only records of the encrypted epoch are looked at.
//! - No nonce is used for two records of a key, be they made by OpenSSL or by us.
//!
//! Two things here are OpenSSL's and not injected: its random generator, and the clock behind the
//! validity dates of a generated [`Certificate`]. No renegotiation, no resumption, no DTLS 1.3 (OpenSSL
//! 3.x has none), no cookies: ICE has proved the address before the first hello.

mod certificate;
mod context;
mod datagram_io;
mod error;
mod fingerprint;
mod handshake;
mod inbound_flight;
mod openssl_timer;
mod prf;
mod protection;
mod record;
mod retransmission;
mod session;
#[cfg(test)]
mod tests;

pub use certificate::{Certificate, KeyType, Pem, base64};
pub use error::DtlsError;
pub use fingerprint::{Fingerprint, FingerprintError, HashAlgorithm};
pub use session::{Event, Role, Session, SessionConfig, State};
