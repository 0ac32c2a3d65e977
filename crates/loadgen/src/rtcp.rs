//! The few RTCP packets that a peer must send so that an SFU treats it as alive, and those it obeys.

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// RFC 3550 §6.4.1: the count has five bits.
const BLOCKS_MAX: usize = 31;

/// What a sender report says.
pub(crate) struct Sender {
    pub(crate) ssrc: u32,
    /// NTP time, 32.32 bits.
    pub(crate) ntp: u64,
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// What the other side asks of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// PLI or FIR for this source; zero for whatever is sent.
    KeyFrame(u32),
    /// These packets of this source again.
    Retransmission { ssrc: u32, sequences: Vec<u16> },
}

fn header(to: &mut Vec<u8>, count: usize, packet_type: u8, words: usize) {
    to.extend_from_slice(&[0x80 | count as u8, packet_type]);
    to.extend_from_slice(&(words as u16).to_be_bytes());
}

/// Appends a sender report without report blocks.
pub(crate) fn write_sender_report(to: &mut Vec<u8>, sender: &Sender) {
    header(to, 0, SENDER_REPORT, 6);
    to.extend_from_slice(&sender.ssrc.to_be_bytes());
    to.extend_from_slice(&sender.ntp.to_be_bytes());
    for word in [sender.timestamp, sender.packets, sender.octets] {
        to.extend_from_slice(&word.to_be_bytes());
    }
}

/// Appends a receiver report on sources, given with the highest sequence number received. It says that nothing
/// was lost: a sender that adapts would measure something else than forwarding.
pub(crate) fn write_receiver_report(to: &mut Vec<u8>, own: u32, sources: &[(u32, u32)]) {
    let sources = &sources[..sources.len().min(BLOCKS_MAX)];
    header(to, sources.len(), RECEIVER_REPORT, 1 + 6 * sources.len());
    to.extend_from_slice(&own.to_be_bytes());
    for (ssrc, highest) in sources {
        for word in [*ssrc, 0, *highest, 0, 0, 0] {
            to.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Appends a picture loss indication (RFC 4585 §6.3.1).
pub(crate) fn write_pli(to: &mut Vec<u8>, own: u32, source: u32) {
    header(to, 1, PAYLOAD_FEEDBACK, 2);
    to.extend_from_slice(&own.to_be_bytes());
    to.extend_from_slice(&source.to_be_bytes());
}

/// Appends a generic NACK (RFC 4585 §6.2.1), one entry for each packet.
pub(crate) fn write_nack(to: &mut Vec<u8>, own: u32, source: u32, sequences: &[u16]) {
    header(to, 1, TRANSPORT_FEEDBACK, 2 + sequences.len());
    to.extend_from_slice(&own.to_be_bytes());
    to.extend_from_slice(&source.to_be_bytes());
    for sequence in sequences {
        to.extend_from_slice(&sequence.to_be_bytes());
        to.extend_from_slice(&[0, 0]);
    }
}

/// Appends an estimate of the bandwidth (REMB, draft-alvestrand-rmcat-remb-03) in bit/s, for all sources.
pub(crate) fn write_estimate(to: &mut Vec<u8>, own: u32, bits: u32, sources: &[u32]) {
    let sources = &sources[..sources.len().min(u8::MAX.into())];
    header(to, 15, PAYLOAD_FEEDBACK, 4 + sources.len());
    to.extend_from_slice(&own.to_be_bytes());
    to.extend_from_slice(&[0; 4]);
    to.extend_from_slice(b"REMB");
    // 18 bits of mantissa, 6 of exponent.
    let exponent = bits.checked_ilog2().unwrap_or(0).saturating_sub(17);
    let number = exponent << 18 | bits >> exponent;
    to.extend_from_slice(&((sources.len() as u32) << 24 | number).to_be_bytes());
    sources.iter().for_each(|source| to.extend_from_slice(&source.to_be_bytes()));
}

/// What a compound packet asks for.
pub(crate) fn requests(mut compound: &[u8]) -> Vec<Request> {
    let mut requests = Vec::new();
    while let [first, packet_type, high, low, ..] = *compound {
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some(packet) = compound.get(..length) else { break };
        match (packet_type, first & 0x1f) {
            (PAYLOAD_FEEDBACK, 1) => requests.extend(word(packet, 8).map(Request::KeyFrame)),
            (PAYLOAD_FEEDBACK, 4) => {
                let entries = packet.get(12..).unwrap_or_default().chunks_exact(8);
                requests.extend(entries.filter_map(|entry| word(entry, 0)).map(Request::KeyFrame));
            }
            (TRANSPORT_FEEDBACK, 1) => {
                let entries = packet.get(12..).unwrap_or_default().chunks_exact(4);
                let sequences = entries.flat_map(missing).collect();
                requests.extend(word(packet, 8).map(|ssrc| Request::Retransmission { ssrc, sequences }));
            }
            _ => {}
        }
        compound = &compound[length..];
    }
    requests
}

/// One entry of a NACK: a number, and a bit for each of the 16 behind it.
fn missing(entry: &[u8]) -> impl Iterator<Item = u16> {
    let first = u16::from_be_bytes([entry[0], entry[1]]);
    let bits = u32::from(u16::from_be_bytes([entry[2], entry[3]])) << 1 | 1;
    (0..17).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| first.wrapping_add(bit))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retransmission(sequences: &[u16]) -> Request {
        Request::Retransmission { ssrc: 2, sequences: sequences.to_vec() }
    }

    #[test]
    fn what_is_asked_for_again_is_read_as_it_was_written() {
        let mut compound = Vec::new();
        write_nack(&mut compound, 1, 2, &[65_535, 3]);
        write_estimate(&mut compound, 1, 5_000_000, &[2]);
        write_nack(&mut compound, 1, 2, &[7]);
        assert_eq!(requests(&compound), [retransmission(&[65_535, 3]), retransmission(&[7])]);
        let estimate = &compound[20..][..24];
        // 5,000,000 is 156,250 times 2 to the power of 5.
        assert_eq!(&estimate[12..20], [b'R', b'E', b'M', b'B', 1, 5 << 2 | 2, 0x62, 0x5a]);
    }

    #[test]
    fn a_compound_packet_is_read_to_its_end() {
        let mut compound = Vec::new();
        write_receiver_report(&mut compound, 1, &[(2, 3), (4, 5)]);
        write_pli(&mut compound, 1, 2);
        // FIR for source 4, NACK for two packets.
        compound.extend([0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0]);
        compound.extend([0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 1]);
        let expected = [Request::KeyFrame(2), Request::KeyFrame(4), retransmission(&[9, 10])];
        assert_eq!(requests(&compound), expected);
        assert_eq!(requests(&compound[..compound.len() - 1]), expected[..2]);
    }
}
