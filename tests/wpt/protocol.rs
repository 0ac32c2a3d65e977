//! Ports of `webrtc/protocol/`: what descriptions must say and what must be refused in them.

use crate::support::*;
use actix_rtc::proto::jsep::{
    BundlePolicy, Description, Direction, DtlsRole, MediaKind, OfferOptions, SignalingState,
};

fn video_offer_without_credentials() -> String {
    format!(
        "{PREAMBLE}{FINGERPRINT}m=video 1 RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendonly\r\n\
         a=mid:video\r\na=rtpmap:100 VP8/30\r\na=setup:actpass\r\n"
    )
}

fn offer_with_setup(setup: &str) {
    let mut session = session();
    let sdp = two_section_offer().replace("a=setup:actpass", &format!("a=setup:{setup}"));
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    let answer = session.create_answer().expect("answer");
    let chosen = lines(&answer.sdp, "a=setup:");
    match setup {
        "active" => assert_eq!(chosen[0], "passive"),
        "passive" => assert_eq!(chosen[0], "active"),
        _ => assert!(["active", "passive"].contains(&chosen[0]), "{chosen:?}"),
    }
    session.set_local_description(answer.clone()).expect("local answer");
    let role = session.transports()[0].remote.as_ref().and_then(|remote| remote.dtls_role);
    let expected = if chosen[0] == "active" { DtlsRole::Client } else { DtlsRole::Server };
    assert_eq!(role, Some(expected));
}

/// protocol/dtls-setup.https.html: "PC should accept initial offer with setup=actpass"
#[test]
fn pc_should_accept_initial_offer_with_setup_actpass() {
    offer_with_setup("actpass");
}

/// protocol/dtls-setup.https.html: "PC should accept initial offer with setup=active"
#[test]
fn pc_should_accept_initial_offer_with_setup_active() {
    offer_with_setup("active");
}

/// protocol/dtls-setup.https.html: "PC should accept initial offer with setup=passive"
#[test]
fn pc_should_accept_initial_offer_with_setup_passive() {
    offer_with_setup("passive");
}

/// protocol/ice-ufragpwd.html: "setRemoteDescription with a ice-ufrag containing a non-ice-char fails"
#[test]
fn set_remote_description_with_an_ice_ufrag_containing_a_non_ice_char_fails() {
    let sdp = video_offer_without_credentials() + &CREDENTIALS.replace("ETEn", "E$En");
    assert_refused(session().set_remote_description(Description::offer(sdp)), "InvalidAccessError");
}

/// protocol/ice-ufragpwd.html: "setRemoteDescription with a ice-pwd containing a non-ice-char fails"
#[test]
fn set_remote_description_with_an_ice_pwd_containing_a_non_ice_char_fails() {
    let sdp = video_offer_without_credentials() + &CREDENTIALS.replace("K0Wp", "K$Wp");
    assert_refused(session().set_remote_description(Description::offer(sdp)), "InvalidAccessError");
}

/// protocol/jsep-initial-offer.https.html: "Offer conforms to basic SDP requirements"
#[test]
fn offer_conforms_to_basic_sdp_requirements() {
    let offer = receive_only_offer(&mut session(), MediaKind::Video);
    let text: Vec<&str> = offer.sdp.split("\r\n").collect();
    assert_eq!(text[0], "v=0");
    let origin: Vec<&str> = text[1].strip_prefix("o=").expect("origin").split(' ').collect();
    assert_eq!(origin.len(), 6, "{origin:?}");
    assert!(origin[1].parse::<u64>().is_ok());
    assert!(origin[2].parse::<u64>().expect("version") < 1 << 62);
    assert_eq!(&origin[3..5], ["IN", "IP4"]);
    assert!(["0.0.0.0", "127.0.0.1"].contains(&origin[5]), "an address that tells nothing");
    let name = text[2].strip_prefix("s=").expect("session name");
    assert!(!name.is_empty() && !name.contains(char::is_whitespace));
}

fn without_mids(description: &Description) -> Description {
    edited(description, |sdp| {
        let kept = |line: &&str| !line.starts_with("a=mid:") && !line.starts_with("a=group:");
        sdp.lines().filter(kept).map(|line| format!("{line}\r\n")).collect()
    })
}

