//! `forward`: publishers and subscribers of one room, for a while, and what arrived.

use std::{
    cell::RefCell,
    net::Ipv4Addr,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use actix_rtc::proto::sdp::Setup;
use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;
use tokio::{sync::oneshot, task::LocalSet};

use crate::{
    description::{self, Section, Use},
    media::{Encoder, Kind, OPUS, Profile, Synthetic, Track, VP8},
    peer::Media,
    progress::Bar,
    signalling::{Protocol, Session, janus, websocket, whip},
    tally::{Delays, Tally},
    usage::{SATURATED_PERCENT, Usage},
    world::{Layout, Shared, World},
};

/// A peer that has not connected by then never will.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Peers that share a socket: the more, the fewer wake-ups; the fewer, the more room in socket buffers.
const PEERS_PER_SOCKET: usize = 32;

/// What to publish, and for whom.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Address of the server, e.g. http://127.0.0.1:8080
    #[arg(long)]
    url: String,
    /// Room to publish to
    #[arg(long, default_value = "bench")]
    room: String,
    /// What the server speaks
    #[arg(long, value_enum, default_value = "whip")]
    protocol: Protocol,
    /// Peers that publish
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Peers that receive all that the publishers send
    #[arg(long, default_value_t = 50)]
    subscribers: usize,
    /// What each publisher sends
    #[arg(long, value_enum, default_value = "video")]
    profile: Profile,
    /// RTP payload per packet, in bytes (profile synthetic)
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(64..=1_200))]
    packet_bytes: u16,
    /// Packets per second of each publisher, in 30 frames (profile synthetic)
    #[arg(long, default_value_t = 300)]
    packets_per_second: u32,
    /// Peers that begin to connect per second
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    ramp: f64,
    /// Peers that may be connecting at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Count a subscriber as connected only when media has come
    #[arg(long)]
    first_media: bool,
    /// Subscribers that leave per minute, each replaced by a new one
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// Seconds before counting starts
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Seconds that are counted
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds that the load goes on after the result, for whoever still wants to look at the server
    #[arg(long, default_value_t = 0.0)]
    linger: f64,
    /// IPv4 address of the first peer; the others follow. All must be local to this machine
    #[arg(long, default_value = "127.1.0.1")]
    first_address: Ipv4Addr,
    /// Where the JSON result goes: a file, or - for standard output, with a line at the window's start too
    #[arg(long, value_name = "FILE", default_value = "-")]
    json: PathBuf,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a positive number is needed".to_owned()),
    }
}

/// The result; times in seconds and milliseconds as the names say.
#[derive(Serialize)]
struct WindowEnd {
    event: &'static str,
    profile: String,
    publishers: usize,
    subscribers: usize,
    seconds: f64,
    sent: u64,
    received: u64,
    received_bytes: u64,
    lost: u64,
    hidden_loss: u64,
    duplicates: u64,
    reordered: u64,
    damaged: u64,
    unsent_datagrams: u64,
    receive_overflows: u64,
    late_frames: u64,
    key_frame_requests: u64,
    retransmission_requests: u64,
    joined: u64,
    left: u64,
    srtp_profile: String,
    latency_ms_p50: f64,
    latency_ms_p99: f64,
    latency_ms_max: f64,
    generator_cpu_percent: f64,
    generator_saturated: bool,
}

/// Runs the load and prints `window_start` and `window_end`.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    LocalSet::new().run_until(load(&options)).await
}

