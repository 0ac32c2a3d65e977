//! Single lines: what they mean, and which are refused with which reason.

use super::*;

#[test]
fn codecs_are_gathered_from_their_lines_in_any_order() {
    let section = section(
        "a=fmtp:96 x-a=1; b ;c=2=3\r\na=rtcp-fb:* nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\n\
         a=rtpmap:96 VP8/90000\r\na=fmtp:97 apt=96\r\na=fmtp:98 ignored=1\r\na=rtpmap:98 H264/90000\r\n",
    )
    .expect("well formed");
    assert_eq!(section.codecs.len(), 2);
    let vp8 = &section.codecs[0];
    assert_eq!(
        (vp8.payload_type, vp8.name.as_str(), vp8.clock_rate, vp8.channels),
        (96, "VP8", 90_000, None)
    );
    let parameter = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    assert_eq!(
        vp8.parameters,
        [parameter("x-a", Some("1")), parameter("b", None), parameter("c", Some("2=3"))]
    );
    assert_eq!(vp8.feedback, ["nack pli", "nack"]);
}

#[test]
fn static_payload_types_need_no_map_and_unknown_ones_are_left_out() {
    let text = format!("{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 0 8 9 111 112\r\na=rtpmap:111 opus/48000/2\r\n");
    let description: SessionDescription = text.parse().expect("well formed");
    let names: Vec<_> = description.media[0].codecs.iter().map(|c| (c.name.as_str(), c.channels)).collect();
    assert_eq!(names, [("PCMU", Some(1)), ("PCMA", Some(1)), ("G722", Some(1)), ("opus", Some(2))]);
    assert_eq!(description.media[0].formats.len(), 5);
}

#[test]
fn structured_attributes_are_typed() {
    let section = section(
        "a=extmap:3/sendonly urn:x some attributes\r\na=msid:- track\r\na=msid:stream\r\n\
         a=ssrc:1 cname:a b:c\r\na=ssrc:1 flag\r\na=ssrc-group:FID 1 2\r\n\
         a=rid:hi send pt=96,97;max-width=1280;custom\r\na=rid:hi recv\r\na=rid:b@d send\r\na=rid:lo recv\r\n\
         a=simulcast:recv lo send ~hi,x;y\r\nb=AS:500\r\nb=TIAS:400000\r\na=sctp-port:5000\r\n",
    )
    .expect("well formed");
    let extension = &section.extensions[0];
    assert_eq!((extension.id, extension.direction), (3, Some(Direction::Sendonly)));
    assert_eq!((extension.uri.as_str(), extension.attributes.as_deref()), ("urn:x", Some("some attributes")));
    assert_eq!(section.msids[0], Msid { stream: None, track: Some("track".to_owned()) });
    assert_eq!(section.msids[1], Msid { stream: Some("stream".to_owned()), track: None });
    assert_eq!(section.sources[0].value.as_deref(), Some("a b:c"));
    assert_eq!((section.sources[1].name.as_str(), &section.sources[1].value), ("flag", &None));
    assert_eq!(section.source_groups[0].ssrcs, [1, 2]);
    // RFC 8851: repeated and malformed identifiers are discarded.
    let rids: Vec<_> = section.rids.iter().map(|rid| (rid.id.as_str(), rid.direction)).collect();
    assert_eq!(rids, [("hi", RidDirection::Send), ("lo", RidDirection::Recv)]);
    assert_eq!(section.rids[0].payload_types, [96, 97]);
    assert_eq!(section.rids[0].restrictions.len(), 2);
    let simulcast = section.simulcast.as_ref().expect("there");
    assert!(simulcast.send[0][0].paused && simulcast.send[0][1].rid == "x" && simulcast.send.len() == 2);
    assert_eq!(simulcast.recv.len(), 1);
    assert_eq!(section.bitrate_max(), Some(400_000));
}

#[test]
fn sections_inherit_from_the_session() {
    let text = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns= \r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=ice-lite\r\n\
                a=ice-ufrag:sess\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:SHA-256 aa:BB\r\n\
                a=setup:actpass\r\na=inactive\r\na=extmap:1 urn:x\r\n\
                m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
                m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=ice-ufrag:medi\r\na=setup:passive\r\na=sendonly\r\n";
    let description: SessionDescription = text.parse().expect("well formed");
    assert!(description.ice_lite);
    let [first, second] = &description.media[..] else { panic!("two sections") };
    let transport = description.transport_of(first);
    assert_eq!(transport.ice_ufrag.as_deref(), Some("sess"));
    assert_eq!(transport.fingerprints, ["SHA-256 aa:BB"]);
    assert_eq!(transport.setup, Some(Setup::Actpass));
    assert_eq!(description.direction_of(first), Direction::Inactive);
    let transport = description.transport_of(second);
    assert_eq!(
        (transport.ice_ufrag.as_deref(), transport.ice_pwd),
        (Some("medi"), None),
        "credentials are a pair"
    );
    assert_eq!(transport.setup, Some(Setup::Passive));
    assert_eq!(description.direction_of(second), Direction::Sendonly);
    assert_eq!(description.extensions_of(first).count(), 1);
}

