//! What the crate sends, seen as bytes: it does not say what has left, nor keep to the packet size.

use bytes::Bytes;

use super::{
    config::MAX_PACKET,
    packet::{
        self, Builder, Chunks, CommonHeader, DATA, DataHeader, INIT, INIT_ACK, SACK, SHUTDOWN_COMPLETE,
    },
};

/// Fixed part of SACK (RFC 9260 §3.3.4): cumulative TSN, window, numbers of gaps and duplicates.
const SACK_FIELDS: usize = 12;
/// Gap blocks that fit into a packet. The crate reports all it knows: RFC 9260 §6.2.1 lets only as many
/// be told as fit, the lowest first.
const MAX_GAPS: usize = (MAX_PACKET - packet::COMMON_HEADER - packet::CHUNK_HEADER - SACK_FIELDS) / 4;

/// What a packet of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// INIT or INIT ACK: the tag we want to see in packets to us.
    LocalTag(u32),
    /// DATA that was never sent before.
    New(DataHeader),
    /// DATA that was sent before.
    Again,
    /// The receive window that is left.
    Window(u32),
    /// The association is shut down.
    ShutdownComplete,
}

/// Follows the TSNs of our DATA.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    highest_tsn: Option<u32>,
}

impl Outbound {
    /// Reads a packet that is about to be sent, and tells `sign` what it says.
    pub(super) fn read(&mut self, bytes: &[u8], mut sign: impl FnMut(Sign)) {
        for chunk in Chunks::of(bytes).map_while(Result::ok) {
            match chunk.kind {
                INIT | INIT_ACK => {
                    if let Some(tag) = chunk.value.first_chunk::<4>() {
                        sign(Sign::LocalTag(u32::from_be_bytes(*tag)));
                    }
                }
                DATA => {
                    let Some(data) = chunk.data() else { continue };
                    let is_new = self.highest_tsn.is_none_or(|highest| packet::is_after(data.tsn, highest));
                    if is_new {
                        self.highest_tsn = Some(data.tsn);
                        sign(Sign::New(data));
                    } else {
                        sign(Sign::Again);
                    }
                }
                SACK => {
                    if let Some(&[a, b, c, d]) = chunk.value.get(4..8).and_then(|field| field.first_chunk()) {
                        sign(Sign::Window(u32::from_be_bytes([a, b, c, d])));
                    }
                }
                SHUTDOWN_COMPLETE => sign(Sign::ShutdownComplete),
                _ => {}
            }
        }
    }
}

/// RFC 3758 §3.1: INIT and INIT ACK say with a parameter of its own that FORWARD-TSN is understood. The
/// crate says it only in its list of extensions, which a peer without RFC 5061 does not read.
pub(super) fn announce_forward_tsn(bytes: Bytes) -> Bytes {
    let chunk = match Chunks::of(&bytes).next() {
        Some(Ok(chunk)) if matches!(chunk.kind, INIT | INIT_ACK) => chunk,
        _ => return bytes,
    };
    let Some(header) = CommonHeader::parse(&bytes) else { return bytes };
    let mut value = chunk.value.to_vec();
    value.resize(value.len().next_multiple_of(4), 0);
    value.extend(packet::FORWARD_TSN_SUPPORTED.to_be_bytes());
    value.extend(4_u16.to_be_bytes());
    let mut builder = Builder::new(header);
    builder.chunk(chunk.kind, chunk.flags, &value);
    builder.finish()
}

/// Makes the crate's packet fit: a SACK is cut to the lowest gaps, bundles are taken apart. The crate
/// counts neither padding nor the header of the last chunk when it bundles.
pub(super) fn fit(bytes: Bytes, mut send: impl FnMut(Bytes)) {
    if bytes.len() <= MAX_PACKET {
        return send(bytes);
    }
    let Some(header) = CommonHeader::parse(&bytes) else { return };
    if bytes.get(packet::COMMON_HEADER) == Some(&SACK) {
        return send(cut_sack(header, &bytes).unwrap_or(bytes));
    }
    let mut packet = Builder::new(header);
    for chunk in Chunks::of(&bytes).map_while(Result::ok) {
        if !packet.is_empty() && packet.len() + chunk.raw.len() > MAX_PACKET {
            send(std::mem::replace(&mut packet, Builder::new(header)).finish());
        }
        packet.raw(chunk.raw);
    }
    send(packet.finish());
}