/// protocol/missing-fields.html: "Offer description with no mid is accepted"
#[test]
fn offer_description_with_no_mid_is_accepted() {
    let (mut caller, mut callee) = (session(), session());
    add_track(&mut caller, MediaKind::Audio);
    let offer = offer(&mut caller);
    caller.set_local_description(offer.clone()).expect("local offer");
    callee.set_remote_description(without_mids(&offer)).expect("offer without mid");
    let answer = callee.create_answer().expect("answer");
    caller.set_remote_description(answer).expect("remote answer");
}

/// protocol/missing-fields.html: "Answer description with no mid is accepted"
#[test]
fn answer_description_with_no_mid_is_accepted() {
    let (mut caller, mut callee) = (session(), session());
    add_track(&mut caller, MediaKind::Audio);
    let offer = offer(&mut caller);
    caller.set_local_description(offer.clone()).expect("local offer");
    callee.set_remote_description(offer).expect("remote offer");
    let answer = callee.create_answer().expect("answer");
    caller.set_remote_description(without_mids(&answer)).expect("answer without mid");
}

fn answer_to_opus_as(payload_type: u8) -> Result<Description, actix_rtc::proto::jsep::JsepError> {
    let sdp = format!(
        "{PREAMBLE}{FINGERPRINT}{CREDENTIALS}m=audio 9 RTP/SAVPF {payload_type}\r\nc=IN IP4 0.0.0.0\r\n\
         a=rtcp-mux\r\na=sendonly\r\na=mid:audio\r\na=rtpmap:{payload_type} opus/48000/2\r\na=setup:actpass\r\n"
    );
    let mut session = session();
    session.set_remote_description(Description::offer(sdp))?;
    session.create_answer()
}

fn payload_types_work(range: std::ops::RangeInclusive<u8>) {
    for payload_type in range {
        let answer = answer_to_opus_as(payload_type).expect("accepted");
        assert!(answer.sdp.contains(&format!("a=rtpmap:{payload_type} opus/48000/2")), "{payload_type}");
    }
}

/// protocol/rtp-payloadtypes.html: "setRemoteDescription with a codec in the range 96-127 works"
#[test]
fn set_remote_description_with_a_codec_in_the_range_96_127_works() {
    payload_types_work(96..=127);
}

/// protocol/rtp-payloadtypes.html: "setRemoteDescription with a codec in the range 35-63 works"
#[test]
fn set_remote_description_with_a_codec_in_the_range_35_63_works() {
    payload_types_work(35..=63);
}

/// protocol/rtp-payloadtypes.html: "setRemoteDescription with a codec in the range 64-95 throws an
/// InvalidAccessError"
#[test]
fn set_remote_description_with_a_codec_in_the_range_64_95_throws_an_invalid_access_error() {
    for payload_type in 64..=95 {
        assert_refused(answer_to_opus_as(payload_type), "InvalidAccessError");
    }
}

/// protocol/RTCPeerConnection-payloadTypes.html: "createOffer with the maximum set of codecs does not generate
/// invalid payload types"
#[test]
fn create_offer_with_the_maximum_set_of_codecs_does_not_generate_invalid_payload_types() {
    let mut session = session();
    add(&mut session, MediaKind::Audio, Direction::Recvonly);
    let offer = receive_only_offer(&mut session, MediaKind::Video);
    for line in lines(&offer.sdp, "m=") {
        for payload_type in line.split(' ').skip(3) {
            let payload_type: u8 = payload_type.parse().expect("a number");
            assert!(!(64..=95).contains(&payload_type) && payload_type < 128, "{payload_type}");
        }
    }
}

fn offers_extension(uri: &str) {
    let mut session = session();
    add(&mut session, MediaKind::Audio, Direction::Sendrecv);
    add(&mut session, MediaKind::Video, Direction::Sendrecv);
    let offer = offer(&mut session);
    let extensions = lines(&offer.sdp, "a=extmap:");
    assert!(extensions.iter().any(|extension| extension.ends_with(&format!(" {uri}"))), "{extensions:?}");
}

/// protocol/rtp-extension-support.html: "RTP header extension urn:ietf:params:rtp-hdrext:ssrc-audio-level is
/// present in offer"
#[test]
fn rtp_header_extension_ssrc_audio_level_is_present_in_offer() {
    offers_extension("urn:ietf:params:rtp-hdrext:ssrc-audio-level");
}

