//! Senders: what leaves, when tracks are disabled, stopped or exchanged, and with several encodings.

use super::*;
use crate::{
    actors::kit::ask,
    messages::{
        rtp::{AttachTransport, CollectOutbound, SetEncodings, SetSendParameters, StopSender, SwapTrack},
        track::MediaStreamTrackState,
    },
    proto::{
        rtcp::CompoundBuilder,
        sender::{EncodingParameters, EncodingStream},
    },
};

async fn send(sending: &Sending, parameters: SenderParameters, track: &MediaStreamTrack) {
    sending.actor.do_send(SetSendParameters(Some(Arc::new(parameters))));
    sending.actor.do_send(SwapTrack(Some(track.clone())));
    pass(1).await;
}

fn simulcast() -> SenderParameters {
    let stream = |rid: &str, ssrc: u32| EncodingStream {
        rid: Rid::new(rid).expect("legal"),
        ssrc,
        rtx_ssrc: Some(ssrc + 100),
    };
    SenderParameters {
        encodings: vec![stream("high", 1), stream("low", 2)],
        ..send_parameters(MediaKind::Video)
    }
}

fn encoding(rid: Option<&str>) -> EncodingParameters {
    EncodingParameters { rid: rid.and_then(Rid::new), ..EncodingParameters::default() }
}

#[test]
fn a_disabled_track_sends_nothing_and_goes_on_with_a_key_frame_that_is_asked_for() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Video));
        send(&sending, send_parameters(MediaKind::Video), &source.track).await;
        source.write(None, true).await;
        let [first] = sending.sent().await[..] else { panic!("the key frame flows") };
        assert!(source.was_asked_for_key_frame().await, "at the start");
        source.track.set_enabled(false);
        for _ in 0..5 {
            source.write(None, false).await;
        }
        assert_eq!(sending.sent().await, []);
        assert!(!source.was_asked_for_key_frame().await);
        source.track.set_enabled(true);
        assert!(source.was_asked_for_key_frame().await, "at once");
        source.write(None, false).await;
        assert_eq!(sending.sent().await, [], "not decodable yet");
        source.write(None, true).await;
        let [after] = sending.sent().await[..] else { panic!("the key frame flows") };
        assert_eq!(after.number, first.number.wrapping_add(1), "the peer sees no loss");
        let statistics = ask(&sending.actor, CollectOutbound, kit::DEFAULT_DEADLINE).await.expect("alive");
        assert_eq!(statistics[0].packets_withheld, 5);
    });
}

#[test]
fn a_disabled_audio_track_leaves_no_hole_in_the_numbers() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Audio));
        send(&sending, send_parameters(MediaKind::Audio), &source.track).await;
        source.write(None, false).await;
        let [first] = sending.sent().await[..] else { panic!("audio starts anywhere") };
        source.track.set_enabled(false);
        for _ in 0..30 {
            source.write(None, false).await;
        }
        source.track.set_enabled(true);
        source.write(None, false).await;
        let [after] = sending.sent().await[..] else { panic!("exactly one") };
        assert_eq!(after.number, first.number.wrapping_add(1));
    });
}

#[test]
fn a_clone_is_disabled_and_stopped_on_its_own() {
    paused(async {
        let (one, two, mut source) = (Sending::new(), Sending::new(), Source::new(MediaKind::Audio));
        let clone = source.track.clone_track();
        assert_ne!(clone.id(), source.track.id());
        assert_eq!((clone.kind(), clone.label()), (MediaKind::Audio, "a test"));
        send(&one, send_parameters(MediaKind::Audio), &source.track).await;
        send(&two, send_parameters(MediaKind::Audio), &clone).await;
        clone.set_enabled(false);
        assert!(source.track.enabled());
        source.write(None, false).await;
        assert_eq!((one.sent().await.len(), two.sent().await.len()), (1, 0));
        clone.set_enabled(true);
        source.track.stop();
        assert_eq!(source.track.ready_state(), MediaStreamTrackState::Ended);
        assert_eq!(clone.ready_state(), MediaStreamTrackState::Live);
        source.write(None, false).await;
        assert_eq!((one.sent().await.len(), two.sent().await.len()), (0, 1));
        assert!(!source.writer.is_closed(), "the clone still takes from the source");
    });
}