async fn load(options: &Options) -> anyhow::Result<()> {
    let sockets = (options.publishers + options.subscribers).div_ceil(PEERS_PER_SOCKET);
    let world = World::start(&Layout { first_address: options.first_address, sockets })?;
    let room = Rc::new(Room::new(options, world));
    room.connect_all(options.publishers, "publishers", Role::Publisher).await?;
    room.announce(&serde_json::json!({"event": "connecting"}));
    let (start, usage) = (Instant::now(), Usage::start()?);
    room.connect_all(options.subscribers, "subscribers", Role::Subscriber).await?;
    room.announce(&room.connected(start, &usage)?);
    tokio::time::sleep(Duration::from_secs_f64(options.warmup)).await;
    let churn = (options.churn > 0.0).then(|| tokio::task::spawn_local(churn(Rc::clone(&room))));
    room.start_window();
    let (start, usage) = (Instant::now(), Usage::start()?);
    room.announce(&serde_json::json!({"event": "window_start"}));
    wait(options.seconds).await;
    let end = room.window_end(start, &usage)?;
    report(options, &end)?;
    tokio::time::sleep(Duration::from_secs_f64(options.linger)).await;
    if let Some(churn) = churn {
        churn.abort();
    }
    room.end_all().await;
    Ok(())
}

async fn wait(seconds: f64) {
    let mut bar = Bar::new("seconds", seconds.ceil() as usize);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        bar.set(start.elapsed().as_secs() as usize);
        let left = seconds - start.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_secs_f64(left.clamp(0.0, 1.0))).await;
    }
    bar.set(seconds.ceil() as usize);
}

fn report(options: &Options, end: &WindowEnd) -> anyhow::Result<()> {
    if end.generator_saturated {
        eprintln!(
            "generator saturated: {:.0} % of its core; delays and losses may be its own",
            end.generator_cpu_percent
        );
    }
    let line = serde_json::to_string(end)?;
    if options.json.as_os_str() == "-" {
        println!("{line}");
        return Ok(());
    }
    std::fs::write(&options.json, line + "\n").with_context(|| options.json.display().to_string())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Publisher,
    Subscriber,
}

/// A peer and how it can leave.
struct Member {
    index: usize,
    role: Role,
    session: Session,
}

/// All who came to the server.
struct Room {
    options: Options,
    world: Shared,
    tracks: Vec<Track>,
    members: RefCell<Vec<Member>>,
    next_publisher: RefCell<u32>,
    /// From the offer of a subscriber to its connection, or to its first media.
    connect_times: RefCell<Delays>,
    /// What publishers are called at Janus.
    feeds: RefCell<Vec<u64>>,
    joined: RefCell<u64>,
    left: RefCell<u64>,
    /// What subscribers that left had lost.
    lost_before: RefCell<u64>,
    overflows_before: RefCell<u64>,
}

impl Room {
    fn new(options: &Options, world: Shared) -> Self {
        let synthetic = Synthetic {
            packet_bytes: usize::from(options.packet_bytes),
            packets_per_second: options.packets_per_second,
        };
        Self {
            options: options.clone(),
            world,
            tracks: options.profile.tracks(synthetic),
            members: RefCell::default(),
            next_publisher: RefCell::default(),
            connect_times: RefCell::default(),
            feeds: RefCell::default(),
            joined: RefCell::default(),
            left: RefCell::default(),
            lost_before: RefCell::default(),
            overflows_before: RefCell::default(),
        }
    }

