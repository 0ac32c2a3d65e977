//! SRTP and SRTCP (RFC 3711, RFC 7714) in place and without allocation: AES-GCM by aws-lc,
//! AES-CM and HMAC by OpenSSL.
//!
//! A peer has one [`Outbound`] and one [`Inbound`], made from the [`KeyingMaterial`] that a DTLS
//! handshake exports (RFC 5764 §4.2). Invariants:
//!
//! - An index is encrypted once. AEAD nonces come from (SSRC, roll-over counter, sequence number)
//!   only; a second packet at the same index is refused, except for a byte-identical copy that the
//!   caller names as such ([`Outbound::protect_rtp_again`]).
//! - A packet changes state only after its tag was checked: forged packets move no roll-over counter,
//!   no replay window, and make no table entry.
//! - Every byte string is survived. After an error the packet's bytes are unspecified: drop it.
//!
//! Not here, on purpose: MKI, NULL ciphers, SDES keys (RFC 8827 §6.5 forbids them) and encrypted header
//! extensions (RFC 6904).

mod aead;
mod cipher;
mod counter_mode;
mod error;
mod header;
mod inbound;
mod key_derivation;
mod keying_material;
mod outbound;
mod profile;
mod replay;
mod stream_table;
#[cfg(test)]
mod tests;

pub use error::SrtpError;
pub use inbound::Inbound;
pub use keying_material::KeyingMaterial;
pub use outbound::Outbound;
pub use profile::Profile;
