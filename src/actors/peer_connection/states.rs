//! The states of a connection, from those of its transports (W3C webrtc-pc §4.3).

use crate::{
    messages::{
        dtls::DtlsTransportState,
        peer_connection::{RtcIceGatheringState, RtcPeerConnectionState},
    },
    proto::ice::State,
};

/// W3C webrtc-pc §4.3.3 `RTCPeerConnectionState`.
///
/// One thing is said differently: a connection whose peer has said goodbye on every transport is `closed`, as
/// in aiortc, where W3C has it `connected` until consent ends.
pub(super) fn connection_state(
    is_closed: bool,
    transports: &[(State, DtlsTransportState)],
) -> RtcPeerConnectionState {
    use DtlsTransportState as Dtls;
    let any = |wanted: &dyn Fn(State, Dtls) -> bool| transports.iter().any(|(i, d)| wanted(*i, *d));
    let all = |wanted: &dyn Fn(State, Dtls) -> bool| transports.iter().all(|(i, d)| wanted(*i, *d));
    let is_gone = !transports.is_empty() && all(&|_, dtls| dtls == Dtls::Closed);
    if is_closed || is_gone {
        RtcPeerConnectionState::Closed
    } else if any(&|ice, dtls| ice == State::Failed || dtls == Dtls::Failed) {
        RtcPeerConnectionState::Failed
    } else if any(&|ice, _| ice == State::Disconnected) {
        RtcPeerConnectionState::Disconnected
    } else if all(&|ice, dtls| {
        matches!(ice, State::New | State::Closed) && matches!(dtls, Dtls::New | Dtls::Closed)
    }) {
        RtcPeerConnectionState::New
    } else if all(&|ice, dtls| {
        matches!(ice, State::Connected | State::Completed | State::Closed)
            && matches!(dtls, Dtls::Connected | Dtls::Closed)
    }) {
        RtcPeerConnectionState::Connected
    } else {
        RtcPeerConnectionState::Connecting
    }
}

/// W3C webrtc-pc §4.3.4 `RTCIceConnectionState`.
pub(super) fn ice_connection_state(is_closed: bool, transports: &[State]) -> State {
    let any = |wanted: State| transports.contains(&wanted);
    let all = |wanted: &[State]| transports.iter().all(|state| wanted.contains(state));
    if is_closed {
        State::Closed
    } else if any(State::Failed) {
        State::Failed
    } else if any(State::Disconnected) {
        State::Disconnected
    } else if all(&[State::New, State::Closed]) {
        State::New
    } else if any(State::New) || any(State::Checking) {
        State::Checking
    } else if all(&[State::Completed, State::Closed]) {
        State::Completed
    } else {
        State::Connected
    }
}

/// W3C webrtc-pc §4.3.2 `RTCIceGatheringState`.
pub(super) fn gathering_state(transports: &[RtcIceGatheringState]) -> RtcIceGatheringState {
    if transports.contains(&RtcIceGatheringState::Gathering) {
        RtcIceGatheringState::Gathering
    } else if transports.is_empty() || transports.contains(&RtcIceGatheringState::New) {
        RtcIceGatheringState::New
    } else {
        RtcIceGatheringState::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state of ICE with every state of DTLS, alone and next to a transport that is connected.
    #[test]
    fn the_state_of_a_connection_is_that_of_its_worst_transport() {
        use DtlsTransportState as Dtls;
        use RtcPeerConnectionState as Peer;
        let table = [
            ((State::New, Dtls::New), Peer::New, Peer::Connecting),
            ((State::Checking, Dtls::New), Peer::Connecting, Peer::Connecting),
            ((State::New, Dtls::Connecting), Peer::Connecting, Peer::Connecting),
            ((State::Checking, Dtls::Connecting), Peer::Connecting, Peer::Connecting),
            ((State::Connected, Dtls::New), Peer::Connecting, Peer::Connecting),
            ((State::Connected, Dtls::Connecting), Peer::Connecting, Peer::Connecting),
            ((State::Connected, Dtls::Connected), Peer::Connected, Peer::Connected),
            ((State::Completed, Dtls::Connected), Peer::Connected, Peer::Connected),
            ((State::Connected, Dtls::Closed), Peer::Closed, Peer::Connected),
            ((State::Checking, Dtls::Connected), Peer::Connecting, Peer::Connecting),
            ((State::Disconnected, Dtls::Connected), Peer::Disconnected, Peer::Disconnected),
            ((State::Failed, Dtls::Connected), Peer::Failed, Peer::Failed),
            ((State::Failed, Dtls::Closed), Peer::Closed, Peer::Failed),
            ((State::Connected, Dtls::Failed), Peer::Failed, Peer::Failed),
            ((State::Disconnected, Dtls::Failed), Peer::Failed, Peer::Failed),
            ((State::Closed, Dtls::New), Peer::New, Peer::Connecting),
            ((State::Closed, Dtls::Connected), Peer::Connected, Peer::Connected),
        ];
        for (transport, alone, beside_a_connected_one) in table {
            assert_eq!(connection_state(false, &[transport]), alone, "{transport:?}");
            let both = [(State::Connected, Dtls::Connected), transport];
            assert_eq!(connection_state(false, &both), beside_a_connected_one, "{transport:?}");
            assert_eq!(connection_state(true, &[transport]), Peer::Closed);
        }
        assert_eq!(connection_state(false, &[]), Peer::New, "there are no transports");
    }

    #[test]
    fn the_ice_state_is_that_of_the_worst_agent() {
        let table: [(&[State], State); 12] = [
            (&[], State::New),
            (&[State::New], State::New),
            (&[State::New, State::Closed], State::New),
            (&[State::New, State::Connected], State::Checking),
            (&[State::Checking, State::Completed], State::Checking),
            (&[State::Connected, State::Completed], State::Connected),
            (&[State::Completed, State::Closed], State::Completed),
            (&[State::Completed, State::Completed], State::Completed),
            (&[State::Connected, State::Disconnected], State::Disconnected),
            (&[State::Checking, State::Disconnected], State::Disconnected),
            (&[State::Disconnected, State::Failed], State::Failed),
            (&[State::New, State::Failed], State::Failed),
        ];
        for (transports, expected) in table {
            assert_eq!(ice_connection_state(false, transports), expected, "{transports:?}");
            assert_eq!(ice_connection_state(true, transports), State::Closed);
        }
    }

    #[test]
    fn gathering_is_complete_when_every_transport_has_gathered() {
        use RtcIceGatheringState as Gathering;
        let table: [(&[Gathering], Gathering); 6] = [
            (&[], Gathering::New),
            (&[Gathering::New], Gathering::New),
            (&[Gathering::New, Gathering::Complete], Gathering::New),
            (&[Gathering::New, Gathering::Gathering], Gathering::Gathering),
            (&[Gathering::Complete, Gathering::Gathering], Gathering::Gathering),
            (&[Gathering::Complete, Gathering::Complete], Gathering::Complete),
        ];
        for (transports, expected) in table {
            assert_eq!(gathering_state(transports), expected, "{transports:?}");
        }
    }
}
