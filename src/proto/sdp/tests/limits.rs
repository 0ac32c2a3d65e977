//! Texts made to cost time or memory (protocols.md A46, A47): bounded work, or a named refusal.
//!
//! Work is not measured by the clock: the tests run in a debugger's build too. What would be quadratic at these
//! sizes would not end within the patience of anybody.

use super::*;
use std::fmt::Write;

fn reason(text: &str) -> SdpErrorReason {
    text.parse::<SessionDescription>().expect_err("too much").reason
}

#[test]
fn text_and_sections_are_bounded() {
    let long = format!("{HEAD}a=x:{}\r\n", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(reason(&long), SdpErrorReason::TextTooLong);
    let sections = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(SECTIONS_MAX + 1);
    assert_eq!(reason(&format!("{HEAD}{sections}")), SdpErrorReason::TooManySections);
    let line = format!("{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na={}\r\n", "x".repeat(100_000));
    line.parse::<SessionDescription>().expect("one long line of an unknown attribute is ignored");
}

#[test]
fn repeated_attributes_are_bounded() {
    for (line, name) in [
        ("a=ssrc:1 x", "ssrc"),
        ("a=ssrc-group:FID 1 2", "ssrc-group"),
        ("a=msid:a b", "msid"),
        ("a=extmap:1 urn:x", "extmap"),
        ("a=fingerprint:sha-256 AA", "fingerprint"),
        ("a=rid:{} send", "rid"),
        ("a=fmtp:96 a;b", "fmtp"),
        ("a=rtcp-fb:96 {}", "rtcp-fb"),
        ("a=rtcp-fb:* {}", "rtcp-fb"),
    ] {
        let mut lines = String::new();
        for number in 0..20_000 {
            let _ = write!(lines, "{}\r\n", line.replace("{}", &number.to_string()));
        }
        let error = section(&lines).expect_err(line);
        assert_eq!(error.reason, SdpErrorReason::TooMany(name));
    }
    let groups = "a=group:BUNDLE a\r\n".repeat(10_000);
    assert_eq!(reason(&format!("{HEAD}{groups}")), SdpErrorReason::TooMany("group"));
    let mids: String = (0..10_000).map(|n| format!(" {n}")).collect();
    assert_eq!(reason(&format!("{HEAD}a=group:BUNDLE{mids}\r\n")), SdpErrorReason::BadAttribute("group"));
}

#[test]
fn surplus_candidates_are_dropped() {
    let lines: String =
        (0..10_000).map(|n| format!("a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n")).collect();
    assert_eq!(section(&lines).expect("accepted").candidates.len(), CANDIDATES_MAX);
}

#[test]
fn many_sections_of_many_codecs_parse() {
    let formats: String = (0..128).map(|n| format!(" {n}")).collect();
    let maps: String = (0..128).map(|n| format!("a=rtpmap:{n} X/1\r\n")).collect();
    let one = format!("m=video 9 RTP/AVP{formats}\r\n{maps}");
    let text = format!("{HEAD}{}", one.repeat(TEXT_BYTES_MAX / one.len() - 1));
    let description: SessionDescription = text.parse().expect("accepted");
    assert!(description.media.iter().all(|section| section.codecs.len() == 128));
}
