//! New exchanges while media runs.

use actix_rtc::{
    MediaStreamTrack, MediaStreamTrackEvent, RtcConfiguration, RtcEvents, RtcPeerConnection,
    RtcPeerConnectionEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection, RtcRtpTransceiverInit,
    RtcSdpType, RtcSignalingState, TrackPackets, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Call, Camera, Engines, Viewer, mark_of, negotiate},
    run, run_undisturbed,
};

/// Times a track is taken away and put back.
const ROUNDS: usize = 10;

async fn next_track(events: &mut RtcEvents) -> MediaStreamTrack {
    loop {
        if let RtcPeerConnectionEvent::Track { track, .. } = events.next().await.unwrap() {
            return track;
        }
    }
}

async fn marks(packets: &mut TrackPackets, count: usize) -> Vec<u8> {
    let mut marks = Vec::new();
    while marks.len() < count {
        marks.extend(packets.next().await.expect("the track has ended").packets.iter().map(mark_of));
    }
    marks
}

#[test]
fn tracks_come_and_go_without_a_gap_in_the_others() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let (first, second) = (Camera::start(&engines, 1).await, Camera::start(&engines, 2).await);
        let mut call = Call::start(&engines, &first.track).await;
        let mut viewer = Viewer::start(call.packets);
        viewer.sees(20).await;

        let init = RtcRtpTransceiverInit {
            direction: RtcRtpTransceiverDirection::Sendonly,
            ..RtcRtpTransceiverInit::default()
        };
        let added = call.sender.add_transceiver(&second.track, init).await.unwrap();
        let mut ids = None;
        for round in 0..ROUNDS {
            println!("round {round}");
            added.set_direction(RtcRtpTransceiverDirection::Sendonly).await.unwrap();
            negotiate(&call.sender, &call.receiver).await;
            let track = next_track(&mut call.receiver_events).await;
            let mut events = track.events();
            assert!(marks(&mut track.packets(), 10).await.iter().all(|mark| *mark == 2));
            assert_eq!(
                ids.get_or_insert_with(|| track.id().to_owned()),
                track.id(),
                "it is the same track again"
            );

            added.set_direction(RtcRtpTransceiverDirection::Inactive).await.unwrap();
            negotiate(&call.sender, &call.receiver).await;
            while !track.muted() {
                assert_ne!(events.next().await, Some(MediaStreamTrackEvent::Ended));
            }

            viewer.sees(10).await;
        }
        assert_eq!(call.sender.get_transceivers().len(), 2, "a direction that changes makes no new section");
        assert_eq!(call.receiver.get_transceivers().len(), 2);
        for connection in [&call.sender, &call.receiver] {
            assert_eq!(connection.connection_state(), RtcPeerConnectionState::Connected);
        }
        engines.shutdown().await;
    });
}

#[test]
fn stopped_transceivers_make_room_for_new_ones() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let (first, second) = (Camera::start(&engines, 1).await, Camera::start(&engines, 2).await);
        let mut call = Call::start(&engines, &first.track).await;
        for round in 0..ROUNDS {
            println!("round {round}");
            let init = RtcRtpTransceiverInit {
                direction: RtcRtpTransceiverDirection::Sendonly,
                ..RtcRtpTransceiverInit::default()
            };
            let added = call.sender.add_transceiver(&second.track, init);
            let added = added.await.unwrap();
            negotiate(&call.sender, &call.receiver).await;
            let mut packets = next_track(&mut call.receiver_events).await.packets();
            assert!(marks(&mut packets, 5).await.iter().all(|mark| *mark == 2));
            added.stop().await.unwrap();
            negotiate(&call.sender, &call.receiver).await;
            while packets.next().await.is_some() {}
        }
        for connection in [&call.sender, &call.receiver] {
            assert_eq!(connection.get_transceivers().len(), 1, "stopped ones are gone");
            let description = connection.local_description().unwrap();
            assert_eq!(description.sdp.matches("\nm=").count(), 2, "their section is used again");
        }
        call.next_packets(20).await;
        engines.shutdown().await;
    });
}

/// Who answers may send as well, and who offered first need not offer again.
#[test]
fn the_answerer_adds_a_track_and_offers_it() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let (first, second) = (Camera::start(&engines, 1).await, Camera::start(&engines, 2).await);
        let mut call = Call::start(&engines, &first.track).await;
        call.next_packets(20).await;
        call.receiver.add_track(&second.track, vec!["back".to_owned()]).await.unwrap();
        call.transceiver.set_direction(RtcRtpTransceiverDirection::Sendrecv).await.unwrap();
        negotiate(&call.receiver, &call.sender).await;
        let mut packets = next_track(&mut call.sender_events).await.packets();
        assert!(marks(&mut packets, 20).await.iter().all(|mark| *mark == 2));
        call.next_packets(20).await;
        engines.shutdown().await;
    });
}

/// A provisional answer is enough for media; the final one completes the exchange (RFC 9429 4.1.10.1).
#[test]
fn media_flows_on_a_provisional_answer() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let offerer = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap();
        let answerer = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let mut events = answerer.events().unwrap();
        offerer.add_track(&camera.track, Vec::new()).await.unwrap();
        offerer.set_local_description(None).await.unwrap();
        offerer.gathering_complete().await.unwrap();
        answerer.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
        let mut provisional = answerer.create_answer().await.unwrap();
        provisional.kind = RtcSdpType::Pranswer;
        answerer.set_local_description(Some(provisional)).await.unwrap();
        answerer.gathering_complete().await.unwrap();
        offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
        assert_eq!(answerer.signaling_state(), RtcSignalingState::HaveLocalPranswer);
        assert_eq!(offerer.signaling_state(), RtcSignalingState::HaveRemotePranswer);
        assert!(offerer.current_local_description().is_none());
        let mut packets = next_track(&mut events).await.packets();
        marks(&mut packets, 10).await;
        answerer.set_local_description(None).await.unwrap();
        offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
        for connection in [&offerer, &answerer] {
            assert_eq!(connection.signaling_state(), RtcSignalingState::Stable);
            assert!(connection.pending_local_description().is_none());
            assert_eq!(connection.transports().len(), 1);
        }
        marks(&mut packets, 10).await;
        engines.shutdown().await;
    });
}
