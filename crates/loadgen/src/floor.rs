//! The least that forwarding can cost on this machine: one loop that copies and encrypts the packets of the same
//! publishers for each destination and sends them with segmentation offload. It reads nothing, keeps no history
//! and knows no peers.
//!
//! Another thread empties the receiving sockets the way the load generator does: packets for full sockets would
//! be dropped early and look cheaper than they are.

use std::{
    io::IoSliceMut,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_rtc::proto::srtp::{Outbound, Profile as SrtpProfile};
use anyhow::Context;
use clap::Args;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::media::{Encoder, Profile, Synthetic};

/// What to encrypt and send.
#[derive(Args)]
pub(crate) struct Options {
    /// What each publisher sends
    #[arg(long, value_enum, default_value = "video")]
    profile: Profile,
    /// RTP payload per packet, in bytes (profile synthetic)
    #[arg(long, default_value_t = 1_000)]
    packet_bytes: usize,
    /// Packets per second of each publisher, in 30 frames (profile synthetic)
    #[arg(long, default_value_t = 300)]
    packets_per_second: u32,
    /// Streams of packets
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Receivers; each packet is sent to each of them
    #[arg(long, default_value_t = 50)]
    destinations: usize,
    /// Keep to the publishers' pace instead of sending as fast as possible
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    paced: bool,
    /// Seconds to run
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Core for the sending thread; taskset must exist
    #[arg(long)]
    send_core: Option<u32>,
    /// Core for the receiving thread; taskset must exist
    #[arg(long)]
    drain_core: Option<u32>,
    /// Where JSON goes; only `-`, the standard output, is supported
    #[arg(long, default_value = "-")]
    json: String,
}

/// Destinations that share a socket, as with the load generator.
const DESTINATIONS_PER_SOCKET: usize = 32;
/// Asked for; the kernel gives as much as it may.
const SOCKET_BUFFER: usize = 8 << 20;

struct Destination {
    address: SocketAddr,
    outbound: Outbound,
}

/// What the loop used.
#[derive(Default)]
struct Sent {
    packets: u64,
    calls: u64,
}

/// Runs the loop and prints one JSON line.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let receivers = receivers(options.destinations.div_ceil(DESTINATIONS_PER_SOCKET))?;
    let mut destinations = destinations(options.destinations, &receivers)?;
    let stop = Arc::new(AtomicBool::new(false));
    let drain = std::thread::spawn({
        let (stop, core) = (Arc::clone(&stop), options.drain_core);
        move || {
            pin(core);
            drain(&receivers, &stop)
        }
    });
    pin(options.send_core);
    let (start, cpu_before) = (Instant::now(), thread_cpu_seconds()?);
    let sent = send_all(options, &mut destinations)?;
    let (cpu, wall) = (thread_cpu_seconds()? - cpu_before, start.elapsed().as_secs_f64());
    stop.store(true, Ordering::Relaxed);
    let received = drain.join().ok().context("the receiving thread panicked")?;
    let packets = sent.packets as f64;
    let line = serde_json::json!({
        "packets": sent.packets,
        "received": received,
        "cpu_us_per_packet": cpu * 1e6 / packets,
        "cores_used": cpu / wall,
        "packets_per_second": packets / wall,
        "send_calls_per_packet": sent.calls as f64 / packets,
        "srtp_profile": SrtpProfile::AeadAes128Gcm.name(),
    });
    println!("{line}");
    Ok(())
}

/// Moves the calling thread to a core; without taskset it stays where it is.
pub(crate) fn pin(core: Option<u32>) {
    let Some(core) = core else { return };
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return };
    let Some(id) = thread.file_name().and_then(|name| name.to_str().map(str::to_owned)) else { return };
    let mut taskset = std::process::Command::new("taskset");
    taskset.args(["-p", "-c", &core.to_string(), &id]).stdout(std::process::Stdio::null());
    if !taskset.status().is_ok_and(|status| status.success()) {
        eprintln!("thread {id} could not be moved to core {core}");
    }
}

fn receivers(count: usize) -> anyhow::Result<Vec<(UdpSocket, UdpSocketState)>> {
    let receiver = |_| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("binding a receiver")?;
        // Offload on this side too: otherwise the kernel would cut lots apart on the sender's time.
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        socket.set_nonblocking(true)?;
        Ok((socket, state))
    };
    (0..count.max(1)).map(receiver).collect()
}

/// Each has an address of its own, in 127.2.0.0/16.
fn destinations(count: usize, receivers: &[(UdpSocket, UdpSocketState)]) -> anyhow::Result<Vec<Destination>> {
    let first = u32::from(Ipv4Addr::new(127, 2, 0, 1));
    let destination = |index: usize| {
        let port = receivers[index % receivers.len()].0.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::from(first + index as u32), port));
        let key = [index as u8; 16];
        Ok(Destination { address, outbound: Outbound::new(SrtpProfile::AeadAes128Gcm, &key, &[9; 12])? })
    };
    (0..count).map(destination).collect()
}

