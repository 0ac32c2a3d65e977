//! Loss and jitter of one source, and the report block made of them (RFC 3550 §6.4.1, A.3, A.8).

use std::time::{Duration, Instant};

use crate::proto::rtcp::{NtpTime, ReportBlock};

/// Differences of transit time above this are a change of clock, not jitter.
const TRANSIT_STEP_MAX: u32 = 5;

/// What the network did to one source.
#[derive(Debug)]
pub(super) struct Reception {
    /// The first number, moved up by what a restart of the source skipped.
    base: u64,
    highest: u64,
    /// Received over the network, without what RTX repaired.
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Origin of arrival times.
    epoch: Instant,
    clock_rate: u32,
    transit: Option<u32>,
    /// 16 times the jitter in timestamp units.
    jitter_scaled: u32,
    last_sender_report: Option<(NtpTime, Instant)>,
    /// Packets arrived since the last report.
    heard: bool,
}

impl Reception {
    pub(super) fn new(now: Instant, first: u64, clock_rate: u32) -> Self {
        Self {
            base: first,
            highest: first,
            received: 0,
            expected_before: 0,
            received_before: 0,
            epoch: now,
            clock_rate,
            transit: None,
            jitter_scaled: 0,
            last_sender_report: None,
            heard: false,
        }
    }

    /// A packet came over the network. `skipped`: numbers that a restart jumped over.
    pub(super) fn packet(&mut self, sequence: u64, skipped: u64) {
        self.base += skipped;
        self.base = self.base.min(sequence);
        self.highest = self.highest.max(sequence);
        self.received += 1;
        self.heard = true;
    }

    /// RFC 3550 A.8, for packets in order.
    pub(super) fn arrival(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        if clock_rate != self.clock_rate {
            (self.clock_rate, self.transit, self.jitter_scaled) = (clock_rate, None, 0);
        }
        let transit = to_clock(now - self.epoch, clock_rate).wrapping_sub(timestamp);
        if let Some(before) = self.transit {
            let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
            if difference < clock_rate.saturating_mul(TRANSIT_STEP_MAX) {
                // A.8: J += (|D| − J) / 16, in integers. The bound above keeps the sum below 2^32 for any rate
                // up to 8 MHz; saturation covers the rest.
                self.jitter_scaled = self
                    .jitter_scaled
                    .saturating_add(difference)
                    .saturating_sub((self.jitter_scaled.saturating_add(8)) >> 4);
            }
        }
        self.transit = Some(transit);
    }

    pub(super) fn sender_report(&mut self, now: Instant, ntp: NtpTime) {
        self.last_sender_report = Some((ntp, now));
    }

    pub(super) fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    pub(super) fn jitter(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.jitter_scaled >> 4) / f64::from(self.clock_rate.max(1)))
    }

    /// RFC 3550 §6.4: only sources heard since the last report are reported.
    pub(super) fn is_reportable(&self) -> bool {
        self.heard
    }

    /// The block for a report that is sent now; the next one counts from here.
    pub(super) fn report(&mut self, now: Instant, ssrc: u32) -> ReportBlock {
        let expected = self.expected() - self.expected_before.min(self.expected());
        let received = self.received - self.received_before;
        self.expected_before = self.expected();
        self.received_before = self.received;
        self.heard = false;
        // A.3: negative loss, by duplicates of the network, is reported as none.
        let fraction_lost = match expected.saturating_sub(received) {
            0 => 0,
            lost => (lost * 256 / expected).min(255) as u8,
        };
        let (last_sender_report, delay) = match self.last_sender_report {
            Some((ntp, at)) => (ntp.compact(), to_clock(now - at, 65_536)),
            None => (0, 0),
        };
        ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: self.lost().clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
            // Numbers were put one cycle up at the start; the sender's count has the first cycle as 0.
            extended_highest_sequence_number: self.highest.wrapping_sub(0x1_0000) as u32,
            jitter: self.jitter_scaled >> 4,
            last_sender_report,
            delay_since_last_sender_report: delay,
        }
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }
}