/// protocol/rtp-extension-support.html: "RTP header extension urn:ietf:params:rtp-hdrext:sdes:mid is present in
/// offer"
#[test]
fn rtp_header_extension_mid_is_present_in_offer() {
    offers_extension("urn:ietf:params:rtp-hdrext:sdes:mid");
}

/// protocol/rtp-extension-support.html: "RTP header extension urn:3gpp:video-orientation is present in offer"
#[test]
fn rtp_header_extension_video_orientation_is_present_in_offer() {
    offers_extension("urn:3gpp:video-orientation");
}

/// protocol/rtp-extension-support.html: "RTP header extension
/// urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id is present in offer"
#[test]
fn rtp_header_extension_rtp_stream_id_is_present_in_offer() {
    offers_extension("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id");
}

/// protocol/rtp-extension-support.html: "RTP header extension
/// urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id is present in offer"
#[test]
fn rtp_header_extension_repaired_rtp_stream_id_is_present_in_offer() {
    offers_extension("urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id");
}

fn answers_extension(kinds: &[MediaKind], uri: &str) {
    let mids: Vec<String> = kinds.iter().map(MediaKind::to_string).collect();
    let mut sdp = format!("{PREAMBLE}{FINGERPRINT}{CREDENTIALS}a=group:BUNDLE {}\r\n", mids.join(" "));
    for kind in kinds {
        let codec = if *kind == MediaKind::Audio { "111 opus/48000/2" } else { "112 VP8/90000" };
        let payload_type = &codec[..3];
        sdp += &format!(
            "m={kind} 9 RTP/SAVPF {payload_type}\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendonly\r\na=mid:{kind}\r\n\
             a=rtpmap:{codec}\r\na=setup:actpass\r\na=extmap:1 {uri}\r\n"
        );
    }
    let mut session = session();
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    let answer = session.create_answer().expect("answer");
    assert_eq!(sections(&answer.sdp).len(), kinds.len());
    for section in sections(&answer.sdp) {
        assert_eq!(lines(section, "a=extmap:"), [format!("1 {uri}")]);
    }
}

/// protocol/rtp-headerextensions.html: "MID header extension is supported."
#[test]
fn mid_header_extension_is_supported() {
    answers_extension(&[MediaKind::Audio, MediaKind::Video], "urn:ietf:params:rtp-hdrext:sdes:mid");
}

/// protocol/rtp-headerextensions.html: "Audio level header extension is supported."
#[test]
fn audio_level_header_extension_is_supported() {
    answers_extension(&[MediaKind::Audio], "urn:ietf:params:rtp-hdrext:ssrc-audio-level");
}

/// protocol/rtp-headerextensions.html: "Video orientation header extension is supported."
#[test]
fn video_orientation_header_extension_is_supported() {
    answers_extension(&[MediaKind::Video], "urn:3gpp:video-orientation");
}

/// protocol/rtp-headerextensions.html: "Negotiates the subset of supported extensions offered"
#[test]
fn negotiates_the_subset_of_supported_extensions_offered() {
    let mut session = session();
    add(&mut session, MediaKind::Video, Direction::Sendrecv);
    let offer = offer(&mut session);
    let offered = lines(&offer.sdp, "a=extmap:");
    let unknown = offered.iter().find(|extension| !extension.ends_with("sdes:mid")).expect("another one");
    let uri = unknown.split(' ').nth(1).expect("a URI");
    session.set_remote_description(edited(&offer, |sdp| sdp.replace(uri, "bogus"))).expect("offer");
    let answer = set_local(&mut session);
    let answered = lines(&answer.sdp, "a=extmap:");
    assert_eq!(answered.len(), offered.len() - 1);
    assert!(answered.iter().all(|extension| offered.contains(extension)), "{answered:?}");
}

/// protocol/sctp-format.html: "Generated Datachannel SDP uses correct SCTP offer syntax"
#[test]
fn generated_datachannel_sdp_uses_correct_sctp_offer_syntax() {
    let offer = data_channel_offer(&mut session());
    let sections = sections(&offer.sdp);
    assert_eq!(sections.len(), 1);
    let words: Vec<&str> = sections[0].lines().next().expect("an m-line").split(' ').collect();
    assert_eq!(words[0], "m=application");
    assert!(words[1].parse::<u16>().is_ok());
    assert_eq!(&words[2..], ["UDP/DTLS/SCTP", "webrtc-datachannel"]);
    assert_eq!(lines(sections[0], "a=sctp-port:").len(), 1);
    assert!(lines(sections[0], "a=sctp-port:")[0].parse::<u16>().is_ok());
    assert_eq!(lines(sections[0], "a=mid:").len(), 1);
}

