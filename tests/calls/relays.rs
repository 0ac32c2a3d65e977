//! Tracks whose subscribers live on another thread: their media crosses once, and all that is asked for crosses back.

use std::{sync::Arc, time::Duration};

use actix_rtc::{
    LocalTrackWriter, MediaKind, MediaStreamTrack, RtcConfiguration, RtcPeerConnection,
    RtcPeerConnectionEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection as Direction,
    RtcRtpTransceiverInit, UdpMode,
    actors::kit::{ActorKind, LaneKind, ShardStatistics},
    local_track,
    proto::rtp::RtpPacket,
};
use futures_util::{FutureExt, StreamExt};

use crate::{
    call::{Call, Camera, Engines, Viewer, frame, mark_of, negotiate},
    run, run_undisturbed,
};

/// Where the tracks live.
const HOME: usize = 0;
/// Where their subscribers live.
const AWAY: usize = 1;
/// What has not crossed a loopback by then does not come any more.
const DROPPED: Duration = Duration::from_secs(1);

async fn two_shards() -> Engines {
    Engines::start_with(UdpMode::PerConnection, 2).await
}

/// A track that carries what the test writes.
struct Feed {
    track: MediaStreamTrack,
    writer: LocalTrackWriter,
    next: u64,
}

impl Feed {
    async fn start(engines: &Engines) -> Self {
        let (track, writer) = local_track(&engines.near, HOME, "feed", MediaKind::Video).await.unwrap();
        Self { track, writer, next: 0 }
    }

    fn frames(&mut self, count: u64, key_frame: bool) -> Vec<RtpPacket> {
        let first = self.next;
        self.next += count;
        (first..self.next).map(|number| frame(number, 0, key_frame)).collect()
    }

    fn write_key_frame(&mut self) {
        let frames = self.frames(1, true);
        self.writer.write_all(frames.into_iter());
    }

    /// Writes key frames until each of the calls carries them, and nothing is under way any more.
    async fn reach(&mut self, calls: &mut [Call]) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        for call in &mut *calls {
            loop {
                tokio::select! {
                    _ = call.next_packets(1) => break,
                    _ = ticks.tick() => self.write_key_frame(),
                }
            }
        }
        loop {
            let last = self.next;
            self.write_key_frame();
            let arrives = async {
                for call in &mut *calls {
                    while number_of(&call.next_packets(1).await[0]) < last {}
                }
            };
            // On a machine that stands still it is dropped as too old, and another one takes its place.
            if tokio::time::timeout(DROPPED, arrives).await.is_ok() {
                break;
            }
        }
        // What was asked for before is answered.
        while self.writer.key_frame_wanted().now_or_never().is_some() {}
    }
}

/// Calls that all carry this track, from the subscribers' thread.
async fn calls_away(engines: &Engines, track: &MediaStreamTrack, count: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    for _ in 0..count {
        calls.push(Call::start_on(engines, AWAY, track).await);
    }
    calls
}

/// The sender of a call wants no more than so many bits per second.
async fn limit_bitrate(call: &Call, limit: u64) {
    let sender = call.transceiver.sender();
    let mut parameters = sender.get_parameters();
    parameters.encodings[0].max_bitrate = Some(limit);
    sender.set_parameters(parameters).await.unwrap();
}

fn number_of(packet: &RtpPacket) -> u64 {
    u64::from_be_bytes(packet.payload[12..20].try_into().unwrap())
}

fn statistics(engines: &Engines, shard: usize) -> Arc<ShardStatistics> {
    engines.near.shards().statistics().swap_remove(shard)
}

fn relays(engines: &Engines, shard: usize) -> u64 {
    let statistics = statistics(engines, shard);
    let relays = &statistics.actors[ActorKind::TrackRelay];
    relays.started.get() - relays.stopped.get()
}

