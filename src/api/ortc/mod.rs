//! Transports wired by hand, without offers and answers (ORTC, as aiortc allows it):
//! gatherer → ICE → DTLS → data channels and RTP. For gateways that have a signalling of their own.
//!
//! The objects have the names of ORTC and live in this module, because those of a peer connection have
//! them too. They are handles to one actor, which ends when the last of them is dropped or when
//! [`RtcIceTransport::stop`] is called. ICE restarts, simulcast and bundling of several transports need a
//! description, and so an [`RtcPeerConnection`](super::RtcPeerConnection).
//!
//! ```no_run
//! # struct Remote { ice: actix_rtc::RtcIceParameters, candidates: Vec<String>, dtls: actix_rtc::RtcDtlsParameters }
//! # async fn wire(engine: &actix_rtc::RtcEngine, remote: Remote) -> Result<(), actix_rtc::RtcError> {
//! use actix_rtc::{RtcIceRole, RtcSctpCapabilities, ortc};
//!
//! let gatherer = ortc::RtcIceGatherer::new(engine, ortc::RtcIceGatherOptions::default()).await?;
//! gatherer.gather().await?;
//! let ice = ortc::RtcIceTransport::new(&gatherer);
//! let dtls = ortc::RtcDtlsTransport::new(&ice);
//! let sctp = ortc::RtcSctpTransport::new(&dtls, ortc::DEFAULT_SCTP_PORT).await?;
//! // Signal gatherer.get_local_parameters(), get_local_candidates(), dtls.get_local_parameters() here.
//! for candidate in remote.candidates {
//!     ice.add_remote_candidate(Some(candidate)).await?;
//! }
//! ice.add_remote_candidate(None).await?;
//! ice.start(remote.ice, RtcIceRole::Controlling).await?;
//! dtls.start(remote.dtls).await?;
//! sctp.start(RtcSctpCapabilities::default(), ortc::DEFAULT_SCTP_PORT).await?;
//! let channel = sctp.create_data_channel("chat", Default::default()).await?;
//! # Ok(()) }
//! ```

mod rtp;
mod transports;

pub use rtp::{RtcRtpReceiver, RtcRtpSender};
pub use transports::{
    DEFAULT_SCTP_PORT, RtcDtlsTransport, RtcIceGatherOptions, RtcIceGatherer, RtcIceTransport, RtcOrtcEvent,
    RtcOrtcEvents, RtcSctpTransport,
};
