//! `RtcDtmfSender` (W3C webrtc-pc §7): tones in an audio stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::RecvError;

use super::handle::Section;
use crate::messages::{error::RtcError, peer_connection::InsertDtmf, rtp::DtmfToneChange};

/// W3C webrtc-pc §7.2: the length of a tone unless given.
const DEFAULT_DURATION: Duration = Duration::from_millis(100);
/// The silence between tones unless given.
const DEFAULT_GAP: Duration = Duration::from_millis(70);

/// Sends tones in an audio stream (W3C `RTCDTMFSender`), as telephone events (RFC 4733).
#[derive(Debug, Clone, PartialEq)]
pub struct RtcDtmfSender {
    section: Section,
}

impl RtcDtmfSender {
    pub(crate) fn new(section: Section) -> Self {
        Self { section }
    }

    /// W3C `canInsertDTMF`: the section sends, and telephone events were negotiated.
    pub fn can_insert_dtmf(&self) -> bool {
        self.section
            .read(|transceiver| {
                let sends = transceiver.current_direction.is_some_and(|direction| direction.sends());
                !transceiver.stopped && sends && transceiver.tones.can_insert()
            })
            .unwrap_or(false)
    }

    /// W3C `toneBuffer`: the tones that are still to be played.
    pub fn tone_buffer(&self) -> String {
        self.section.read(|transceiver| transceiver.tones.tone_buffer()).unwrap_or_default()
    }

    /// W3C `insertDTMF`: replaces the tones that are still to be sent. `0-9 A-D # *` are tones, a comma
    /// is a pause of 2 s, and an empty text falls silent. Returns when they are queued.
    ///
    /// `duration` and `inter_tone_gap` are in milliseconds; without them 100 and 70. They are brought
    /// into 40–6,000 and 30–6,000.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when stopped, closed, or [`Self::can_insert_dtmf`] is false;
    /// [`RtcError::InvalidCharacterError`] for another character; [`RtcError::OperationError`] for more
    /// than 1,024 tones.
    pub async fn insert_dtmf(
        &self,
        tones: &str,
        duration: Option<u32>,
        inter_tone_gap: Option<u32>,
    ) -> Result<(), RtcError> {
        self.section.check_usable()?;
        let length =
            |given: Option<u32>, default| given.map_or(default, |ms| Duration::from_millis(ms.into()));
        let message = InsertDtmf {
            id: self.section.id,
            tones: tones.to_owned(),
            duration: length(duration, DEFAULT_DURATION),
            gap: length(inter_tone_gap, DEFAULT_GAP),
        };
        // W3C webrtc-pc §7.2: the state is looked at before the characters, which the sender checks.
        if !self.can_insert_dtmf() {
            let sentence = "tones need an audio section that sends, with telephone-event negotiated";
            return Err(RtcError::InvalidStateError(sentence.to_owned()));
        }
        self.section.core.ask(message).await
    }

    /// W3C `tonechange` from now on: a tone began, or the last one is over. A reader that is slow misses
    /// the oldest beyond 64; ends with the connection.
    pub fn tone_changes(&self) -> RtcDtmfToneChanges {
        let changes = self.section.read(|transceiver| transceiver.tones.changes());
        let changes = stream::unfold(changes, |changes| async move {
            let mut changes = changes?;
            loop {
                match changes.recv().await {
                    Ok(change) => return Some((change, Some(changes))),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        RtcDtmfToneChanges { changes: Box::pin(changes) }
    }
}

/// The tones of a sender as they are played (W3C `RTCDTMFToneChangeEvent`).
pub struct RtcDtmfToneChanges {
    changes: Pin<Box<dyn Stream<Item = DtmfToneChange> + Send>>,
}

impl std::fmt::Debug for RtcDtmfToneChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcDtmfToneChanges").finish_non_exhaustive()
    }
}

impl Stream for RtcDtmfToneChanges {
    type Item = DtmfToneChange;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(cx)
    }
}
