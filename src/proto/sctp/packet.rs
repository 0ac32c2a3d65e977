//! SCTP packets as bytes (RFC 9260 §3): common header, chunks, checksum.

use bytes::{BufMut, Bytes, BytesMut};

/// Source port, destination port, verification tag, checksum.
pub(super) const COMMON_HEADER: usize = 12;
/// Type, flags, length.
pub(super) const CHUNK_HEADER: usize = 4;
/// Chunk header, TSN, stream, sequence number, PPID.
pub(super) const DATA_HEADER: usize = 16;

/// RFC 9260 §3.2, RFC 6525 §3.1, RFC 3758 §3.2.
pub(super) const DATA: u8 = 0;
pub(super) const INIT: u8 = 1;
pub(super) const INIT_ACK: u8 = 2;
pub(super) const SACK: u8 = 3;
pub(super) const HEARTBEAT: u8 = 4;
pub(super) const HEARTBEAT_ACK: u8 = 5;
pub(super) const ABORT: u8 = 6;
pub(super) const SHUTDOWN: u8 = 7;
pub(super) const SHUTDOWN_ACK: u8 = 8;
pub(super) const ERROR: u8 = 9;
pub(super) const COOKIE_ECHO: u8 = 10;
pub(super) const COOKIE_ACK: u8 = 11;
pub(super) const SHUTDOWN_COMPLETE: u8 = 14;
pub(super) const RECONFIG: u8 = 130;
pub(super) const FORWARD_TSN: u8 = 192;

/// RFC 9260 §3.3.10: causes of errors.
pub(super) const STALE_COOKIE: u16 = 3;
pub(super) const OUT_OF_RESOURCE: u16 = 4;
pub(super) const UNRECOGNIZED_CHUNK: u16 = 6;
pub(super) const NO_USER_DATA: u16 = 9;
pub(super) const USER_INITIATED: u16 = 12;
pub(super) const PROTOCOL_VIOLATION: u16 = 13;

/// Parameters of INIT and INIT ACK (RFC 5061 §4.2.7, RFC 3758 §3.1).
pub(super) const SUPPORTED_EXTENSIONS: u16 = 0x8008;
pub(super) const FORWARD_TSN_SUPPORTED: u16 = 0xC000;

/// Payload protocol identifiers (RFC 8831 §8).
pub(super) const PPID_STRING_EMPTY: u32 = 56;
pub(super) const PPID_BINARY_EMPTY: u32 = 57;

/// Both ends of an association, as its packets name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CommonHeader {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) verification_tag: u32,
}

impl CommonHeader {
    /// `None` if there is not even a header.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<COMMON_HEADER>()?;
        Some(Self {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            verification_tag: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        })
    }
}

/// One chunk within a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// What follows the chunk header, without padding.
    pub(super) value: &'a [u8],
    /// The chunk with its header and its padding.
    pub(super) raw: &'a [u8],
}

impl Chunk<'_> {
    /// Padded with zeros to a multiple of 4 bytes (RFC 9260 §3.2).
    pub(super) fn is_well_padded(&self) -> bool {
        let padding = self.raw.get(CHUNK_HEADER + self.value.len()..).unwrap_or_default();
        self.raw.len().is_multiple_of(4) && padding.iter().all(|byte| *byte == 0)
    }

    /// Fields of a DATA chunk; `None` if it is too short for them.
    pub(super) fn data(&self) -> Option<DataHeader> {
        let value = self.value.first_chunk::<{ DATA_HEADER - CHUNK_HEADER }>()?;
        Some(DataHeader {
            tsn: u32::from_be_bytes([value[0], value[1], value[2], value[3]]),
            stream: u16::from_be_bytes([value[4], value[5]]),
            ppid: u32::from_be_bytes([value[8], value[9], value[10], value[11]]),
            length: self.value.len() - value.len(),
            ends: self.flags & 1 != 0,
        })
    }
}

/// What matters here of a DATA chunk (RFC 9260 §3.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataHeader {
    pub(super) tsn: u32,
    pub(super) stream: u16,
    pub(super) ppid: u32,
    /// Bytes of user data.
    pub(super) length: usize,
    /// Last fragment of its message.
    pub(super) ends: bool,
}

/// Walks the chunks of a packet. Ends with an error at a length that is impossible.
pub(super) struct Chunks<'a> {
    rest: &'a [u8],
}

/// A chunk says a length that is less than its header or more than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadLength;

