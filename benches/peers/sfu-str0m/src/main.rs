//! A minimal SFU on str0m: one room, one thread, one socket, in RTP mode.
//!
//! str0m has no input and output of its own; this is the loop of its own SFU example (hand in what came, poll until
//! it names a time, wait until then), with three things that cost little and help much: RTP mode instead of taking
//! frames apart, a table of addresses instead of asking every client, and all datagrams that wait are taken in
//! before anything is forwarded.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::mpsc::{self, Receiver, SyncSender},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use sfu_http::Role;
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::SdpOffer,
    media::{Direction, KeyframeRequest, MediaKind, Mid},
    net::{Protocol, Receive},
    rtp::{RtpPacket, RtpWrite},
};

/// Asked for, as this project's server does; the kernel gives as much as it may.
const SOCKET_BUFFER: usize = 4 << 20;
/// Datagrams that are taken in before anything is sent.
const LOT_MAX: usize = 64;
/// New clients wait no longer than this.
const IDLE_MAX: Duration = Duration::from_millis(20);

/// A client from HTTP.
struct Arrival {
    rtc: Rtc,
    role: Role,
}

struct Client {
    rtc: Rtc,
    role: Role,
    /// Its sections in their order.
    sections: Vec<(Mid, MediaKind)>,
    /// When str0m wants to be called.
    due: Instant,
}

/// A published track: client and section; its place in the list is that of its kind.
type Track = (usize, Mid, MediaKind);

struct Sfu {
    socket: UdpSocket,
    local: SocketAddr,
    clients: Vec<Client>,
    by_address: HashMap<SocketAddr, usize>,
    tracks: Vec<Track>,
    /// Received and not yet forwarded: track and packet.
    lot: Vec<(usize, RtpPacket)>,
    wanted: Vec<(usize, KeyframeRequest)>,
}

fn main() -> Result<()> {
    str0m::crypto::from_feature_flags().install_process_default();
    let socket = UdpSocket::bind((sfu_http::media_address()?, 0))?;
    // All clients share it; the default holds what fifty publishers send within milliseconds.
    let buffers = socket2::SockRef::from(&socket);
    buffers.set_recv_buffer_size(SOCKET_BUFFER)?;
    buffers.set_send_buffer_size(SOCKET_BUFFER)?;
    let local = socket.local_addr()?;
    let (sender, arrivals) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        let sfu = Sfu {
            socket,
            local,
            clients: Vec::new(),
            by_address: HashMap::new(),
            tracks: Vec::new(),
            lot: Vec::new(),
            wanted: Vec::new(),
        };
        if let Err(error) = sfu.run(&arrivals) {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
    });
    sfu_http::serve(move |role, offer| answer(local, &sender, role, &offer))
}

fn answer(local: SocketAddr, sender: &SyncSender<Arrival>, role: Role, offer: &str) -> Result<String> {
    let mut rtc = Rtc::builder().set_rtp_mode(true).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, "udp")?).context("our own candidate")?;
    let answer = rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer)?)?;
    sender.send(Arrival { rtc, role }).context("the loop has ended")?;
    Ok(answer.to_sdp_string())
}

impl Sfu {
    fn run(mut self, arrivals: &Receiver<Arrival>) -> Result<()> {
        let mut buffer = vec![0; 2_000];
        loop {
            while let Ok(arrival) = arrivals.try_recv() {
                self.add(arrival)?;
            }
            self.wait_and_receive(&mut buffer)?;
            self.forward()?;
            let now = Instant::now();
            for index in 0..self.clients.len() {
                if self.clients[index].due <= now {
                    self.clients[index].rtc.handle_input(Input::Timeout(now))?;
                    self.poll(index)?;
                }
            }
        }
    }

    fn add(&mut self, arrival: Arrival) -> Result<()> {
        let Arrival { rtc, role } = arrival;
        self.clients.push(Client { rtc, role, sections: Vec::new(), due: Instant::now() });
        self.poll(self.clients.len() - 1)
    }

