//! Datagrams in a byte stream (RFC 4571 section 2): two bytes of length in front of each. ICE over TCP frames
//! everything so, checks included (RFC 6544 section 10.1).
//!
//! Invariant: [`Deframer`] holds at most one frame that is not complete, of at most the length it was told to take.

use bytes::{Buf, BytesMut};

/// Bytes in front of each datagram.
pub const HEADER_LENGTH: usize = 2;

/// The longest frame that is taken: the datagrams of WebRTC fit the MTU of some path, and the largest record of
/// DTLS (2^14 bytes of contents) bounds them all.
pub const MAX_FRAME_LENGTH: usize = 16 * 1024 + 512;

/// A frame is longer than is taken: what follows can't be told apart any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is longer than is taken")]
pub struct FrameTooLong {
    /// What the header says.
    pub length: usize,
}

/// Appends a datagram as a frame. False, and nothing is written, if no header can say its length.
pub fn write_frame(datagram: &[u8], stream: &mut BytesMut) -> bool {
    let Ok(length) = u16::try_from(datagram.len()) else { return false };
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(datagram);
    true
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
}

impl Deframer {
    /// What was read from the stream.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next datagram that is complete. Empty frames, which some send to keep a connection open, are skipped.
    ///
    /// # Errors
    /// When it is longer than `limit`: the connection can only be closed.
    pub fn next_datagram(&mut self, limit: usize) -> Result<Option<BytesMut>, FrameTooLong> {
        while let [high, low, ..] = self.buffer[..] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > limit {
                return Err(FrameTooLong { length });
            }
            if self.buffer.len() < HEADER_LENGTH + length {
                return Ok(None);
            }
            self.buffer.advance(HEADER_LENGTH);
            if length > 0 {
                return Ok(Some(self.buffer.split_to(length)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn item_37_a_frame_is_its_length_and_the_datagram() {
        let mut stream = BytesMut::new();
        assert!(write_frame(b"hello", &mut stream));
        assert_eq!(stream[..], [0, 5, b'h', b'e', b'l', b'l', b'o']);
        assert!(!write_frame(&[0; 65_536], &mut stream));
        assert_eq!(stream.len(), 7);
    }

    #[test]
    fn empty_frames_are_skipped_and_long_ones_refused() {
        let mut deframer = Deframer::default();
        deframer.extend(&[0, 0, 0, 0, 0, 1, 7, 0, 0]);
        assert_eq!(deframer.next_datagram(100).unwrap().unwrap()[..], [7]);
        assert_eq!(deframer.next_datagram(100), Ok(None));
        deframer.extend(&[0, 101]);
        assert_eq!(deframer.next_datagram(100), Err(FrameTooLong { length: 101 }));
    }

    proptest! {
        #[test]
        fn datagrams_survive_however_the_stream_is_cut(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..20),
            step in 1..50usize,
        ) {
            let mut stream = BytesMut::new();
            for datagram in &datagrams {
                write_frame(datagram, &mut stream);
            }
            let (mut deframer, mut read) = (Deframer::default(), Vec::new());
            for piece in stream.chunks(step) {
                deframer.extend(piece);
                while let Some(datagram) = deframer.next_datagram(MAX_FRAME_LENGTH).unwrap() {
                    read.push(datagram.to_vec());
                }
            }
            prop_assert_eq!(read, datagrams);
        }

        #[test]
        fn no_bytes_make_the_deframer_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut deframer = Deframer::default();
            deframer.extend(&bytes);
            while let Ok(Some(_)) = deframer.next_datagram(200) {}
        }
    }
}
