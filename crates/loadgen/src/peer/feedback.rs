//! RTCP that a peer sends of its own accord: reports, requests for key frames, and, with `--repair`, for packets.

use std::time::SystemTime;

use crate::{
    media::{Encoder, Kind},
    rtcp,
    tally::Tally,
};

/// Packets of one source asked for at a time.
const REPAIRS_MAX: usize = 64;
/// The bandwidth that is claimed, in bit/s: enough for everything.
const BANDWIDTH: u32 = 50_000_000;
/// Seconds between the epochs of NTP and Unix.
const NTP_EPOCH: u64 = 2_208_988_800;

/// What a publisher says of a stream.
pub(super) fn sender_report(encoder: &Encoder) -> Vec<u8> {
    let mut compound = Vec::new();
    let sender = rtcp::Sender {
        ssrc: encoder.ssrc,
        ntp: ntp_now(),
        timestamp: encoder.timestamp(),
        packets: encoder.packets,
        octets: encoder.octets,
    };
    rtcp::write_sender_report(&mut compound, &sender);
    compound
}

/// A report now and then, and a request for a key frame for each video source that has shown none.
pub(super) fn of_subscriber(
    ssrc: u32,
    tally: &Tally,
    kinds: &[(u8, Kind)],
    reports: bool,
) -> Option<Vec<u8>> {
    let sources: Vec<(u32, u32)> =
        tally.sources.iter().map(|(ssrc, source)| (*ssrc, source.highest())).collect();
    let has_video = kinds.iter().any(|(_, kind)| *kind == Kind::Video);
    let undecodable: Vec<u32> =
        tally.sources.iter().filter(|(_, source)| !source.decodable).map(|(ssrc, _)| *ssrc).collect();
    let asks = has_video && !undecodable.is_empty();
    if sources.is_empty() || !(reports || asks) {
        return None;
    }
    let mut compound = Vec::new();
    rtcp::write_receiver_report(&mut compound, ssrc, &sources);
    if asks {
        undecodable.iter().for_each(|source| rtcp::write_pli(&mut compound, ssrc, *source));
    }
    Some(compound)
}

/// What is missing of each source, and that there is bandwidth enough.
pub(super) fn repair(ssrc: u32, tally: &Tally) -> Option<Vec<u8>> {
    let sources: Vec<u32> = tally.sources.keys().copied().collect();
    if sources.is_empty() {
        return None;
    }
    let mut compound = Vec::new();
    rtcp::write_receiver_report(&mut compound, ssrc, &[]);
    for (source, missing) in &tally.sources {
        let missing = missing.missing(REPAIRS_MAX);
        if !missing.is_empty() {
            rtcp::write_nack(&mut compound, ssrc, *source, &missing);
        }
    }
    rtcp::write_estimate(&mut compound, ssrc, BANDWIDTH, &sources);
    Some(compound)
}

/// NTP time, 32.32 bits, as sender reports carry it.
fn ntp_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + NTP_EPOCH) << 32) | fraction
}
