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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// PLI or FIR for this source; zero for whatever is sent.
    KeyFrame(u32),
    /// So many packets again.
    Retransmission(u32),
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
                let packets = entries.map(|entry| 1 + u16::from_be_bytes([entry[2], entry[3]]).count_ones());
                requests.push(Request::Retransmission(packets.sum()));
            }
            _ => {}
        }
        compound = &compound[length..];
    }
    requests
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compound_packet_is_read_to_its_end() {
        let mut compound = Vec::new();
        write_receiver_report(&mut compound, 1, &[(2, 3), (4, 5)]);
        write_pli(&mut compound, 1, 2);
        // FIR for source 4, NACK for two packets.
        compound.extend([0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0]);
        compound.extend([0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 1]);
        let expected = [Request::KeyFrame(2), Request::KeyFrame(4), Request::Retransmission(2)];
        assert_eq!(requests(&compound), expected);
        assert_eq!(requests(&compound[..compound.len() - 1]), expected[..2]);
    }
}
