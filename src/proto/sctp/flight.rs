//! How much may be in flight: twice what the path holds.
//!
//! The crate's congestion window (RFC 9260 §7) grows until something is lost. Where nothing is, it
//! becomes the receive window, and what the path does not hold waits in queues on the way, our own
//! included: every other stream of the peer waits behind it. The crate also walks over everything that
//! is in flight at each packet. So a second limit, which can only be lower than the crate's, follows what
//! was delivered per round trip and the shortest round trip, as BBR does (Cardwell et al., 2016).
//!
//! Invariant: never below [`MIN_BYTES`] and [`MIN_CHUNKS`], so a wrong estimate costs little.

use std::time::{Duration, Instant};

use super::packet::is_after;

/// What may be in flight whatever was measured: on a fast machine whose threads are busy, a round trip
/// takes as long as a turn of the scheduler.
const MIN_BYTES: usize = 512 << 10;
/// As many full packets.
const MIN_CHUNKS: usize = 512;
/// Acknowledgements come in lots, and the rate must be able to double.
const GAIN: f64 = 2.0;
/// Round trips of which the best rate counts.
const RATES: usize = 10;
/// A path whose shortest round trip is older is measured anew, as it may have changed.
const BASE_AGE: Duration = Duration::from_secs(30);
/// Round trips with half of what is allowed otherwise: then nothing waits on the way, and the time
/// that is measured is that of the path.
const DRAINING: u32 = 3;

/// What was measured of the path.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// TSN that was sent last, and the one up to which everything was acknowledged.
    highest: Option<u32>,
    acknowledged: u32,
    /// Bytes that have been delivered.
    delivered: u64,
    /// Chunks that have been acknowledged.
    chunks: u64,
    probe: Option<Probe>,
    /// Bytes and chunks per second of the last round trips.
    rates: [(f64, f64); RATES],
    round: usize,
    /// The shortest round trip, and when it was measured.
    base: Option<(Duration, Instant)>,
    /// Round trips left to measure it anew, and the shortest among them.
    draining: u32,
    drained: Duration,
}

/// One DATA chunk whose acknowledgement is waited for.
#[derive(Debug, Clone, Copy)]
struct Probe {
    tsn: u32,
    sent: Instant,
    delivered: u64,
    chunks: u64,
}

impl Flight {
    /// A DATA chunk was sent for the first time.
    pub(super) fn sent(&mut self, now: Instant, tsn: u32) {
        if self.highest.is_none() {
            self.acknowledged = tsn.wrapping_sub(1);
        }
        self.highest = Some(tsn);
        self.probe.get_or_insert(Probe { tsn, sent: now, delivered: self.delivered, chunks: self.chunks });
    }

    /// Everything up to this TSN was acknowledged.
    pub(super) fn acknowledged(&mut self, tsn: u32) {
        if self.highest.is_some() && is_after(tsn, self.acknowledged) {
            self.chunks += u64::from(tsn.wrapping_sub(self.acknowledged));
            self.acknowledged = tsn;
        }
    }

    /// So many bytes more were delivered.
    pub(super) fn delivered(&mut self, now: Instant, bytes: usize) {
        self.delivered += bytes as u64;
        let Some(probe) = self.probe.take_if(|probe| !is_after(probe.tsn, self.acknowledged)) else { return };
        let round_trip = now.saturating_duration_since(probe.sent).max(Duration::from_micros(1));
        let per_second = |count: u64| count as f64 / round_trip.as_secs_f64();
        self.rates[self.round % RATES] =
            (per_second(self.delivered - probe.delivered), per_second(self.chunks - probe.chunks));
        self.round += 1;
        self.note_round_trip(now, round_trip);
    }

    fn note_round_trip(&mut self, now: Instant, round_trip: Duration) {
        match self.base {
            Some((base, _)) if round_trip > base => {}
            _ => self.base = Some((round_trip, now)),
        }
        if self.draining > 0 {
            self.drained = self.drained.min(round_trip);
            self.draining -= 1;
            if self.draining == 0 {
                self.base = Some((self.drained, now));
            }
        } else if self.base.is_some_and(|(_, measured)| now.saturating_duration_since(measured) > BASE_AGE) {
            self.draining = DRAINING;
            self.drained = Duration::MAX;
        }
    }

    /// Bytes that may be unacknowledged, at most `limit`.
    pub(super) fn bytes_allowed(&self, limit: usize) -> usize {
        self.allowed(|(bytes, _)| *bytes, MIN_BYTES, limit)
    }

