//! `RtcDtmfSender` (W3C webrtc-pc §7): tones in an audio stream.

use std::time::Duration;

use super::handle::Section;
use crate::messages::{error::RtcError, peer_connection::InsertDtmf};

/// W3C webrtc-pc §7.2: the length of a tone unless given, in milliseconds.
const DEFAULT_DURATION: u32 = 100;
/// The silence between tones unless given, in milliseconds.
const DEFAULT_GAP: u32 = 70;
/// What lengths of tones are brought into, in milliseconds.
const DURATION_RANGE: (u32, u32) = (40, 6_000);
/// What gaps are brought into, in milliseconds.
const GAP_RANGE: (u32, u32) = (30, 6_000);

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
        let sends = |transceiver: &crate::messages::peer_connection::TransceiverSnapshot| {
            !transceiver.stopped
                && transceiver.current_direction.is_some_and(|direction| direction.sends())
                && transceiver.send_parameters.as_ref().is_some_and(|parameters| {
                    parameters.codecs.iter().any(|codec| codec.name.eq_ignore_ascii_case("telephone-event"))
                })
        };
        self.section.read(sends).unwrap_or(false)
    }

    /// W3C `insertDTMF`: replaces the tones that are still to be sent. `0-9 A-D # *` are tones, a comma
    /// is a pause of 2 s, and an empty text falls silent. Returns when they are queued.
    ///
    /// `duration` and `inter_tone_gap` are in milliseconds; without them 100 and 70. They are brought
    /// into 40–6,000 and 30–6,000.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when stopped, closed, or [`Self::can_insert_dtmf`] is false;
    /// [`RtcError::InvalidCharacterError`] for another character.
    pub async fn insert_dtmf(
        &self,
        tones: &str,
        duration: Option<u32>,
        inter_tone_gap: Option<u32>,
    ) -> Result<(), RtcError> {
        self.section.check_usable()?;
        if !self.can_insert_dtmf() {
            let sentence = "tones need an audio section that sends, with telephone-event negotiated";
            return Err(RtcError::InvalidStateError(sentence.to_owned()));
        }
        let message = InsertDtmf {
            id: self.section.id,
            tones: normalised(tones)?,
            duration: clamped(duration, DEFAULT_DURATION, DURATION_RANGE),
            gap: clamped(inter_tone_gap, DEFAULT_GAP, GAP_RANGE),
        };
        self.section.core.ask(message).await
    }
}

/// W3C webrtc-pc §7.2: small letters count as large ones, anything else is refused.
fn normalised(tones: &str) -> Result<String, RtcError> {
    let tones = tones.to_ascii_uppercase();
    match tones.chars().find(|tone| !matches!(tone, '0'..='9' | 'A'..='D' | '#' | '*' | ',')) {
        Some(other) => Err(RtcError::InvalidCharacterError(format!("{other:?} is no tone"))),
        None => Ok(tones),
    }
}

fn clamped(milliseconds: Option<u32>, default: u32, (least, most): (u32, u32)) -> Duration {
    Duration::from_millis(u64::from(milliseconds.unwrap_or(default).clamp(least, most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_are_taken_in_both_cases_and_other_characters_refused() {
        assert_eq!(normalised("1234567890abcdABCD#*,").unwrap(), "1234567890ABCDABCD#*,");
        assert_eq!(normalised("").unwrap(), "");
        for bad in ["e", "1 2", "-", "é", "\0"] {
            assert_eq!(normalised(bad).unwrap_err().name(), "InvalidCharacterError", "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_brought_into_their_range() {
        let tone = |given| clamped(given, DEFAULT_DURATION, DURATION_RANGE).as_millis();
        assert_eq!(
            [tone(None), tone(Some(0)), tone(Some(39)), tone(Some(41)), tone(Some(6_001))],
            [100, 40, 40, 41, 6_000]
        );
        let gap = |given| clamped(given, DEFAULT_GAP, GAP_RANGE).as_millis();
        assert_eq!([gap(None), gap(Some(29)), gap(Some(70_000))], [70, 30, 6_000]);
    }
}