    /// Connects so many peers, `ramp` per second, and waits for all.
    async fn connect_all(
        self: &Rc<Self>,
        count: usize,
        what: &'static str,
        role: Role,
    ) -> anyhow::Result<()> {
        let mut bar = Bar::new(what, count);
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / self.options.ramp));
        let (done, mut results) = tokio::sync::mpsc::unbounded_channel();
        let (mut started, mut connected) = (0, 0);
        while connected < count {
            let room_for_more = started < count && started - connected < self.options.in_flight as usize;
            tokio::select! {
                _ = pace.tick(), if room_for_more => {
                    started += 1;
                    let (room, done) = (Rc::clone(self), done.clone());
                    tokio::task::spawn_local(async move {
                        // Nobody listens any more after the first failure.
                        let _ = done.send(room.connect(role).await);
                    });
                }
                Some(result) = results.recv() => {
                    let () = result.with_context(|| format!("one of the {what}"))?;
                    connected += 1;
                    bar.set(connected);
                }
            }
        }
        Ok(())
    }

    async fn connect(&self, role: Role) -> anyhow::Result<()> {
        let start = Instant::now();
        let (index, session) = match self.options.protocol {
            Protocol::Whip => self.connect_by_http(role).await?,
            Protocol::Websocket => self.connect_by_websocket(role).await?,
            Protocol::Janus if role == Role::Publisher => self.publish_to_janus().await?,
            Protocol::Janus => self.subscribe_at_janus().await?,
        };
        if role == Role::Subscriber {
            if self.options.first_media {
                self.wait_for_media(index).await?;
            }
            self.connect_times.borrow_mut().record(start.elapsed().as_micros() as u64);
        }
        self.members.borrow_mut().push(Member { index, role, session });
        Ok(())
    }

    async fn connect_by_http(&self, role: Role) -> anyhow::Result<(usize, Session)> {
        let (index, sections) = self.add_offering(role)?;
        let offer = self.describe(index, &sections, Setup::Actpass)?;
        let way = if role == Role::Publisher { "whip" } else { "whep" };
        let url = format!("{}/{way}/{}", self.options.url.trim_end_matches('/'), self.options.room);
        let (answer, session) = whip::post(url, offer).await?;
        self.accept_and_wait(index, &answer).await?;
        Ok((index, session))
    }

    async fn connect_by_websocket(&self, role: Role) -> anyhow::Result<(usize, Session)> {
        let joined = websocket::join(&self.options.url, &self.options.room).await?;
        let (index, sections) = self.add_offering(role)?;
        let offer = self.describe(index, &sections, Setup::Actpass)?;
        let subscriptions = subscriptions(&sections, &joined.tracks);
        let (answer, candidates, presence) = joined.offer(offer, subscriptions).await?;
        self.accept_with(index, &answer, &candidates).await?;
        Ok((index, Session::Websocket(presence)))
    }

    async fn wait_for_media(&self, index: usize) -> anyhow::Result<()> {
        let (first, has_come) = oneshot::channel();
        let waiting = self.world.borrow_mut().with(index, |peer, _| {
            let waits = !peer.has_media();
            if waits {
                peer.milestones.first_media = Some(first);
            }
            waits
        });
        if waiting.context("the peer is gone")? {
            let result = tokio::time::timeout(CONNECT_DEADLINE, has_come).await;
            result.with_context(|| format!("no media after {CONNECT_DEADLINE:?}"))??;
        }
        Ok(())
    }

    async fn publish_to_janus(&self) -> anyhow::Result<(usize, Session)> {
        let (index, sections) = self.add_offering(Role::Publisher)?;
        let offer = self.describe(index, &sections, Setup::Actpass)?;
        let published = janus::publish(self.options.url.clone(), offer).await?;
        self.accept_and_wait(index, &published.answer).await?;
        self.feeds.borrow_mut().push(published.feed);
        Ok((index, Session::Janus(Box::new(published.handle))))
    }

    async fn subscribe_at_janus(&self) -> anyhow::Result<(usize, Session)> {
        let feeds = self.feeds.borrow().clone();
        let offered = janus::subscribe(self.options.url.clone(), feeds).await?;
        let index = self.world.borrow_mut().add(false, Media::Subscriber(Box::<Tally>::default()))?;
        let sections = description::answering_sections(&offered.offer)?;
        let answer = self.describe(index, &sections, Setup::Active)?;
        let session = janus::start(offered.handle, answer).await?;
        self.accept_and_wait(index, &offered.offer).await?;
        Ok((index, session))
    }

    fn describe(&self, index: usize, sections: &[Section], setup: Setup) -> anyhow::Result<String> {
        let described = self.world.borrow_mut().with(index, |peer, _| peer.describe(sections, setup));
        described.context("the peer is gone")?
    }

    /// A new peer that will offer, and the sections of its offer.
    fn add_offering(&self, role: Role) -> anyhow::Result<(usize, Vec<Section>)> {
        let (media, sections) = match role {
            Role::Publisher => self.publisher(),
            Role::Subscriber => (Media::Subscriber(Box::<Tally>::default()), self.receiving_sections()),
        };
        let index = self.world.borrow_mut().add(true, media)?;
        Ok((index, sections))
    }

    fn publisher(&self) -> (Media, Vec<Section>) {
        let number = self.next_publisher.replace_with(|number| *number + 1);
        let (mut encoders, mut sections) = (Vec::new(), Vec::new());
        for (index, track) in self.tracks.iter().enumerate() {
            let mid = index.to_string();
            let of_track = Encoder::of_track(number, index, track, &mid);
            let layers = track.layers.iter().zip(&of_track).map(|(layer, encoder)| (encoder.ssrc, layer.rid));
            sections.push(Section { mid, purpose: Use::Send { kind: track.kind, layers: layers.collect() } });
            encoders.extend(of_track);
        }
        // The golden ratio spreads any number of publishers over the interval.
        let phase = (f64::from(number) * 0.618_034).fract();
        (Media::publisher(encoders, Instant::now(), phase), sections)
    }

    fn receiving_sections(&self) -> Vec<Section> {
        let kinds = (0..self.options.publishers).flat_map(|_| self.tracks.iter().map(|track| track.kind));
        let section = |(index, kind): (usize, Kind)| {
            let payload_type = if kind == Kind::Audio { OPUS } else { VP8 };
            Section { mid: index.to_string(), purpose: Use::Receive { kind, payload_type } }
        };
        kinds.enumerate().map(section).collect()
    }

    async fn accept_and_wait(&self, index: usize, description: &str) -> anyhow::Result<()> {
        self.accept_with(index, description, &[]).await
    }

    /// Applies a description, and candidates that came beside it, and waits until the peer is connected.
    async fn accept_with(&self, index: usize, sdp: &str, candidates: &[String]) -> anyhow::Result<()> {
        let mut remote = description::read_transport(sdp)?;
        remote.candidates.extend(candidates.iter().filter_map(|line| description::candidate(line)));
        let (connected, is_connected) = oneshot::channel();
        let accepted = self.world.borrow_mut().with(index, |peer, context| {
            peer.milestones.connected = Some(connected);
            peer.accept(context, remote)
        });
        accepted.context("the peer is gone")??;
        let result = tokio::time::timeout(CONNECT_DEADLINE, is_connected).await;
        let result = result.with_context(|| format!("not connected after {CONNECT_DEADLINE:?}"))??;
        result.map_err(|reason| anyhow!(reason))
    }

    /// A line for whoever started this program, unless the result goes to a file.
    fn announce(&self, line: &serde_json::Value) {
        if self.options.json.as_os_str() == "-" {
            println!("{line}");
        }
    }

    fn connected(&self, start: Instant, usage: &Usage) -> anyhow::Result<serde_json::Value> {
        let seconds = start.elapsed().as_secs_f64();
        let times = self.connect_times.borrow();
        Ok(serde_json::json!({
            "event": "connected",
            "subscribers": self.options.subscribers,
            "seconds": seconds,
            "connections_per_second": self.options.subscribers as f64 / seconds,
            "connect_ms_p50": times.percentile_ms(0.5),
            "connect_ms_p99": times.percentile_ms(0.99),
            "generator_cpu_percent": usage.percent()?,
        }))
    }

    fn start_window(&self) {
        let mut world = self.world.borrow_mut();
        let srtp_profile = world.totals.srtp_profile;
        world.totals = crate::peer::Totals { srtp_profile, ..Default::default() };
        world.unsent = 0;
        *self.overflows_before.borrow_mut() = world.overflows();
        for peer in world.peers() {
            if let Media::Subscriber(tally) = &mut peer.media {
                tally.start_window();
            }
        }
        (*self.joined.borrow_mut(), *self.left.borrow_mut()) = (0, 0);
    }

    fn window_end(&self, start: Instant, usage: &Usage) -> anyhow::Result<WindowEnd> {
        let mut world = self.world.borrow_mut();
        let seconds = start.elapsed().as_secs_f64();
        let generator_cpu_percent = usage.percent()?;
        let lost: u64 = world.peers().map(|peer| lost_of(&peer.media)).sum();
        let unsent_datagrams = world.unsent;
        let totals = &world.totals;
        let counts = &totals.counts;
        Ok(WindowEnd {
            event: "window_end",
            profile: format!("{:?}", self.options.profile).to_lowercase(),
            publishers: self.options.publishers,
            subscribers: self.options.subscribers,
            seconds,
            sent: totals.sent,
            received: counts.received,
            received_bytes: counts.bytes,
            lost: lost + *self.lost_before.borrow(),
            hidden_loss: counts.hidden,
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            damaged: counts.damaged,
            unsent_datagrams,
            receive_overflows: world.overflows().saturating_sub(*self.overflows_before.borrow()),
            late_frames: totals.late_frames,
            key_frame_requests: totals.key_frame_requests,
            retransmission_requests: totals.retransmission_requests,
            joined: *self.joined.borrow(),
            left: *self.left.borrow(),
            srtp_profile: totals.srtp_profile.map_or("none", |profile| profile.name()).to_owned(),
            latency_ms_p50: counts.delays.percentile_ms(0.5),
            latency_ms_p99: counts.delays.percentile_ms(0.99),
            latency_ms_max: counts.delays.max_ms(),
            generator_cpu_percent,
            generator_saturated: generator_cpu_percent > SATURATED_PERCENT,
        })
    }

    /// The subscriber that has been here longest leaves.
    async fn leave_one(&self) -> anyhow::Result<()> {
        let member = {
            let mut members = self.members.borrow_mut();
            let position = members.iter().position(|member| member.role == Role::Subscriber);
            members.remove(position.context("no subscriber is left")?)
        };
        {
            let mut world = self.world.borrow_mut();
            let lost = world.with(member.index, |peer, context| {
                peer.close(context);
                lost_of(&peer.media)
            });
            *self.lost_before.borrow_mut() += lost.unwrap_or(0);
            world.remove(member.index);
        }
        *self.left.borrow_mut() += 1;
        member.session.end().await
    }

    async fn end_all(&self) {
        let members = std::mem::take(&mut *self.members.borrow_mut());
        for member in members {
            let mut world = self.world.borrow_mut();
            world.with(member.index, |peer, context| peer.close(context));
            world.remove(member.index);
        }
    }
}

