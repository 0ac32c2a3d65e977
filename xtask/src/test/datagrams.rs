//! Datagrams that a media port must survive: random ones, and mutated ones that look like what it expects.
//!
//! The seeds are built here field by field: STUN with a valid header and fingerprint, DTLS records, RTP with
//! header extensions, RTCP compounds, TURN channel data. None of them carries a valid key or password.

/// xorshift64*: small, seeded, good enough to choose bytes.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 32) as usize) % end
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn word(&mut self) -> [u8; 4] {
        ((self.next() >> 32) as u32).to_be_bytes()
    }
}

/// The next datagram: one in four is noise, the others resemble a protocol, half of them damaged.
pub(crate) fn next(random: &mut Random) -> Vec<u8> {
    let mut datagram = match random.below(8) {
        0 | 1 => {
            let length = random.below(1500);
            return random.bytes(length);
        }
        2 | 3 => stun(random),
        4 => dtls(random),
        5 => rtp(random),
        6 => rtcp(random),
        _ => channel_data(random),
    };
    if random.below(2) == 0 {
        for _ in 0..=random.below(3) {
            mutate(random, &mut datagram);
        }
    }
    datagram
}

fn mutate(random: &mut Random, datagram: &mut Vec<u8>) {
    if datagram.is_empty() {
        return;
    }
    let at = random.below(datagram.len());
    match random.below(5) {
        0 => datagram[at] ^= 1 << random.below(8),
        1 => datagram[at] = [0, 0x7f, 0x80, 0xff][random.below(4)],
        2 => datagram.truncate(at),
        3 => {
            let more = random.below(64);
            datagram.extend(random.bytes(more));
        }
        // Bytes 2 and 3 hold a length or a count in most of these formats.
        _ => {
            for (place, byte) in datagram.iter_mut().skip(2).zip(random.word()).take(2) {
                *place = byte;
            }
        }
    }
}

/// RFC 8489: a Binding request for nobody, with a fingerprint that is right.
fn stun(random: &mut Random) -> Vec<u8> {
    let kind: [u8; 2] = [[0, 1], [1, 1], [1, 0x11], [0, 0x11], [0, 3]][random.below(5)];
    let mut message = vec![kind[0], kind[1], 0, 0, 0x21, 0x12, 0xA4, 0x42];
    message.extend(random.bytes(12));
    let name: Vec<u8> = (0..4 + random.below(24)).map(|_| b'a' + random.byte() % 26).collect();
    let mut username = name;
    username.insert(random.below(4), b':');
    attribute(&mut message, 0x0006, &username);
    attribute(&mut message, 0x0024, &random.word());
    let tie_breaker = random.bytes(8);
    attribute(&mut message, [0x8029, 0x802A][random.below(2)], &tie_breaker);
    if random.below(3) == 0 {
        let (unknown, length) = (random.below(0x10000) as u16, random.below(40));
        let value = random.bytes(length);
        attribute(&mut message, unknown, &value);
    }
    let integrity = random.bytes(20);
    attribute(&mut message, 0x0008, &integrity);
    // RFC 8489 §14.7: the CRC covers the message with the length that includes the fingerprint itself.
    set_stun_length(&mut message, 8);
    let fingerprint = crc32(&message) ^ 0x5354_554e;
    attribute(&mut message, 0x8028, &fingerprint.to_be_bytes());
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_stun_length(message, 0);
}

fn set_stun_length(message: &mut [u8], more: usize) {
    let length = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// RFC 6347 §4.1: one or two records, hello fragments among them.
fn dtls(random: &mut Random) -> Vec<u8> {
    let mut datagram = Vec::new();
    for _ in 0..=random.below(2) {
        let content = [20_u8, 21, 22, 22, 22, 23, 26][random.below(7)];
        let length = 12 + random.below(400);
        let mut body = random.bytes(length);
        if content == 22 {
            // Handshake header: type, length, message sequence, fragment offset, fragment length.
            body[0] = [1_u8, 2, 11, 12, 14, 16, 20][random.below(7)];
            let whole = (length - 12) as u32;
            body[1..4].copy_from_slice(&whole.to_be_bytes()[1..]);
            body[6..9].copy_from_slice(&[0; 3]);
            body[9..12].copy_from_slice(&whole.to_be_bytes()[1..]);
        }
        datagram.extend([content, 0xfe, [0xff, 0xfd][random.below(2)]]);
        datagram.extend((random.below(3) as u16).to_be_bytes());
        datagram.extend(random.bytes(6));
        datagram.extend((length as u16).to_be_bytes());
        datagram.extend(body);
    }
    datagram
}

/// RFC 3550 §5.1 with RFC 8285 extensions; the payload would be an SRTP payload and tag.
fn rtp(random: &mut Random) -> Vec<u8> {
    let (extended, sources) = (random.below(2) == 0, random.below(3));
    let mut packet = vec![0x80 | (u8::from(extended) << 4) | sources as u8, 96 + random.byte() % 32];
    packet.extend(random.bytes(2));
    packet.extend(random.word());
    packet.extend(random.word());
    packet.extend(random.bytes(4 * sources));
    if extended {
        let words = 1 + random.below(6);
        packet.extend(if random.below(2) == 0 { [0xBE, 0xDE] } else { [0x10, 0x00] });
        packet.extend((words as u16).to_be_bytes());
        packet.extend(random.bytes(4 * words));
    }
    let length = 10 + random.below(1100);
    packet.extend(random.bytes(length));
    packet
}

/// RFC 3550 §6: up to three packets with consistent lengths; SRTCP would append an index and a tag.
fn rtcp(random: &mut Random) -> Vec<u8> {
    let mut compound = Vec::new();
    for _ in 0..=random.below(3) {
        let kind = 200 + random.below(8) as u8;
        let words = 1 + random.below(12);
        compound.extend([0x80 | random.below(32) as u8, kind]);
        compound.extend((words as u16).to_be_bytes());
        compound.extend(random.bytes(4 * words));
    }
    let trailer = random.below(20);
    compound.extend(random.bytes(trailer));
    compound
}

/// RFC 8656 §12.4, which a media port without a relay has no use for.
fn channel_data(random: &mut Random) -> Vec<u8> {
    let length = random.below(200);
    let mut message = vec![0x40 | (random.byte() & 0x0f), random.byte()];
    message.extend((length as u16).to_be_bytes());
    message.extend(random.bytes(length));
    message
}

/// CRC-32 as in ITU-T V.42, bit by bit: these messages are short.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_same_seed_sends_the_same_datagrams() {
        let run = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| next(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(9));
    }

    #[test]
    fn every_datagram_fits_one_packet_and_all_kinds_occur() {
        let mut random = Random::new(3);
        let mut first_bytes = [false; 256];
        for _ in 0..20_000 {
            let datagram = next(&mut random);
            assert!(datagram.len() <= 2000, "{}", datagram.len());
            if let Some(first) = datagram.first() {
                first_bytes[usize::from(*first)] = true;
            }
        }
        assert!(first_bytes.iter().all(|seen| *seen));
    }

    #[test]
    fn an_undamaged_stun_message_has_a_consistent_length() {
        let message = stun(&mut Random::new(5));
        assert_eq!(usize::from(u16::from_be_bytes([message[2], message[3]])) + 20, message.len());
    }
}
