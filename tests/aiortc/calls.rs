//! Calls of aiortc's `test_rtcpeerconnection.py`: media and data in every order, trickled or not, and their end.

use actix_rtc::{
    MediaKind, RtcBundlePolicy, RtcConfiguration, RtcDataChannelEvent, RtcDataChannelInit,
    RtcDataChannelMessage, RtcDataChannelState, RtcDtlsTransportState, RtcPeerConnectionState, RtcRtpSender,
    RtcSessionDescription,
};
use futures_util::StreamExt;

use crate::pair::{Pair, Peer, Source, flows, negotiate, run};

fn text(message: &str) -> RtcDataChannelMessage {
    RtcDataChannelMessage::Text(message.to_owned())
}

/// `one` and `two` send this to each other; both hear it.
async fn both_ways(pair: &mut Pair, kind: MediaKind, codec: &str) -> [Source; 2] {
    let sources =
        [Source::new(&pair.engine, kind, codec).await, Source::new(&pair.engine, kind, codec).await];
    for (peer, source) in [&pair.one, &pair.two].into_iter().zip(&sources) {
        peer.connection.add_track(&source.track, vec!["stream".to_owned()]).await.unwrap();
    }
    sources
}

async fn heard_by_both(pair: &mut Pair) {
    flows(&pair.one.track(0).await).await;
    flows(&pair.two.track(0).await).await;
}

#[test]
fn audio_goes_both_ways() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Audio, "opus").await;
        pair.negotiate().await;
        pair.connected().await;
        heard_by_both(&mut pair).await;
        pair.end().await;
    });
}

#[derive(Clone, Copy)]
enum Named {
    ByMid,
    ByIndex,
}

async fn signal(from: &mut Peer, to: &Peer, named: Named) {
    for mut candidate in from.candidates().await {
        assert!(candidate.sdp_mid.is_some() && candidate.sdp_m_line_index.is_some());
        match named {
            Named::ByMid => candidate.sdp_m_line_index = None,
            Named::ByIndex => candidate.sdp_mid = None,
        }
        to.connection.add_ice_candidate(Some(candidate)).await.unwrap();
    }
}

/// Descriptions without candidates, and the candidates afterwards.
async fn trickle(pair: &mut Pair, named: Named) {
    let (one, two) = (&pair.one.connection, &pair.two.connection);
    let offer = one.create_offer(Default::default()).await.unwrap();
    two.set_remote_description(offer.clone()).await.unwrap();
    let answer = two.create_answer().await.unwrap();
    assert!(!offer.sdp.contains("a=candidate:") && !answer.sdp.contains("a=candidate:"));
    one.set_local_description(Some(offer)).await.unwrap();
    two.set_local_description(Some(answer.clone())).await.unwrap();
    one.set_remote_description(answer).await.unwrap();
    signal(&mut pair.one, &pair.two, named).await;
    signal(&mut pair.two, &pair.one, named).await;
    pair.connected().await;
}

#[test]
fn audio_connects_by_candidates_that_name_the_mid() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Audio, "opus").await;
        trickle(&mut pair, Named::ByMid).await;
        heard_by_both(&mut pair).await;
        pair.end().await;
    });
}

#[test]
fn audio_connects_by_candidates_that_name_the_index() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Audio, "opus").await;
        trickle(&mut pair, Named::ByIndex).await;
        heard_by_both(&mut pair).await;
        pair.end().await;
    });
}

#[test]
fn a_data_channel_connects_by_candidates_that_name_the_mid() {
    run(async {
        let mut pair = Pair::new().await;
        let ours =
            pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        trickle(&mut pair, Named::ByMid).await;
        echo(&mut pair, &ours).await;
        pair.end().await;
    });
}

#[test]
fn a_data_channel_connects_by_candidates_that_name_the_index() {
    run(async {
        let mut pair = Pair::new().await;
        let ours =
            pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        trickle(&mut pair, Named::ByIndex).await;
        echo(&mut pair, &ours).await;
        pair.end().await;
    });
}

/// A message there and back over a channel that `one` opened.
async fn echo(pair: &mut Pair, ours: &actix_rtc::RtcDataChannel) {
    let theirs = pair.two.channel().await;
    assert_eq!(theirs.label(), ours.label());
    let (mut our_events, mut their_events) = (ours.events(), theirs.events());
    while ours.ready_state() != RtcDataChannelState::Open {
        our_events.next().await.expect("it opens");
    }
    ours.send(text("ping")).await.unwrap();
    assert_eq!(their_events.message().await, Some(text("ping")));
    theirs.send(text("pong")).await.unwrap();
    assert_eq!(our_events.message().await, Some(text("pong")));
}

