//! Perfect negotiation (W3C webrtc-pc §10.7): both sides may offer whenever they like, and when they do so
//! at once the polite one gives way.

use std::sync::{Arc, Mutex};

use actix_rtc::{
    MediaStreamTrack, RtcConfiguration, RtcEngine, RtcIceCandidateInit, RtcPeerConnection,
    RtcPeerConnectionEvent, RtcPeerConnectionState, RtcSdpType, RtcSessionDescription, RtcSignalingState,
    UdpMode,
};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::{
    call::{Camera, Engines, mark_of},
    run,
};

/// What goes over the signalling channel.
#[derive(Debug)]
enum Signal {
    Description(RtcSessionDescription),
    Candidate(Option<RtcIceCandidateInit>),
}

/// The signalling channel, which can keep offers back until both sides have made one: then they cross.
#[derive(Default)]
struct Channel {
    crossing: bool,
    ways: [Way; 2],
}

/// Signals in one direction.
#[derive(Default)]
struct Way {
    held: Vec<Signal>,
    out: Option<mpsc::UnboundedSender<Signal>>,
}

impl Channel {
    fn send(&mut self, direction: usize, signal: Signal) {
        let is_offer = matches!(&signal, Signal::Description(of) if of.kind == RtcSdpType::Offer);
        let way = &mut self.ways[direction];
        // What belongs to an offer does not overtake it; all else must pass, or an exchange under way would not end.
        if !self.crossing || !(is_offer || way.is_held()) {
            return way.pass(signal);
        }
        way.held.push(signal);
        if self.ways.iter().all(Way::is_held) {
            self.crossing = false;
            for way in &mut self.ways {
                std::mem::take(&mut way.held).into_iter().for_each(|signal| way.pass(signal));
            }
        }
    }
}

impl Way {
    fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    fn pass(&self, signal: Signal) {
        // Whoever has hung up takes no more signals.
        let _ = self.out.as_ref().map(|out| out.send(signal));
    }
}

/// One end of the channel.
struct Outbox {
    channel: Arc<Mutex<Channel>>,
    direction: usize,
}

impl Outbox {
    fn send(&self, signal: Signal) {
        self.channel.lock().unwrap().send(self.direction, signal);
    }
}

/// One side, driven by its events and by what the other one signals.
struct Side {
    connection: RtcPeerConnection,
    tracks: mpsc::UnboundedReceiver<MediaStreamTrack>,
    /// Offers that were ignored (impolite) or given way to (polite).
    collisions: mpsc::UnboundedReceiver<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Side {
    async fn start(
        engine: &RtcEngine,
        polite: bool,
        out: Outbox,
        inbox: mpsc::UnboundedReceiver<Signal>,
    ) -> Self {
        let connection = RtcPeerConnection::on(engine, RtcConfiguration::on_shard(0)).await.unwrap();
        let (tell_track, tracks) = mpsc::unbounded_channel();
        let (tell_collision, collisions) = mpsc::unbounded_channel();
        let driver = Driver { connection: connection.clone(), polite, out, tell_track, tell_collision };
        let task = tokio::spawn(driver.run(inbox));
        Self { connection, tracks, collisions, task }
    }

    /// The next track of the peer, and which camera films it.
    async fn next_camera(&mut self) -> u8 {
        let track = self.tracks.recv().await.unwrap();
        mark_of(&track.packets().next().await.unwrap().packets[0])
    }

    async fn is_settled(&self) {
        while self.connection.signaling_state() != RtcSignalingState::Stable
            || self.connection.connection_state() != RtcPeerConnectionState::Connected
        {
            tokio::task::yield_now().await;
        }
    }
}

/// The pattern of the specification, in its order.
struct Driver {
    connection: RtcPeerConnection,
    polite: bool,
    out: Outbox,
    tell_track: mpsc::UnboundedSender<MediaStreamTrack>,
    tell_collision: mpsc::UnboundedSender<()>,
}

impl Driver {
    async fn run(self, mut inbox: mpsc::UnboundedReceiver<Signal>) {
        let mut events = self.connection.events().unwrap();
        let mut ignored = false;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(RtcPeerConnectionEvent::NegotiationNeeded) => {
                        assert_eq!(
                            self.connection.signaling_state(),
                            RtcSignalingState::Stable,
                            "never asked for while an exchange is in progress",
                        );
                        self.describe().await;
                    }
                    Some(RtcPeerConnectionEvent::IceCandidate(candidate)) => {
                        self.out.send(Signal::Candidate(candidate));
                    }
                    Some(RtcPeerConnectionEvent::Track { track, .. }) => {
                        let _ = self.tell_track.send(track);
                    }
                    Some(_) => {}
                    None => return,
                },
                signal = inbox.recv() => match signal {
                    Some(Signal::Description(description)) => ignored = self.take(description).await,
                    Some(Signal::Candidate(candidate)) => {
                        let added = self.connection.add_ice_candidate(candidate).await;
                        assert!(added.is_ok() || ignored, "{added:?}");
                    }
                    None => return,
                },
            }
        }
    }

    async fn describe(&self) {
        self.connection.set_local_description(None).await.unwrap();
        let description = self.connection.local_description().unwrap();
        self.out.send(Signal::Description(description));
    }

    /// Answers whether the description was ignored.
    async fn take(&self, description: RtcSessionDescription) -> bool {
        let is_offer = description.kind == RtcSdpType::Offer;
        let is_collision = is_offer && self.connection.signaling_state() != RtcSignalingState::Stable;
        if is_collision {
            let _ = self.tell_collision.send(());
            if !self.polite {
                return true;
            }
        }
        self.connection.set_remote_description(description).await.unwrap();
        if is_offer {
            self.describe().await;
        }
        false
    }
}

