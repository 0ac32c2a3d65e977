//! H264 profiles: which are the same format, and which are not (RFC 6184 8.1, 8.2.2).

use std::sync::Arc;

use super::*;
use crate::proto::rtp::CodecParameters;

fn h264(payload_type: u8, profile: Option<&str>, mode: &str) -> CodecParameters {
    let mut parameters = vec![("packetization-mode".to_owned(), Some(mode.to_owned()))];
    parameters.extend(profile.map(|profile| ("profile-level-id".to_owned(), Some(profile.to_owned()))));
    let (name, clock_rate, channels, feedback) = ("H264".to_owned(), 90_000, None, Vec::new());
    CodecParameters { payload_type, name, clock_rate, channels, parameters, feedback }
}

/// Whether an endpoint with exactly `ours` accepts an offer of `theirs`.
fn accepts(ours: CodecParameters, theirs: CodecParameters) -> bool {
    let (mut left, mut right) = (session(1), session(2));
    for (session, codec) in [(&mut left, theirs), (&mut right, ours)] {
        let mut config = session.config().clone();
        let video = Arc::make_mut(&mut config.media.video);
        video.codecs = vec![codec];
        video.any_h264_profile = false;
        session.set_configuration(config).expect("may change");
    }
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let (_, answer) = exchange(&mut left, &mut right);
    !answer.media[0].rejected()
}

/// aiortc: H264 profiles Baseline, Constrained Baseline, Main, High, Constrained High.
#[test]
fn profiles_must_match_and_levels_need_not() {
    for profile in ["42001f", "42e01f", "4d001f", "64001f", "640c1f"] {
        assert!(accepts(h264(102, Some(profile), "1"), h264(100, Some(profile), "1")), "{profile}");
        let other_level = format!("{}34", &profile[..4]);
        assert!(accepts(h264(102, Some(profile), "1"), h264(100, Some(&other_level), "1")), "{other_level}");
        assert!(accepts(h264(102, Some(&profile.to_uppercase()), "1"), h264(100, Some(profile), "1")));
    }
    for (ours, theirs) in [("42001f", "4d001f"), ("64001f", "640c1f"), ("42e01f", "64001f")] {
        assert!(!accepts(h264(102, Some(ours), "1"), h264(102, Some(theirs), "1")), "{ours} {theirs}");
    }
}

#[test]
fn packetization_modes_must_match() {
    assert!(!accepts(h264(102, Some("42e01f"), "1"), h264(102, Some("42e01f"), "0")));
    assert!(accepts(h264(102, Some("42e01f"), "0"), h264(102, Some("42e01f"), "0")));
}

#[test]
fn without_a_profile_baseline_is_meant() {
    assert!(accepts(h264(102, Some("42000a"), "1"), h264(102, None, "1")));
    assert!(!accepts(h264(102, Some("64001f"), "1"), h264(102, None, "1")));
}

/// A profile that can't be read is no profile; the section is rejected, not the description.
#[test]
fn malformed_profiles_match_nothing_but_themselves() {
    assert!(!accepts(h264(102, Some("42e01f"), "1"), h264(102, Some("xyz"), "1")));
}