#[test]
fn the_source_is_told_when_the_last_of_its_tracks_is_stopped() {
    paused(async {
        let source = Source::new(MediaKind::Audio);
        let clone = source.track.clone_track();
        source.track.stop();
        source.track.stop();
        pass(1).await;
        assert!(!source.writer.is_closed());
        clone.stop();
        pass(1).await;
        assert!(source.writer.is_closed(), "nothing that is written goes anywhere");
        assert!(!source.track.clone_track().is_live(), "the clone of a stopped track is stopped");
    });
}

#[test]
fn a_track_that_ends_falls_silent_and_another_can_follow() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Audio));
        send(&sending, send_parameters(MediaKind::Audio), &source.track).await;
        source.write(None, false).await;
        let [first] = sending.sent().await[..] else { panic!("one") };
        source.track.stop();
        source.write(None, false).await;
        assert_eq!(sending.sent().await, []);
        let mut other = Source::new(MediaKind::Audio);
        sending.actor.do_send(SwapTrack(Some(other.track.clone())));
        pass(1).await;
        other.write(None, false).await;
        let [after] = sending.sent().await[..] else { panic!("one") };
        assert_eq!(after.number, first.number.wrapping_add(1));
        sending.actor.do_send(SwapTrack(Some(source.track.clone())));
        pass(1).await;
        other.write(None, false).await;
        assert_eq!(sending.sent().await, [], "an ended track replaces a live one at once");
    });
}

#[test]
fn a_sender_says_goodbye_for_each_of_its_streams() {
    paused(async {
        let (sending, source) = (Sending::new(), Source::new(MediaKind::Video));
        send(&sending, simulcast(), &source.track).await;
        sending.actor.do_send(StopSender);
        assert_eq!(sending.goodbyes().await, [1, 101, 2, 102]);
        assert!(!sending.actor.connected());
    });
}

#[test]
fn a_sender_that_never_sent_stops_without_a_word() {
    paused(async {
        let sending = Sending::new();
        sending.actor.do_send(StopSender);
        assert!(sending.goodbyes().await.is_empty());
        assert!(!sending.actor.connected());
    });
}

#[test]
fn each_encoding_is_a_stream_of_its_own() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Video));
        send(&sending, simulcast(), &source.track).await;
        source.write(Some("low"), true).await;
        source.write(Some("high"), true).await;
        source.write(Some("other"), true).await;
        let ssrcs: Vec<u32> = sending.sent().await.iter().map(|sent| sent.ssrc).collect();
        assert_eq!(ssrcs, [2, 1], "what nobody negotiated is not sent");
        let statistics = ask(&sending.actor, CollectOutbound, kit::DEFAULT_DEADLINE).await.expect("alive");
        let rids: Vec<_> = statistics.iter().map(|of| (of.ssrc, of.rid, of.rtx_ssrc)).collect();
        assert_eq!(rids, [(1, Rid::new("high"), Some(101)), (2, Rid::new("low"), Some(102))]);
    });
}

#[test]
fn a_track_without_names_goes_out_as_the_first_encoding() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Video));
        send(&sending, simulcast(), &source.track).await;
        source.write(None, true).await;
        let ssrcs: Vec<u32> = sending.sent().await.iter().map(|sent| sent.ssrc).collect();
        assert_eq!(ssrcs, [1]);
    });
}

#[test]
fn an_inactive_encoding_is_silent_and_needs_a_key_frame_when_it_is_active_again() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Video));
        send(&sending, simulcast(), &source.track).await;
        sending
            .actor
            .do_send(SetEncodings(vec![EncodingParameters { active: false, ..encoding(Some("low")) }]));
        pass(1).await;
        source.write(Some("low"), true).await;
        source.write(Some("high"), true).await;
        let ssrcs: Vec<u32> = sending.sent().await.iter().map(|sent| sent.ssrc).collect();
        assert_eq!(ssrcs, [1]);
        let [low] = source.demand.borrow().clone()[..] else { panic!("the source is told") };
        assert!(low.idle && low.rid == Rid::new("low"), "it need not be encoded");
        while source.was_asked_for_key_frame().await {}
        sending.actor.do_send(SetEncodings(vec![encoding(Some("low"))]));
        assert!(source.was_asked_for_key_frame().await);
        assert_eq!(*source.demand.borrow(), []);
        source.write(Some("low"), true).await;
        assert_eq!(sending.sent().await.len(), 1);
        assert!(sending.goodbyes().await.is_empty(), "W3C: no BYE for what may go on");
    });
}

