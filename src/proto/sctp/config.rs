//! Sizes, times and limits of an association.

use std::time::Duration;

use crate::proto::dtls::Role;

/// RFC 8841 §6: the size to assume of a peer whose description names none.
pub const DEFAULT_REMOTE_MAX_MESSAGE_SIZE: u64 = 65_536;
/// What we accept, unless configured otherwise: as much as browsers announce.
pub const DEFAULT_MAX_MESSAGE_SIZE: u32 = 262_144;
/// The port of every WebRTC association (RFC 8841 §5).
pub const DEFAULT_PORT: u16 = 5000;

/// 100 ms of 640 Mbit/s, and far more than the largest message: an association whose window can't hold
/// one message dies of it.
pub(super) const DEFAULT_RECEIVE_WINDOW: u32 = 8 << 20;
/// User data per DATA chunk: a full packet has 1,192 bytes, and 1,229 as an AES-GCM record of DTLS. IPv6
/// carries 1,232 everywhere (RFC 8200 §5). A multiple of 4, so that full packets need no padding.
pub(super) const MAX_PAYLOAD: u32 = 1_164;
/// Largest packet that is sent: one full DATA chunk, with its header and the common one.
pub(super) const MAX_PACKET: usize = 1_192;
/// The crate's default is RFC 4960's 1 s. Delayed acknowledgements take 200 ms.
pub(super) const RTO_MIN_MS: u64 = 200;
/// RFC 9260 §16 says 1 s. ICE and DTLS have measured by now that the path is faster.
pub(super) const RTO_INITIAL_MS: u64 = 500;
/// RFC 9260 §16 says 60 s, but consent ends after 30 s (RFC 7675): the path, or the window of a slow
/// reader, may be back before.
pub(super) const RTO_MAX_MS: u64 = 5_000;

/// How long a DTLS server waits for the peer's INIT before it sends its own. RFC 8831 §6.1 lets both
/// start; one INIT is enough, and peers exist that can't cope with two.
pub(super) const SERVER_PATIENCE: Duration = Duration::from_millis(200);
/// How long a DTLS client insists on its own INIT before it answers one of the peer.
pub(super) const CLIENT_INSISTENCE: Duration = Duration::from_secs(1);
/// How long a DTLS client lets an INIT that it has answered lead to nothing before it sends its own.
pub(super) const COOKIE_PATIENCE: Duration = Duration::from_secs(2);
/// RFC 9260 §16, Valid.Cookie.Life: how long our INIT ACK is good for.
pub(super) const COOKIE_LIFE: Duration = Duration::from_secs(60);
/// How long a shutdown may make no progress before the association is aborted: as long as consent
/// lasts (RFC 7675).
pub(super) const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(30);
/// How long data may be outstanding without one byte being acknowledged. A peer whose application
/// does not read closes its window for long, so this is minutes.
pub(super) const STALL_PATIENCE: Duration = Duration::from_secs(300);
/// How long the peer has to reset its half of a channel that we closed. Then the channel is closed
/// here, and its stream identifier is not used again.
pub(super) const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// Streams that exist at once, whoever opened them. A browser has 1,024.
pub(super) const MAX_STREAMS: usize = 16_384;
/// Channels opened by the peer that exist at once: each costs an actor above. Beyond, they are reset.
pub(super) const MAX_INCOMING_CHANNELS: usize = 4_096;
/// Streams on which data came without a channel being open: it may be one that our application is
/// about to open as negotiated. Beyond, they are reset.
pub(super) const MAX_ORPHANS: usize = 64;
/// What a message that waits for a slow reader costs besides its bytes.
pub(super) const MESSAGE_OVERHEAD: usize = 64;
/// Chunks that wait for being read or completed. As many full ones as the window holds; without it, a
/// window of one-byte messages would take a hundred times its size in memory.
pub(super) const MAX_HELD_CHUNKS: usize = 8_192;
/// Fragments of one message that may arrive before its end: a message of the largest size in pieces of
/// at least 128 bytes. Reassembly takes time by the square of their number.
pub(super) const MIN_MEAN_FRAGMENT: u32 = 128;
/// Resets requested at once: the identifiers of more would not fit into a packet.
pub(super) const MAX_RESETS: usize = 256;
/// Bytes that are handed to the crate before the network has taken them. It is one queue for all
/// channels: what is in it is not shared fairly any more. One full segmented send.
pub(super) const LEAD: usize = 64 << 10;
/// Bytes that may be unacknowledged: whatever window the peer announces.
pub(super) const MAX_UNACKNOWLEDGED: usize = 16 << 20;

/// What both sides agreed on before the association begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociationConfig {
    /// Our `a=sctp-port`.
    pub local_port: u16,
    /// The peer's `a=sctp-port`.
    pub remote_port: u16,
    /// The largest message we accept, in bytes: our `a=max-message-size`.
    pub max_message_size: u32,
    /// The largest message the peer accepts, in bytes; 0 means any (RFC 8841 §6).
    pub remote_max_message_size: u64,
    /// Bytes that may wait here for being read: at least four messages of the largest size.
    pub receive_window: u32,
    /// Streams we announce, each way.
    pub streams: u16,
}

impl Default for AssociationConfig {
    fn default() -> Self {
        Self {
            local_port: DEFAULT_PORT,
            remote_port: DEFAULT_PORT,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            remote_max_message_size: DEFAULT_REMOTE_MAX_MESSAGE_SIZE,
            receive_window: DEFAULT_RECEIVE_WINDOW,
            // RFC 8831 §6.2: as many as there are.
            streams: u16::MAX,
        }
    }
}

/// Parity of the stream identifiers that we choose (RFC 8832 §6).
pub(super) const fn first_id(role: Role) -> u16 {
    match role {
        Role::Client => 0,
        Role::Server => 1,
    }
}
