//! What the ports on sessions have in common: a session, one exchange, and a look into descriptions.

use actix_rtc::proto::jsep::{
    CandidateInit, Description, Direction, JsepError, MediaKind, OfferOptions, SdpType, Session,
    SessionConfig, SignalingState, TransceiverId, TransceiverInit,
};
use rand::{SeedableRng, rngs::StdRng};

pub(crate) const FINGERPRINT: &str = "a=fingerprint:sha-256 A7:24:72:CA:6E:02:55:39:BA:66:DF:6E:CC:4C:D8:B0:1A:BF:1A:\
                                      56:65:7D:F4:03:AD:7E:77:43:2A:29:EC:93\r\n";
pub(crate) const CREDENTIALS: &str = "a=ice-ufrag:ETEn\r\na=ice-pwd:OtSK0WpNtpUjkY4+86js7Z/l\r\n";
pub(crate) const PREAMBLE: &str = "v=0\r\no=- 0 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

/// The audio and video offer of RFC 9429 7.1: one group, and yet credentials of its own in each section.
pub(crate) fn two_section_offer() -> String {
    let sections = [
        (
            "audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97 98",
            "a1",
            "a=rtpmap:96 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 telephone-event/48000\r\na=maxptime:120\r\n\
             a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
            "a=ice-ufrag:ETEn\r\na=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\n",
        ),
        (
            "video 10102 UDP/TLS/RTP/SAVPF 100 101",
            "v1",
            "a=rtpmap:100 VP8/90000\r\na=rtpmap:101 rtx/90000\r\na=fmtp:101 apt=100\r\n\
             a=rtcp-fb:100 ccm fir\r\na=rtcp-fb:100 nack\r\na=rtcp-fb:100 nack pli\r\n",
            "a=ice-ufrag:BGKk\r\na=ice-pwd:mqyWsAjvtKwTGnvhPztQ9mIf\r\n",
        ),
    ];
    let mut sdp =
        "v=0\r\no=- 4962303333179871722 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-options:trickle\r\n\
                   a=group:BUNDLE a1 v1\r\na=group:LS a1 v1\r\n"
            .to_owned();
    for (line, mid, media, credentials) in sections {
        sdp += &format!(
            "m={line}\r\nc=IN IP4 203.0.113.100\r\na=mid:{mid}\r\na=sendrecv\r\n{media}\
             a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=msid:stream track-{mid}\r\n{credentials}\
             {FINGERPRINT}a=setup:actpass\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
        );
    }
    sdp
}

/// A session with default policies; each call gives one with an identity of its own.
pub(crate) fn session() -> Session {
    session_with(|_| {})
}

pub(crate) fn session_with(change: impl FnOnce(&mut SessionConfig)) -> Session {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SEED: AtomicU64 = AtomicU64::new(1);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    let bytes: Vec<String> = (0..32).map(|byte| format!("{:02X}", (byte + seed) % 256)).collect();
    let mut config = SessionConfig::new(vec![format!("sha-256 {}", bytes.join(":"))], format!("cname{seed}"));
    change(&mut config);
    Session::new(config, StdRng::seed_from_u64(seed))
}

pub(crate) fn add(session: &mut Session, kind: MediaKind, direction: Direction) -> TransceiverId {
    session.add_transceiver(kind, TransceiverInit { direction, ..TransceiverInit::default() }).expect("add")
}

pub(crate) fn add_track(session: &mut Session, kind: MediaKind) -> TransceiverId {
    session.add_track(kind, vec!["stream".to_owned()], None).expect("add track")
}

pub(crate) fn offer(session: &mut Session) -> Description {
    session.create_offer(OfferOptions::default()).expect("offer")
}

/// An offer after one more section that only receives.
pub(crate) fn receive_only_offer(session: &mut Session, kind: MediaKind) -> Description {
    add(session, kind, Direction::Recvonly);
    offer(session)
}

pub(crate) fn data_channel_offer(session: &mut Session) -> Description {
    session.add_data_section().expect("data");
    offer(session)
}

/// The answer of a stranger.
pub(crate) fn stranger_answers(offer: &Description) -> Description {
    let mut stranger = session();
    stranger.set_remote_description(offer.clone()).expect("stranger takes the offer");
    stranger.create_answer().expect("stranger answers")
}

/// What `setLocalDescription()` without an argument does.
pub(crate) fn set_local(session: &mut Session) -> Description {
    use SignalingState::{HaveLocalPranswer, HaveRemoteOffer};
    let description = match session.signaling_state() {
        HaveRemoteOffer | HaveLocalPranswer => session.create_answer().expect("answer"),
        _ => offer(session),
    };
    session.set_local_description(description.clone()).expect("local description");
    description
}

/// One complete exchange; offer and answer.
pub(crate) fn exchange(offerer: &mut Session, answerer: &mut Session) -> (Description, Description) {
    let offer = offer(offerer);
    offerer.set_local_description(offer.clone()).expect("local offer");
    answerer.set_remote_description(offer.clone()).expect("remote offer");
    let answer = answerer.create_answer().expect("answer");
    answerer.set_local_description(answer.clone()).expect("local answer");
    offerer.set_remote_description(answer.clone()).expect("remote answer");
    (offer, answer)
}

pub(crate) fn with(kind: SdpType, description: &Description) -> Description {
    Description { kind, sdp: description.sdp.clone() }
}

/// A description with other text.
pub(crate) fn edited(description: &Description, edit: impl FnOnce(&str) -> String) -> Description {
    Description { kind: description.kind, sdp: edit(&description.sdp) }
}

pub(crate) fn candidate(candidate: &str, mid: Option<&str>, index: Option<usize>) -> CandidateInit {
    CandidateInit {
        candidate: candidate.to_owned(),
        mid: mid.map(str::to_owned),
        media_line_index: index,
        username_fragment: None,
    }
}

/// Refused, with the name that W3C gives the exception.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, JsepError>, name: &str) {
    match result {
        Ok(value) => panic!("accepted ({value:?}), but {name} was due"),
        Err(error) => assert_eq!(error.name(), name, "{error}"),
    }
}

/// The sections of a description, each from its m-line on.
pub(crate) fn sections(sdp: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = sdp.match_indices("\r\nm=").map(|(at, _)| at + 2).collect();
    starts.push(sdp.len());
    starts.windows(2).map(|pair| &sdp[pair[0]..pair[1]]).collect()
}

/// What follows the prefix in each line that has it.
pub(crate) fn lines<'a>(sdp: &'a str, prefix: &str) -> Vec<&'a str> {
    sdp.lines().filter_map(|line| line.strip_prefix(prefix)).collect()
}

/// Codec names of a section in the order of its m-line; static payload types need no `a=rtpmap`.
pub(crate) fn codec_names(section: &str) -> Vec<String> {
    let formats = section.lines().next().expect("an m-line").split(' ').skip(3);
    formats
        .filter_map(|format| lines(section, &format!("a=rtpmap:{format} ")).first().copied())
        .map(|codec| codec.split('/').next().expect("a name").to_owned())
        .collect()
}

/// The same description but for its candidates.
#[track_caller]
pub(crate) fn assert_similar(found: Option<Description>, expected: &Description) {
    let found = found.expect("a description");
    assert_eq!(found.kind, expected.kind);
    assert_eq!(without_candidates(&found.sdp), without_candidates(&expected.sdp));
}

fn without_candidates(sdp: &str) -> Vec<&str> {
    let candidate = |line: &&str| line.starts_with("a=candidate:") || *line == "a=end-of-candidates";
    sdp.lines().filter(|line| !candidate(line)).collect()
}
