//! How the association begins: exactly one, whoever sends INIT first, and however many come.
//!
//! Both sides may start (RFC 8841 §9.3, RFC 8831 §6.1), but the crate would make an association of its
//! own out of every INIT it sees. So one side has to yield when they cross: the DTLS server. It gives
//! up its own INIT and answers the client's; the client lets the server's INIT pass by, knowing that
//! its own will be answered. Two exceptions keep peers alive that don't play by this:
//!
//! - a DTLS server that hears nothing sends INIT itself, after [`SERVER_PATIENCE`];
//! - a DTLS client that gets no answer yields too, after [`CLIENT_INSISTENCE`]. If that leads to
//!   nothing, because the server has yielded as well, it begins again. Each time it waits longer, so
//!   that in the end it waits for longer than the path takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sctp_proto::{ClientConfig, DatagramEvent, Endpoint, EndpointConfig, ServerConfig, TransportConfig};

use super::{
    association::{Association, Core, PEER, Phase},
    config::{
        CLIENT_INSISTENCE, COOKIE_LIFE, COOKIE_PATIENCE, MAX_PAYLOAD, RTO_INITIAL_MS, RTO_MAX_MS, RTO_MIN_MS,
        SERVER_PATIENCE, first_id,
    },
    inbound::InitFacts,
    packet::{self, Builder, CommonHeader},
    stream_ids::StreamIds,
};
use crate::proto::dtls::Role;

/// Where the handshake stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// For the peer's INIT, until we send ours.
    Waiting { until: Instant },
    /// Our INIT is out.
    Calling { since: Instant },
    /// The peer's INIT with this tag was answered, last at `since`. The DTLS client does not wait for
    /// ever.
    Answering { tag: u32, since: Instant, until: Option<Instant> },
}

impl Setup {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Waiting { until } => Some(until),
            Self::Answering { until, .. } => until,
            // The crate repeats INIT and COOKIE ECHO.
            Self::Calling { .. } => None,
        }
    }
}

impl Association {
    /// DTLS is connected: the association can be set up. Only the first call counts.
    pub fn start(&mut self, now: Instant, role: Role) {
        if !matches!(self.phase, Phase::New) {
            return;
        }
        self.touch();
        self.role = Some(role);
        self.ids = StreamIds::new(first_id(role));
        self.identify_waiting();
        match role {
            Role::Client => self.call(now),
            Role::Server => self.phase = Phase::Setup(Setup::Waiting { until: now + SERVER_PATIENCE }),
        }
    }

    pub(super) fn handle_setup_timeout(&mut self, now: Instant) {
        if let Phase::Setup(setup) = self.phase
            && setup.deadline().is_some_and(|due| due <= now)
        {
            self.call(now);
        }
    }

    /// Sends INIT, with a new association.
    fn call(&mut self, now: Instant) {
        let mut endpoint = self.endpoint();
        let mut config = ClientConfig::default();
        config.transport = self.transport();
        // Refused only for ports that are 0, which no description contains.
        let Ok((handle, association)) = endpoint.connect(config, PEER) else { return };
        self.core = Some(Core { endpoint, handle, association });
        self.begin();
        self.phase = Phase::Setup(Setup::Calling { since: now });
    }

    /// Answers an INIT, with a new association.
    fn answer(&mut self, now: Instant, init: InitFacts, packet: Bytes) {
        let mut endpoint = self.endpoint();
        let Some((handle, DatagramEvent::NewAssociation(association))) =
            endpoint.handle(now, PEER, None, None, packet)
        else {
            return;
        };
        self.core = Some(Core { endpoint, handle, association });
        self.begin();
        self.learn_peer(init);
        let until = (self.role == Some(Role::Client)).then(|| now + self.patience(COOKIE_PATIENCE));
        self.phase = Phase::Setup(Setup::Answering { tag: init.tag, since: now, until });
    }

    /// Twice as long with each attempt.
    fn patience(&self, first: Duration) -> Duration {
        first * (1 << self.counters.handshakes.saturating_sub(1).min(6))
    }

    fn begin(&mut self) {
        self.touch();
        self.counters.handshakes += 1;
        self.transmits.clear();
        self.inbound.local_tag = 0;
        self.inbound.outward = CommonHeader {
            source_port: self.config.local_port,
            destination_port: self.config.remote_port,
            verification_tag: 0,
        };
        self.apply_send_limit();
    }

