//! Which protocol a datagram belongs to, by its first bytes (RFC 7983 §7, RFC 5761 §4).
//!
//! Total: every byte string has a kind, and nothing is read beyond the second byte. A kind says who
//! looks next, not that the datagram is valid.

/// Who a datagram is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// STUN: first byte 0..=3.
    Stun,
    /// DTLS: first byte 20..=63.
    Dtls,
    /// TURN ChannelData: first byte 64..=79.
    TurnChannel,
    /// RTP or SRTP: first byte 128..=191, second byte outside 192..=223.
    Rtp,
    /// RTCP or SRTCP: first byte 128..=191, second byte 192..=223.
    Rtcp,
    /// Nothing WebRTC knows: to be dropped.
    Unknown,
}

/// Sorts a datagram by its first one or two bytes.
pub fn classify(datagram: &[u8]) -> PacketKind {
    let Some(&first) = datagram.first() else {
        return PacketKind::Unknown;
    };
    match first {
        0..=3 => PacketKind::Stun,
        20..=63 => PacketKind::Dtls,
        64..=79 => PacketKind::TurnChannel,
        128..=191 => match datagram.get(1) {
            // RFC 5761 §4: RTCP packet types 192..=223 are never RTP payload types plus marker,
            // because 64..=95 aren't used as payload types.
            Some(192..=223) => PacketKind::Rtcp,
            Some(_) => PacketKind::Rtp,
            None => PacketKind::Unknown,
        },
        _ => PacketKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_the_kind_rfc_7983_gives_it() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => PacketKind::Stun,
                20..=63 => PacketKind::Dtls,
                64..=79 => PacketKind::TurnChannel,
                128..=191 => PacketKind::Rtp,
                _ => PacketKind::Unknown,
            };
            assert_eq!(classify(&[first, 96, 0, 0]), expected, "first byte {first}");
        }
    }

    #[test]
    fn second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255u8 {
            let expected = if (192..=223).contains(&second) { PacketKind::Rtcp } else { PacketKind::Rtp };
            assert_eq!(classify(&[0x80, second]), expected, "second byte {second}");
        }
    }

    #[test]
    fn too_short_to_tell_is_unknown() {
        assert_eq!(classify(&[]), PacketKind::Unknown);
        assert_eq!(classify(&[0x80]), PacketKind::Unknown);
    }
}