    fn wait_and_receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        let now = Instant::now();
        let due = self.clients.iter().map(|client| client.due).min().unwrap_or(now + IDLE_MAX);
        let wait = due.saturating_duration_since(now).clamp(Duration::from_millis(1), IDLE_MAX);
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(wait))?;
        for number in 0..LOT_MAX {
            match self.socket.recv_from(buffer) {
                Ok((length, source)) => self.receive(source, &buffer[..length])?,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error.into()),
            }
            if number == 0 {
                self.socket.set_nonblocking(true)?;
            }
        }
        self.socket.set_nonblocking(false)?;
        Ok(())
    }

    fn receive(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<()> {
        let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, datagram) else { return Ok(()) };
        let input = Input::Receive(Instant::now(), receive);
        let known = self.by_address.get(&source).copied();
        let index = known.or_else(|| self.clients.iter().position(|client| client.rtc.accepts(&input)));
        let Some(index) = index else { return Ok(()) };
        self.by_address.insert(source, index);
        self.clients[index].rtc.handle_input(input)?;
        self.poll(index)
    }

    /// Hands every packet of the lot to every subscriber, one subscriber after the other.
    fn forward(&mut self) -> Result<()> {
        let lot = std::mem::take(&mut self.lot);
        if !lot.is_empty() {
            for index in 0..self.clients.len() {
                if self.clients[index].role == Role::Subscriber && self.write(index, &lot) {
                    self.poll(index)?;
                }
            }
        }
        // The allocation is used again.
        self.lot = lot;
        self.lot.clear();
        for (subscriber, request) in std::mem::take(&mut self.wanted) {
            self.request_key_frame(subscriber, request)?;
        }
        Ok(())
    }

    fn write(&mut self, index: usize, lot: &[(usize, RtpPacket)]) -> bool {
        let Client { rtc, sections, .. } = &mut self.clients[index];
        if !rtc.is_connected() {
            return false;
        }
        let mut written = false;
        for (track, packet) in lot {
            let Some(mid) = section_of(sections, &self.tracks, *track) else { continue };
            let mut direct = rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(mid, None) else { continue };
            let header = &packet.header;
            let time = packet.time.numer() as u32;
            let rtp = RtpWrite::new(
                header.payload_type,
                packet.seq_no,
                time,
                packet.timestamp,
                packet.payload.clone(),
            );
            stream.write_rtp(rtp.marker(header.marker).nackable(true));
            written = true;
        }
        written
    }

    fn request_key_frame(&mut self, subscriber: usize, request: KeyframeRequest) -> Result<()> {
        let Some(track) = track_of(&self.clients[subscriber].sections, &self.tracks, request.mid) else {
            return Ok(());
        };
        let (publisher, mid, _) = self.tracks[track];
        let mut direct = self.clients[publisher].rtc.direct_api();
        if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(request.kind);
        }
        self.poll(publisher)
    }

    /// Sends what a client has to send and keeps what it has to say.
    fn poll(&mut self, index: usize) -> Result<()> {
        loop {
            match self.clients[index].rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.clients[index].due = due;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // A full socket buffer loses the datagram, as a network would.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(event) => self.handle(index, event),
            }
        }
    }

    fn handle(&mut self, index: usize, event: Event) {
        match event {
            Event::MediaAdded(media) => {
                self.clients[index].sections.push((media.mid, media.kind));
                if self.clients[index].role == Role::Publisher && media.direction == Direction::RecvOnly {
                    self.tracks.push((index, media.mid, media.kind));
                }
            }
            Event::RtpPacket(packet) => {
                let Some(stream) =
                    self.clients[index].rtc.direct_api().stream_rx(&packet.header.ssrc).map(|s| s.mid())
                else {
                    return;
                };
                let track =
                    self.tracks.iter().position(|(client, mid, _)| (*client, *mid) == (index, stream));
                self.lot.extend(track.map(|track| (track, packet)));
            }
            Event::KeyframeRequest(request) => self.wanted.push((index, request)),
            _ => {}
        }
    }
}

/// The section that carries a track: the first of its kind carries the first track of its kind, and so on.
fn section_of(sections: &[(Mid, MediaKind)], tracks: &[Track], track: usize) -> Option<Mid> {
    let kind = tracks[track].2;
    let place = tracks[..track].iter().filter(|(_, _, other)| *other == kind).count();
    sections.iter().filter(|(_, other)| *other == kind).nth(place).map(|(mid, _)| *mid)
}

fn track_of(sections: &[(Mid, MediaKind)], tracks: &[Track], mid: Mid) -> Option<usize> {
    (0..tracks.len()).find(|track| section_of(sections, tracks, *track) == Some(mid))
}