#[test]
fn a_connection_can_be_closed_while_audio_flows() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Audio, "opus").await;
        pair.negotiate().await;
        pair.connected().await;
        let heard = pair.two.track(0).await;
        flows(&heard).await;
        pair.one.connection.close().await;
        pair.two.until(RtcPeerConnectionState::Closed).await;
        pair.end().await;
    });
}

#[test]
fn two_audio_tracks_are_heard_apart() {
    run(async {
        let mut pair = Pair::new().await;
        let sources = [Source::microphone(&pair.engine).await, Source::microphone(&pair.engine).await];
        for source in &sources {
            pair.one.connection.add_track(&source.track, Vec::new()).await.unwrap();
        }
        pair.negotiate().await;
        pair.connected().await;
        let (first, second) = (pair.two.track(0).await, pair.two.track(1).await);
        assert_ne!(first.id(), second.id());
        flows(&first).await;
        flows(&second).await;
        pair.end().await;
    });
}

fn transports_of(senders: &[RtcRtpSender]) -> Vec<RtcDtlsTransportState> {
    senders.iter().map(|sender| sender.transport().expect("a transport").state()).collect()
}

/// Audio, video and a data channel under a policy: all of them work, over one transport in the end.
fn everything(bundle_policy: RtcBundlePolicy) {
    run(async {
        let mut configuration = RtcConfiguration::default();
        configuration.bundle_policy = bundle_policy;
        let mut pair = Pair::with(configuration).await;
        let sources = [Source::microphone(&pair.engine).await, Source::camera(&pair.engine).await];
        for source in &sources {
            pair.one.connection.add_track(&source.track, vec!["stream".to_owned()]).await.unwrap();
        }
        let ours =
            pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        pair.connected().await;
        flows(&pair.two.track(0).await).await;
        flows(&pair.two.track(1).await).await;
        echo(&mut pair, &ours).await;
        let senders = pair.one.connection.get_senders();
        assert_eq!(transports_of(&senders), [RtcDtlsTransportState::Connected; 2]);
        assert_eq!(senders[0].transport(), senders[1].transport());
        let data = pair.one.connection.sctp().expect("data channels").transport();
        assert_eq!(Some(data), senders[0].transport());
        pair.end().await;
    });
}

#[test]
fn audio_video_and_data_share_a_transport_when_balanced() {
    everything(RtcBundlePolicy::Balanced);
}

#[test]
fn audio_video_and_data_share_a_transport_when_max_compat() {
    everything(RtcBundlePolicy::MaxCompat);
}

#[test]
fn audio_video_and_data_share_a_transport_when_max_bundle() {
    everything(RtcBundlePolicy::MaxBundle);
}

#[test]
fn audio_then_video() {
    run(async {
        let mut pair = Pair::new().await;
        let _audio = both_ways(&mut pair, MediaKind::Audio, "opus").await;
        pair.negotiate().await;
        pair.connected().await;
        heard_by_both(&mut pair).await;
        let video = Source::camera(&pair.engine).await;
        pair.one.connection.add_track(&video.track, Vec::new()).await.unwrap();
        pair.negotiate().await;
        flows(&pair.two.track(1).await).await;
        flows(&pair.two.track(0).await).await;
        pair.end().await;
    });
}

#[test]
fn data_then_audio() {
    run(async {
        let mut pair = Pair::new().await;
        let ours =
            pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        pair.connected().await;
        echo(&mut pair, &ours).await;
        let _audio = both_ways(&mut pair, MediaKind::Audio, "opus").await;
        pair.negotiate().await;
        heard_by_both(&mut pair).await;
        ours.send(text("still there")).await.unwrap();
        pair.end().await;
    });
}

#[test]
fn video_goes_both_ways() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Video, "VP8").await;
        pair.negotiate().await;
        pair.connected().await;
        heard_by_both(&mut pair).await;
        pair.end().await;
    });
}

