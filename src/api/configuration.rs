//! What a connection is made with (W3C webrtc-pc §4.2).

use serde::{Deserialize, Serialize};

use super::{RtcCertificate, ice_server};
use crate::{
    messages::{error::RtcError, peer_connection::Configuration},
    proto::jsep::BundlePolicy,
};

/// The largest message that we say we accept on data channels, unless configured: 256 KiB, as browsers.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 262_144;

/// Configuration of one connection (W3C webrtc-pc §4.2.1 `RTCConfiguration`). No server is contacted
/// unless [`Self::ice_servers`] names one.
///
/// In JSON it has the names of the W3C; certificates and the members that are ours are not part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RtcConfiguration {
    /// STUN and TURN servers to gather candidates from. Default: none.
    pub ice_servers: Vec<RtcIceServer>,
    /// Which candidates are used. Default: all.
    pub ice_transport_policy: RtcIceTransportPolicy,
    /// How sections share transports with a peer that does not say. Default: balanced.
    pub bundle_policy: RtcBundlePolicy,
    /// Whether RTCP may have a port of its own: never.
    pub rtcp_mux_policy: RtcRtcpMuxPolicy,
    /// Certificates to show, the first one; by default the engine's own (ECDSA P-256), which its
    /// connections share. They can't be changed later.
    #[serde(skip)]
    pub certificates: Vec<RtcCertificate>,
    /// Begin gathering for this many transports before a description is set (0–255). Default: 0.
    pub ice_candidate_pool_size: u8,
    /// Offer data channels although none was created. Default: false.
    pub always_negotiate_data_channels: bool,
    /// Answer connectivity checks only, never send any (RFC 8445 §2.5): for servers that peers reach
    /// at a public address. Default: false. Not in W3C.
    #[serde(skip)]
    pub ice_lite: bool,
    /// The shard whose thread hosts this connection; by default the one with the fewest peers. Peers
    /// that exchange media are best on the same one. Not in W3C.
    #[serde(skip)]
    pub shard: Option<usize>,
    /// The largest message in bytes that we say we accept on data channels (RFC 8841 §6). Not in W3C.
    #[serde(skip)]
    pub max_message_size: u64,
}

impl Default for RtcConfiguration {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            ice_transport_policy: RtcIceTransportPolicy::All,
            bundle_policy: RtcBundlePolicy::Balanced,
            rtcp_mux_policy: RtcRtcpMuxPolicy::Require,
            certificates: Vec::new(),
            ice_candidate_pool_size: 0,
            always_negotiate_data_channels: false,
            ice_lite: false,
            shard: None,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
        }
    }
}

impl RtcConfiguration {
    /// The default with a shard chosen.
    pub fn on_shard(shard: usize) -> Self {
        Self { shard: Some(shard), ..Self::default() }
    }

    /// What the actor is started with.
    ///
    /// # Errors
    /// See [`RtcPeerConnection::on`](super::RtcPeerConnection::on).
    pub(super) fn checked(&self, default_certificate: &RtcCertificate) -> Result<Configuration, RtcError> {
        // W3C webrtc-pc §4.4.1.1, constructor step 4.
        if self.certificates.iter().any(RtcCertificate::is_expired) {
            let sentence = "a certificate has expired; generate a new one";
            return Err(RtcError::InvalidAccessError(sentence.to_owned()));
        }
        let mut configuration = self.changed()?;
        if configuration.certificates.is_empty() {
            configuration.certificates.push(default_certificate.as_certificate().clone());
        }
        Ok(configuration)
    }

    /// W3C webrtc-pc §4.4.1.6, steps 3 to 6: completes what is to become the configuration by what was
    /// left out, if nothing else differs that can't be changed.
    ///
    /// # Errors
    /// [`RtcError::InvalidModificationError`].
    pub(super) fn replacing(mut self, current: &Self) -> Result<Self, RtcError> {
        let refused = |what: &str| {
            let sentence = format!("{what} can't be changed; begin with get_configuration");
            Err(RtcError::InvalidModificationError(sentence))
        };
        if !self.certificates.is_empty() && self.certificates != current.certificates {
            return refused("the certificates");
        }
        if self.bundle_policy != current.bundle_policy {
            return refused("the bundle policy");
        }
        if self.ice_lite != current.ice_lite || self.max_message_size != current.max_message_size {
            return refused("the kind of ICE agent and the size of messages");
        }
        if self.shard.is_some() && self.shard != current.shard {
            return refused("the shard");
        }
        self.certificates.clone_from(&current.certificates);
        self.shard = current.shard;
        Ok(self)
    }

    /// What the actor is told when it is changed.
    ///
    /// # Errors
    /// See [`RtcPeerConnection::set_configuration`](super::RtcPeerConnection::set_configuration).
    pub(super) fn changed(&self) -> Result<Configuration, RtcError> {
        Ok(Configuration {
            ice: ice_server::checked(&self.ice_servers, self.ice_transport_policy)?,
            bundle_policy: self.bundle_policy.into(),
            certificates: self.certificates.iter().map(|c| c.as_certificate().clone()).collect(),
            ice_candidate_pool_size: self.ice_candidate_pool_size,
            always_negotiate_data_channels: self.always_negotiate_data_channels,
        })
    }
}

