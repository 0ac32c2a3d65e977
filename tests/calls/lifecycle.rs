//! When a connection tells what, and what is left of it after `close`.

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcError, RtcEvents, RtcIceConnectionState, RtcIceGatheringState,
    RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection,
    RtcRtpTransceiverInit, RtcSdpType, RtcSessionDescription, RtcSignalingState, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Call, Camera, Engines, negotiate},
    run,
};

async fn connection(engines: &Engines) -> RtcPeerConnection {
    RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap()
}

/// What was told before the next question for a negotiation.
async fn until_asked(events: &mut RtcEvents) -> Vec<RtcPeerConnectionEvent> {
    let mut before = Vec::new();
    loop {
        match events.next().await.unwrap() {
            RtcPeerConnectionEvent::NegotiationNeeded => return before,
            event => before.push(event),
        }
    }
}

fn signaling_states(events: &[RtcPeerConnectionEvent]) -> Vec<RtcSignalingState> {
    let state = |event: &RtcPeerConnectionEvent| match event {
        RtcPeerConnectionEvent::SignalingStateChange(state) => Some(*state),
        _ => None,
    };
    events.iter().filter_map(state).collect()
}

#[test]
fn negotiation_is_asked_for_once_never_during_an_exchange_and_again_when_still_needed() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let near = connection(&engines).await;
        let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let mut events = near.events().unwrap();
        // Three wishes at once, one question: the next one comes when an exchange has ended.
        let wish = || near.add_transceiver(MediaKind::Video, RtcRtpTransceiverInit::default());
        let (first, second, third) = tokio::join!(wish(), wish(), wish());
        let (first, _, _) = (first.unwrap(), second.unwrap(), third.unwrap());
        until_asked(&mut events).await;
        near.set_local_description(None).await.unwrap();
        near.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
        first.set_direction(RtcRtpTransceiverDirection::Inactive).await.unwrap();
        far.set_remote_description(near.local_description().unwrap()).await.unwrap();
        far.set_local_description(None).await.unwrap();
        near.set_remote_description(far.local_description().unwrap()).await.unwrap();
        let before = until_asked(&mut events).await;
        assert_eq!(
            signaling_states(&before),
            [RtcSignalingState::HaveLocalOffer, RtcSignalingState::Stable],
            "what was wished for meanwhile is asked for when the exchange has ended"
        );
        // When all is negotiated, nothing is asked for: the connection comes up in between.
        negotiate(&near, &far).await;
        loop {
            match events.next().await.unwrap() {
                RtcPeerConnectionEvent::ConnectionStateChange(RtcPeerConnectionState::Connected) => break,
                event => assert!(!matches!(event, RtcPeerConnectionEvent::NegotiationNeeded)),
            }
        }
        near.restart_ice().await.unwrap();
        until_asked(&mut events).await;
        near.set_local_description(None).await.unwrap();
        let rollback = RtcSessionDescription { kind: RtcSdpType::Rollback, sdp: String::new() };
        near.set_local_description(Some(rollback)).await.unwrap();
        let before = until_asked(&mut events).await;
        assert_eq!(
            signaling_states(&before).last(),
            Some(&RtcSignalingState::Stable),
            "the wish is still there"
        );
        engines.shutdown().await;
    });
}

