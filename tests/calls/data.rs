//! Data channels of a connection: with media and without, made on either side, before and after.

use actix_rtc::{
    MediaKind, RtcBundlePolicy, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelMessage,
    RtcDataChannelState, RtcEvents, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiverInit, RtcSctpTransportState, UdpMode,
};
use futures_util::StreamExt;

use crate::{
    call::{Call, Camera, Engines, negotiate},
    run,
};

async fn pair(engines: &Engines, policy: RtcBundlePolicy) -> [RtcPeerConnection; 2] {
    let mut configuration = RtcConfiguration::on_shard(0);
    configuration.bundle_policy = policy;
    [
        RtcPeerConnection::on(&engines.near, configuration.clone()).await.unwrap(),
        RtcPeerConnection::on(&engines.far, configuration).await.unwrap(),
    ]
}

async fn next_channel(events: &mut RtcEvents) -> RtcDataChannel {
    loop {
        if let RtcPeerConnectionEvent::DataChannel(channel) = events.next().await.unwrap() {
            return channel;
        }
    }
}

async fn is_open(channel: &RtcDataChannel) {
    let mut events = channel.events();
    while channel.ready_state() != RtcDataChannelState::Open {
        events.next().await.unwrap();
    }
}

/// Sends a question one way and an answer back.
async fn talk(one: &RtcDataChannel, other: &RtcDataChannel) {
    one.send("question").await.unwrap();
    assert_eq!(other.events().message().await, Some(RtcDataChannelMessage::from("question")));
    other.send(vec![1, 2, 3]).await.unwrap();
    assert_eq!(one.events().message().await, Some(RtcDataChannelMessage::from(vec![1, 2, 3])));
}

#[test]
fn a_connection_of_data_alone_opens_what_was_made_before_it_and_after_it() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let [near, far] = pair(&engines, RtcBundlePolicy::Balanced).await;
        let mut far_events = far.events().unwrap();
        assert!(near.sctp().is_none());
        let init = RtcDataChannelInit { protocol: "chat".to_owned(), ..RtcDataChannelInit::default() };
        let before = near.create_data_channel("before", init).await.unwrap();
        assert_eq!(before.ready_state(), RtcDataChannelState::Connecting);
        negotiate(&near, &far).await;
        let theirs = next_channel(&mut far_events).await;
        assert_eq!((theirs.label(), theirs.protocol()), ("before", "chat"));
        assert_eq!(theirs.ready_state(), RtcDataChannelState::Open);
        is_open(&before).await;
        talk(&before, &theirs).await;

        let after = near.create_data_channel("after", RtcDataChannelInit::default()).await.unwrap();
        let theirs = next_channel(&mut far_events).await;
        is_open(&after).await;
        talk(&theirs, &after).await;
        let (one, other) = (near.sctp().unwrap(), far.sctp().unwrap());
        for sctp in [&one, &other] {
            assert_eq!(sctp.state(), RtcSctpTransportState::Connected);
            assert_eq!(sctp.max_message_size(), Some(262_144));
        }
        assert_eq!(vec![one.transport()], near.transports());

        // Closing one leaves the other; closing the connection closes all, without an error at the peer.
        after.close();
        while theirs.ready_state() != RtcDataChannelState::Closed {
            theirs.events().next().await;
        }
        assert_eq!(before.ready_state(), RtcDataChannelState::Open);
        near.close().await;
        assert_eq!(before.ready_state(), RtcDataChannelState::Closed);
        assert_eq!(one.state(), RtcSctpTransportState::Closed);
        while other.state() != RtcSctpTransportState::Closed {
            far_events.next().await.unwrap();
        }
        engines.shutdown().await;
    });
}

#[test]
fn data_is_added_to_a_call_and_media_goes_on() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        call.next_packets(20).await;
        let ours = call.receiver.create_data_channel("late", RtcDataChannelInit::default()).await.unwrap();
        while !matches!(call.receiver_events.next().await.unwrap(), RtcPeerConnectionEvent::NegotiationNeeded)
        {
        }
        negotiate(&call.receiver, &call.sender).await;
        let theirs = next_channel(&mut call.sender_events).await;
        is_open(&ours).await;
        talk(&ours, &theirs).await;
        assert_eq!(call.sender.transports().len(), 1, "data is bundled with media");
        call.next_packets(50).await;
        // A second channel needs no negotiation.
        let second = call.sender.create_data_channel("second", RtcDataChannelInit::default()).await.unwrap();
        let theirs = next_channel(&mut call.receiver_events).await;
        is_open(&second).await;
        talk(&second, &theirs).await;
        engines.shutdown().await;
    });
}