/// Empties the sockets; returns how many packets came.
fn drain(receivers: &[(UdpSocket, UdpSocketState)], stop: &AtomicBool) -> u64 {
    let mut buffers: Vec<Vec<u8>> = vec![vec![0; 1 << 16]; BATCH_SIZE];
    let mut metas = vec![RecvMeta::default(); BATCH_SIZE];
    let mut received = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for (socket, state) in receivers {
            let mut slices: Vec<IoSliceMut<'_>> =
                buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            if let Ok(count) = state.recv(UdpSockRef::from(socket), &mut slices, &mut metas) {
                idle = false;
                received +=
                    metas[..count].iter().map(|meta| meta.len.div_ceil(meta.stride) as u64).sum::<u64>();
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    received
}

fn send_all(options: &Options, destinations: &mut [Destination]) -> anyhow::Result<Sent> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
    let mut streams = streams(options);
    let (mut frame, mut lengths, mut slab) = (Vec::new(), Vec::new(), Vec::new());
    let (start, mut sent) = (Instant::now(), Sent::default());
    let (mut now, duration) = (Duration::ZERO, Duration::from_secs_f64(options.seconds));
    // The stream whose next frame is due first: in the order in which a server would get them.
    while let Some((encoder, due)) = streams.iter_mut().min_by_key(|(_, due)| *due) {
        if options.paced {
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        frame.clear();
        lengths.clear();
        now = now.max(*due);
        encoder.frame(now.as_nanos() as u64, 0, &mut frame, &mut lengths);
        *due += encoder.interval();
        for destination in &mut *destinations {
            slab.clear();
            encrypt(&frame, &lengths, destination, &mut slab)?;
            sent.calls += send(&socket, &state, destination.address, &slab, &lengths)?;
            sent.packets += lengths.len() as u64;
        }
        if start.elapsed() >= duration {
            break;
        }
    }
    Ok(sent)
}

/// One encoder per stream of all publishers, with the time of its next frame.
fn streams(options: &Options) -> Vec<(Encoder, Duration)> {
    let synthetic =
        Synthetic { packet_bytes: options.packet_bytes, packets_per_second: options.packets_per_second };
    let tracks = options.profile.tracks(synthetic);
    let mut streams = Vec::new();
    for publisher in 0..options.publishers {
        let phase = (f64::from(publisher) * 0.618_034).fract();
        for (index, track) in tracks.iter().enumerate() {
            let encoders = Encoder::of_track(publisher, index, track, &index.to_string());
            streams.extend(encoders.into_iter().map(|encoder| {
                let due = encoder.interval().mul_f64(phase);
                (encoder, due)
            }));
        }
    }
    streams
}

/// Copies the frame's packets into the slab and encrypts them there.
fn encrypt(
    frame: &[u8],
    lengths: &[usize],
    destination: &mut Destination,
    slab: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let overhead = destination.outbound.rtp_overhead();
    let mut at = 0;
    for &length in lengths {
        let start = slab.len();
        slab.extend_from_slice(&frame[at..at + length]);
        slab.resize(start + length + overhead, 0);
        destination.outbound.protect_rtp(&mut slab[start..], length)?;
        at += length;
    }
    Ok(())
}

/// Sends runs of equal packets; the last of a run may be shorter. Returns the number of calls.
fn send(
    socket: &UdpSocket,
    state: &UdpSocketState,
    destination: SocketAddr,
    slab: &[u8],
    lengths: &[usize],
) -> anyhow::Result<u64> {
    let overhead = (slab.len() - lengths.iter().sum::<usize>()) / lengths.len().max(1);
    let (mut calls, mut at, mut index) = (0, 0, 0);
    while index < lengths.len() {
        let most = lengths.len().min(index + state.max_gso_segments());
        let equal = lengths[index..most].iter().take_while(|length| **length == lengths[index]).count();
        let shorter = lengths[..most].get(index + equal).is_some_and(|length| *length < lengths[index]);
        let count = equal + usize::from(shorter);
        let bytes: usize = lengths[index..index + count].iter().map(|length| length + overhead).sum();
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &slab[at..at + bytes],
            segment_size: (count > 1).then_some(lengths[index] + overhead),
            src_ip: None,
        };
        // A full socket buffer blocks: the socket is a blocking one.
        state.try_send(UdpSockRef::from(socket), &transmit)?;
        (calls, at, index) = (calls + 1, at + bytes, index + count);
    }
    Ok(calls)
}

/// CPU time of this thread, user and system.
pub(crate) fn thread_cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .context("/proc/thread-self/schedstat: the floor is measured on Linux only")?;
    let nanoseconds: u64 = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}
