//! One end of a bench of data channels, the same for every stack: see the crate `data-driver` for what is asked
//! of it. This one uses the public handles, on a thread of its own beside the shard that carries the connection.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use actix_rtc::{
    NetworkConfig, RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelEvents,
    RtcDataChannelInit, RtcDataChannelMessage, RtcEngine, RtcEngineConfig, RtcPeerConnection,
    RtcPeerConnectionEvent, RtcSessionDescription, UdpMode,
};
use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use data_driver::{Command, PING, Pattern, Report, Tally};
use futures_util::StreamExt;
use tokio::{sync::mpsc, task::LocalSet};

/// Messages of more than this are not asked for.
const LARGEST_MESSAGE: usize = 256 * 1024;
/// Channels that the peer opened and whose number was not asked for yet.
const WAITING_CHANNELS: usize = 64;

/// What the tasks of this process share.
struct Shared {
    pattern: Pattern,
    tally: RefCell<Tally>,
    sent: Cell<u64>,
    sending: Cell<bool>,
    /// Senders that have not seen yet that they are to stop.
    senders: Cell<usize>,
}

struct Driver {
    connection: RtcPeerConnection,
    shared: Rc<Shared>,
    started: Instant,
    channels: Vec<RtcDataChannel>,
    /// Of the sender's first channel, which carries the pings.
    echoes: Option<RtcDataChannelEvents>,
}

/// Obeys commands until the input ends.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut config = RtcEngineConfig::default();
    // There is one connection.
    config.shards.count = 1;
    config.shards.pin = false;
    config.udp = UdpMode::PerConnection;
    let mut network = NetworkConfig::default();
    network.include_loopback = true;
    network.ipv6 = false;
    config.network = network;
    let engine = RtcEngine::start(config).await?;
    LocalSet::new().run_until(obey(&engine)).await?;
    engine.shutdown(Duration::from_secs(2)).await?;
    Ok(())
}

async fn obey(engine: &RtcEngine) -> anyhow::Result<()> {
    let (commands, mut asked) = mpsc::unbounded_channel();
    data_driver::read_commands(move |command| commands.send(command).is_ok());
    let mut driver = Driver {
        connection: RtcPeerConnection::on(engine, RtcConfiguration::default()).await?,
        shared: Rc::new(Shared {
            pattern: Pattern::new(LARGEST_MESSAGE),
            tally: RefCell::default(),
            sent: Cell::new(0),
            sending: Cell::new(false),
            senders: Cell::new(0),
        }),
        started: Instant::now(),
        channels: Vec::new(),
        echoes: None,
    };
    while let Some(command) = asked.recv().await {
        driver.obey(command).await?;
    }
    driver.connection.close().await;
    Ok(())
}

impl Driver {
    async fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Offer { channels } => self.offer(channels).await,
            Command::Answer { sdp, channels } => self.answer(sdp, channels).await,
            Command::Accept { sdp } => self.accept(sdp).await,
            Command::Send { size } => {
                self.shared.sending.set(true);
                for channel in self.channels.clone() {
                    tokio::task::spawn_local(send(channel, Rc::clone(&self.shared), size));
                }
                Ok(())
            }
            Command::Sample { id } => Report::sample(id, self.started, *self.shared.tally.borrow())?.print(),
            Command::Stop => {
                self.shared.sending.set(false);
                while self.shared.senders.get() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Report::Stopped { sent: self.shared.sent.get() }.print()
            }
            Command::Ping { count, size } => self.ping(count, size).await,
        }
    }

    async fn offer(&mut self, channels: usize) -> anyhow::Result<()> {
        for number in 0..channels {
            let init = RtcDataChannelInit::default();
            self.channels.push(self.connection.create_data_channel(number.to_string(), init).await?);
        }
        self.connection.set_local_description(None).await?;
        self.connection.gathering_complete().await?;
        let sdp = self.connection.local_description().context("no offer")?.sdp;
        Report::Offer { sdp }.print()
    }

    async fn answer(&mut self, sdp: String, channels: usize) -> anyhow::Result<()> {
        let mut events = self.connection.events().context("the events were taken")?;
        let shared = Rc::clone(&self.shared);
        let (opened, mut arrivals) = mpsc::channel(WAITING_CHANNELS);
        tokio::task::spawn_local(async move {
            while let Some(event) = events.next().await {
                if let RtcPeerConnectionEvent::DataChannel(channel) = event {
                    tokio::task::spawn_local(receive(channel, Rc::clone(&shared)));
                    if opened.send(()).await.is_err() {
                        return;
                    }
                }
            }
        });
        self.connection.set_remote_description(RtcSessionDescription::offer(sdp)).await?;
        self.connection.set_local_description(None).await?;
        self.connection.gathering_complete().await?;
        let sdp = self.connection.local_description().context("no answer")?.sdp;
        Report::Answer { sdp }.print()?;
        for _ in 0..channels {
            arrivals.recv().await.context("the connection ended before all channels came")?;
        }
        // Kept, so that a further channel ends nothing.
        tokio::task::spawn_local(async move { while arrivals.recv().await.is_some() {} });
        Report::Open.print()
    }

    async fn accept(&mut self, sdp: String) -> anyhow::Result<()> {
        self.connection.set_remote_description(RtcSessionDescription::answer(sdp)).await?;
        for (number, channel) in self.channels.iter().enumerate() {
            let mut events = channel.events();
            match events.next().await {
                Some(RtcDataChannelEvent::Open) => {}
                other => bail!("channel {number} did not open: {other:?}"),
            }
            self.echoes.get_or_insert(events);
        }
        Report::Open.print()
    }

    async fn ping(&mut self, count: usize, size: usize) -> anyhow::Result<()> {
        let echoes = self.echoes.as_mut().context("ping before open")?;
        let channel = self.channels.first().context("ping before offer")?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let message = message(&self.shared.pattern, PING, size);
            let sent = Instant::now();
            channel.send(message).await?;
            echoes.message().await.context("the channel was closed")?;
            times.push(sent.elapsed().as_secs_f64());
        }
        Report::pong(times).print()
    }
}

fn message(pattern: &Pattern, number: u32, size: usize) -> RtcDataChannelMessage {
    let (header, body) = pattern.message(number, size);
    let mut message = BytesMut::with_capacity(size);
    message.extend_from_slice(&header);
    message.extend_from_slice(body);
    Bytes::from(message).into()
}

async fn send(channel: RtcDataChannel, shared: Rc<Shared>, size: usize) {
    shared.senders.set(shared.senders.get() + 1);
    let mut number = 0;
    while shared.sending.get() {
        if let Err(error) = channel.send(message(&shared.pattern, number, size)).await {
            eprintln!("sending: {error}");
            break;
        }
        number = number.wrapping_add(1);
        shared.sent.set(shared.sent.get() + 1);
    }
    shared.senders.set(shared.senders.get() - 1);
}

async fn receive(channel: RtcDataChannel, shared: Rc<Shared>) {
    let (mut events, mut next) = (channel.events(), 0);
    while let Some(message) = events.message().await {
        match message {
            RtcDataChannelMessage::Binary(data) if Pattern::is_ping(&data) => {
                if let Err(error) = channel.send(data).await {
                    eprintln!("sending back: {error}");
                }
            }
            RtcDataChannelMessage::Binary(data) => {
                shared.tally.borrow_mut().count(&shared.pattern, &mut next, &data);
            }
            RtcDataChannelMessage::Text(_) => shared.tally.borrow_mut().damaged += 1,
        }
    }
}
