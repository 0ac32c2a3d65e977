//! Makes a report of what the actors said.

use std::time::{Duration, Instant};

use super::{
    RtcStats, RtcStatsReport, rtp, transport,
    types::{RtcDataChannelStats, RtcPeerConnectionStats},
};
use crate::{
    messages::statistics::Statistics,
    proto::rtcp::{ClockAnchor, NtpTime},
};

/// Seconds from the NTP epoch (1900) to that of W3C (1970).
const UNIX_OFFSET: u64 = 2_208_988_800;

/// All objects of a connection.
pub(super) fn report(statistics: &Statistics) -> RtcStatsReport {
    let mut report = RtcStatsReport::default();
    let timestamp = milliseconds(&statistics.clock, statistics.at);
    report.insert(RtcStats::PeerConnection(RtcPeerConnectionStats {
        id: "P".to_owned(),
        timestamp,
        data_channels_opened: statistics.sctp.as_ref().map_or(0, |sctp| sctp.channels_opened),
        data_channels_closed: statistics.sctp.as_ref().map_or(0, |sctp| sctp.channels_closed),
    }));
    for (key, channel) in statistics.sctp.iter().flat_map(|sctp| &sctp.channels) {
        report.insert(RtcStats::DataChannel(RtcDataChannelStats {
            id: format!("D{key}"),
            timestamp,
            state: channel.state,
            label: Some(channel.label.clone()),
            protocol: Some(channel.protocol.clone()),
            data_channel_identifier: channel.id,
            messages_sent: Some(channel.messages_sent),
            bytes_sent: Some(channel.bytes_sent),
            messages_received: Some(channel.messages_received),
            bytes_received: Some(channel.bytes_received),
        }));
    }
    transport::add(&mut report, statistics, timestamp);
    rtp::add(&mut report, statistics, timestamp);
    report
}

/// W3C `DOMHighResTimeStamp` of an instant: milliseconds since 1970, by a clock that never runs backwards.
pub(super) fn milliseconds(clock: &ClockAnchor, at: Instant) -> f64 {
    ntp_milliseconds(clock.ntp_at(at))
}

/// The same of an NTP time. One before 1970, of a peer without a clock, becomes negative.
pub(super) fn ntp_milliseconds(ntp: NtpTime) -> f64 {
    let seconds = (ntp.0 >> 32) as f64 - UNIX_OFFSET as f64;
    let fraction = (ntp.0 & 0xffff_ffff) as f64 / 4_294_967_296.0;
    // To the microsecond: what is beyond is noise, and not exact in JSON.
    ((seconds + fraction) * 1_000_000.0).round() / 1_000.0
}

pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn timestamps_are_milliseconds_since_1970() {
        let now = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let clock = ClockAnchor { instant: now, ntp: NtpTime::from(wall) };
        assert!((milliseconds(&clock, now) - 1_700_000_000_250.0).abs() < 0.01);
        let later = milliseconds(&clock, now + Duration::from_millis(1_500));
        assert!((later - 1_700_000_001_750.0).abs() < 0.01);
    }
}
