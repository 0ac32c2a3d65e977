//! One end of a bench of data channels on webrtc-rs: see the crate `data-driver` for what is asked of it.
//!
//! As its own benches do it: tokio, the connection's driver on a thread of its own, and a limit beyond which `send`
//! waits for the network.

mod runtime;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use data_driver::{Command, PING, Pattern, Report, Tally};
use runtime::LargeBuffers;
use tokio::sync::mpsc;
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelMessage},
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
        RTCConfigurationBuilder, RTCIceGatheringState, RTCSessionDescription, Registry,
        register_default_interceptors,
    },
    runtime::default_runtime,
};

/// Messages of more than this are not asked for.
const LARGEST_MESSAGE: usize = 256 * 1024;
/// Bytes of a channel that may wait for acknowledgement: as much as its own examples allow.
const SEND_BUFFER: usize = 1 << 20;

/// What the tasks of this process share.
struct Shared {
    pattern: Pattern,
    tally: Mutex<Tally>,
    sent: AtomicU64,
    sending: AtomicBool,
    /// Senders that have not seen yet that they are to stop.
    senders: AtomicUsize,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Handler {
    shared: Arc<Shared>,
    gathered: mpsc::UnboundedSender<()>,
    opened: mpsc::UnboundedSender<()>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let _ = self.opened.send(());
        tokio::spawn(receive(channel, Arc::clone(&self.shared)));
    }
}

struct Driver {
    connection: Arc<dyn PeerConnection>,
    shared: Arc<Shared>,
    started: Instant,
    channels: Vec<Arc<dyn DataChannel>>,
    gathered: mpsc::UnboundedReceiver<()>,
    opened: mpsc::UnboundedReceiver<()>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (sender, mut commands) = mpsc::unbounded_channel();
    data_driver::read_commands(move |command| sender.send(command).is_ok());
    let mut driver = Driver::new().await?;
    while let Some(command) = commands.recv().await {
        driver.obey(command).await?;
    }
    driver.connection.close().await?;
    Ok(())
}

impl Driver {
    async fn new() -> Result<Self> {
        let shared = Arc::new(Shared {
            pattern: Pattern::new(LARGEST_MESSAGE),
            tally: Mutex::default(),
            sent: AtomicU64::new(0),
            sending: AtomicBool::new(false),
            senders: AtomicUsize::new(0),
        });
        let (gathering_ended, gathered) = mpsc::unbounded_channel();
        let (channel_opened, opened) = mpsc::unbounded_channel();
        let handler =
            Handler { shared: Arc::clone(&shared), gathered: gathering_ended, opened: channel_opened };
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(handler))
            .with_runtime(Arc::new(LargeBuffers(default_runtime().context("built without a runtime")?)))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .with_dedicated_reactor_pool_size(1)
            .with_data_channel_send_buffer_limit(SEND_BUFFER)
            .build()
            .await?;
        Ok(Self {
            connection: Arc::new(connection),
            shared,
            started: Instant::now(),
            channels: Vec::new(),
            gathered,
            opened,
        })
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Offer { channels } => self.offer(channels).await,
            Command::Answer { sdp, channels } => self.answer(sdp, channels).await,
            Command::Accept { sdp } => {
                self.connection.set_remote_description(RTCSessionDescription::answer(sdp)?).await?;
                for channel in &self.channels {
                    wait_for_open(channel.as_ref()).await?;
                }
                Report::Open.print()
            }
            Command::Send { size } => {
                self.shared.sending.store(true, Ordering::SeqCst);
                for channel in &self.channels {
                    self.shared.senders.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(send(Arc::clone(channel), Arc::clone(&self.shared), size));
                }
                Ok(())
            }
            Command::Sample { id } => Report::sample(id, self.started, *self.shared.tally())?.print(),
            Command::Stop => {
                self.shared.sending.store(false, Ordering::SeqCst);
                while self.shared.senders.load(Ordering::SeqCst) > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Report::Stopped { sent: self.shared.sent.load(Ordering::SeqCst) }.print()
            }
            Command::Ping { count, size } => self.ping(count, size).await,
        }
    }

    async fn offer(&mut self, channels: usize) -> Result<()> {
        for number in 0..channels {
            self.channels.push(self.connection.create_data_channel(&number.to_string(), None).await?);
        }
        let offer = self.connection.create_offer(None).await?;
        self.connection.set_local_description(offer).await?;
        self.gathered.recv().await.context("gathering did not end")?;
        let sdp = self.connection.local_description().await.context("no offer")?.sdp;
        Report::Offer { sdp }.print()
    }

    async fn answer(&mut self, sdp: String, channels: usize) -> Result<()> {
        self.connection.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
        let answer = self.connection.create_answer(None).await?;
        self.connection.set_local_description(answer).await?;
        self.gathered.recv().await.context("gathering did not end")?;
        let sdp = self.connection.local_description().await.context("no answer")?.sdp;
        Report::Answer { sdp }.print()?;
        for _ in 0..channels {
            self.opened.recv().await.context("the connection ended before all channels came")?;
        }
        Report::Open.print()
    }

    async fn ping(&mut self, count: usize, size: usize) -> Result<()> {
        let channel = self.channels.first().context("ping before offer")?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let message = BytesMut::from(self.shared.pattern.whole(PING, size).as_slice());
            let sent = Instant::now();
            channel.send(message).await?;
            loop {
                match channel.poll().await {
                    Some(DataChannelEvent::OnMessage(_)) => break,
                    Some(_) => {}
                    None => bail!("the channel was closed"),
                }
            }
            times.push(sent.elapsed().as_secs_f64());
        }
        Report::pong(times).print()
    }
}

async fn wait_for_open(channel: &dyn DataChannel) -> Result<()> {
    loop {
        match channel.poll().await {
            Some(DataChannelEvent::OnOpen) => return Ok(()),
            Some(DataChannelEvent::OnClose | DataChannelEvent::OnError) | None => {
                bail!("a channel did not open")
            }
            Some(_) => {}
        }
    }
}

async fn send(channel: Arc<dyn DataChannel>, shared: Arc<Shared>, size: usize) {
    let mut number = 0u32;
    while shared.sending.load(Ordering::Relaxed) {
        let (header, body) = shared.pattern.message(number, size);
        let mut message = BytesMut::with_capacity(size);
        message.extend_from_slice(&header);
        message.extend_from_slice(body);
        if let Err(error) = channel.send(message).await {
            eprintln!("sending: {error}");
            break;
        }
        number = number.wrapping_add(1);
        shared.sent.fetch_add(1, Ordering::Relaxed);
    }
    shared.senders.fetch_sub(1, Ordering::SeqCst);
}

async fn receive(channel: Arc<dyn DataChannel>, shared: Arc<Shared>) {
    let mut next = 0;
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnMessage(RTCDataChannelMessage { data, .. }) if Pattern::is_ping(&data) => {
                if let Err(error) = channel.send(data).await {
                    eprintln!("sending back: {error}");
                }
            }
            DataChannelEvent::OnMessage(message) => {
                shared.tally().count(&shared.pattern, &mut next, &message.data);
            }
            DataChannelEvent::OnClose => return,
            _ => {}
        }
    }
}
