//! One end of a bench of data channels on str0m: see the crate `data-driver` for what is asked of it.
//!
//! str0m has no input and output of its own. Its documentation has a loop of one thread: hand in what came, poll
//! until it names a time, wait until then. This is that loop; with `--offload` its socket uses GSO and GRO.

mod socket;

use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use data_driver::{Command, PING, Pattern, Report, Tally};
use socket::Socket;
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    channel::ChannelId,
    net::{Protocol, Receive},
};

/// Messages of more than this are not asked for.
const LARGEST_MESSAGE: usize = 256 * 1024;
/// How much str0m may buffer: its default. With more, its sender is slower.
const SEND_BUFFER: usize = 128 << 10;
/// Messages in flight on all channels: sctp-proto sorts what is in flight at every chunk, so that more small ones
/// cost more than they bring.
const MESSAGES_IN_FLIGHT: usize = 64;
/// How often commands are looked for while nothing else happens.
const IDLE: Duration = Duration::from_millis(2);
/// Receive calls between two turns of sending.
const RECEIVES_PER_TURN: usize = 32;

/// A channel, in the order of opening.
struct Channel {
    id: ChannelId,
    /// Number of the next message, sent or expected.
    next: u32,
    /// The message that str0m had no room for.
    waiting: bool,
    message: Vec<u8>,
}

struct Pings {
    left: usize,
    size: usize,
    sent: Instant,
    times: Vec<f64>,
}

struct Driver {
    rtc: Rtc,
    socket: Socket,
    started: Instant,
    pattern: Pattern,
    pending: Option<SdpPendingOffer>,
    channels: Vec<Channel>,
    numbers: HashMap<ChannelId, usize>,
    /// Channels that have to open; 0 once they have.
    awaited: usize,
    size: usize,
    sending: bool,
    sent: u64,
    tally: Tally,
    pings: Option<Pings>,
}

fn main() -> Result<()> {
    str0m::crypto::from_feature_flags().install_process_default();
    let batched = std::env::args().any(|argument| argument == "--offload");
    let (sender, commands) = channel();
    data_driver::read_commands(move |command| sender.send(command).is_ok());
    let socket = Socket::bind(batched)?;
    let mut rtc = Rtc::builder().set_sctp_max_buffered_amount(SEND_BUFFER).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(socket.address(), "udp")?).context("our own candidate")?;
    let driver = Driver {
        rtc,
        socket,
        started: Instant::now(),
        pattern: Pattern::new(LARGEST_MESSAGE),
        pending: None,
        channels: Vec::new(),
        numbers: HashMap::new(),
        awaited: 0,
        size: 0,
        sending: false,
        sent: 0,
        tally: Tally::default(),
        pings: None,
    };
    driver.run(&commands)
}

impl Driver {
    fn run(mut self, commands: &Receiver<Command>) -> Result<()> {
        loop {
            match commands.try_recv() {
                Ok(command) => self.obey(command)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            let mut deadline = self.poll()?;
            while self.sending && self.write()? {
                deadline = self.poll()?;
            }
            self.socket.flush()?;
            self.socket.wait(deadline.min(Instant::now() + IDLE))?;
            self.receive()?;
            self.rtc.handle_input(Input::Timeout(Instant::now()))?;
        }
    }

    /// Hands in what has come. str0m wants to be polled after every datagram: its queue for DTLS is short.
    fn receive(&mut self) -> Result<()> {
        let destination = self.socket.address();
        for _ in 0..RECEIVES_PER_TURN {
            let Some(received) = self.socket.receive()? else { return Ok(()) };
            for (source, datagram) in received.datagrams() {
                let Ok(contents) = datagram.try_into() else { continue };
                let receive = Receive { proto: Protocol::Udp, source, destination, contents };
                self.rtc.handle_input(Input::Receive(Instant::now(), receive))?;
                self.poll()?;
            }
            self.socket.give_back(received);
        }
        Ok(())
    }

    /// Does what str0m wants done; returns when it wants to be asked again.
    fn poll(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(transmit) => self.socket.send(transmit.destination, &transmit.contents)?,
                Output::Event(event) => self.handle(event)?,
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::ChannelOpen(id, _) => {
                if let std::collections::hash_map::Entry::Vacant(entry) = self.numbers.entry(id) {
                    entry.insert(self.channels.len());
                    self.channels.push(Channel { id, next: 0, waiting: false, message: Vec::new() });
                }
                self.awaited = self.awaited.saturating_sub(1);
                if self.awaited == 0 {
                    Report::Open.print()?;
                }
            }
            Event::ChannelData(data) if Pattern::is_ping(&data.data) => match &mut self.pings {
                Some(pings) => {
                    pings.times.push(pings.sent.elapsed().as_secs_f64());
                    pings.left -= 1;
                    self.ping()?;
                }
                None => {
                    let channel = self.rtc.channel(data.id).context("a message of no channel")?;
                    write_all(channel, &data.data)?;
                }
            },
            Event::ChannelData(data) => {
                let number = *self.numbers.get(&data.id).context("a message of no channel")?;
                self.tally.count(&self.pattern, &mut self.channels[number].next, &data.data);
            }
            Event::IceConnectionStateChange(state) if state.is_disconnected() => bail!("disconnected"),
            _ => {}
        }
        Ok(())
    }

