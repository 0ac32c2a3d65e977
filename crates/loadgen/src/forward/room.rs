//! Everybody who came to the server, and how they came and go.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use actix_rtc::proto::sdp::Setup;
use anyhow::{Context, anyhow};
use tokio::sync::{mpsc, oneshot};

use super::{
    Options,
    window::{Before, rate},
};
use crate::{
    data_peer::Channel,
    description::{self, Section, Use},
    media::{Encoder, Kind, OPUS, Profile, Synthetic, Track, VP8},
    peer::Media,
    progress::Bar,
    signalling::{Protocol, Session, janus, websocket, whip},
    tally::{Delays, Tally},
    usage::Usage,
    world::{Shared, World},
};

/// A peer that has not connected by then never will.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Of peers that failed, so many reasons are told.
const REASONS_MAX: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publisher,
    Subscriber,
}

/// A peer and how it can leave.
pub(super) struct Member {
    pub(super) index: usize,
    role: Role,
    /// Which of the rooms.
    pub(super) room: usize,
    session: Session,
    /// It was there when the window began.
    pub(super) is_counted: bool,
}

/// All who came to the server.
pub(super) struct Room {
    pub(super) options: Options,
    pub(super) world: Shared,
    tracks: Vec<Track>,
    pub(super) members: RefCell<Vec<Member>>,
    /// Phases of publishers count from here.
    epoch: Instant,
    /// How many were given a room, and how many publishers a number for their streams.
    publisher_places: Cell<usize>,
    subscriber_places: Cell<usize>,
    publishers: Cell<u32>,
    failed: Cell<usize>,
    /// From the offer of a subscriber to its connection, or to its first media.
    connect_times: RefCell<Delays>,
    /// What publishers are called at Janus, and the room that each belongs to.
    feeds: RefCell<Vec<(usize, u64)>>,
    pub(super) before: RefCell<Before>,
}

impl Room {
    pub(super) fn new(options: &Options, world: Shared) -> Self {
        let synthetic = Synthetic {
            packet_bytes: usize::from(options.packet_bytes),
            packets_per_second: options.packets_per_second,
        };
        Self {
            options: options.clone(),
            world,
            tracks: options.profile.tracks(synthetic),
            members: RefCell::default(),
            epoch: Instant::now(),
            publisher_places: Cell::default(),
            subscriber_places: Cell::default(),
            publishers: Cell::default(),
            failed: Cell::default(),
            connect_times: RefCell::default(),
            feeds: RefCell::default(),
            before: RefCell::default(),
        }
    }