/// A duration in units of a clock, modulo 2^32.
fn to_clock(duration: Duration, rate: u32) -> u32 {
    let rate = u64::from(rate);
    let whole = duration.as_secs().wrapping_mul(rate);
    whole.wrapping_add(u64::from(duration.subsec_nanos()) * rate / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 0x1_0000;

    #[test]
    fn loss_is_reported_since_the_last_report_and_in_total() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 90_000);
        for sequence in (0..100).filter(|sequence| sequence % 4 != 3) {
            reception.packet(FIRST + sequence, 0);
        }
        reception.packet(FIRST + 100, 0);
        let block = reception.report(now, 9);
        assert_eq!((block.ssrc, block.cumulative_lost), (9, 25));
        assert_eq!(block.fraction_lost, (25 * 256 / 101) as u8);
        assert_eq!(block.extended_highest_sequence_number, 100);
        reception.packet(FIRST + 101, 0);
        let block = reception.report(now, 9);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 25));
    }

    #[test]
    fn a_restart_is_not_a_loss() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 90_000);
        reception.packet(FIRST, 0);
        reception.packet(FIRST + 30_000, 29_999);
        assert_eq!(reception.lost(), 0);
    }

    #[test]
    fn a_packet_before_the_first_one_was_expected() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST + 5, 90_000);
        reception.packet(FIRST + 5, 0);
        reception.packet(FIRST + 3, 0);
        assert_eq!(reception.lost(), 1);
    }

    #[test]
    fn jitter_follows_the_differences_of_transit_time() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 8_000);
        for index in 0..1000u32 {
            let late = if index % 2 == 0 { 0 } else { 10 };
            reception.arrival(now + Duration::from_millis(u64::from(index) * 20 + late), index * 160, 8_000);
        }
        let jitter = reception.jitter();
        assert!((9..=10).contains(&jitter.as_millis()), "{jitter:?}");
        let before = reception.jitter();
        reception.arrival(now + Duration::from_secs(30), 0xf000_0000, 8_000);
        assert_eq!(reception.jitter(), before, "a jump of the timestamps is no jitter");
    }

    #[test]
    fn the_last_sender_report_is_echoed_with_its_age() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 90_000);
        reception.packet(FIRST, 0);
        assert_eq!(reception.report(now, 1).last_sender_report, 0);
        reception.sender_report(now, NtpTime(0x1234_5678_9abc_def0));
        let block = reception.report(now + Duration::from_millis(1500), 1);
        assert_eq!((block.last_sender_report, block.delay_since_last_sender_report), (0x5678_9abc, 98_304));
    }

    #[test]
    fn without_loss_the_report_says_so() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 8_000);
        for round in 0..2 {
            (0..10).for_each(|index| reception.packet(FIRST + round * 10 + index, 0));
            let block = reception.report(now, 1);
            assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0));
            assert_eq!(block.extended_highest_sequence_number, round as u32 * 10 + 9);
        }
    }

    #[test]
    fn a_cycle_of_the_numbers_is_no_loss() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST + 65_530, 8_000);
        (65_530..65_540).for_each(|index| reception.packet(FIRST + index, 0));
        let block = reception.report(now, 1);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0));
        assert_eq!(block.extended_highest_sequence_number, 0x1_0003, "one cycle and 3");
    }

    #[test]
    fn one_lost_of_ten_is_25_of_256() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 8_000);
        (0..10).filter(|index| *index != 1).for_each(|index| reception.packet(FIRST + index, 0));
        let block = reception.report(now, 1);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (25, 1));
        (10..20).for_each(|index| reception.packet(FIRST + index, 0));
        let block = reception.report(now, 1);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 1));
    }

    #[test]
    fn punctual_packets_have_no_jitter() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 8_000);
        for index in 0..50 {
            reception.arrival(now + Duration::from_millis(20) * index, index * 160, 8_000);
        }
        assert_eq!(reception.jitter(), Duration::ZERO);
    }

    #[test]
    fn one_packet_ten_milliseconds_late_is_a_sixteenth_of_it() {
        let now = Instant::now();
        let mut reception = Reception::new(now, FIRST, 8_000);
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        reception.arrival(at(0), 0, 8_000);
        reception.arrival(at(30), 160, 8_000);
        assert_eq!((reception.jitter_scaled, reception.report(now, 1).jitter), (80, 5), "of 80 units");
        reception.arrival(at(50), 320, 8_000);
        assert_eq!((reception.jitter_scaled, reception.report(now, 1).jitter), (75, 4));
        assert_eq!(reception.jitter(), Duration::from_micros(500), "in seconds: 4 of 8000");
    }
}