/// Not by the chunk's length, which is 16 bits and may have overflowed.
fn cut_sack(header: CommonHeader, bytes: &[u8]) -> Option<Bytes> {
    let value = bytes.get(packet::COMMON_HEADER + packet::CHUNK_HEADER..)?;
    let fields = value.first_chunk::<SACK_FIELDS>()?;
    let gaps = usize::from(u16::from_be_bytes([fields[8], fields[9]])).min(MAX_GAPS);
    let mut kept = value.get(..SACK_FIELDS + gaps * 4)?.to_vec();
    kept[8..10].copy_from_slice(&(gaps as u16).to_be_bytes());
    // Duplicates are told for information only.
    kept[10..12].fill(0);
    let mut builder = Builder::new(header);
    builder.chunk(SACK, 0, &kept);
    Some(builder.finish())
}

/// The same SACK with another window; `None` if it is none.
pub(super) fn with_window(bytes: &[u8], window: impl FnOnce(u32) -> u32) -> Option<Bytes> {
    if bytes.get(packet::COMMON_HEADER) != Some(&SACK) {
        return None;
    }
    let header = CommonHeader::parse(bytes)?;
    let chunk = Chunks::of(bytes).next()?.ok()?;
    let mut value = chunk.value.to_vec();
    let field = value.get_mut(4..8).and_then(|field| field.first_chunk_mut::<4>())?;
    *field = window(u32::from_be_bytes(*field)).to_be_bytes();
    let mut builder = Builder::new(header);
    builder.chunk(SACK, 0, &value);
    // The crate sends SACK alone.
    Some(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// protocols.md 103: gap blocks are bounded by the packet size.
    #[test]
    fn a_sack_with_thousands_of_gaps_is_cut_to_the_lowest_that_fit_103() {
        let mut value = Vec::new();
        value.extend(7_u32.to_be_bytes());
        value.extend(5_000_u32.to_be_bytes());
        value.extend(2_000_u16.to_be_bytes());
        value.extend(3_u16.to_be_bytes());
        for gap in 1..=2_000_u16 {
            value.extend((gap * 2).to_be_bytes());
            value.extend((gap * 2).to_be_bytes());
        }
        value.extend([9; 12]);
        let header = CommonHeader { source_port: 5000, destination_port: 5000, verification_tag: 3 };
        let mut builder = Builder::new(header);
        builder.chunk(SACK, 0, &value);

        let mut fitted = Bytes::new();
        fit(builder.finish(), |packet| fitted = packet);

        assert!(fitted.len() <= MAX_PACKET && packet::checksum_matches(&fitted));
        let chunk = Chunks::of(&fitted).next().expect("a chunk").expect("well-formed");
        assert_eq!(&chunk.value[..8], &value[..8]);
        assert_eq!(chunk.value[8..12], [(MAX_GAPS >> 8) as u8, MAX_GAPS as u8, 0, 0]);
        assert_eq!(&chunk.value[12..], &value[12..12 + MAX_GAPS * 4]);
    }

    #[test]
    fn a_bundle_that_is_too_large_is_taken_apart() {
        let header = CommonHeader { source_port: 5000, destination_port: 5000, verification_tag: 3 };
        let mut builder = Builder::new(header);
        let values: Vec<_> = (0..100_u8).map(|number| vec![number; 13]).collect();
        values.iter().for_each(|value| builder.chunk(DATA, 3, value));
        let mut seen = Vec::new();
        fit(builder.finish(), |packet| {
            assert!(packet.len() <= MAX_PACKET && packet::checksum_matches(&packet));
            seen.extend(Chunks::of(&packet).map(|chunk| chunk.expect("well-formed").value.to_vec()));
        });
        assert_eq!(seen, values);
    }
}