/// Waits until so many relays are left on the subscribers' thread.
async fn relays_left(engines: &Engines, count: u64) {
    while relays(engines, AWAY) != count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Items and packets taken from the lanes of a kind.
fn taken(engines: &Engines, shard: usize, kind: LaneKind) -> [u64; 2] {
    let statistics = statistics(engines, shard);
    let lane = &statistics.lanes[kind];
    [lane.wait.count(), lane.taken.get()]
}

#[test]
fn a_lot_crosses_to_another_thread_once_and_reaches_all_subscribers_there_in_order() {
    const LOTS: u64 = 25;
    const LOT: u64 = 4;
    run_undisturbed(|| async {
        let engines = two_shards().await;
        let mut feed = Feed::start(&engines).await;
        let mut calls = calls_away(&engines, &feed.track, 3).await;
        feed.reach(&mut calls).await;
        assert_eq!(
            (relays(&engines, HOME), relays(&engines, AWAY)),
            (0, 1),
            "one relay for the three of them"
        );

        let count = |kind| taken(&engines, AWAY, kind);
        let before = (count(LaneKind::Relay), count(LaneKind::SenderMedia));
        let mut sequence_numbers = [None; 3];
        for _ in 0..LOTS {
            let lot = feed.frames(LOT, false);
            let expected: Vec<u64> = lot.iter().map(number_of).collect();
            feed.writer.write_all(lot.into_iter());
            for (call, last) in calls.iter_mut().zip(&mut sequence_numbers) {
                let got = call.next_packets(expected.len()).await;
                assert_eq!(got.iter().map(number_of).collect::<Vec<_>>(), expected);
                for packet in got {
                    let number = packet.sequence_number;
                    assert!(last.replace(number).is_none_or(|last| number == last + 1), "no gap, no repeat");
                }
            }
        }
        let after = (count(LaneKind::Relay), count(LaneKind::SenderMedia));
        assert_eq!([0, 1].map(|at| after.0[at] - before.0[at]), [LOTS, LOTS * LOT], "once across");
        assert_eq!([0, 1].map(|at| after.1[at] - before.1[at]), [3 * LOTS, 3 * LOTS * LOT], "then to each");
        engines.shutdown().await;
    });
}

#[test]
fn subscribers_on_the_tracks_own_thread_need_no_relay() {
    run(async {
        let engines = two_shards().await;
        let mut feed = Feed::start(&engines).await;
        let mut calls = [
            Call::start_on(&engines, HOME, &feed.track).await,
            Call::start_on(&engines, AWAY, &feed.track).await,
        ];
        feed.reach(&mut calls).await;
        assert_eq!((relays(&engines, HOME), relays(&engines, AWAY)), (0, 1));
        engines.shutdown().await;
    });
}

#[test]
fn key_frame_requests_and_limits_reach_the_source_across_threads() {
    run(async {
        let engines = two_shards().await;
        let mut feed = Feed::start(&engines).await;
        let mut calls = calls_away(&engines, &feed.track, 2).await;
        limit_bitrate(&calls[0], 300_000).await;
        limit_bitrate(&calls[1], 200_000).await;
        feed.reach(&mut calls).await;
        let limit = |feed: &Feed| feed.writer.demand().first().and_then(|demand| demand.bitrate_max);
        while limit(&feed) != Some(200_000) {
            feed.writer.demand_changed().await;
        }

        calls[0].receiver.get_transceivers()[0].receiver().track().unwrap().request_key_frame();
        feed.writer.key_frame_wanted().await;

        // The one with the lower limit goes.
        calls.pop().unwrap().sender.close().await;
        while limit(&feed) != Some(300_000) {
            feed.writer.demand_changed().await;
        }
        engines.shutdown().await;
    });
}

#[test]
fn a_relay_ends_with_its_last_subscriber_and_leaves_the_source() {
    run(async {
        let engines = two_shards().await;
        let mut feed = Feed::start(&engines).await;
        let mut calls = calls_away(&engines, &feed.track, 2).await;
        limit_bitrate(&calls[0], 100_000).await;
        feed.reach(&mut calls).await;
        while feed.writer.demand().is_empty() {
            feed.writer.demand_changed().await;
        }

        calls[1].transceiver.sender().replace_track(None).await.unwrap();
        feed.reach(&mut calls[..1]).await;
        assert_eq!(relays(&engines, AWAY), 1, "somebody is left");
        calls[0].transceiver.sender().replace_track(None).await.unwrap();
        relays_left(&engines, 0).await;
        while !feed.writer.demand().is_empty() {
            feed.writer.demand_changed().await;
        }
        // A track that has no relay any more gets a new one.
        calls[0].transceiver.sender().replace_track(Some(feed.track.clone())).await.unwrap();
        feed.reach(&mut calls[..1]).await;
        assert_eq!(relays(&engines, AWAY), 1);
        feed.track.stop();
        relays_left(&engines, 0).await;
        engines.shutdown().await;
    });
}

#[test]
fn a_track_is_exchanged_across_threads_without_gap_or_repeat() {
    run_undisturbed(|| async {
        let engines = two_shards().await;
        let cameras = [
            Camera::start_on(&engines, HOME, 1).await,
            Camera::start_on(&engines, HOME, 2).await,
            Camera::start_on(&engines, AWAY, 3).await,
        ];
        let mut call = Call::start_on(&engines, AWAY, &cameras[0].track).await;
        let mut packets = call.next_packets(20).await;
        for camera in [&cameras[1], &cameras[2], &cameras[0]] {
            call.transceiver.sender().replace_track(Some(camera.track.clone())).await.unwrap();
            let before = mark_of(packets.last().unwrap());
            while packets.last().is_some_and(|packet| mark_of(packet) == before) {
                packets.extend(call.next_packets(1).await);
            }
            packets.extend(call.next_packets(20).await);
        }
        let mut marks: Vec<u8> = packets.iter().map(mark_of).collect();
        marks.dedup();
        assert_eq!(marks, [1, 2, 3, 1], "each is silent after the switch");
        for pair in packets.windows(2) {
            assert_eq!(pair[1].sequence_number, pair[0].sequence_number + 1, "no gap, no repeat");
            assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 1 << 31, "time never runs backwards");
        }
        relays_left(&engines, 1).await;
        engines.shutdown().await;
    });
}