/// protocol/sdes-dont-dont-dont.html: "does not create offers with SDES"
#[test]
fn does_not_create_offers_with_sdes() {
    let mut session = session();
    add(&mut session, MediaKind::Audio, Direction::Sendrecv);
    assert!(lines(&offer(&mut session).sdp, "a=crypto:").is_empty());
}

/// protocol/sdes-dont-dont-dont.html: "rejects a remote offer that only includes SDES and no DTLS fingerprint"
#[test]
fn rejects_a_remote_offer_that_only_includes_sdes_and_no_dtls_fingerprint() {
    let sdp = format!(
        "{PREAMBLE}m=video 9 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendonly\r\n\
         a=mid:video\r\na=rtpmap:100 VP8/90000\r\n\
         a=crypto:0 AES_CM_128_HMAC_SHA1_80 inline:2nra27hTUb9ilyn2rEkBEQN9WOFts26F/jvofasw\r\n{CREDENTIALS}"
    );
    assert_refused(session().set_remote_description(Description::offer(sdp)), "InvalidAccessError");
}

/// protocol/unknown-mediatypes.html: "Unknown media types are rejected with the port set to 0"
#[test]
fn unknown_media_types_are_rejected_with_the_port_set_to_0() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Audio);
    let offer = offer(&mut pc1);
    pc2.set_remote_description(edited(&offer, |sdp| sdp.replace("m=audio ", "m=unicorns "))).expect("offer");
    let answer = set_local(&mut pc2);
    let sections = sections(&answer.sdp);
    assert_eq!(sections.len(), 1);
    assert!(sections[0].starts_with("m=unicorns 0 "), "{}", sections[0]);
}

/// protocol/vp8-fmtp.html: "setRemoteDescription parses max-fr and max-fs fmtp parameters"
#[test]
fn set_remote_description_parses_max_fr_and_max_fs_fmtp_parameters() {
    let sdp = format!(
        "{PREAMBLE}{FINGERPRINT}m=video 9 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=recvonly\r\n\
         a=mid:video\r\na=rtpmap:100 VP8/90000\r\na=fmtp:100 max-fr=30;max-fs=3600\r\na=setup:actpass\r\n{CREDENTIALS}"
    );
    let mut session = session();
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    let id = session.transceivers()[0].id();
    session.set_direction(id, Direction::Sendonly).expect("direction");
    set_local(&mut session);
    let sent = session.transceivers()[0].send_parameters().expect("it sends");
    assert_eq!(sent.codecs[0].parameter("max-fr"), Some("30"));
    assert_eq!(sent.codecs[0].parameter("max-fs"), Some("3600"));
}

/// protocol/video-codecs.https.html: "H.264 and VP8 should be supported in initial offer"
#[test]
fn h264_and_vp8_should_be_supported_in_initial_offer() {
    let offer = receive_only_offer(&mut session(), MediaKind::Video);
    let names = codec_names(sections(&offer.sdp)[0]);
    assert!(names.iter().any(|name| name == "VP8") && names.iter().any(|name| name == "H264"), "{names:?}");
}

/// protocol/video-codecs.https.html: "H.264 and VP8 should be negotiated after handshake"
#[test]
fn h264_and_vp8_should_be_negotiated_after_handshake() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    exchange(&mut pc1, &mut pc2);
    let sent = pc1.transceivers()[0].send_parameters().expect("it sends");
    for name in ["VP8", "H264"] {
        assert!(sent.codecs.iter().any(|codec| codec.name == name), "{name}");
    }
}

/// protocol/video-codecs.https.html: "All H.264 codecs MUST include profile-level-id"
#[test]
fn all_h264_codecs_must_include_profile_level_id() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    exchange(&mut pc1, &mut pc2);
    let sent = pc1.transceivers()[0].send_parameters().expect("it sends");
    let mut h264 = sent.codecs.iter().filter(|codec| codec.name == "H264").peekable();
    assert!(h264.peek().is_some());
    assert!(h264.all(|codec| codec.parameter("profile-level-id").is_some()));
}

