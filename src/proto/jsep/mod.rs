//! The offer/answer state machine (RFC 8829, RFC 9429).

mod capabilities;
mod config;
mod error;
mod session;
mod transceiver;
mod types;

pub use capabilities::{KindCapabilities, MediaCapabilities};
pub use config::SessionConfig;
pub use error::{Action, JsepError, Refusal};
pub use session::Session;
pub use transceiver::Transceiver;
pub use types::{
    CandidateInit, CandidateUse, Description, Direction, DtlsRole, IceParameters, MediaKind, OfferOptions,
    RemoteTransport, RtpReceiveParameters, RtpSendParameters, SdpType, SignalingState, TransceiverId,
    TransceiverInit,
};
