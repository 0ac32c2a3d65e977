//! When to ask a publisher for a key frame: coalesced over all subscribers, repeated until one comes.

use std::time::{Duration, Instant};

/// At most one request per source in this time, however many subscribers ask.
const INTERVAL: Duration = Duration::from_millis(500);

/// A source that sent nothing for this long is not asked again until it sends.
const SILENCE: Duration = Duration::from_secs(5);

/// The request state of one source.
#[derive(Debug, Default)]
pub(super) struct KeyFrameRequest {
    /// When the unanswered request was made.
    wanted_since: Option<Instant>,
    last_sent: Option<Instant>,
    /// RFC 5104 §4.3.1.1: a new request has a new number, a repetition the same.
    fir_sequence_number: u8,
}

impl KeyFrameRequest {
    pub(super) fn request(&mut self, now: Instant) {
        if self.wanted_since.is_none() {
            self.wanted_since = Some(now);
            self.fir_sequence_number = self.fir_sequence_number.wrapping_add(1);
        }
    }

    /// A key frame began. True if it was asked for.
    pub(super) fn arrived(&mut self) -> bool {
        self.wanted_since.take().is_some()
    }

    /// When to send the next message, for a source whose last packet came at `last_packet`.
    pub(super) fn due(&self, last_packet: Instant) -> Option<Instant> {
        let wanted = self.wanted_since?;
        let due = self.last_sent.map_or(wanted, |sent| wanted.max(sent + INTERVAL));
        (due <= last_packet + SILENCE).then_some(due)
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    pub(super) fn fir_sequence_number(&self) -> u8 {
        self.fir_sequence_number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_is_sent_at_once_and_then_repeated() {
        let now = Instant::now();
        let mut request = KeyFrameRequest::default();
        assert_eq!(request.due(now), None);
        request.request(now);
        assert_eq!(request.due(now), Some(now));
        request.sent(now);
        for later in 0..100 {
            request.request(now + Duration::from_millis(later));
        }
        assert_eq!(request.due(now), Some(now + INTERVAL));
        assert_eq!(request.fir_sequence_number(), 1, "a repetition");
        assert!(request.arrived());
        assert!(!request.arrived());
        assert_eq!(request.due(now), None);
    }

    #[test]
    fn a_new_request_keeps_the_distance_to_the_one_before() {
        let now = Instant::now();
        let mut request = KeyFrameRequest::default();
        request.request(now);
        request.sent(now);
        request.arrived();
        request.request(now + Duration::from_millis(100));
        assert_eq!(request.due(now), Some(now + INTERVAL));
        assert_eq!(request.fir_sequence_number(), 2);
    }

    #[test]
    fn a_silent_source_is_left_alone() {
        let now = Instant::now();
        let mut request = KeyFrameRequest::default();
        request.request(now);
        request.sent(now + SILENCE);
        assert_eq!(request.due(now), None);
        assert!(request.due(now + SILENCE).is_some(), "it sends again");
    }
}
