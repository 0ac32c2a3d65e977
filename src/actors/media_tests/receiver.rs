//! Receivers: the track they become, when it is muted and when it ends, and what is asked about them.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{
    actors::{kit::ask, rtp_receiver::RtpReceiver},
    messages::{
        rtp::{
            AttachTransport, CollectInbound, CollectSources, PauseReceiver, ReceivedRtp,
            SetJitterBufferTarget, SetReceiveParameters, StopReceiver,
        },
        track::{MediaStreamTrackEvent, MediaStreamTrackState, TrackRequest},
    },
    proto::{receiver::ReceiverParameters, rtcp::CompoundBuilder},
};

struct Receiving {
    actor: Addr<RtpReceiver>,
    track: MediaStreamTrack,
    rtp: LaneSender<ReceivedRtp>,
    rtcp: LaneSender<RtcpCompound>,
    feedback: LaneReceiver<RtcpCompound>,
    next: u16,
}

fn receive_parameters(kind: MediaKind) -> ReceiverParameters {
    ReceiverParameters {
        kind,
        codecs: vec![codec(96, "VP8", 90_000), codec(111, "opus", 48_000)],
        extensions: ExtensionMap::default(),
        ssrcs: Vec::new(),
        local_ssrc: 9,
        cname: "name".to_owned(),
        reduced_size: true,
    }
}

impl Receiving {
    fn new(kind: MediaKind) -> Self {
        let (rtp, rtp_receiver) = media_lane(LaneKind::ReceiverRtp);
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::ReceiverRtcp);
        let (feedback_sender, feedback) = control_lane(LaneKind::OutboundRtcp);
        let receiver =
            RtpReceiver::new(receive_parameters(kind), rtp_receiver, rtcp_receiver, feedback_sender);
        let (actor, track) = receiver.start("remote", |_| {});
        Self { actor, track, rtp, rtcp, feedback, next: 500 }
    }

    /// A packet arrives.
    async fn arrive(&mut self, payload_type: u8, payload: &[u8]) {
        self.next += 1;
        let mut packet = vec![0x80, payload_type];
        packet.extend_from_slice(&self.next.to_be_bytes());
        packet.extend_from_slice(&(u32::from(self.next) * 960).to_be_bytes());
        packet.extend_from_slice(&7u32.to_be_bytes());
        packet.extend_from_slice(payload);
        self.rtp.push(kit::now(), ReceivedRtp { packet: packet.into(), rid: None, repaired: false });
        pass(1).await;
    }

    async fn report(&self, compound: &mut CompoundBuilder) {
        self.rtcp.push(kit::now(), RtcpCompound(compound.build().expect("bytes")));
        pass(1).await;
    }

    async fn key_frame_requests(&self) -> usize {
        pass(1).await;
        let compounds = take(&self.feedback).await;
        let packets = compounds.iter().flat_map(|RtcpCompound(compound)| Compound::parse(compound));
        packets.filter(|packet| matches!(packet, RtcpPacket::PictureLossIndication(_))).count()
    }
}

#[test]
fn packets_and_reports_become_a_track_statistics_and_sources() {
    paused(async {
        let mut receiving = Receiving::new(MediaKind::Audio);
        let mut packets = receiving.track.packets();
        for _ in 0..10 {
            receiving.arrive(111, b"sound").await;
        }
        receiving.report(CompoundBuilder::new().sender_report(7, NtpTime(5 << 32), 3, 10, 50)).await;
        let statistics = ask(&receiving.actor, CollectInbound, kit::DEFAULT_DEADLINE).await.expect("alive");
        assert_eq!(statistics.len(), 1);
        assert_eq!((statistics[0].packets_received, statistics[0].packets_lost), (10, 0));
        assert_eq!(statistics[0].remote.map(|remote| remote.packets_sent), Some(10));
        let sources = ask(&receiving.actor, CollectSources, kit::DEFAULT_DEADLINE).await.expect("alive");
        assert_eq!(sources.synchronization.iter().map(|source| source.source).collect::<Vec<_>>(), [7]);
        assert_eq!(sources.contributing, []);
        let first = packets.next().await.expect("a lot").packets[0].clone();
        let second = packets.next().await.expect("a lot").packets[0].clone();
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 960);
        assert_eq!(second.sequence_number - first.sequence_number, 1);
        receiving.actor.do_send(StopReceiver);
        assert_eq!(packets.count().await, 8, "what waits can be read, then the stream ends");
        assert_eq!(receiving.track.ready_state(), MediaStreamTrackState::Ended);
        let again = receiving.track.packets().next().now_or_never();
        assert!(matches!(again, Some(None)), "and ends at once again");
    });
}