/// What a forwarder does: the track of a peer of one thread goes to a peer of another one.
#[test]
fn the_track_of_a_publisher_is_forwarded_across_threads_until_the_publisher_leaves() {
    run_undisturbed(|| async {
        let engines = two_shards().await;
        let (track, writer) = local_track(&engines.far, 0, "camera", MediaKind::Video).await.unwrap();
        let filming = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            for number in 0.. {
                ticks.tick().await;
                writer.write(frame(number, 9, number % 10 == 0));
            }
        });
        let publisher = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let ours = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(HOME)).await.unwrap();
        let init =
            RtcRtpTransceiverInit { direction: Direction::Sendonly, ..RtcRtpTransceiverInit::default() };
        publisher.add_transceiver(&track, init).await.unwrap();
        let mut events = ours.events().unwrap();
        negotiate(&publisher, &ours).await;
        let published = loop {
            if let RtcPeerConnectionEvent::Track { track, .. } = events.next().await.unwrap() {
                break track;
            }
        };
        let calls = calls_away(&engines, &published, 2).await;
        let mut connections = Vec::new();
        for Call { sender, receiver, packets, .. } in calls {
            connections.extend([sender, receiver]);
            Viewer::start(packets).sees(50).await;
        }
        assert_eq!(relays(&engines, AWAY), 1);

        publisher.close().await;
        ours.close().await;
        relays_left(&engines, 0).await;
        assert!(!published.is_live());
        assert!(connections.iter().all(|c| c.connection_state() == RtcPeerConnectionState::Connected));
        filming.abort();
        engines.shutdown().await;
    });
}

#[cfg(feature = "fault-injection")]
mod faults {
    use super::*;
    use actix_rtc::actors::fault_injection::{FaultTarget, InjectFault};

    async fn panic_in_the_relay(call: &Call) {
        assert!(call.sender.address().send(InjectFault(FaultTarget::TrackRelay)).await.unwrap());
    }

    #[test]
    fn a_relay_that_panics_comes_back_with_its_subscribers_and_asks_for_a_key_frame() {
        run(async {
            let engines = two_shards().await;
            let mut feed = Feed::start(&engines).await;
            let mut calls = calls_away(&engines, &feed.track, 2).await;
            feed.reach(&mut calls).await;
            panic_in_the_relay(&calls[0]).await;
            feed.writer.key_frame_wanted().await;
            feed.reach(&mut calls).await;
            let statistics = statistics(&engines, AWAY);
            let relays = &statistics.actors[ActorKind::TrackRelay];
            assert_eq!((relays.started.get(), relays.panics.get(), relays.restarts.get()), (1, 1, 1));
            engines.shutdown().await;
        });
    }

    #[test]
    fn a_relay_that_keeps_panicking_silences_its_subscribers_and_a_new_one_can_take_over() {
        run(async {
            let engines = two_shards().await;
            let mut feed = Feed::start(&engines).await;
            let mut calls = calls_away(&engines, &feed.track, 1).await;
            feed.reach(&mut calls).await;
            for _ in 0..6 {
                panic_in_the_relay(&calls[0]).await;
            }
            relays_left(&engines, 0).await;
            assert_eq!(calls[0].sender.connection_state(), RtcPeerConnectionState::Connected);
            assert!(feed.track.is_live());
            calls[0].transceiver.sender().replace_track(Some(feed.track.clone())).await.unwrap();
            feed.reach(&mut calls).await;
            assert_eq!(relays(&engines, AWAY), 1);
            engines.shutdown().await;
        });
    }
}
