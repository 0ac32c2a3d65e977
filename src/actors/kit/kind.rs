//! The labels by which the actor layer counts: closed enums, so that the number of series is bounded
//! and a counter is an array access.

use crate::proto::demux::PacketKind;

/// A closed set of label values, usable as an index.
pub trait Label: Copy + 'static {
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// Position of this value in [`Label::ALL`].
    fn index(self) -> usize;
    /// The value as it is written in a metric's label.
    fn label(self) -> &'static str;
}

macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$about])* $variant,)+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value as it is written in a metric's label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl Label for $name {
            const ALL: &'static [Self] = Self::ALL;
            fn index(self) -> usize { self as usize }
            fn label(self) -> &'static str { self.as_str() }
        }
    };
}

labels! {
    /// What an actor is.
    ActorKind {
        /// Keeper of one shard: peer table, relay table, egress.
        Shard => "shard",
        /// Owner of one UDP socket.
        UdpSocket => "udp_socket",
        /// One TCP socket that accepts connections of peers.
        TcpListener => "tcp_listener",
        /// One TCP connection with a peer.
        TcpConnection => "tcp_connection",
        /// One peer.
        PeerConnection => "peer_connection",
        /// One transport that an application wires by hand.
        OrtcTransport => "ortc_transport",
        /// One connection of ICE alone.
        IceConnection => "ice_connection",
        /// Connectivity checks of one transport.
        IceAgent => "ice_agent",
        /// One allocation on a TURN server.
        TurnClient => "turn_client",
        /// Handshake, SRTP contexts and record layer of one transport.
        Dtls => "dtls",
        /// One SCTP association.
        SctpAssoc => "sctp_assoc",
        /// One data channel.
        DataChannel => "data_channel",
        /// One receiving m-section.
        RtpReceiver => "rtp_receiver",
        /// One outgoing encoding.
        RtpSender => "rtp_sender",
        /// Source or sink of media.
        Track => "track",
        /// A track of another shard, for the senders of this one.
        TrackRelay => "track_relay",
        /// Participants that see each other.
        Room => "room",
        /// What one participant of a room sends over data channels.
        DataPort => "data_port",
        /// Collects messages in tests.
        Probe => "probe",
    }
}

labels! {
    /// What a lane carries, named after where it ends.
    LaneKind {
        /// Socket to ICE agent.
        Stun => "stun",
        /// Socket to DTLS: handshake records.
        Dtls => "dtls",
        /// Socket to DTLS: SRTP and SRTCP.
        Media => "media",
        /// DTLS to receiver: decrypted RTP.
        ReceiverRtp => "receiver_rtp",
        /// DTLS to receiver: decrypted RTCP.
        ReceiverRtcp => "receiver_rtcp",
        /// Track to sender: packets to forward.
        SenderMedia => "sender_media",
        /// DTLS to sender: feedback of the peer.
        SenderRtcp => "sender_rtcp",
        /// Sender to DTLS: packets to encrypt.
        Outbound => "outbound",
        /// Senders and receivers to DTLS: reports and feedback to encrypt.
        OutboundRtcp => "outbound_rtcp",
        /// Peer connection to the application: what happened.
        Events => "events",
        /// DTLS to the shard's egress.
        Egress => "egress",
        /// Media for subscribers on another shard.
        Relay => "relay",
        /// DTLS to SCTP association.
        Sctp => "sctp",
        /// SCTP association to DTLS: packets to encrypt.
        OutboundSctp => "outbound_sctp",
        /// Datagrams of a connection of ICE alone, towards the application.
        Data => "data",
    }
}

