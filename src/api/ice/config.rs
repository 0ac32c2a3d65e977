//! How a connection of ICE alone is made.

use crate::{
    actors::{ice_connection::IceSettings, network::NetworkConfig},
    api::{RtcIceServer, RtcIceTransportPolicy, ice_server},
    messages::error::RtcError,
    proto::ice::{Credentials, MAX_COMPONENTS, Role, Timings},
};

/// How a connection of ICE alone is made. [`IceConnectionConfig::new`] gives the defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IceConnectionConfig {
    /// Who nominates (RFC 8445 §6.1.1): the side that begins, unless the other one is lite.
    pub role: Role,
    /// Act as a lite agent (RFC 8445 §2.5): for hosts with public addresses. Default: false.
    pub lite: bool,
    /// Number of components, 1 to [`MAX_COMPONENTS`]. Each has sockets of its own. Default: 1.
    pub components: u8,
    /// Who is asked for candidates, STUN and TURN servers as many as needed. Default: nobody.
    pub ice_servers: Vec<RtcIceServer>,
    /// Which candidates are used. Default: all.
    pub transport_policy: RtcIceTransportPolicy,
    /// Our credentials. Default: random ones.
    pub local_credentials: Option<Credentials>,
    /// Which addresses are offered, of which family, and which certificates of TURN servers are believed.
    /// Default: as the engine was started.
    pub network: Option<NetworkConfig>,
    /// Timers, for special networks and tests. Default: those of the RFCs.
    pub timings: Timings,
    /// The shard that hosts the connection. Default: the one with the fewest peers.
    pub shard: Option<usize>,
}

impl IceConnectionConfig {
    /// A full agent with one component that offers the host's addresses.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            lite: false,
            components: 1,
            ice_servers: Vec::new(),
            transport_policy: RtcIceTransportPolicy::All,
            local_credentials: None,
            network: None,
            timings: Timings::default(),
            shard: None,
        }
    }

    /// # Errors
    /// [`RtcError::RangeError`] for a number of components that can't be had; [`RtcError::TypeError`] for
    /// credentials that RFC 8839 does not allow; see
    /// [`RtcPeerConnection::on`](crate::RtcPeerConnection::on) for servers.
    pub(super) fn checked(self) -> Result<IceSettings, RtcError> {
        if !(1..=MAX_COMPONENTS).contains(&self.components) {
            let sentence = format!("{} components: 1 to {MAX_COMPONENTS} are possible", self.components);
            return Err(RtcError::RangeError(sentence));
        }
        if let Some(credentials) = &self.local_credentials {
            credentials.check().map_err(|error| RtcError::TypeError(error.to_string()))?;
        }
        Ok(IceSettings {
            role: self.role,
            lite: self.lite,
            components: self.components,
            servers: ice_server::checked(&self.ice_servers, self.transport_policy)?,
            credentials: self.local_credentials,
            network: self.network,
            timings: self.timings,
        })
    }
}
