//! The conversation about statistics (W3C webrtc-pc §8): handle → `PeerConnection` → every actor of the
//! connection. Senders and receivers have theirs in [`super::rtp`].

use std::time::Instant;

use actix::Message;

use super::{
    ice::SelectedRoute,
    peer_connection::{Reply, TransceiverSnapshot, TransportSnapshot},
    sctp::SctpStatistics,
};
use crate::proto::{
    dtls::{Certificate, Role as DtlsRole},
    ice::{Candidate, PairId, PairStatistics, Role as IceRole},
    jsep::{TransceiverId, TransportId},
    receiver::InboundStatistics,
    rtcp::ClockAnchor,
    sender::OutboundStatistics,
    srtp::Profile,
};

/// What is asked for (W3C webrtc-pc §8.5, the stats selection algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_enums, reason = "W3C has three selections")]
pub enum StatisticsSelector {
    /// Everything.
    #[default]
    All,
    /// What this transceiver sends, and what that refers to.
    Sender(TransceiverId),
    /// What this transceiver receives, and what that refers to.
    Receiver(TransceiverId),
}

/// Handle → `PeerConnection`, control: `getStats`.
#[derive(Debug, Message)]
#[rtype(result = "Reply<Statistics>")]
pub struct GetStatistics(pub StatisticsSelector);

/// What all actors of a connection say of themselves. Those that are gone, or do not answer, are left out.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// When they were asked.
    pub at: Instant,
    /// The wall clock of that time and of all others in here.
    pub clock: ClockAnchor,
    /// Our certificate.
    pub certificate: Certificate,
    /// What the getters of transceivers show.
    pub transceivers: Vec<TransceiverSnapshot>,
    /// The transports in use.
    pub transports: Vec<TransportStatistics>,
    /// What the transceivers send.
    pub senders: Vec<(TransceiverId, Vec<OutboundStatistics>)>,
    /// What they receive.
    pub receivers: Vec<(TransceiverId, Vec<InboundStatistics>)>,
    /// The association and its channels, if there is one.
    pub sctp: Option<SctpStatistics>,
}

/// One transport.
#[derive(Debug, Clone)]
pub struct TransportStatistics {
    /// Names it within its connection.
    pub id: TransportId,
    /// What its getters show.
    pub state: TransportSnapshot,
    /// Its agent.
    pub ice: Option<IceStatistics>,
    /// Its security context.
    pub dtls: Option<DtlsStatistics>,
}

/// `PeerConnection` → `IceAgent`, control: candidates and pairs.
#[derive(Debug, Message)]
#[rtype(result = "IceStatistics")]
pub struct CollectIce;

/// What an agent knows.
#[derive(Debug, Clone, actix::MessageResponse)]
pub struct IceStatistics {
    /// Who decides.
    pub role: IceRole,
    /// Our candidates, those that checks discovered included.
    pub local: Vec<Candidate>,
    /// The peer's, those that checks discovered included.
    pub remote: Vec<Candidate>,
    /// The check list.
    pub pairs: Vec<PairStatistics>,
    /// The pair in use.
    pub selected: Option<PairId>,
}

/// `PeerConnection` → `DtlsActor`, control: keys and traffic.
#[derive(Debug, Message)]
#[rtype(result = "DtlsStatistics")]
pub struct CollectDtls;

/// What a security context has agreed on, and what went through it.
#[derive(Debug, Clone, Default, actix::MessageResponse)]
pub struct DtlsStatistics {
    /// Who said hello, once the handshake has begun.
    pub role: Option<DtlsRole>,
    /// IANA name of the cipher suite, once connected.
    pub cipher_suite: Option<&'static str>,
    /// How media is protected, once connected and if there is any.
    pub srtp_profile: Option<Profile>,
    /// Over all pairs.
    pub traffic: Traffic,
    /// Over each pair, the one used last at the end.
    pub routes: Vec<(SelectedRoute, Traffic)>,
    /// How often another pair was selected.
    pub route_changes: u64,
}

/// Datagrams that carried DTLS, SRTP or SRTCP, with their bytes; neither the headers of UDP nor
/// connectivity checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Datagrams sent.
    pub packets_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// When the last one was.
    pub last_sent: Option<Instant>,
    /// Datagrams received.
    pub packets_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// When the last one was.
    pub last_received: Option<Instant>,
}