/// protocol/codecs-subsequent-offer.https.html: "A subsequent offer after a VP8-only negotiation includes at least
/// all mandatory to implement codecs"
#[test]
fn a_subsequent_offer_after_a_vp8_only_negotiation_includes_at_least_all_mandatory_to_implement_codecs() {
    let sdp = format!(
        "{PREAMBLE}{FINGERPRINT}m=video 9 RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendrecv\r\n\
         a=mid:video\r\na=rtpmap:100 VP8/90000\r\na=setup:actpass\r\n{CREDENTIALS}"
    );
    let mut session = session();
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    set_local(&mut session);
    assert!(!session.transceivers()[0].stopped());
    let offer = offer(&mut session);
    let names = codec_names(sections(&offer.sdp)[0]);
    assert!(names.iter().any(|name| name == "VP8") && names.iter().any(|name| name == "H264"), "{names:?}");
}

/// Every `rtx` format has an `apt`, and it names a format of the section that is not `rtx`.
#[track_caller]
fn assert_sensible_rtx(section: &str) {
    let codecs: Vec<(&str, &str)> =
        lines(section, "a=rtpmap:").iter().filter_map(|line| line.split_once(' ')).collect();
    for (payload_type, codec) in &codecs {
        if codec.starts_with("rtx/") {
            let format = format!("a=fmtp:{payload_type} apt=");
            let apt = lines(section, &format).first().copied().expect("rtx has apt");
            let repaired = codecs.iter().find(|(other, _)| *other == apt).expect("apt names a format");
            assert!(!repaired.1.starts_with("rtx/"), "rtx of rtx");
        }
    }
}

/// protocol/rtx-codecs.https.html: "Initial offer should have sensible RTX mappings"
#[test]
fn initial_offer_should_have_sensible_rtx_mappings() {
    let offer = receive_only_offer(&mut session(), MediaKind::Video);
    assert!(offer.sdp.contains(" rtx/90000"));
    assert_sensible_rtx(sections(&offer.sdp)[0]);
}

/// protocol/rtx-codecs.https.html: "Self-negotiated answer should have sensible RTX parameters"
#[test]
fn self_negotiated_answer_should_have_sensible_rtx_parameters() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    let (_, answer) = exchange(&mut pc1, &mut pc2);
    assert!(answer.sdp.contains(" rtx/90000"));
    assert_sensible_rtx(sections(&answer.sdp)[0]);
}

fn answer_to_rtx_offer(formats: &str) {
    let sdp = format!(
        "{PREAMBLE}a=group:BUNDLE video\r\na=msid-semantic: WMS\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99\r\n\
         c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n{CREDENTIALS}{FINGERPRINT}a=setup:actpass\r\na=mid:video\r\n\
         a=recvonly\r\na=rtcp-mux\r\n{formats}"
    );
    let mut session = session();
    add_track(&mut session, MediaKind::Video);
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    let answer = session.create_answer().expect("answer");
    assert!(answer.sdp.contains(" VP8/90000"), "{}", answer.sdp);
    assert_sensible_rtx(sections(&answer.sdp)[0]);
}

/// protocol/rtx-codecs.https.html: "A remote offer generates sensible RTX references in answer"
#[test]
fn a_remote_offer_generates_sensible_rtx_references_in_answer() {
    answer_to_rtx_offer(
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=98\r\na=rtpmap:98 VP8/90000\r\na=rtcp-fb:98 ccm fir\r\n\
         a=rtcp-fb:98 nack\r\na=rtcp-fb:98 nack pli\r\n",
    );
}

/// protocol/rtx-codecs.https.html: "A remote offer with duplicate codecs generates sensible RTX references in
/// answer"
#[test]
fn a_remote_offer_with_duplicate_codecs_generates_sensible_rtx_references_in_answer() {
    answer_to_rtx_offer(
        "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=98\r\na=rtpmap:98 VP8/90000\r\n\
         a=rtcp-fb:98 ccm fir\r\na=rtcp-fb:98 nack\r\na=rtcp-fb:98 nack pli\r\na=rtpmap:99 rtx/90000\r\n\
         a=fmtp:99 apt=96\r\n",
    );
}

fn munged_fingerprint(description: &Description) -> Description {
    let known = lines(&description.sdp, "a=fingerprint:")[0];
    let other = FINGERPRINT.trim_end().strip_prefix("a=fingerprint:").expect("a fingerprint");
    edited(description, |sdp| sdp.replace(known, other))
}