    /// Connects so many peers, `ramp` per second, and waits for all. Without a publisher nothing can be measured;
    /// subscribers that fail are counted, unless none succeeds.
    pub(super) async fn connect_all(
        self: &Rc<Self>,
        count: usize,
        what: &'static str,
        role: Role,
    ) -> anyhow::Result<()> {
        let mut bar = Bar::with_rate(what, count);
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / self.options.ramp));
        let (done, mut results) = mpsc::unbounded_channel();
        let (mut started, mut ended, mut failed) = (0, 0, 0);
        while ended < count {
            let room_for_more = started < count && started - ended < self.options.in_flight as usize;
            tokio::select! {
                _ = pace.tick(), if room_for_more => {
                    started += 1;
                    let (room, done) = (Rc::clone(self), done.clone());
                    tokio::task::spawn_local(async move {
                        let place = room.next_place(role);
                        // Nobody listens any more after a failure that ended everything.
                        let _ = done.send(room.connect(role, place).await);
                    });
                }
                Some(result) = results.recv() => {
                    ended += 1;
                    bar.set(ended);
                    let Err(error) = result else { continue };
                    failed += 1;
                    if role == Role::Publisher || failed == count {
                        return Err(error.context(format!("one of the {what}")));
                    }
                    if failed <= REASONS_MAX {
                        eprintln!("one of the {what} failed: {error:#}");
                    }
                }
            }
        }
        self.failed.set(failed);
        Ok(())
    }

    /// The room of the next peer: all get equally many.
    fn next_place(&self, role: Role) -> usize {
        let given = match role {
            Role::Publisher => &self.publisher_places,
            Role::Subscriber => &self.subscriber_places,
        };
        given.replace(given.get() + 1) % self.options.rooms as usize
    }

    async fn connect(&self, role: Role, place: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        let (index, session) = match self.options.protocol {
            Protocol::Whip => self.connect_by_http(role, place).await?,
            Protocol::Websocket if self.options.profile == Profile::Data => self.connect_data(place).await?,
            Protocol::Websocket => self.connect_by_websocket(role, place).await?,
            Protocol::Janus if role == Role::Publisher => self.publish_to_janus(place).await?,
            Protocol::Janus => self.subscribe_at_janus(place).await?,
        };
        if role == Role::Subscriber {
            if self.options.first_media {
                self.wait_for_media(index).await?;
            }
            self.connect_times.borrow_mut().record(start.elapsed().as_micros() as u64);
        }
        self.members.borrow_mut().push(Member { index, role, room: place, session, is_counted: false });
        Ok(())
    }

    async fn connect_by_http(&self, role: Role, place: usize) -> anyhow::Result<(usize, Session)> {
        let (index, sections) = self.add_offering(role, place)?;
        let offer = self.describe(index, &sections, Setup::Actpass)?;
        let way = if role == Role::Publisher { "whip" } else { "whep" };
        let name = self.options.room_name(place);
        let url = format!("{}/{way}/{name}", self.options.url.trim_end_matches('/'));
        let (answer, session) = whip::post(url, offer).await?;
        self.accept_and_wait(index, &answer).await?;
        Ok((index, session))
    }

    /// A peer that negotiates nothing but a data channel.
    async fn connect_data(&self, place: usize) -> anyhow::Result<(usize, Session)> {
        let joined = websocket::join(&self.options.url, &self.options.room_name(place)).await?;
        let channel = Media::Data(Box::new(Channel::new(joined.participant.clone())));
        let index = self.world.borrow_mut().add(true, channel)?;
        let sections = [Section { mid: "0".to_owned(), purpose: Use::Data }];
        let offer = self.describe(index, &sections, Setup::Actpass)?;
        let (answer, candidates, presence) = joined.offer(offer, serde_json::json!({})).await?;
        self.accept_with(index, &answer, &candidates).await?;
        self.wait_for_media(index).await?;
        Ok((index, Session::Websocket(presence)))
    }

    async fn connect_by_websocket(&self, role: Role, place: usize) -> anyhow::Result<(usize, Session)> {
        let joined = websocket::join(&self.options.url, &self.options.room_name(place)).await?;
        let (index, sections) = self.add_offering(role, place)?;
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

    async fn publish_to_janus(&self, place: usize) -> anyhow::Result<(usize, Session)> {
        let (index, sections) = self.add_offering(Role::Publisher, place)?;
        let offer = self.describe(index, &sections, Setup::Actpass)?;
        let published = janus::publish(self.options.url.clone(), offer).await?;
        self.accept_and_wait(index, &published.answer).await?;
        self.feeds.borrow_mut().push((place, published.feed));
        Ok((index, Session::Janus(Box::new(published.handle))))
    }

    /// All share one room there: each asks for the feeds of its own.
    async fn subscribe_at_janus(&self, place: usize) -> anyhow::Result<(usize, Session)> {
        let of_room = |(room, feed): &(usize, u64)| (*room == place).then_some(*feed);
        let feeds = self.feeds.borrow().iter().filter_map(of_room).collect();
        let offered = janus::subscribe(self.options.url.clone(), feeds).await?;
        let index = self.world.borrow_mut().add(false, Media::Subscriber(Box::<Tally>::default()))?;
        let sections = description::answering_sections(&offered.offer)?;
        let answer = self.describe(index, &sections, Setup::Active)?;
        let session = janus::start(offered.handle, answer).await?;
        self.accept_and_wait(index, &offered.offer).await?;
        Ok((index, session))
    }

    fn describe(&self, index: usize, sections: &[Section], setup: Setup) -> anyhow::Result<String> {
        let described =
            self.world.borrow_mut().with(index, |peer, context| peer.describe(context, sections, setup));
        described.context("the peer is gone")?
    }

    /// A new peer that will offer, and the sections of its offer.
    fn add_offering(&self, role: Role, place: usize) -> anyhow::Result<(usize, Vec<Section>)> {
        let (media, sections) = match role {
            Role::Publisher => self.publisher(),
            Role::Subscriber => (Media::Subscriber(Box::<Tally>::default()), self.receiving_sections(place)),
        };
        let index = self.world.borrow_mut().add(true, media)?;
        Ok((index, sections))
    }

    fn publisher(&self) -> (Media, Vec<Section>) {
        let number = self.publishers.replace(self.publishers.get() + 1);
        let (encoders, sections) = self.encoders(number);
        // Evenly over the interval between two frames: a server has its load in one piece otherwise.
        let phase = f64::from(number) / self.options.publishers.max(1) as f64;
        (Media::publisher(encoders, self.epoch, phase), sections)
    }

    fn encoders(&self, publisher: u32) -> (Vec<Encoder>, Vec<Section>) {
        let (mut encoders, mut sections) = (Vec::new(), Vec::new());
        for (index, track) in self.tracks.iter().enumerate() {
            let mid = index.to_string();
            let of_track = Encoder::of_track(publisher, index, track, &mid);
            let layers = track.layers.iter().zip(&of_track).map(|(layer, encoder)| (encoder.ssrc, layer.rid));
            sections.push(Section { mid, purpose: Use::Send { kind: track.kind, layers: layers.collect() } });
            encoders.extend(of_track);
        }
        (encoders, sections)
    }

    /// Adds a publisher that sends to itself, between the frames of two others.
    pub(super) fn add_direct(&self) -> anyhow::Result<()> {
        let (encoders, _) = self.encoders(self.publishers.get());
        let phase = 0.5 / self.options.publishers.max(1) as f64;
        let mut world = self.world.borrow_mut();
        let index = world.add(true, Media::direct(encoders, self.epoch, phase))?;
        world.with(index, |peer, context| peer.loop_back(context.now)).context("the peer is gone")?
    }

    fn receiving_sections(&self, place: usize) -> Vec<Section> {
        let rooms = self.options.rooms as usize;
        let publishers = (0..self.options.publishers).filter(|number| number % rooms == place);
        let kinds = publishers.flat_map(|_| self.tracks.iter().map(|track| track.kind));
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
    pub(super) fn announce(&self, line: &serde_json::Value) {
        if self.options.json.as_os_str() == "-" {
            println!("{line}");
        }
    }

    pub(super) fn connected(&self, start: Instant, usage: &Usage) -> anyhow::Result<serde_json::Value> {
        let elapsed = start.elapsed();
        let times = self.connect_times.borrow();
        let connected = self.options.subscribers - self.failed.get();
        Ok(serde_json::json!({
            "event": "connected",
            "subscribers": connected,
            "failed": self.failed.get(),
            "seconds": elapsed.as_secs_f64(),
            "connections_per_second": rate(connected, elapsed),
            "connect_ms_p50": times.percentile_ms(0.5),
            "connect_ms_p99": times.percentile_ms(0.99),
            "generator_cpu_percent": usage.percent()?,
        }))
    }

    /// Subscribers whose connection the server keeps up.
    pub(super) fn alive(&self) -> usize {
        let mut world = self.world.borrow_mut();
        let members = self.members.borrow();
        let subscribers = members.iter().filter(|member| member.role == Role::Subscriber);
        subscribers.filter(|member| world.peer(member.index).is_some_and(|peer| peer.is_alive())).count()
    }

    /// Whether publishers keep silent.
    pub(super) fn pause(&self, paused: bool) {
        self.world.borrow_mut().paused = paused;
    }

    /// What those who are here have not got.
    pub(super) fn lost_of_members(&self, world: &mut World) -> u64 {
        let members = self.members.borrow();
        let lost = |member: &Member| match &world.peer(member.index)?.media {
            Media::Subscriber(tally) => Some(tally.lost()),
            _ => None,
        };
        members.iter().filter_map(lost).sum()
    }

    /// The subscriber that has been here longest leaves; its room gets another.
    async fn leave_one(&self) -> anyhow::Result<usize> {
        let member = {
            let mut members = self.members.borrow_mut();
            let position = members.iter().position(|member| member.role == Role::Subscriber);
            members.remove(position.context("no subscriber is left")?)
        };
        {
            let mut world = self.world.borrow_mut();
            let lost = world.with(member.index, |peer, context| {
                peer.close(context);
                peer.media.tally().map_or(0, |tally| tally.lost())
            });
            let mut before = self.before.borrow_mut();
            before.lost += lost.unwrap_or(0);
            before.left += 1;
            world.remove(member.index);
        }
        member.session.end().await?;
        Ok(member.room)
    }

    pub(super) async fn end_all(&self) {
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

/// One leaves and another comes, over and over.
pub(super) async fn churn(room: Rc<Room>) {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / room.options.churn));
    // The first tick is at once.
    pace.tick().await;
    loop {
        pace.tick().await;
        let room = Rc::clone(&room);
        // Connecting takes longer than the pause between two.
        tokio::task::spawn_local(async move {
            let changed = async {
                let place = room.leave_one().await?;
                room.connect(Role::Subscriber, place).await
            };
            match changed.await {
                Ok(()) => room.before.borrow_mut().joined += 1,
                Err(error) => eprintln!("churn: {error:#}"),
            }
        });
    }
}
