//! What a connection looks like from outside, for the script to compare.

use actix_rtc::{RtcDtlsTransport, RtcPeerConnection, RtcRtpTransceiver};
use serde_json::{Value, json};

/// All states, and one entry per transceiver.
pub(crate) fn state(connection: &RtcPeerConnection) -> Value {
    let description = |found: Option<actix_rtc::RtcSessionDescription>| found.map(|found| found.sdp);
    json!({
        "connection": connection.connection_state().as_str(),
        "signaling": words(connection.signaling_state()),
        "ice": words(connection.ice_connection_state()),
        "gathering": words(connection.ice_gathering_state()),
        "local": description(connection.local_description()),
        "remote": description(connection.remote_description()),
        "pairs": pairs(connection),
        "transceivers": connection.get_transceivers().iter().map(transceiver).collect::<Vec<_>>(),
    })
}

/// Where the packets of each transport go now.
fn pairs(connection: &RtcPeerConnection) -> Vec<Value> {
    let pair = |transport: &RtcDtlsTransport| {
        let pair = transport.ice_transport().get_selected_candidate_pair()?;
        Some(json!({ "local": pair.local, "remote": pair.remote }))
    };
    connection.transports().iter().filter_map(pair).collect()
}

fn transceiver(transceiver: &RtcRtpTransceiver) -> Value {
    json!({
        "mid": transceiver.mid(),
        "kind": words(transceiver.kind()),
        "direction": words(transceiver.direction()),
        "currentDirection": transceiver.current_direction().map(words),
        "stopped": transceiver.stopped(),
        "sends": transceiver.sender().track().is_some(),
    })
}

/// `HaveLocalOffer` as W3C writes it: `have-local-offer`.
pub(crate) fn words(variant: impl std::fmt::Debug) -> String {
    let mut text = String::new();
    for (index, letter) in format!("{variant:?}").chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use actix_rtc::{RtcIceGatheringState, RtcSignalingState};

    use super::words;

    #[test]
    fn states_are_written_as_w3c_writes_them() {
        assert_eq!(words(RtcSignalingState::HaveLocalOffer), "have-local-offer");
        assert_eq!(words(RtcIceGatheringState::Complete), "complete");
    }
}