#[test]
fn channels_that_both_sides_negotiated_by_themselves_need_no_event() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, far] = pair(&engines, RtcBundlePolicy::MaxBundle).await;
        let init = RtcDataChannelInit { negotiated: true, id: Some(7), ..RtcDataChannelInit::default() };
        let one = near.create_data_channel("agreed", init.clone()).await.unwrap();
        let other = far.create_data_channel("agreed", init).await.unwrap();
        negotiate(&near, &far).await;
        is_open(&one).await;
        is_open(&other).await;
        assert_eq!((one.id(), other.id()), (Some(7), Some(7)));
        talk(&one, &other).await;
        engines.shutdown().await;
    });
}

#[test]
fn a_peer_that_vanishes_closes_its_channels_with_an_error_where_that_is_noticed() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, far] = pair(&engines, RtcBundlePolicy::Balanced).await;
        let mut far_events = far.events().unwrap();
        let ours = near.create_data_channel("channel", RtcDataChannelInit::default()).await.unwrap();
        negotiate(&near, &far).await;
        let theirs = next_channel(&mut far_events).await;
        is_open(&ours).await;
        // Without a goodbye of the association: all handles are gone, and with them the connection.
        drop(far);
        while ours.ready_state() != RtcDataChannelState::Closed {
            ours.events().next().await;
        }
        while theirs.ready_state() != RtcDataChannelState::Closed {
            theirs.events().next().await;
        }
        assert!(ours.send("too late").await.is_err());
        engines.shutdown().await;
    });
}

#[test]
fn data_is_negotiated_without_a_channel_when_that_is_configured() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let mut configuration = RtcConfiguration::on_shard(0);
        configuration.always_negotiate_data_channels = true;
        let near = RtcPeerConnection::on(&engines.near, configuration).await.unwrap();
        let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let mut events = near.events().unwrap();
        near.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
        negotiate(&near, &far).await;
        assert!(events.until(RtcPeerConnectionState::Connected).await);
        let mut far_events = far.events().unwrap();
        let ours = near.create_data_channel("at once", RtcDataChannelInit::default()).await.unwrap();
        let theirs = next_channel(&mut far_events).await;
        is_open(&ours).await;
        talk(&ours, &theirs).await;
        engines.shutdown().await;
    });
}

#[test]
fn wishes_that_make_no_sense_are_refused_and_ask_for_nothing() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, _far] = pair(&engines, RtcBundlePolicy::Balanced).await;
        let both = RtcDataChannelInit {
            max_packet_life_time: Some(1),
            max_retransmits: Some(1),
            ..RtcDataChannelInit::default()
        };
        let refused = near.create_data_channel("", both).await;
        assert!(matches!(refused, Err(actix_rtc::RtcError::TypeError(_))), "{refused:?}");
        let offer = near.create_offer(Default::default()).await.unwrap();
        assert!(!offer.sdp.contains("m=application"), "{}", offer.sdp);
        near.close().await;
        let refused = near.create_data_channel("", RtcDataChannelInit::default()).await;
        assert!(matches!(refused, Err(actix_rtc::RtcError::InvalidStateError(_))), "{refused:?}");
        engines.shutdown().await;
    });
}

/// A peer without data channels answers their section with port 0 (RFC 9429 5.3.1).
#[test]
fn channels_that_the_peer_rejects_are_closed_and_the_rest_of_the_call_goes_on() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let [near, far] = pair(&engines, RtcBundlePolicy::MaxBundle).await;
        let mut events = near.events().unwrap();
        near.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
        let channel = near.create_data_channel("unwanted", RtcDataChannelInit::default()).await.unwrap();
        near.set_local_description(None).await.unwrap();
        near.gathering_complete().await.unwrap();
        far.set_remote_description(near.local_description().unwrap()).await.unwrap();
        far.set_local_description(None).await.unwrap();
        far.gathering_complete().await.unwrap();
        let mut answer = far.local_description().unwrap();
        assert!(answer.sdp.contains("a=group:BUNDLE 0 1\r\n"), "{}", answer.sdp);
        answer.sdp = answer.sdp.replace("m=application 9", "m=application 0");
        answer.sdp = answer.sdp.replace("a=group:BUNDLE 0 1\r\n", "a=group:BUNDLE 0\r\n");
        near.set_remote_description(answer).await.unwrap();
        while channel.ready_state() != RtcDataChannelState::Closed {
            channel.events().next().await;
        }
        assert!(near.sctp().is_none());
        assert!(
            events.until(RtcPeerConnectionState::Connected).await,
            "the rest of the call is not affected"
        );
        engines.shutdown().await;
    });
}
