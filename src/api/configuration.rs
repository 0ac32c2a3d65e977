//! What a connection is made with (W3C webrtc-pc §4.2.1).

use crate::proto::dtls::Certificate;

/// Configuration of one connection. No server is contacted: only host candidates are gathered.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RtcConfiguration {
    /// The certificate to show; by default the engine's own (ECDSA P-256), shared by its connections.
    pub certificate: Option<Certificate>,
    /// Answer connectivity checks only, never send any (RFC 8445 §2.5): for servers that peers reach
    /// at a public address. Default: false.
    pub ice_lite: bool,
    /// The shard whose thread hosts this connection; by default the one with the fewest peers. Peers
    /// that exchange media are best on the same one.
    pub shard: Option<usize>,
}

impl RtcConfiguration {
    /// The default with a shard chosen.
    pub fn on_shard(shard: usize) -> Self {
        Self { shard: Some(shard), ..Self::default() }
    }
}