#[test]
fn ports_tell_rejected_from_bundle_only() {
    let mut media = section("a=bundle-only\r\n").expect("well formed");
    assert!(!media.rejected());
    media.port = 0;
    assert!(!media.rejected());
    media.bundle_only = false;
    assert!(media.rejected());
    let text = format!("{HEAD}m=video 0 UDP/TLS/RTP/SAVPF\r\n");
    let description: SessionDescription = text.parse().expect("rejected sections may have no formats");
    assert!(description.media[0].rejected());
}

#[test]
fn malformed_attributes_are_named_with_their_line() {
    for (line, attribute) in [
        ("ice-ufrag:abc", "ice-ufrag"),
        ("ice-ufrag:ab-cd", "ice-ufrag"),
        ("ice-pwd:short", "ice-pwd"),
        ("fingerprint:sha-256", "fingerprint"),
        ("fingerprint:sha-256 AABB", "fingerprint"),
        ("setup:none", "setup"),
        ("mid:", "mid"),
        ("mid:a b", "mid"),
        ("rtpmap:96", "rtpmap"),
        ("rtpmap:128 VP8/90000", "rtpmap"),
        ("rtpmap:96 VP8/fast", "rtpmap"),
        ("rtcp-fb:96", "rtcp-fb"),
        ("extmap:0 urn:x", "extmap"),
        ("extmap:256 urn:x", "extmap"),
        ("extmap:1/sideways urn:x", "extmap"),
        ("extmap:1", "extmap"),
        ("ssrc:x cname:y", "ssrc"),
        ("ssrc:4294967296 cname:y", "ssrc"),
        ("ssrc-group:FID x", "ssrc-group"),
        ("msid:", "msid"),
        ("simulcast:send", "simulcast"),
        ("simulcast:both a", "simulcast"),
        ("sctp-port:70000", "sctp-port"),
        ("max-message-size:-1", "max-message-size"),
    ] {
        let error = section(&format!("a=x-unknown:{line}\r\na={line}\r\n")).expect_err(line);
        assert_eq!(
            error,
            SdpError { line: FIRST_ATTRIBUTE + 1, reason: SdpErrorReason::BadAttribute(attribute) }
        );
    }
}

#[test]
fn malformed_lines_are_named() {
    use SdpErrorReason::*;
    for (text, line, reason) in [
        ("", 0, MissingLine('v')),
        ("x=0\r\n", 1, BadVersion),
        ("v=1\r\n", 1, BadVersion),
        ("v=0\r\n", 1, MissingLine('o')),
        ("v=0\r\no=- 1 2 IN IP4\r\n", 2, BadOrigin),
        ("v=0\r\no=- one 2 IN IP4 ::\r\n", 2, BadOrigin),
        ("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n", 3, MissingLine('t')),
        ("v=0\r\nno line\r\n", 2, NotTypeValue),
        ("v=0\r\nq=1\r\n", 2, NotTypeValue),
        ("v=0\r\na=x:\0\r\n", 2, ControlCharacter),
        ("v=0\r\nc=IN IP4\r\n", 2, BadConnection),
        ("v=0\r\nb=AS\r\n", 2, BadBandwidth),
        ("v=0\r\nm=audio\r\n", 2, BadMediaLine),
        ("v=0\r\nm=audio 70000 UDP/TLS/RTP/SAVPF 0\r\n", 2, BadMediaLine),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF opus\r\n", 2, BadMediaLine),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 128\r\n", 2, BadMediaLine),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF\r\n", 2, BadMediaLine),
    ] {
        assert_eq!(text.parse::<SessionDescription>(), Err(SdpError { line, reason }), "{text:?}");
    }
}

#[test]
fn tags_are_unique_and_simulcast_is_said_once() {
    let error = section("a=mid:a\r\na=mid:b\r\n").expect_err("twice in a section");
    assert_eq!(error.reason, SdpErrorReason::Repeated("mid"));
    let error =
        section("a=mid:a\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:a\r\n").expect_err("in two sections");
    assert_eq!(error.reason, SdpErrorReason::Repeated("mid"));
    let error = section("a=simulcast:send a\r\na=simulcast:recv b\r\n").expect_err("twice");
    assert_eq!(error.reason, SdpErrorReason::Repeated("simulcast"));
}

#[test]
fn unix_line_ends_blank_lines_and_a_missing_last_line_end_are_accepted() {
    let text = format!("{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x");
    let parsed: SessionDescription = text.parse().expect("well formed");
    let unix = format!("\n{}\n\n", text.replace("\r\n", "\n"));
    assert_eq!(unix.trim_start().parse(), Ok(parsed.clone()));
    assert_eq!(parsed.media[0].mid.as_deref(), Some("x"));
}
