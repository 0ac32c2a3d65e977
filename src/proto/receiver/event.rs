//! What a receiver reports to its owner.

use crate::proto::rtp::Rid;

/// What a receiver reports to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiverEvent {
    /// The first packet of a source arrived.
    StreamStarted {
        /// The source.
        ssrc: u32,
        /// Its encoding, if it named one.
        rid: Option<Rid>,
    },
    /// The source said goodbye, or was forgotten in favour of newer ones.
    StreamEnded {
        /// The source.
        ssrc: u32,
        /// Its encoding, if it named one.
        rid: Option<Rid>,
    },
    /// A key frame that had been asked for began.
    KeyFrameReceived {
        /// The source.
        ssrc: u32,
    },
}
