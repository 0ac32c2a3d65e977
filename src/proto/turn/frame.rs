//! ChannelData (RFC 8656 section 12.4), and STUN and ChannelData in a byte stream (section 12.5).
//!
//! In a stream messages follow each other without separator: both kinds tell their length in the first four
//! bytes, and ChannelData is padded to a multiple of four there.

use bytes::{Buf, Bytes, BytesMut};

use crate::proto::stun::HEADER_LENGTH;

/// Length of the ChannelData header: number and length.
pub const CHANNEL_HEADER_LENGTH: usize = 4;

/// The channel numbers a client may bind (RFC 8656 section 12).
pub(super) const CHANNEL_NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4FFF;

/// Appends ChannelData. `payload` is at most 65,535 bytes long, which the caller has made sure.
pub(super) fn write_channel_data(number: u16, payload: &[u8], is_stream: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
    if is_stream {
        out.resize(out.len() + payload.len().next_multiple_of(4) - payload.len(), 0);
    }
}

/// Reads ChannelData. What follows the payload is padding (RFC 8656 section 12.5 allows it over UDP too).
pub(super) fn read_channel_data(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let ([a, b, c, d], rest) = bytes.split_first_chunk::<CHANNEL_HEADER_LENGTH>()?;
    let number = u16::from_be_bytes([*a, *b]);
    let payload = rest.get(..usize::from(u16::from_be_bytes([*c, *d])))?;
    CHANNEL_NUMBERS.contains(&number).then_some((number, payload))
}

/// The stream is not one of STUN messages and ChannelData: nothing after this point can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream carries neither STUN nor ChannelData")]
pub struct FrameError;

/// Cuts a byte stream into messages.
///
/// Holds at most one incomplete message, so at most 64 KiB and what one call of [`Deframer::extend`] brought.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
}

impl Deframer {
    /// Takes what was read. Then call [`Deframer::next_message`] until there is none.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message, without padding.
    ///
    /// # Errors
    /// When the stream has something else: the connection is of no use any more.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some([a, b, c, d]) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let (message, padded) = match a >> 6 {
            0 if length.is_multiple_of(4) => (HEADER_LENGTH + length, HEADER_LENGTH + length),
            1 if CHANNEL_NUMBERS.contains(&u16::from_be_bytes([*a, *b])) => {
                let message = CHANNEL_HEADER_LENGTH + length;
                (message, message.next_multiple_of(4))
            }
            _ => return Err(FrameError),
        };
        if self.buffer.len() < padded {
            return Ok(None);
        }
        let taken = self.buffer.split_to(message).freeze();
        self.buffer.advance(padded - message);
        Ok(Some(taken))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::stun::{Class, MessageBuilder, Method, TransactionId};

    #[test]
    fn item_41_channel_data_is_padded_in_a_stream_only() {
        let (mut datagram, mut stream) = (Vec::new(), Vec::new());
        write_channel_data(0x4001, b"hello", false, &mut datagram);
        write_channel_data(0x4001, b"hello", true, &mut stream);
        assert_eq!(datagram, [0x40, 0x01, 0, 5, b'h', b'e', b'l', b'l', b'o']);
        assert_eq!(stream.len(), 12);
        for bytes in [&datagram, &stream] {
            assert_eq!(read_channel_data(bytes), Some((0x4001, &b"hello"[..])));
        }
    }

    #[test]
    fn channel_data_that_is_cut_or_of_a_reserved_number_is_refused() {
        for bytes in
            [&[][..], &[0x40], &[0x40, 0, 0, 1], &[0x50, 0, 0, 0], &[0x7F, 0xFF, 0, 0], &[0, 1, 0, 0]]
        {
            assert_eq!(read_channel_data(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_stream_of_something_else_is_refused() {
        for bytes in [&b"SSH-2.0-x"[..], &[0x80, 0, 0, 0], &[0x00, 0x01, 0x00, 0x03], &[0x50, 0, 0, 0]] {
            let mut deframer = Deframer::default();
            deframer.extend(bytes);
            assert_eq!(deframer.next_message(), Err(FrameError), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn messages_survive_however_the_stream_is_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20),
            step in 1..50usize,
        ) {
            let (mut stream, mut expected) = (Vec::new(), Vec::new());
            for (index, payload) in payloads.iter().enumerate() {
                if index % 3 == 0 {
                    let id = TransactionId([index as u8; 12]);
                    let message = MessageBuilder::new(Class::Indication, Method::DATA, id).finish();
                    stream.extend_from_slice(&message);
                    expected.push(message.to_vec());
                } else {
                    write_channel_data(0x4000, payload, true, &mut stream);
                    let mut message = Vec::new();
                    write_channel_data(0x4000, payload, false, &mut message);
                    expected.push(message);
                }
            }
            let (mut deframer, mut read) = (Deframer::default(), Vec::new());
            for piece in stream.chunks(step) {
                deframer.extend(piece);
                while let Some(message) = deframer.next_message().unwrap() {
                    read.push(message.to_vec());
                }
            }
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_bytes_make_the_deframer_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut deframer = Deframer::default();
            deframer.extend(&bytes);
            while let Ok(Some(_)) = deframer.next_message() {}
        }
    }
}
