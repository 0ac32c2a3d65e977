//! SCTP alone: two associations of the crate that hand each other packets.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppid, ServerConfig, StreamEvent, TransportConfig,
};

use super::{CHUNK_BYTES, Floor};

const WINDOW: u32 = 8 << 20;
/// Written and not yet read: little, because what the crate does for a chunk grows with how many are in flight. With
/// eight times as much, small messages cost three times as much.
const LEAD: u64 = 32 << 10;
/// A handshake is four packets.
const HANDSHAKE_STEPS: usize = 100;

struct End {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
}

pub(super) struct InMemory {
    client: End,
    server: End,
    message: Bytes,
    buffer: Vec<u8>,
    channels: u16,
    next: u16,
    written: u64,
    read: u64,
}

impl InMemory {
    pub(super) fn new(size: usize, channels: u16) -> anyhow::Result<Self> {
        let transport = Arc::new(
            TransportConfig::default()
                .with_max_receive_buffer_size(WINDOW)
                .with_max_receive_message_size(256 << 10)
                .with_max_send_message_size(256 << 10),
        );
        let end = || {
            let mut config = EndpointConfig::new();
            config.max_payload_size(CHUNK_BYTES as u32);
            let mut server = ServerConfig::new();
            server.transport = Arc::clone(&transport);
            End { endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))), association: None }
        };
        let (mut client, server) = (end(), end());
        let mut config = ClientConfig::default();
        config.transport = Arc::clone(&transport);
        client.association = Some(client.endpoint.connect(config, peer())?);
        let message = Bytes::from(vec![0x5a; size]);
        let buffer = vec![0; size];
        let mut floor = Self { client, server, message, buffer, channels, next: 0, written: 0, read: 0 };
        floor.connect()?;
        Ok(floor)
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        for _ in 0..HANDSHAKE_STEPS {
            self.exchange()?;
            let open = |end: &End| end.association.as_ref().is_some_and(|(_, a)| !a.is_handshaking());
            if open(&self.client) && open(&self.server) {
                let (_, association) = self.client.association.as_mut().context("no association")?;
                for id in 0..self.channels {
                    association.open_stream(id, Ppid::Binary)?;
                }
                return Ok(());
            }
        }
        bail!("the associations did not connect")
    }

    /// Carries everything that is there to the other end, both ways.
    fn exchange(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        carry(now, &mut self.client, &mut self.server);
        self.read_all()?;
        carry(now, &mut self.server, &mut self.client);
        let (_, client) = self.client.association.as_mut().context("no association")?;
        while client.poll().is_some() {}
        Ok(())
    }

    fn read_all(&mut self) -> anyhow::Result<()> {
        let Some((_, association)) = &mut self.server.association else { return Ok(()) };
        while let Some(event) = association.poll() {
            match event {
                Event::Stream(StreamEvent::Readable { id }) => {
                    while let Some(chunks) = association.stream(id)?.read()? {
                        let length = chunks.read(&mut self.buffer)?;
                        if length != self.message.len() {
                            bail!("a message of {length} bytes");
                        }
                        self.read += length as u64;
                    }
                }
                Event::Stream(StreamEvent::Opened { .. }) => while association.accept_stream().is_some() {},
                Event::AssociationLost { reason } => bail!("{reason}"),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Floor for InMemory {
    fn step(&mut self) -> anyhow::Result<u64> {
        let before = self.read;
        let (_, association) = self.client.association.as_mut().context("no association")?;
        while self.written - self.read < LEAD {
            association.stream(self.next)?.write_chunk(&self.message)?;
            self.written += self.message.len() as u64;
            self.next = (self.next + 1) % self.channels;
        }
        self.exchange()?;
        if self.read == before {
            // Everything is in flight: the delayed acknowledgement is what comes next.
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(self.read - before)
    }
}

/// The address that either end believes the other to have.
fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5_000))
}

fn carry(now: Instant, from: &mut End, to: &mut End) {
    while let Some(transmit) = from.endpoint.poll_transmit() {
        deliver(now, to, transmit.payload);
    }
    let Some((handle, association)) = &mut from.association else { return };
    if association.poll_timeout().is_some_and(|due| due <= now) {
        association.handle_timeout(now);
    }
    while let Some(event) = association.poll_endpoint_event() {
        if let Some(answer) = from.endpoint.handle_event(*handle, event) {
            association.handle_event(answer);
        }
    }
    while let Some(transmit) = association.poll_transmit(now) {
        deliver(now, to, transmit.payload);
    }
}

fn deliver(now: Instant, to: &mut End, payload: Payload) {
    let Payload::RawEncode(packets) = payload else { return };
    for packet in packets {
        match to.endpoint.handle(now, peer(), None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                to.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut to.association {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
    }
}