    /// What the peer's INIT or INIT ACK says.
    pub(super) fn learn_peer(&mut self, facts: InitFacts) {
        if matches!(self.phase, Phase::Setup(_)) {
            self.inbound.outward.verification_tag = facts.tag;
            // RFC 9260 §3.3.2: no more than the other allows. 65535 is no identifier of a channel.
            let allowed = facts.inbound_streams.min(facts.outbound_streams);
            self.max_channels = self.config.streams.min(allowed);
        }
    }

    /// Decides about an INIT; gives back what the crate is to see of it.
    pub(super) fn admit_init(&mut self, now: Instant, init: InitFacts, packet: Bytes) -> Option<Bytes> {
        // RFC 9260 §5.2.2: an established association is not disturbed. The crate would end it.
        let Phase::Setup(setup) = self.phase else { return None };
        let peer = self.inbound.outward.verification_tag;
        let yields = match setup {
            // Repeated, because our answer was lost.
            Setup::Answering { tag, until, .. } if tag == init.tag => {
                self.phase = Phase::Setup(Setup::Answering { tag, since: now, until });
                return Some(packet);
            }
            Setup::Waiting { .. } | Setup::Answering { .. } => true,
            // No INIT ACK yet.
            Setup::Calling { since } if peer == 0 => {
                self.role == Some(Role::Server) || now >= since + self.patience(CLIENT_INSISTENCE)
            }
            // RFC 9260 §5.2.1: INIT and INIT ACK of one association carry the same tag, and our cookie
            // is on its way to it. With another tag, the client has begun again.
            Setup::Calling { .. } => self.role == Some(Role::Server) && init.tag != peer,
        };
        if yields {
            self.answer(now, init, packet);
        }
        None
    }

    /// RFC 9260 §5.1.5: whether the cookie that comes back is too old. The crate's never are. If so, the
    /// peer is told, and begins again.
    pub(super) fn refuses_cookie(&mut self, now: Instant) -> bool {
        let Phase::Setup(Setup::Answering { since, .. }) = self.phase else { return false };
        let Some(staleness) = now.checked_duration_since(since + COOKIE_LIFE).filter(|age| !age.is_zero())
        else {
            return false;
        };
        let microseconds = u32::try_from(staleness.as_micros()).unwrap_or(u32::MAX);
        let mut answer = Builder::new(self.inbound.outward);
        answer.error(packet::ERROR, packet::STALE_COOKIE, &microseconds.to_be_bytes());
        self.transmits.push_back(answer.finish());
        true
    }

    /// RFC 9260 §5.2.6: our cookie was too old when it arrived. With a new INIT there is a new one.
    pub(super) fn cookie_was_stale(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Setup(Setup::Calling { .. }))
            && self.inbound.outward.verification_tag != 0
        {
            self.call(now);
        }
    }

    fn endpoint(&self) -> Endpoint {
        let mut config = EndpointConfig::new();
        config.max_payload_size(MAX_PAYLOAD);
        // Always with a server configuration: without, the crate panics on an INIT.
        let mut server = ServerConfig::new();
        server.transport = self.transport();
        Endpoint::new(Arc::new(config), Some(Arc::new(server)))
    }

    fn transport(&self) -> Arc<TransportConfig> {
        let config = &self.config;
        // An association whose window can't hold the largest message dies of it.
        let window = config.receive_window.max(config.max_message_size.saturating_mul(4));
        Arc::new(
            TransportConfig::default()
                .with_local_port(config.local_port)
                .with_remote_port(config.remote_port)
                .with_max_num_inbound_streams(config.streams)
                .with_max_num_outbound_streams(config.streams)
                .with_max_receive_message_size(config.max_message_size)
                .with_max_receive_buffer_size(window)
                .with_rto_initial_ms(RTO_INITIAL_MS)
                .with_rto_min_ms(RTO_MIN_MS)
                .with_rto_max_ms(RTO_MAX_MS)
                // As long as there is a transport below: ICE and DTLS say when it ends.
                .with_max_init_retransmits(None)
                .with_max_data_retransmits(None),
        )
    }
}