labels! {
    /// Why a packet went no further.
    DropReason {
        /// From an address no peer owns.
        UnknownPeer => "unknown_peer",
        /// First byte outside of the ranges of RFC 7983.
        UnknownProtocol => "unknown_protocol",
        /// Not a well-formed STUN message.
        MalformedStun => "malformed_stun",
        /// STUN without the right MESSAGE-INTEGRITY.
        StunUnauthenticated => "stun_unauthenticated",
        /// Well-formed STUN that the ICE agent refused.
        IceRejected => "ice_rejected",
        /// DTLS from a pair that is not validated, or after the end of the session.
        DtlsUnexpected => "dtls_unexpected",
        /// The queue in front of the handshake is full.
        DtlsQueueFull => "dtls_queue_full",
        /// SRTP authentication failed.
        SrtpAuthentication => "srtp_authentication",
        /// SRTP index seen before or too old.
        SrtpReplay => "srtp_replay",
        /// Any other SRTP refusal.
        SrtpOther => "srtp_other",
        /// Decrypted, but not a well-formed RTP packet.
        RtpMalformed => "rtp_malformed",
        /// Decrypted, but not a well-formed RTCP compound.
        RtcpMalformed => "rtcp_malformed",
        /// Came before, by itself or as a retransmission.
        RtpDuplicate => "rtp_duplicate",
        /// Sequence number far from all others of its stream.
        RtpJump => "rtp_jump",
        /// DTLS took no application data: not connected, or too much waits.
        SctpRefused => "sctp_refused",
        /// Not a packet that the SCTP association takes.
        SctpMalformed => "sctp_malformed",
        /// A message that nobody can read any more.
        MessageUnread => "message_unread",
        /// No m-section claims this SSRC.
        UnknownStream => "unknown_stream",
        /// The table of streams is full.
        StreamLimit => "stream_limit",
        /// Oldest in a full lane.
        LaneFull => "lane_full",
        /// Too long in a lane.
        LaneAge => "lane_age",
        /// Its lane's receiver is gone.
        LaneClosed => "lane_closed",
        /// No selected pair or no keys yet.
        NoRoute => "no_route",
        /// The socket's send queue is full.
        SendQueueFull => "send_queue_full",
        /// The socket reported an error.
        SocketError => "socket_error",
        /// The kernel refused to send it.
        SendError => "send_error",
        /// A connection beyond the limits of a TCP listener.
        TcpRefused => "tcp_refused",
        /// A connection that did not begin with a check for a peer of ours, or was not authenticated in time.
        TcpUnidentified => "tcp_unidentified",
        /// A frame that is longer than is taken: its connection is closed.
        TcpMalformed => "tcp_malformed",
        /// Of a source that has been replaced.
        StaleGeneration => "stale_generation",
        /// The peer has not negotiated its codec.
        NoCodec => "no_codec",
        /// The stream can only start with a key frame.
        AwaitingKeyFrame => "awaiting_key_frame",
        /// Larger than the path or the buffer takes.
        TooLarge => "too_large",
        /// Over a limit that protects against floods.
        RateLimited => "rate_limited",
        /// The transport or stream it belongs to is closed.
        Closed => "closed",
    }
}

labels! {
    /// What a kernel may give or refuse.
    KernelFeature {
        /// Several equal datagrams for one destination in one send call.
        UdpGso => "udp_gso",
        /// Several datagrams of one source in one receive buffer.
        UdpGro => "udp_gro",
        /// Each shard keeps to a core.
        Affinity => "affinity",
        /// Sockets have the receive buffer they ask for.
        ReceiveBuffer => "receive_buffer",
        /// Sockets have the send buffer they ask for.
        SendBuffer => "send_buffer",
    }
}

labels! {
    /// Way of a packet, seen from this process.
    Direction {
        /// From the network.
        In => "in",
        /// To the network.
        Out => "out",
    }
}

labels! {
    /// State of an ICE transport.
    IceLabel {
        /// Nothing tried yet.
        New => "new",
        /// Checks are running.
        Checking => "checking",
        /// A pair works.
        Connected => "connected",
        /// The final pair is chosen.
        Completed => "completed",
        /// Consent is late.
        Disconnected => "disconnected",
        /// No pair works.
        Failed => "failed",
        /// Shut down.
        Closed => "closed",
    }
}

labels! {
    /// State of a DTLS transport.
    DtlsLabel {
        /// Handshake not begun.
        New => "new",
        /// Handshake running.
        Connecting => "connecting",
        /// Keys agreed, fingerprint verified.
        Connected => "connected",
        /// Shut down by either side.
        Closed => "closed",
        /// Handshake or verification failed.
        Failed => "failed",
    }
}

labels! {
    /// State of a peer connection.
    ConnectionLabel {
        /// Nothing tried yet.
        New => "new",
        /// Transport is being established.
        Connecting => "connecting",
        /// Media can flow.
        Connected => "connected",
        /// Contact is lost for now.
        Disconnected => "disconnected",
        /// Contact is lost until an ICE restart.
        Failed => "failed",
        /// Shut down.
        Closed => "closed",
    }
}

/// A number of things that exist now, on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gauge {
    /// Peer connections that are not closed; also what [`least_loaded`](super::Shards::least_loaded) compares.
    Peers,
    /// Rooms.
    Rooms,
    /// Data channels that are not closed.
    DataChannels,
    /// ICE transports in a state.
    IceState(IceLabel),
    /// DTLS transports in a state.
    DtlsState(DtlsLabel),
    /// Peer connections in a state.
    ConnectionState(ConnectionLabel),
}

impl Label for PacketKind {
    const ALL: &'static [Self] =
        &[Self::Stun, Self::Dtls, Self::TurnChannel, Self::Rtp, Self::Rtcp, Self::Unknown];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Dtls => "dtls",
            Self::Rtp => "rtp",
            Self::Rtcp => "rtcp",
            Self::TurnChannel => "turn_channel",
            Self::Unknown => "unknown",
        }
    }
}