    /// DATA chunks that may be sent now.
    pub(super) fn chunks_allowed(&self) -> usize {
        let under_way = self.highest.map_or(0, |highest| highest.wrapping_sub(self.acknowledged) as i32);
        let allowed = self.allowed(|(_, chunks)| *chunks, MIN_CHUNKS, usize::MAX);
        // What was given up may be acknowledged without having been sent.
        allowed.saturating_sub(usize::try_from(under_way).unwrap_or(0))
    }

    fn allowed(&self, rate: impl Fn(&(f64, f64)) -> f64, least: usize, limit: usize) -> usize {
        // Before anything was measured, the crate's own slow start is slow enough.
        let Some((base, _)) = self.base else { return limit };
        let best = self.rates.iter().map(rate).fold(0.0, f64::max);
        let gain = if self.draining > 0 { GAIN / 2.0 } else { GAIN };
        ((best * base.as_secs_f64() * gain) as usize).clamp(least, limit.max(least)).min(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16 << 20;
    const CHUNK: usize = 1_000;

    /// A path with a bottleneck: sends as much as is allowed for `time`, and says what is allowed then.
    fn saturate(flight: &mut Flight, start: Instant, time: Duration, delay: Duration, rate: f64) -> Instant {
        let mut now = start;
        let mut tsn = flight.highest.unwrap_or(7);
        let mut under_way: std::collections::VecDeque<(Instant, u32)> = std::collections::VecDeque::new();
        let mut free = now;
        while now < start + time {
            let room = flight.bytes_allowed(LIMIT).saturating_sub(under_way.len() * CHUNK) / CHUNK;
            for _ in 0..room.min(flight.chunks_allowed()) {
                tsn = tsn.wrapping_add(1);
                flight.sent(now, tsn);
                // The bottleneck takes one after the other.
                free = free.max(now) + Duration::from_secs_f64(CHUNK as f64 / rate);
                under_way.push_back((free + delay, tsn));
            }
            let (due, tsn) = under_way.pop_front().expect("something is under way");
            now = due;
            flight.acknowledged(tsn);
            flight.delivered(now, CHUNK);
        }
        while let Some((_, tsn)) = under_way.pop_front() {
            flight.acknowledged(tsn);
        }
        now
    }

    #[test]
    fn twice_what_the_path_holds_is_allowed() {
        let mut flight = Flight::default();
        let (delay, rate) = (Duration::from_millis(50), 20e6);
        assert_eq!(flight.bytes_allowed(LIMIT), LIMIT, "nothing is known yet");
        let now = saturate(&mut flight, Instant::now(), Duration::from_secs(5), delay, rate);
        let holds = rate * delay.as_secs_f64();
        let allowed = flight.bytes_allowed(LIMIT) as f64;
        assert!((1.8 * holds..2.3 * holds).contains(&allowed), "{allowed} for a path that holds {holds}");
        // A minute later it is the same: what waits on the way is not taken for the path.
        saturate(&mut flight, now, Duration::from_secs(100), delay, rate);
        let allowed = flight.bytes_allowed(LIMIT) as f64;
        assert!((0.9 * holds..2.6 * holds).contains(&allowed), "{allowed} for a path that holds {holds}");
    }

    #[test]
    fn a_path_that_became_faster_is_used() {
        let mut flight = Flight::default();
        let delay = Duration::from_millis(50);
        let now = saturate(&mut flight, Instant::now(), Duration::from_secs(5), delay, 12e6);
        saturate(&mut flight, now, Duration::from_secs(5), delay, 48e6);
        let allowed = flight.bytes_allowed(LIMIT) as f64;
        assert!(allowed > 1.8 * 48e6 * 0.05, "{allowed}");
    }

    #[test]
    fn a_short_path_is_not_strangled() {
        let mut flight = Flight::default();
        let delay = Duration::from_micros(50);
        saturate(&mut flight, Instant::now(), Duration::from_millis(200), delay, 300e6);
        assert_eq!(flight.bytes_allowed(LIMIT), MIN_BYTES);
        assert_eq!(flight.bytes_allowed(1_000), 1_000, "the caller's own limit counts");
        assert!(flight.chunks_allowed() >= MIN_CHUNKS);
    }

    #[test]
    fn what_was_given_up_does_not_count_as_under_way() {
        let mut flight = Flight::default();
        flight.sent(Instant::now(), u32::MAX);
        // FORWARD-TSN went beyond what was sent.
        flight.acknowledged(5);
        flight.delivered(Instant::now() + Duration::from_millis(5), 0);
        assert_eq!(flight.chunks_allowed(), MIN_CHUNKS);
    }
}