/// Which section carries which track: the first of a kind the first of that kind, and so on.
fn subscriptions(sections: &[Section], tracks: &[(String, String)]) -> serde_json::Value {
    let mut map = serde_json::Map::new();
    for (kind, name) in [(Kind::Audio, "audio"), (Kind::Video, "video")] {
        let receives =
            |section: &&Section| matches!(section.purpose, Use::Receive { kind: own, .. } if own == kind);
        let of_kind = tracks.iter().filter(|(_, kind)| kind == name);
        for (section, (id, _)) in sections.iter().filter(receives).zip(of_kind) {
            map.insert(section.mid.clone(), id.clone().into());
        }
    }
    map.into()
}

fn lost_of(media: &Media) -> u64 {
    match media {
        Media::Subscriber(tally) => tally.lost(),
        _ => 0,
    }
}

/// One leaves and another comes, over and over.
async fn churn(room: Rc<Room>) {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(60.0 / room.options.churn));
    // The first tick is at once.
    pace.tick().await;
    loop {
        pace.tick().await;
        let changed = async {
            room.leave_one().await?;
            room.connect(Role::Subscriber).await
        };
        match changed.await {
            Ok(()) => *room.joined.borrow_mut() += 1,
            Err(error) => eprintln!("churn: {error:#}"),
        }
    }
}