/// protocol/fingerprint-change-requires-ice-restart.html: "setRemoteDescription rejects a changed DTLS fingerprint
/// without an ICE restart"
#[test]
fn set_remote_description_rejects_a_changed_dtls_fingerprint_without_an_ice_restart() {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Audio, Direction::Sendrecv);
    exchange(&mut pc1, &mut pc2);
    let offer = set_local(&mut pc1);
    pc2.set_remote_description(offer).expect("remote offer");
    let answer = pc2.create_answer().expect("answer");
    assert_refused(pc1.set_remote_description(munged_fingerprint(&answer)), "InvalidAccessError");
}

/// protocol/fingerprint-change-requires-ice-restart.html: "setRemoteDescription rejects a changed DTLS fingerprint
/// in a re-offer without an ICE restart"
#[test]
fn set_remote_description_rejects_a_changed_dtls_fingerprint_in_a_re_offer_without_an_ice_restart() {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Audio, Direction::Sendrecv);
    exchange(&mut pc1, &mut pc2);
    let reoffer = offer(&mut pc1);
    assert_refused(pc2.set_remote_description(munged_fingerprint(&reoffer)), "InvalidAccessError");
}

/// protocol/handover.html: "Negotiation of handover initiated at caller works"
#[test]
fn negotiation_of_handover_initiated_at_caller_works() {
    let (mut caller, mut first, mut second) = (session(), session(), session());
    add(&mut caller, MediaKind::Audio, Direction::Sendrecv);
    exchange(&mut caller, &mut first);
    let offer = caller.create_offer(OfferOptions { ice_restart: true }).expect("offer");
    caller.set_local_description(offer.clone()).expect("local offer");
    second.set_remote_description(offer).expect("remote offer");
    let answer = set_local(&mut second);
    caller.set_remote_description(answer).expect("answer of another peer");
    assert_eq!(caller.signaling_state(), SignalingState::Stable);
}

/// protocol/handover.html: "Negotiation of handover initiated at callee works"
#[test]
fn negotiation_of_handover_initiated_at_callee_works() {
    let (mut caller, mut first, mut second) = (session(), session(), session());
    add(&mut caller, MediaKind::Audio, Direction::Sendrecv);
    let (offer, _) = exchange(&mut caller, &mut first);
    // The second peer learns sections, mids and payload types from the first offer.
    second.set_remote_description(offer).expect("first offer");
    set_local(&mut second);
    let handover = second.create_offer(OfferOptions { ice_restart: true }).expect("offer");
    second.set_local_description(handover.clone()).expect("local offer");
    caller.set_remote_description(handover).expect("offer of another peer");
    let answer = set_local(&mut caller);
    second.set_remote_description(answer).expect("remote answer");
}

/// protocol/ice-state.https.html: "PC should generate offer with a=ice-options:trickle"
#[test]
fn pc_should_generate_offer_with_ice_options_trickle() {
    let mut session = session();
    add_track(&mut session, MediaKind::Video);
    let offer = offer(&mut session);
    assert!(
        lines(&offer.sdp, "a=ice-options:").iter().any(|options| options.split(' ').any(|o| o == "trickle"))
    );
}

/// protocol/bundle.https.html: "max-bundle with an offer without bundle only negotiates the first m-line"
#[test]
fn max_bundle_with_an_offer_without_bundle_only_negotiates_the_first_m_line() {
    let sdp = format!(
        "{PREAMBLE}{FINGERPRINT}{CREDENTIALS}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\n\
         a=sendonly\r\na=mid:audio\r\na=rtpmap:111 opus/48000/2\r\na=setup:actpass\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=sendonly\r\na=mid:video\r\n\
         a=rtpmap:100 VP8/90000\r\na=setup:actpass\r\n"
    );
    let mut session = session_with(|config| config.bundle_policy = BundlePolicy::MaxBundle);
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    assert_eq!(session.transceivers().len(), 2);
    let answer = set_local(&mut session);
    let sections = sections(&answer.sdp);
    assert!(!sections[0].starts_with("m=audio 0 "));
    assert!(sections[1].starts_with("m=video 0 "), "{}", sections[1]);
    assert!(session.transceiver_by_mid("video").is_none_or(|transceiver| transceiver.stopped()));
}