#[test]
fn a_remote_track_is_muted_until_its_first_packet_and_by_a_goodbye() {
    paused(async {
        let mut receiving = Receiving::new(MediaKind::Audio);
        let mut events = receiving.track.events();
        assert!(receiving.track.muted());
        assert_eq!(events.next().now_or_never(), None);
        receiving.arrive(111, b"sound").await;
        assert!(!receiving.track.muted());
        assert_eq!(events.next().await, Some(MediaStreamTrackEvent::Unmute));
        receiving.report(CompoundBuilder::new().goodbye([7])).await;
        assert!(receiving.track.muted());
        assert_eq!(events.next().await, Some(MediaStreamTrackEvent::Mute));
        assert!(receiving.track.is_live(), "a goodbye ends nothing");
        receiving.arrive(111, b"sound").await;
        assert_eq!(events.next().await, Some(MediaStreamTrackEvent::Unmute));
        receiving.actor.do_send(StopReceiver);
        assert_eq!(events.next().await, Some(MediaStreamTrackEvent::Ended));
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn a_direction_that_does_not_receive_mutes_the_track_until_it_does_again() {
    paused(async {
        let mut receiving = Receiving::new(MediaKind::Audio);
        receiving.arrive(111, b"sound").await;
        assert!(!receiving.track.muted());
        receiving.actor.do_send(PauseReceiver);
        pass(1).await;
        assert!(receiving.track.muted() && receiving.track.is_live());
        let mut packets = receiving.track.packets();
        receiving.arrive(111, b"on its way").await;
        assert!(receiving.track.muted());
        assert!(packets.next().now_or_never().is_none(), "what still arrives is ignored");
        receiving.actor.do_send(SetReceiveParameters(receive_parameters(MediaKind::Audio)));
        receiving.arrive(111, b"sound").await;
        assert!(!receiving.track.muted());
        assert_eq!(packets.next().await.expect("a lot").packets.len(), 1);
    });
}

#[test]
fn an_application_that_stops_the_track_hears_no_event_and_the_others_go_on() {
    paused(async {
        let mut receiving = Receiving::new(MediaKind::Audio);
        let clone = receiving.track.clone_track();
        let (mut stopped, mut going_on) = (receiving.track.packets(), clone.packets());
        let mut events = receiving.track.events();
        receiving.track.stop();
        assert_eq!(events.next().await, None, "W3C: no ended event after stop()");
        assert!(stopped.next().await.is_none());
        receiving.arrive(111, b"sound").await;
        assert!(going_on.next().await.is_some());
        clone.stop();
        pass(1).await;
        assert!(receiving.actor.connected(), "the transceiver decides about its receiver");
    });
}

#[test]
fn a_disabled_track_gives_its_reader_nothing_and_marks_the_gap() {
    paused(async {
        let mut receiving = Receiving::new(MediaKind::Video);
        let mut packets = receiving.track.packets();
        receiving.arrive(96, &[0x10, 0]).await;
        assert!(!packets.next().await.expect("a lot").gap);
        receiving.track.set_enabled(false);
        receiving.arrive(96, &[0x10, 1]).await;
        assert!(packets.next().now_or_never().is_none());
        receiving.key_frame_requests().await;
        receiving.track.set_enabled(true);
        assert_eq!(receiving.key_frame_requests().await, 1);
        receiving.arrive(96, &[0x10, 0]).await;
        assert!(packets.next().await.expect("a lot").gap);
    });
}

#[test]
fn a_reader_that_does_not_read_costs_a_bounded_amount() {
    paused(async {
        let mut source = Source::new(MediaKind::Audio);
        let mut packets = source.track.packets();
        for _ in 0..2_000 {
            let packet = source.packet(None, false);
            source.writer.push(kit::now(), packet);
            tokio::task::yield_now().await;
        }
        pass(1).await;
        let mut read = 0;
        while let Some(Some(lot)) = packets.next().now_or_never() {
            read += lot.packets.len();
        }
        assert!((1..=512).contains(&read), "{read}");
    });
}

#[test]
fn the_jitter_buffer_target_is_seen_by_those_who_take_the_track() {
    paused(async {
        let receiving = Receiving::new(MediaKind::Audio);
        let clone = receiving.track.clone_track();
        assert_eq!(clone.jitter_buffer_target(), None);
        for (target, expected) in [(0, 0), (250, 250), (9_000, 4_000)] {
            receiving.actor.do_send(SetJitterBufferTarget(Some(Duration::from_millis(target))));
            pass(1).await;
            assert_eq!(clone.jitter_buffer_target(), Some(Duration::from_millis(expected)));
        }
        receiving.actor.do_send(SetJitterBufferTarget(None));
        pass(1).await;
        assert_eq!(clone.jitter_buffer_target(), None);
    });
}

#[test]
fn a_section_that_moves_reports_on_its_new_transport() {
    paused(async {
        let mut receiving = Receiving::new(MediaKind::Video);
        receiving.arrive(96, &[0x10, 0]).await;
        take(&receiving.feedback).await;
        let (outbound_rtp, _) = patient_media_lane(LaneKind::Outbound);
        let (outbound_rtcp, moved) = control_lane(LaneKind::OutboundRtcp);
        receiving.actor.do_send(AttachTransport {
            outbound_rtp: Arc::new(outbound_rtp),
            outbound_rtcp: Arc::new(outbound_rtcp),
        });
        receiving.track.request(TrackRequest::KeyFrame);
        pass(2_000).await;
        assert!(take(&receiving.feedback).await.is_empty());
        assert!(!take(&moved).await.is_empty());
    });
}