#[test]
fn the_source_is_told_the_lowest_of_all_limits() {
    paused(async {
        let (sending, source) = (Sending::new(), Source::new(MediaKind::Video));
        let parameters =
            SenderParameters { bitrate_max: Some(2_000_000), ..send_parameters(MediaKind::Video) };
        send(&sending, parameters, &source.track).await;
        let limit = || source.demand.borrow().first().and_then(|demand| demand.bitrate_max);
        assert_eq!(limit(), Some(2_000_000), "b= of the description");
        let wanted = EncodingParameters {
            max_bitrate: Some(1_000_000),
            max_framerate: Some(15.0),
            scale_resolution_down_by: Some(2.0),
            ..encoding(None)
        };
        sending.actor.do_send(SetEncodings(vec![wanted]));
        pass(1).await;
        assert_eq!(limit(), Some(1_000_000), "maxBitrate");
        let demand = source.demand.borrow()[0];
        assert_eq!((demand.framerate_max, demand.scale_resolution_down_by), (Some(15.0), Some(2.0)));
        let estimate = CompoundBuilder::new().receiver_estimated_maximum_bitrate(9, 262_144, [0xa]).build();
        sending.rtcp.push(kit::now(), RtcpCompound(estimate.expect("bytes")));
        pass(1).await;
        assert_eq!(limit(), Some(262_144), "REMB");
        let other = Sending::new();
        send(
            &other,
            SenderParameters { bitrate_max: Some(100_000), ..send_parameters(MediaKind::Video) },
            &source.track,
        )
        .await;
        assert_eq!(limit(), Some(100_000), "of two senders the one that can take least");
        other.actor.do_send(StopSender);
        pass(1).await;
        assert_eq!(limit(), Some(262_144));
    });
}

#[test]
fn another_track_takes_over_all_encodings_before_the_old_one_is_let_go() {
    paused(async {
        let (sending, mut old, mut new) =
            (Sending::new(), Source::new(MediaKind::Video), Source::new(MediaKind::Video));
        send(&sending, simulcast(), &old.track).await;
        old.write(Some("high"), true).await;
        old.write(Some("low"), true).await;
        sending.sent().await;
        sending.actor.do_send(SwapTrack(Some(new.track.clone())));
        pass(1).await;
        new.write(Some("high"), true).await;
        old.write(Some("high"), false).await;
        old.write(Some("low"), false).await;
        let ssrcs: Vec<u32> = sending.sent().await.iter().map(|sent| sent.ssrc).collect();
        assert_eq!(ssrcs, [1, 2], "high is the new track's, low is still the old one's");
        new.write(Some("low"), true).await;
        old.write(Some("low"), false).await;
        let ssrcs: Vec<u32> = sending.sent().await.iter().map(|sent| sent.ssrc).collect();
        assert_eq!(ssrcs, [2]);
    });
}

#[test]
fn a_section_that_moves_sends_on_its_new_transport() {
    paused(async {
        let (sending, mut source) = (Sending::new(), Source::new(MediaKind::Audio));
        send(&sending, send_parameters(MediaKind::Audio), &source.track).await;
        source.write(None, false).await;
        let [first] = sending.sent().await[..] else { panic!("one") };
        let (outbound_rtp, moved) = patient_media_lane(LaneKind::Outbound);
        let (outbound_rtcp, moved_rtcp) = control_lane(LaneKind::OutboundRtcp);
        sending.actor.do_send(AttachTransport {
            outbound_rtp: Arc::new(outbound_rtp),
            outbound_rtcp: Arc::new(outbound_rtcp),
        });
        source.write(None, false).await;
        pass(2_000).await;
        assert_eq!(sending.sent().await, []);
        let [after] = take(&moved).await.iter().flat_map(|lot| &lot.0).map(seen).collect::<Vec<_>>()[..]
        else {
            panic!("one")
        };
        assert_eq!(after.number, first.number.wrapping_add(1), "the same stream goes on");
        assert!(!take(&moved_rtcp).await.is_empty(), "with its reports");
    });
}