/// protocol/bundle.https.html: "sRD(offer) works with no transport attributes in a bundle-only m-section"
#[test]
fn srd_offer_works_with_no_transport_attributes_in_a_bundle_only_m_section() {
    let sdp = format!(
        "{PREAMBLE}a=group:BUNDLE audio video\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n\
         {FINGERPRINT}{CREDENTIALS}a=rtcp-mux\r\na=sendonly\r\na=mid:audio\r\na=rtpmap:111 opus/48000/2\r\n\
         a=setup:actpass\r\nm=video 9 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=sendonly\r\n\
         a=mid:video\r\na=rtpmap:100 VP8/90000\r\n"
    );
    let mut session = session();
    session.set_remote_description(Description::offer(sdp)).expect("offer");
    set_local(&mut session);
    assert_eq!(session.transports().len(), 1);
    assert_eq!(session.transports()[0].mids, ["audio", "video"]);
}

/// protocol/pt-no-bundle.html: "Description with no BUNDLE group and PT number reuse validates"
#[test]
fn description_with_no_bundle_group_and_pt_number_reuse_validates() {
    let section = |kind: &str, codec: &str| {
        format!(
            "m={kind} 1 RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:{kind}\r\na=rtpmap:100 {codec}\r\n\
             a=setup:actpass\r\n"
        )
    };
    let sections = section("video", "VP8/90000") + &section("audio", "opus/48000/2");
    let mut session = session();
    session
        .set_remote_description(Description::offer(format!("{PREAMBLE}{FINGERPRINT}{CREDENTIALS}{sections}")))
        .expect("offer");
    assert_eq!(session.transceivers().len(), 2);
    set_local(&mut session);
    let mids: Vec<_> = session.transports().iter().map(|transport| transport.mids.clone()).collect();
    assert_eq!(mids, [["video"], ["audio"]]);
}

fn sdp_negotiation_with_a_fingerprint_of(hash: &str, bytes: usize) {
    let (mut pc1, mut pc2) = (session(), session());
    let offer = data_channel_offer(&mut pc1);
    pc1.set_local_description(offer.clone()).expect("local offer");
    pc2.set_remote_description(offer).expect("remote offer");
    let answer = set_local(&mut pc2);
    let known = lines(&answer.sdp, "a=fingerprint:")[0];
    let zeros = format!("{hash} {}", vec!["00"; bytes].join(":"));
    pc1.set_remote_description(edited(&answer, |sdp| sdp.replace(known, &zeros))).expect("answer");
}

/// protocol/dtls-fingerprint-validation.html: "SDP negotiation with a sha-1 fingerprint succeds"
#[test]
fn sdp_negotiation_with_a_sha_1_fingerprint_succeeds() {
    sdp_negotiation_with_a_fingerprint_of("sha-1", 20);
}

/// protocol/dtls-fingerprint-validation.html: "SDP negotiation with a sha-256 fingerprint succeds"
#[test]
fn sdp_negotiation_with_a_sha_256_fingerprint_succeeds() {
    sdp_negotiation_with_a_fingerprint_of("sha-256", 32);
}

/// protocol/dtls-fingerprint-validation.html: "SDP negotiation with a sha-384 fingerprint succeds"
#[test]
fn sdp_negotiation_with_a_sha_384_fingerprint_succeeds() {
    sdp_negotiation_with_a_fingerprint_of("sha-384", 48);
}

/// protocol/dtls-fingerprint-validation.html: "SDP negotiation with a sha-512 fingerprint succeds"
#[test]
fn sdp_negotiation_with_a_sha_512_fingerprint_succeeds() {
    sdp_negotiation_with_a_fingerprint_of("sha-512", 64);
}

fn modified_direction(offered: Direction, answered: &str, modified: &str) {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Audio, offered);
    let offer = set_local(&mut pc1);
    pc2.set_remote_description(offer).expect("remote offer");
    let answer = set_local(&mut pc2);
    assert!(answer.sdp.contains(&format!("a={answered}\r\n")), "{}", answer.sdp);
    let answer = edited(&answer, |sdp| sdp.replace(answered, modified));
    assert_refused(pc1.set_remote_description(answer), "InvalidAccessError");
}

/// protocol/direction.html: "Rejects invalid modification of send direction"
#[test]
fn rejects_invalid_modification_of_send_direction() {
    modified_direction(Direction::Recvonly, "inactive", "recvonly");
}

/// protocol/direction.html: "Rejects invalid modification of receive direction"
#[test]
fn rejects_invalid_modification_of_receive_direction() {
    modified_direction(Direction::Sendonly, "recvonly", "sendrecv");
}