#[test]
fn h264_alone_goes_both_ways() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Video, "H264").await;
        let h264: Vec<_> = RtcRtpSender::get_capabilities(MediaKind::Video)
            .codecs
            .into_iter()
            .filter(|codec| codec.mime_type == "video/H264")
            .collect();
        pair.one.connection.get_transceivers()[0].set_codec_preferences(&h264).await.unwrap();
        pair.negotiate().await;
        pair.connected().await;
        assert!(!pair.two.connection.local_description().unwrap().sdp.contains("VP8"));
        heard_by_both(&mut pair).await;
        pair.end().await;
    });
}

/// A description as some products write it: without the sources.
fn without_sources(description: RtcSessionDescription) -> RtcSessionDescription {
    let kept = description.sdp.lines().filter(|line| !line.starts_with("a=ssrc"));
    let sdp = kept.map(|line| format!("{line}\r\n")).collect();
    RtcSessionDescription { sdp, ..description }
}

#[test]
fn video_needs_no_sources_in_descriptions() {
    run(async {
        let mut pair = Pair::new().await;
        let _sources = both_ways(&mut pair, MediaKind::Video, "VP8").await;
        let (one, two) = (&pair.one.connection, &pair.two.connection);
        one.set_local_description(None).await.unwrap();
        one.gathering_complete().await.unwrap();
        two.set_remote_description(without_sources(one.local_description().unwrap())).await.unwrap();
        two.set_local_description(None).await.unwrap();
        two.gathering_complete().await.unwrap();
        one.set_remote_description(without_sources(two.local_description().unwrap())).await.unwrap();
        pair.connected().await;
        heard_by_both(&mut pair).await;
        pair.end().await;
    });
}

async fn closes_at_once(init: RtcDataChannelInit) {
    let mut pair = Pair::new().await;
    let ours = pair.one.connection.create_data_channel("chat", init.clone()).await.unwrap();
    assert_eq!(ours.ready_state(), RtcDataChannelState::Connecting);
    ours.close();
    assert!([RtcDataChannelState::Closing, RtcDataChannelState::Closed].contains(&ours.ready_state()));
    let other =
        pair.one.connection.create_data_channel("other", RtcDataChannelInit::default()).await.unwrap();
    pair.negotiate().await;
    pair.connected().await;
    echo(&mut pair, &other).await;
    assert_eq!(ours.ready_state(), RtcDataChannelState::Closed);
    pair.end().await;
}

#[test]
fn a_data_channel_may_be_closed_immediately() {
    run(closes_at_once(RtcDataChannelInit::default()));
}

#[test]
fn a_negotiated_data_channel_may_be_closed_immediately() {
    run(closes_at_once(RtcDataChannelInit {
        negotiated: true,
        id: Some(100),
        ..RtcDataChannelInit::default()
    }));
}

#[test]
fn a_negotiated_data_channel_opens_on_both_sides_without_an_event() {
    run(async {
        let mut pair = Pair::new().await;
        let init = RtcDataChannelInit { negotiated: true, id: Some(100), ..RtcDataChannelInit::default() };
        let ours = pair.one.connection.create_data_channel("chat", init.clone()).await.unwrap();
        let theirs = pair.two.connection.create_data_channel("chat", init).await.unwrap();
        pair.negotiate().await;
        pair.connected().await;
        let (mut our_events, mut their_events) = (ours.events(), theirs.events());
        assert!(matches!(our_events.next().await, Some(RtcDataChannelEvent::Open)));
        ours.send(text("hello")).await.unwrap();
        assert_eq!(their_events.message().await, Some(text("hello")));
        assert_eq!((ours.id(), theirs.id()), (Some(100), Some(100)));
        pair.end().await;
    });
}

#[test]
fn data_channels_of_the_drafts_sdp_connect() {
    run(async {
        let mut pair = Pair::new().await;
        let ours =
            pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        let (one, two) = (&pair.one.connection, &pair.two.connection);
        one.set_local_description(None).await.unwrap();
        one.gathering_complete().await.unwrap();
        let offer = one.local_description().unwrap();
        let sdp = offer
            .sdp
            .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000")
            .replace("a=sctp-port:5000", "a=sctpmap:5000 webrtc-datachannel 65535");
        two.set_remote_description(RtcSessionDescription { sdp, ..offer }).await.unwrap();
        two.set_local_description(None).await.unwrap();
        two.gathering_complete().await.unwrap();
        let answer = two.local_description().unwrap();
        assert!(answer.sdp.contains("DTLS/SCTP 5000"), "answered in kind");
        let sdp = answer
            .sdp
            .replace("DTLS/SCTP 5000", "UDP/DTLS/SCTP webrtc-datachannel")
            .replace("a=sctpmap:5000 webrtc-datachannel 65535", "a=sctp-port:5000");
        one.set_remote_description(RtcSessionDescription { sdp, ..answer }).await.unwrap();
        pair.connected().await;
        echo(&mut pair, &ours).await;
        pair.end().await;
    });
}

