//! The least that a data channel can cost on this machine: its three parts, each alone in a loop of one thread that
//! does both ends, without actors, channels, or a peer's clock.
//!
//! `sctp` makes and takes packets with the crate that the stack is built on; `records` seals and opens a DTLS record
//! for each packet with OpenSSL; `send` sends datagrams of that size with segmentation offload over loopback and
//! receives them with receive offload. Bytes are those of messages, not of packets.

mod records;
mod sctp;
mod send;

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, ValueEnum};
use data_driver::CpuTime;

/// User bytes of a full DATA chunk, as the stack cuts messages.
const CHUNK_BYTES: usize = 1_164;
/// A full packet: a common header, a chunk header, and these bytes.
const PACKET_BYTES: usize = 1_192;
const COMMON_HEADER: usize = 12;
const CHUNK_HEADER: usize = 16;
/// Between two looks at the clock.
const STEP_BYTES: u64 = 1 << 20;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    part: Part,
    /// Bytes of a message.
    #[arg(long, default_value_t = 65_536)]
    size: usize,
    /// Streams that take turns; `sctp` only.
    #[arg(long, default_value_t = 1)]
    channels: u16,
    /// Seconds to run.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// sctp-proto, both ends in memory.
    Sctp,
    /// DTLS records, sealed and opened in memory.
    Records,
    /// Datagrams over loopback.
    Send,
}

/// One part: each call does as much as it likes to, and says how many bytes of messages went through.
trait Floor {
    fn step(&mut self) -> anyhow::Result<u64>;
}

/// Runs one part and prints one JSON line.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if options.size == 0 || options.size > 256 * 1024 || options.channels == 0 {
        bail!("--size is 1 to 262144 and --channels at least 1");
    }
    let mut floor: Box<dyn Floor> = match options.part {
        Part::Sctp => Box::new(sctp::InMemory::new(options.size, options.channels)?),
        Part::Records => Box::new(records::Records::new(Shape::of(options.size))?),
        Part::Send => Box::new(send::Loopback::new(Shape::of(options.size))?),
    };
    // Caches, congestion window, allocator.
    run_for(floor.as_mut(), Duration::from_secs_f64(options.seconds / 4.0))?;
    let (started, cpu) = (Instant::now(), CpuTime::of_this_process()?);
    let bytes = run_for(floor.as_mut(), Duration::from_secs_f64(options.seconds))? as f64;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), CpuTime::of_this_process()?.cpu - cpu.cpu);
    println!("{}", serde_json::json!({"mb_per_s": bytes / 1e6 / wall, "cpu_s_per_gb": cpu / (bytes / 1e9)}));
    Ok(())
}

fn run_for(floor: &mut dyn Floor, time: Duration) -> anyhow::Result<u64> {
    let (started, mut bytes) = (Instant::now(), 0);
    while started.elapsed() < time {
        let until = bytes + STEP_BYTES;
        while bytes < until {
            bytes += floor.step()?;
        }
    }
    Ok(bytes)
}

/// How messages of a size fill packets.
#[derive(Clone, Copy)]
struct Shape {
    packet_bytes: usize,
    message_bytes: u64,
}

impl Shape {
    fn of(size: usize) -> Self {
        if size >= CHUNK_BYTES {
            return Self { packet_bytes: PACKET_BYTES, message_bytes: CHUNK_BYTES as u64 };
        }
        let chunk = CHUNK_HEADER + size.next_multiple_of(4);
        let chunks = (PACKET_BYTES - COMMON_HEADER) / chunk;
        Self { packet_bytes: COMMON_HEADER + chunks * chunk, message_bytes: (chunks * size) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_moves_bytes() {
        for size in [100, 1_024, 65_536] {
            let floors: [Box<dyn Floor>; 3] = [
                Box::new(sctp::InMemory::new(size, 3).unwrap()),
                Box::new(records::Records::new(Shape::of(size)).unwrap()),
                Box::new(send::Loopback::new(Shape::of(size)).unwrap()),
            ];
            for mut floor in floors {
                let bytes: u64 = (0..50).map(|_| floor.step().unwrap()).sum();
                assert!(bytes >= size as u64, "{bytes} bytes of messages of {size}");
            }
        }
    }

    #[test]
    fn small_messages_share_packets() {
        assert_eq!((Shape::of(100).packet_bytes, Shape::of(100).message_bytes), (1_172, 1_000));
        assert_eq!(Shape::of(1_024).message_bytes, 1_024);
        assert_eq!(Shape::of(65_536).packet_bytes, PACKET_BYTES);
    }
}
