//! Two associations, each the other's network.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix::Addr;
use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelEvents, RtcDataChannelInit, RtcDataChannelMessage,
    RtcError,
    actors::{
        kit::{self, LaneKind, LaneReceiver, LaneSender},
        lanes::data_lane,
        sctp_assoc::{SCTP_ASSOC_POLICY, SctpAssoc, SctpEnvironment},
    },
    messages::sctp::{ConfigureSctp, OpenDataChannel, SctpEvent, SctpSink, SharedSctpSnapshot, StartSctp},
    proto::dtls::Role,
};
use bytes::Bytes;
use futures_util::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Runs a test where time passes only when nothing else is left to do.
pub(crate) fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.unwrap(), test)
}

/// Lets a moment pass: enough for everything that is under way on a network without delay.
pub(crate) async fn moment() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// One of the two.
pub(crate) struct Side {
    pub(crate) address: Addr<SctpAssoc>,
    pub(crate) snapshot: SharedSctpSnapshot,
    pub(crate) reports: Rc<RefCell<Vec<SctpEvent>>>,
    inbound: LaneSender<Bytes>,
}

impl Side {
    fn new() -> Self {
        let (inbound, packets): (LaneSender<Bytes>, LaneReceiver<Bytes>) = data_lane(LaneKind::Sctp);
        let snapshot = SharedSctpSnapshot::default();
        let reports: Rc<RefCell<Vec<SctpEvent>>> = Rc::default();
        let heard = Rc::clone(&reports);
        let actor = SctpAssoc::new(SctpEnvironment {
            max_message_size: 262_144,
            snapshot: Arc::clone(&snapshot),
            report: Rc::new(move |event| heard.borrow_mut().push(event)),
            packets,
        });
        let address = kit::start(SCTP_ASSOC_POLICY, |_| {}, |_| actor);
        Self { address, snapshot, reports, inbound }
    }

    pub(crate) async fn open(
        &self,
        label: &str,
        init: RtcDataChannelInit,
    ) -> Result<RtcDataChannel, RtcError> {
        let message = OpenDataChannel { label: label.to_owned(), init };
        self.address.send(message).await.unwrap().map(RtcDataChannel::from)
    }

    /// The next channel that the peer opens.
    pub(crate) async fn accept(&self) -> RtcDataChannel {
        for _ in 0..1_000 {
            let position =
                self.reports.borrow().iter().position(|event| matches!(event, SctpEvent::DataChannel(_)));
            if let Some(position) = position
                && let SctpEvent::DataChannel(channel) = self.reports.borrow_mut().remove(position)
            {
                return channel.into();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no channel has come");
    }
}

/// A network that loses what its seed says.
struct Lossy {
    lane: LaneSender<Bytes>,
    rng: Mutex<StdRng>,
    loss: f64,
}

impl SctpSink for Lossy {
    fn push_all(&self, now: Instant, packets: &mut dyn Iterator<Item = Bytes>) {
        let mut rng = self.rng.lock().unwrap();
        self.lane.push_all(now, packets.filter(|_| !rng.random_bool(self.loss)));
    }
}

pub(crate) struct Pair {
    pub(crate) client: Side,
    pub(crate) server: Side,
}

impl Pair {
    /// Two associations that are not started.
    pub(crate) fn new() -> Self {
        let pair = Self { client: Side::new(), server: Side::new() };
        pair.configure(Some(262_144));
        pair
    }

    pub(crate) fn configure(&self, remote_max_message_size: Option<u64>) {
        for side in [&self.client, &self.server] {
            side.address.do_send(ConfigureSctp {
                local_port: 5000,
                remote_port: 5000,
                remote_max_message_size,
            });
        }
    }

    /// DTLS is connected.
    pub(crate) fn start(&self, loss: f64, seed: u64) {
        let sides = [(&self.client, &self.server, Role::Client), (&self.server, &self.client, Role::Server)];
        for (side, other, role) in sides {
            let rng = Mutex::new(StdRng::seed_from_u64(seed));
            let outbound = Arc::new(Lossy { lane: other.inbound.clone(), rng, loss });
            side.address.do_send(StartSctp { role, outbound });
        }
    }

    pub(crate) fn started() -> Self {
        let pair = Self::new();
        pair.start(0.0, 0);
        pair
    }

    /// A channel, open on both sides.
    pub(crate) async fn channel(&self, init: RtcDataChannelInit) -> (RtcDataChannel, RtcDataChannel) {
        let ours = self.client.open("channel", init).await.unwrap();
        let theirs = self.server.accept().await;
        (ours, theirs)
    }
}

/// The events until the channel is closed.
pub(crate) async fn all(mut events: RtcDataChannelEvents) -> Vec<RtcDataChannelEvent> {
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event);
    }
    all
}

pub(crate) fn text(text: &str) -> RtcDataChannelEvent {
    RtcDataChannelEvent::Message(RtcDataChannelMessage::Text(text.to_owned()))
}