#[test]
fn stream_identifiers_are_recycled() {
    run(async {
        let mut pair = Pair::new().await;
        let mut identifiers = Vec::new();
        for round in 0..3 {
            let ours =
                pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
            if round == 0 {
                pair.negotiate().await;
                pair.connected().await;
            }
            echo(&mut pair, &ours).await;
            identifiers.push(ours.id().expect("open"));
            let mut events = ours.events();
            ours.close();
            while events.next().await.is_some() {}
            assert_eq!(ours.ready_state(), RtcDataChannelState::Closed);
        }
        assert!(identifiers.iter().all(|id| id % 2 == identifiers[0] % 2), "{identifiers:?}");
        pair.end().await;
    });
}

async fn shown_at_the_other_end(init: RtcDataChannelInit) {
    let mut pair = Pair::new().await;
    let ours = pair.one.connection.create_data_channel("chat", init.clone()).await.unwrap();
    pair.negotiate().await;
    pair.connected().await;
    let theirs = pair.two.channel().await;
    for channel in [&ours, &theirs] {
        assert_eq!(channel.ordered(), init.ordered);
        assert_eq!(channel.max_packet_life_time(), init.max_packet_life_time);
        assert_eq!(channel.max_retransmits(), init.max_retransmits);
        assert_eq!(channel.protocol(), init.protocol);
    }
    pair.end().await;
}

#[test]
fn a_data_channel_with_a_lifetime_shows_it_at_both_ends() {
    run(shown_at_the_other_end(RtcDataChannelInit {
        max_packet_life_time: Some(500),
        protocol: "bob".to_owned(),
        ..RtcDataChannelInit::default()
    }));
}

#[test]
fn a_data_channel_with_a_number_of_retransmissions_shows_it_at_both_ends() {
    run(shown_at_the_other_end(RtcDataChannelInit {
        max_retransmits: Some(0),
        ..RtcDataChannelInit::default()
    }));
}

#[test]
fn an_unordered_data_channel_shows_it_at_both_ends() {
    run(shown_at_the_other_end(RtcDataChannelInit { ordered: false, ..RtcDataChannelInit::default() }));
}

#[test]
fn data_channels_can_be_negotiated_before_there_is_one() {
    run(async {
        let mut configuration = RtcConfiguration::default();
        configuration.always_negotiate_data_channels = true;
        let mut pair = Pair::with(configuration).await;
        let source = Source::microphone(&pair.engine).await;
        pair.one.connection.add_track(&source.track, Vec::new()).await.unwrap();
        pair.negotiate().await;
        assert!(pair.one.connection.local_description().unwrap().sdp.contains("m=application "));
        pair.connected().await;
        // No further exchange is needed.
        let ours =
            pair.one.connection.create_data_channel("chat", RtcDataChannelInit::default()).await.unwrap();
        echo(&mut pair, &ours).await;
        pair.end().await;
    });
}

#[test]
fn a_data_section_that_is_always_negotiated_stays_where_it_is() {
    run(async {
        let mut configuration = RtcConfiguration::default();
        configuration.always_negotiate_data_channels = true;
        let pair = Pair::with(configuration).await;
        let audio = Source::microphone(&pair.engine).await;
        pair.one.connection.add_track(&audio.track, Vec::new()).await.unwrap();
        pair.negotiate().await;
        let kinds = |sdp: &str| -> Vec<String> {
            sdp.lines().filter_map(|line| line.strip_prefix("m=")).map(|m| m[..5].to_owned()).collect()
        };
        let before = kinds(&pair.one.connection.local_description().unwrap().sdp);
        let video = Source::camera(&pair.engine).await;
        pair.one.connection.add_track(&video.track, Vec::new()).await.unwrap();
        negotiate(&pair.one.connection, &pair.two.connection).await;
        let after = kinds(&pair.one.connection.local_description().unwrap().sdp);
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.last().map(String::as_str), Some("video"));
        pair.end().await;
    });
}