#[test]
fn candidates_come_before_the_end_of_their_section_and_that_before_the_end_of_all() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let connection = connection(&engines).await;
        let mut events = connection.events().unwrap();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            connection.add_transceiver(kind, RtcRtpTransceiverInit::default()).await.unwrap();
        }
        assert_eq!(connection.ice_gathering_state(), RtcIceGatheringState::New);
        connection.set_local_description(None).await.unwrap();
        let (mut candidates, mut ended, mut states) = ([0, 0], [false, false], Vec::new());
        let mut ufrags = std::collections::BTreeSet::new();
        loop {
            match events.next().await.unwrap() {
                RtcPeerConnectionEvent::IceCandidate(Some(candidate)) => {
                    let section = usize::from(candidate.sdp_m_line_index.unwrap());
                    let description = connection.local_description().unwrap().sdp;
                    let sections: Vec<&str> = description.split("\nm=").skip(1).collect();
                    let ufrag = candidate.username_fragment.unwrap();
                    assert!(description.contains(&format!("a=ice-ufrag:{ufrag}\r")), "{description}");
                    ufrags.insert(ufrag);
                    assert!(sections[section].contains(&format!("a=mid:{}\r", candidate.sdp_mid.unwrap())));
                    assert!(!ended[section], "nothing follows the end");
                    if candidate.candidate.is_empty() {
                        ended[section] = true;
                    } else {
                        assert!(sections[section].contains(&candidate.candidate), "it is in the description");
                        candidates[section] += 1;
                    }
                }
                RtcPeerConnectionEvent::IceGatheringStateChange(state) => states.push(state),
                RtcPeerConnectionEvent::IceCandidate(None) => break,
                _ => {}
            }
        }
        assert_eq!(ended, [true, true]);
        assert_eq!(ufrags.len(), 2, "each transport has its own credentials");
        assert!(candidates.iter().all(|count| *count > 0), "{candidates:?}");
        assert_eq!(states, [RtcIceGatheringState::Gathering, RtcIceGatheringState::Complete]);
        engines.shutdown().await;
    });
}

#[test]
fn a_pool_gathers_before_there_is_a_description_and_the_first_transport_uses_it() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let mut configuration = RtcConfiguration::on_shard(0);
        configuration.ice_candidate_pool_size = 2;
        let near = RtcPeerConnection::on(&engines.near, configuration).await.unwrap();
        let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let camera = Camera::start(&engines, 1).await;
        let mut events = near.events().unwrap();
        near.add_track(&camera.track, Vec::new()).await.unwrap();
        until_asked(&mut events).await;
        negotiate(&near, &far).await;
        assert!(near.local_description().unwrap().sdp.contains("a=candidate:"));
        let first = events.next().await.unwrap();
        assert_eq!(
            signaling_states(&[first]),
            [RtcSignalingState::HaveLocalOffer],
            "what the pool finds is told with the description"
        );
        assert!(events.until(RtcPeerConnectionState::Connected).await);
        assert_eq!(near.transports().len(), 1, "what was not needed is gone");
        engines.shutdown().await;
    });
}

#[test]
fn a_closed_connection_keeps_its_descriptions_tells_nothing_and_refuses_everything() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let call = Call::start(&engines, &camera.track).await;
        let Call { sender, mut sender_events, transceiver, .. } = call;
        sender.close().await;
        sender.close().await;
        while let Some(event) = sender_events.next().await {
            let tells_of_the_end = match &event {
                RtcPeerConnectionEvent::ConnectionStateChange(state) => {
                    *state == RtcPeerConnectionState::Closed
                }
                RtcPeerConnectionEvent::IceConnectionStateChange(state) => {
                    *state == RtcIceConnectionState::Closed
                }
                RtcPeerConnectionEvent::SignalingStateChange(_) | RtcPeerConnectionEvent::Failure(_) => true,
                _ => false,
            };
            assert!(!tells_of_the_end, "{event:?}");
        }
        assert_eq!(sender.signaling_state(), RtcSignalingState::Closed);
        assert_eq!(sender.connection_state(), RtcPeerConnectionState::Closed);
        assert_eq!(sender.ice_connection_state(), RtcIceConnectionState::Closed);
        assert!(sender.local_description().is_some());
        assert!(transceiver.stopped());
        let refusals = [
            sender.create_offer(Default::default()).await.err(),
            sender.create_answer().await.err(),
            sender.set_local_description(None).await.err(),
            sender.set_remote_description(RtcSessionDescription::offer("v=0")).await.err(),
            sender.add_ice_candidate(None).await.err(),
            sender.add_track(&camera.track, Vec::new()).await.err(),
            sender.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.err(),
            sender.remove_track(&transceiver.sender()).await.err(),
            sender.set_configuration(sender.get_configuration()).await.err(),
            transceiver.set_direction(RtcRtpTransceiverDirection::Inactive).await.err(),
        ];
        for (index, refusal) in refusals.iter().enumerate() {
            assert!(matches!(refusal, Some(RtcError::InvalidStateError(_))), "{index}: {refusal:?}");
        }
        engines.shutdown().await;
    });
}
