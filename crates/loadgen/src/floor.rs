//! The least that forwarding can cost on this machine: one loop that encrypts packets and sends them
//! with segmentation offload, to sockets that another thread empties.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_rtc::proto::srtp::{Outbound, Profile};
use anyhow::Context;
use clap::Args;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};

/// What to encrypt and send.
#[derive(Args)]
pub(crate) struct Options {
    /// RTP payload per packet, in bytes.
    #[arg(long, default_value_t = 1_000)]
    packet_bytes: usize,
    /// Receivers; each packet is sent to each of them.
    #[arg(long, default_value_t = 50)]
    destinations: usize,
    /// Packets that go to one destination in one send call.
    #[arg(long, default_value_t = 10)]
    lot: usize,
    /// Seconds to run.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where JSON goes; only `-`, the standard output, is supported.
    #[arg(long, default_value = "-")]
    json: String,
}

/// RTP header with the MID extension, as an SFU sends it.
const HEADER_BYTES: usize = 20;

struct Destination {
    address: SocketAddr,
    outbound: Outbound,
    sequence: u16,
}

/// Runs the loop and prints one JSON line.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let receivers = receivers(options.destinations)?;
    let mut destinations = Vec::new();
    for receiver in &receivers {
        let outbound = Outbound::new(Profile::AeadAes128Gcm, &[7; 16], &[9; 12])?;
        destinations.push(Destination { address: receiver.local_addr()?, outbound, sequence: 0 });
    }
    let stop = Arc::new(AtomicBool::new(false));
    let drain = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || drain(&receivers, &stop)
    });
    let (packets, cpu_seconds, wall) = send_all(options, &mut destinations)?;
    stop.store(true, Ordering::Relaxed);
    drain.join().ok().context("the receiving thread panicked")?;
    let per_packet = cpu_seconds * 1e6 / packets as f64;
    let line = serde_json::json!({
        "packets": packets,
        "cpu_us_per_packet": per_packet,
        "packets_per_second": packets as f64 / wall.as_secs_f64(),
    });
    println!("{line}");
    Ok(())
}

fn receivers(count: usize) -> anyhow::Result<Vec<UdpSocket>> {
    (0..count)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").context("binding a receiver")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .collect()
}

/// Empties the sockets: a full one would make the kernel drop earlier, and sending look cheaper.
fn drain(receivers: &[UdpSocket], stop: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        for receiver in receivers {
            while receiver.recv(&mut buffer).is_ok() {}
        }
    }
}

fn send_all(options: &Options, destinations: &mut [Destination]) -> anyhow::Result<(u64, f64, Duration)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let plain = HEADER_BYTES + options.packet_bytes;
    let lot = options.lot.clamp(1, state.max_gso_segments());
    let mut slab = vec![0u8; lot * (plain + 16)];
    let (started, cpu_before) = (Instant::now(), thread_cpu_seconds()?);
    let mut packets = 0u64;
    while started.elapsed().as_secs_f64() < options.seconds {
        for destination in &mut *destinations {
            let mut used = 0;
            for _ in 0..lot {
                let buffer = &mut slab[used..];
                write_packet(&mut buffer[..plain], destination.sequence);
                destination.sequence = destination.sequence.wrapping_add(1);
                used += destination.outbound.protect_rtp(buffer, plain)?;
            }
            let transmit = Transmit {
                destination: destination.address,
                ecn: None,
                contents: &slab[..used],
                segment_size: Some(used / lot),
                src_ip: None,
            };
            // A full socket buffer blocks: the socket is a blocking one.
            state.try_send(UdpSockRef::from(&socket), &transmit)?;
            packets += lot as u64;
        }
    }
    Ok((packets, thread_cpu_seconds()? - cpu_before, started.elapsed()))
}

fn write_packet(packet: &mut [u8], sequence: u16) {
    packet.fill(0x5a);
    packet[..12].copy_from_slice(&[0x90, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[12..20].copy_from_slice(&[0xbe, 0xde, 0, 1, 0x10, b'0', 0, 0]);
}

/// CPU time of this thread, user and system.
fn thread_cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .context("/proc/thread-self/schedstat: the floor is measured on Linux only")?;
    let nanoseconds: u64 = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}