impl<'a> Chunks<'a> {
    pub(super) fn of(packet: &'a [u8]) -> Self {
        Self { rest: packet.get(COMMON_HEADER..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, BadLength>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some(&[kind, flags, high, low]) = rest.first_chunk::<CHUNK_HEADER>() else {
            return Some(Err(BadLength));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = rest.get(CHUNK_HEADER..length) else {
            return Some(Err(BadLength));
        };
        // RFC 9260 §3.2: the padding of the last chunk may be missing in what some senders count.
        let (raw, rest) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
        self.rest = rest;
        Some(Ok(Chunk { kind, flags, value, raw }))
    }
}

/// Walks the parameters of a chunk, or the causes of an error: type, length, value. Ends at the first
/// impossible length.
pub(super) fn parameters(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let &[kind_high, kind_low, high, low] = rest.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([kind_high, kind_low]), value))
    })
}

/// Writes a packet chunk by chunk.
pub(super) struct Builder {
    bytes: BytesMut,
}

impl Builder {
    pub(super) fn new(header: CommonHeader) -> Self {
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_u16(header.source_port);
        bytes.put_u16(header.destination_port);
        bytes.put_u32(header.verification_tag);
        bytes.put_u32(0);
        Self { bytes }
    }

    /// Appends a chunk with a value of at most 65,531 bytes; what is longer is cut.
    pub(super) fn chunk(&mut self, kind: u8, flags: u8, value: &[u8]) {
        let value = &value[..value.len().min(usize::from(u16::MAX) - CHUNK_HEADER)];
        self.bytes.put_u8(kind);
        self.bytes.put_u8(flags);
        self.bytes.put_u16((CHUNK_HEADER + value.len()) as u16);
        self.bytes.put_slice(value);
        self.bytes.put_bytes(0, value.len().next_multiple_of(4) - value.len());
    }

    /// Appends chunks as they are.
    pub(super) fn raw(&mut self, chunks: &[u8]) {
        self.bytes.put_slice(chunks);
    }

    /// Appends ABORT or ERROR with one cause (RFC 9260 §3.3.10).
    pub(super) fn error(&mut self, kind: u8, cause: u16, information: &[u8]) {
        let mut value = BytesMut::with_capacity(4 + information.len());
        value.put_u16(cause);
        value.put_u16((4 + information.len()) as u16);
        value.put_slice(information);
        self.chunk(kind, 0, &value);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == COMMON_HEADER
    }

    pub(super) fn finish(mut self) -> Bytes {
        let checksum = checksum(&self.bytes);
        self.bytes[8..COMMON_HEADER].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.freeze()
    }
}

/// RFC 9260 §6.8: whether the checksum in the packet is that of the packet.
pub(super) fn checksum_matches(packet: &[u8]) -> bool {
    packet.get(8..COMMON_HEADER).is_some_and(|field| field == checksum(packet).to_le_bytes())
}

/// CRC32c (RFC 9260 appendix A) of a packet, with its checksum field taken as zero. Byte by byte: only
/// packets that are rewritten or answered here need it.
fn checksum(packet: &[u8]) -> u32 {
    let update = |crc: u32, byte: u8| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    let mut crc = !0;
    for (position, byte) in packet.iter().enumerate() {
        let is_checksum = (8..COMMON_HEADER).contains(&position);
        crc = update(crc, if is_checksum { 0 } else { *byte });
    }
    !crc
}

/// Castagnoli's polynomial, reflected.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Whether TSN `a` comes after `b` (RFC 9260 §1.7, RFC 1982).
pub(super) const fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // RFC 3720 B.4: 32 bytes of zeros; the checksum field is zero anyway.
        assert_eq!(checksum(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn chunk_lengths_of_0_1_3_and_65_535_end_the_walk_a39() {
        for length in [0_u16, 1, 3, 65_535] {
            let mut packet = vec![0; COMMON_HEADER];
            packet.extend([DATA, 3]);
            packet.extend(length.to_be_bytes());
            packet.extend([0; 12]);
            let chunks: Vec<_> = Chunks::of(&packet).map(|chunk| chunk.map(|_| ())).collect();
            assert_eq!(chunks, [Err(BadLength)]);
        }
    }

    #[test]
    fn a_parameter_of_length_0_ends_the_walk() {
        assert_eq!(parameters(&[0, 7, 0, 0, 1, 2, 3, 4]).count(), 0);
        assert_eq!(parameters(&[0, 7, 0, 4, 0, 8, 0, 6, 1, 2]).count(), 2);
    }
}