    /// Writes a message to each channel that has room; false when none has.
    fn write(&mut self) -> Result<bool> {
        let mut wrote = false;
        let limit = (MESSAGES_IN_FLIGHT * self.size / self.channels.len().max(1)).max(self.size);
        for channel in &mut self.channels {
            if !channel.waiting {
                let (header, body) = self.pattern.message(channel.next, self.size);
                channel.message.clear();
                channel.message.extend_from_slice(&header);
                channel.message.extend_from_slice(body);
            }
            let mut writer = self.rtc.channel(channel.id).context("a channel is gone")?;
            if writer.buffered_amount() >= limit {
                channel.waiting = true;
                continue;
            }
            channel.waiting = !writer.write(true, &channel.message)?;
            if !channel.waiting {
                channel.next = channel.next.wrapping_add(1);
                self.sent += 1;
                wrote = true;
            }
        }
        Ok(wrote)
    }

    fn ping(&mut self) -> Result<()> {
        let Some(pings) = &mut self.pings else { return Ok(()) };
        if pings.left == 0 {
            Report::pong(std::mem::take(&mut pings.times)).print()?;
            self.pings = None;
            return Ok(());
        }
        let message = self.pattern.whole(PING, pings.size);
        let id = self.channels.first().context("ping before open")?.id;
        pings.sent = Instant::now();
        write_all(self.rtc.channel(id).context("the channel is gone")?, &message)
    }

    fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Offer { channels } => {
                let mut api = self.rtc.sdp_api();
                for number in 0..channels {
                    api.add_channel(number.to_string());
                }
                let (offer, pending) = api.apply().context("nothing to offer")?;
                (self.pending, self.awaited) = (Some(pending), channels);
                Report::Offer { sdp: offer.to_sdp_string() }.print()
            }
            Command::Answer { sdp, channels } => {
                self.awaited = channels;
                let answer = self.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(&sdp)?)?;
                Report::Answer { sdp: answer.to_sdp_string() }.print()
            }
            Command::Accept { sdp } => {
                let pending = self.pending.take().context("an answer to no offer")?;
                Ok(self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&sdp)?)?)
            }
            Command::Send { size } => {
                (self.size, self.sending) = (size, true);
                Ok(())
            }
            Command::Sample { id } => Report::sample(id, self.started, self.tally)?.print(),
            Command::Stop => {
                self.sending = false;
                Report::Stopped { sent: self.sent }.print()
            }
            Command::Ping { count, size } => {
                self.pings =
                    Some(Pings { left: count, size, sent: Instant::now(), times: Vec::with_capacity(count) });
                self.ping()
            }
        }
    }
}

fn write_all(mut channel: str0m::channel::Channel<'_>, message: &[u8]) -> Result<()> {
    match channel.write(true, message)? {
        true => Ok(()),
        false => bail!("no room for a ping"),
    }
}
