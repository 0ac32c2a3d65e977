//! The offer/answer state machine of one peer connection (RFC 8829, RFC 9429, W3C WebRTC 4.4 and 4.7).
//!
//! [`Session`] turns wishes (transceivers, directions, tracks) into descriptions and applied descriptions into
//! parameters: `transceivers()`, `transports()` and `data_parameters()` always say what is negotiated, so that its
//! owner can compare and adjust after every call.
//!
//! Policies: as many transports as the bundle policy says, RTCP on each of them (`require`), trickle ICE, no media
//! without DTLS. What can't have a transport is rejected with port 0; the order of sections never changes.
//!
//! - [`Session`] state and queries: `session`; changes by the application: `manage`
//! - writing descriptions: `compose`, `offer`, `answer`, `codecs`, `extensions`
//! - applying them: `validate`, `apply`, `negotiate`; which transport carries what: `placement`; candidates: `transport`; `needed`
//!
//! Invariants: a call that fails changes nothing. An SSRC is stable while its track flows. Nothing a peer writes
//! can panic or take more than linear time.
//!
//! Not here: `a=identity`.

mod answer;
mod apply;
mod capabilities;
mod codecs;
mod compose;
mod config;
mod created;
mod error;
mod extensions;
mod manage;
mod needed;
mod negotiate;
mod offer;
mod placement;
mod session;
mod stored;
#[cfg(test)]
mod tests;
mod transceiver;
mod transport;
mod types;
mod validate;

pub use capabilities::{KindCapabilities, MediaCapabilities};
pub use config::SessionConfig;
pub use error::{Action, ErrorKind, JsepError, Refusal};
pub use session::Session;
pub use stored::DescriptionView;
pub use transceiver::Transceiver;
pub use types::{
    BundlePolicy, CandidateInit, CandidateUse, DataParameters, Description, Direction, DtlsRole,
    EncodingSources, IceParameters, MediaKind, OfferOptions, RemoteTransport, RtpReceiveParameters,
    RtpSendParameters, SdpType, SendEncoding, SignalingState, TransceiverId, TransceiverInit, Transport,
    TransportId,
};