/// Rounds in which both sides add a track at the same time.
const ROUNDS: u8 = 5;

async fn both_offer_at_once(near_is_polite: bool, udp: UdpMode) {
    let engines = Engines::start(udp).await;
    let channel = Arc::new(Mutex::new(Channel::default()));
    let (to_far, far_inbox) = mpsc::unbounded_channel();
    let (to_near, near_inbox) = mpsc::unbounded_channel();
    for (way, out) in channel.lock().unwrap().ways.iter_mut().zip([to_far, to_near]) {
        way.out = Some(out);
    }
    let outbox = |direction| Outbox { channel: Arc::clone(&channel), direction };
    let mut near = Side::start(&engines.near, near_is_polite, outbox(0), near_inbox).await;
    let mut far = Side::start(&engines.far, !near_is_polite, outbox(1), far_inbox).await;
    let mut cameras = Vec::new();
    for round in 0..ROUNDS {
        println!("round {round}");
        channel.lock().unwrap().crossing = true;
        let (of_near, of_far) = (2 * round + 1, 2 * round + 2);
        let filmed = [Camera::start(&engines, of_near).await, Camera::start(&engines, of_far).await];
        let (ours, theirs) = tokio::join!(
            near.connection.add_track(&filmed[0].track, Vec::new()),
            far.connection.add_track(&filmed[1].track, Vec::new()),
        );
        ours.unwrap();
        theirs.unwrap();
        assert_eq!(far.next_camera().await, of_near);
        assert_eq!(near.next_camera().await, of_far);
        tokio::join!(near.is_settled(), far.is_settled());
        let collided = [near.collisions.try_recv(), far.collisions.try_recv()];
        assert!(collided.iter().any(Result::is_ok), "offers have crossed");
        while near.collisions.try_recv().is_ok() || far.collisions.try_recv().is_ok() {}
        cameras.extend(filmed);
    }
    engines.shutdown().await;
}

#[test]
fn offers_that_cross_end_stable_with_media_when_the_near_side_is_polite() {
    run(both_offer_at_once(true, UdpMode::Shared { port: 0 }));
}

#[test]
fn offers_that_cross_end_stable_with_media_when_the_far_side_is_polite() {
    run(both_offer_at_once(false, UdpMode::PerConnection));
}
