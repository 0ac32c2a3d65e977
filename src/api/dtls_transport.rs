//! `RtcDtlsTransport` (W3C webrtc-pc §5.5): what encrypts the packets of one or more sections.

use bytes::Bytes;

use super::RtcIceTransport;
use crate::messages::dtls::DtlsTransportState;

/// A transport with its keys (W3C `RTCDtlsTransport`). Clones are handles to the same one; those that are
/// not in use any more keep their last state.
#[derive(Debug, Clone, PartialEq)]
pub struct RtcDtlsTransport {
    ice: RtcIceTransport,
}

impl RtcDtlsTransport {
    pub(crate) fn new(ice: RtcIceTransport) -> Self {
        Self { ice }
    }

    /// W3C `iceTransport`: what it runs over.
    pub fn ice_transport(&self) -> RtcIceTransport {
        self.ice.clone()
    }

    /// W3C `state`.
    pub fn state(&self) -> DtlsTransportState {
        self.ice.read(|transport| transport.dtls_state).unwrap_or(DtlsTransportState::Closed)
    }

    /// Waits for another state than the present one (W3C `statechange`). Cancel-safe.
    pub async fn state_change(&self) -> DtlsTransportState {
        let before = self.state();
        self.ice.until(|transport| transport.dtls_state != before).await;
        self.state()
    }

    /// W3C `getRemoteCertificates`: what the peer has shown, DER; empty before it is connected.
    pub fn get_remote_certificates(&self) -> Vec<Bytes> {
        self.ice.read(|transport| transport.remote_certificates.clone()).unwrap_or_default()
    }
}
