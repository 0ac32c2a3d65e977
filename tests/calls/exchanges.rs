//! Exchanges of descriptions that no other file shows: who may send afterwards, what is added later, what
//! is closed early, and a policy that leaves no candidates.

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState, RtcEvents,
    RtcIceTransportPolicy, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiverDirection as Direction, RtcRtpTransceiverInit, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Camera, Engines, Viewer, negotiate},
    run, run_undisturbed,
};

async fn pair(engines: &Engines) -> [RtcPeerConnection; 2] {
    [
        RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap(),
        RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap(),
    ]
}

async fn channel_of_the_peer(events: &mut RtcEvents) -> RtcDataChannel {
    loop {
        if let RtcPeerConnectionEvent::DataChannel(channel) = events.next().await.unwrap() {
            return channel;
        }
    }
}

async fn is_in_state(channel: &RtcDataChannel, state: RtcDataChannelState) {
    let mut events = channel.events();
    while channel.ready_state() != state {
        events.next().await;
    }
}

fn negotiated(id: u16) -> RtcDataChannelInit {
    RtcDataChannelInit { negotiated: true, id: Some(id), ..RtcDataChannelInit::default() }
}

#[test]
fn an_answer_of_sendonly_leaves_the_offerer_receiving() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, far] = pair(&engines).await;
        let camera = Camera::start(&engines, 3).await;
        let ours = near.add_transceiver(MediaKind::Video, RtcRtpTransceiverInit::default()).await.unwrap();
        assert_eq!(ours.direction(), Direction::Sendrecv);
        near.set_local_description(None).await.unwrap();
        near.gathering_complete().await.unwrap();
        far.set_remote_description(near.local_description().unwrap()).await.unwrap();
        let theirs = far.get_transceivers().remove(0);
        theirs.set_direction(Direction::Sendonly).await.unwrap();
        theirs.sender().replace_track(Some(camera.track.clone())).await.unwrap();
        far.set_local_description(None).await.unwrap();
        far.gathering_complete().await.unwrap();
        near.set_remote_description(far.local_description().unwrap()).await.unwrap();
        assert_eq!(theirs.current_direction(), Some(Direction::Sendonly));
        assert_eq!(ours.current_direction(), Some(Direction::Recvonly));
        assert_eq!(ours.direction(), Direction::Sendrecv, "what is wanted is not changed by the peer");
        Viewer::start(ours.receiver().track().unwrap().packets()).sees(50).await;
        engines.shutdown().await;
    });
}

#[test]
fn media_can_be_added_to_a_connection_of_data() {
    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, far] = pair(&engines).await;
        let mut events = far.events().unwrap();
        let channel = near.create_data_channel("first", RtcDataChannelInit::default()).await.unwrap();
        negotiate(&near, &far).await;
        let theirs = channel_of_the_peer(&mut events).await;
        let transport = near.sctp().unwrap().transport();

        let camera = Camera::start(&engines, 4).await;
        near.add_track(&camera.track, Vec::new()).await.unwrap();
        negotiate(&near, &far).await;
        let track = loop {
            if let RtcPeerConnectionEvent::Track { track, .. } = events.next().await.unwrap() {
                break track;
            }
        };
        Viewer::start(track.packets()).sees(50).await;
        assert_eq!(near.transports(), [transport], "the new section joins the bundle");
        assert_eq!(channel.ready_state(), RtcDataChannelState::Open);
        assert_eq!(theirs.ready_state(), RtcDataChannelState::Open);
        engines.shutdown().await;
    });
}

#[test]
fn a_negotiated_channel_that_is_closed_early_leaves_its_sibling_alone() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, far] = pair(&engines).await;
        let early = near.create_data_channel("early", negotiated(100)).await.unwrap();
        let [one, other] = [
            near.create_data_channel("stays", negotiated(102)).await.unwrap(),
            far.create_data_channel("stays", negotiated(102)).await.unwrap(),
        ];
        assert_eq!(early.ready_state(), RtcDataChannelState::Connecting);
        early.close();
        negotiate(&near, &far).await;
        is_in_state(&early, RtcDataChannelState::Closed).await;
        is_in_state(&one, RtcDataChannelState::Open).await;
        is_in_state(&other, RtcDataChannelState::Open).await;
        one.send("hello").await.unwrap();
        assert_eq!(other.events().message().await, Some("hello".into()));
        engines.shutdown().await;
    });
}

#[test]
fn a_relay_policy_without_a_relay_gathers_nothing_and_says_so() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let mut configuration = RtcConfiguration::on_shard(0);
        configuration.ice_transport_policy = RtcIceTransportPolicy::Relay;
        let connection = RtcPeerConnection::on(&engines.near, configuration).await.unwrap();
        let mut events = connection.events().unwrap();
        connection.create_data_channel("data", RtcDataChannelInit::default()).await.unwrap();
        connection.set_local_description(None).await.unwrap();
        connection.gathering_complete().await.unwrap();
        let sdp = connection.local_description().unwrap().sdp;
        assert!(!sdp.contains("a=candidate"), "{sdp}");
        assert!(sdp.contains("a=end-of-candidates"), "{sdp}");
        loop {
            match events.next().await.unwrap() {
                RtcPeerConnectionEvent::IceCandidate(None) => break,
                // An empty one ends those of a transport.
                RtcPeerConnectionEvent::IceCandidate(Some(told)) => assert_eq!(told.candidate, ""),
                _ => {}
            }
        }
        assert_eq!(connection.connection_state(), RtcPeerConnectionState::New);
        engines.shutdown().await;
    });
}

#[test]
fn the_same_track_may_have_several_transceivers_but_is_added_once() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, _] = pair(&engines).await;
        let camera = Camera::start(&engines, 5).await;
        let first = near.add_transceiver(&camera.track, RtcRtpTransceiverInit::default()).await.unwrap();
        assert_eq!(first.sender().track(), Some(camera.track.clone()));
        // W3C webrtc-pc 5.1: addTransceiver does not look at other senders, addTrack does.
        near.add_transceiver(&camera.track, RtcRtpTransceiverInit::default()).await.unwrap();
        assert_eq!(near.get_transceivers().len(), 2);
        let refused = near.add_track(&camera.track, Vec::new()).await.unwrap_err();
        assert_eq!(refused.name(), "InvalidAccessError");
        engines.shutdown().await;
    });
}