impl From<RtcBundlePolicy> for BundlePolicy {
    fn from(policy: RtcBundlePolicy) -> Self {
        match policy {
            RtcBundlePolicy::Balanced => Self::Balanced,
            RtcBundlePolicy::MaxCompat => Self::MaxCompat,
            RtcBundlePolicy::MaxBundle => Self::MaxBundle,
        }
    }
}

/// A STUN or TURN server (W3C webrtc-pc §4.2.3 `RTCIceServer`). In JSON `urls` may be one text or a list.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RtcIceServer {
    /// `stun:`, `stuns:` (RFC 7064), `turn:` or `turns:` (RFC 7065); all with the same credentials.
    #[serde(deserialize_with = "one_or_many")]
    pub urls: Vec<String>,
    /// The name to give a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl RtcIceServer {
    /// A STUN server, or another one that needs no password.
    pub fn new(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], username: None, credential: None }
    }

    /// A TURN server with the credentials it asks for.
    pub fn with_password(
        url: impl Into<String>,
        username: impl Into<String>,
        credential: impl Into<String>,
    ) -> Self {
        Self { urls: vec![url.into()], username: Some(username.into()), credential: Some(credential.into()) }
    }
}

/// Without the password.
impl std::fmt::Debug for RtcIceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcIceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(url) => vec![url],
        OneOrMany::Many(urls) => urls,
    })
}

/// Which candidates are used (W3C webrtc-pc §4.2.4 `RTCIceTransportPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has two policies")]
pub enum RtcIceTransportPolicy {
    /// Every kind.
    #[default]
    All,
    /// Those of TURN servers only: the peer does not learn our addresses.
    Relay,
}

/// How media sections share transports (W3C webrtc-pc §4.2.5 `RTCBundlePolicy`). Whatever the policy, a
/// peer that can bundle ends up with one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has three policies")]
pub enum RtcBundlePolicy {
    /// With a peer that can't bundle, one audio and one video section are negotiated, each on its own.
    #[default]
    Balanced,
    /// With a peer that can't bundle, every section has its own transport.
    MaxCompat,
    /// With a peer that can't bundle, one section is negotiated.
    MaxBundle,
}

/// Whether RTCP may have a port of its own (W3C webrtc-pc §4.2.6 `RTCRtcpMuxPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "W3C has one policy left")]
pub enum RtcRtcpMuxPolicy {
    /// Never: a peer that does not multiplex is refused.
    #[default]
    Require,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_names_of_the_w3c() {
        let text = r#"{"iceServers":[{"urls":"stun:a.example"},{"urls":["turn:b.example"],"username":"u",
            "credential":"secret"}],"iceTransportPolicy":"relay","bundlePolicy":"max-bundle"}"#;
        let configuration: RtcConfiguration = serde_json::from_str(text).unwrap();
        assert_eq!(configuration.ice_servers[0], RtcIceServer::new("stun:a.example"));
        assert_eq!(
            configuration.ice_servers[1],
            RtcIceServer::with_password("turn:b.example", "u", "secret")
        );
        assert_eq!(configuration.ice_transport_policy, RtcIceTransportPolicy::Relay);
        assert_eq!(configuration.bundle_policy, RtcBundlePolicy::MaxBundle);
        let written = serde_json::to_value(&configuration).unwrap();
        assert_eq!(written["rtcpMuxPolicy"], "require");
        assert_eq!(written["iceServers"][0]["urls"][0], "stun:a.example");
    }

    #[test]
    fn only_what_w3c_allows_can_be_replaced() {
        let current = RtcConfiguration {
            certificates: vec![RtcCertificate::generate(crate::KeyType::EcdsaP256).unwrap()],
            ..RtcConfiguration::on_shard(1)
        };
        let servers = vec![RtcIceServer::new("stun:a.example")];
        let new = RtcConfiguration { ice_servers: servers.clone(), ..RtcConfiguration::default() };
        let replaced = new.replacing(&current).unwrap();
        assert_eq!((replaced.ice_servers, replaced.shard), (servers, Some(1)));
        assert_eq!(replaced.certificates, current.certificates, "left out is left alone");
        let changes: [fn(&mut RtcConfiguration); 5] = [
            |new| new.bundle_policy = RtcBundlePolicy::MaxBundle,
            |new| new.certificates = vec![RtcCertificate::generate(crate::KeyType::EcdsaP256).unwrap()],
            |new| new.ice_lite = true,
            |new| new.max_message_size = 1,
            |new| new.shard = Some(0),
        ];
        for change in changes {
            let mut new = RtcConfiguration::default();
            change(&mut new);
            assert_eq!(new.replacing(&current).unwrap_err().name(), "InvalidModificationError");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let server = RtcIceServer::with_password("turn:b.example", "u", "secret");
        assert!(!format!("{server:?}").contains("secret"));
    }
}
