//! What each target does with its bytes. Targets include this file; so does `tests/fuzzing`, which runs the same
//! bodies without nightly. A body panics when something is wrong, and only then.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use actix_rtc::proto::{
    dcep,
    ice::Candidate,
    jsep::{
        CandidateInit, Description, Direction, MediaKind, OfferOptions, SdpType, Session, SessionConfig,
        TransceiverInit,
    },
    mdns,
    rtcp::{Compound, RtcpPacket},
    rtp::{ExtensionMap, RtpHeader},
    sdp::SessionDescription,
    stun::{AttributeType, Class, IntegrityKey, Message, MessageBuilder, Method, is_stun, ufrag_of},
    turn::{Client, ClientConfig, Deframer, Event, Received, Sent},
};
use rand::{SeedableRng, rngs::StdRng};

/// A body and its name, which is also that of its target.
pub type Body = (&'static str, fn(&[u8]));

/// All of them.
pub const BODIES: [Body; 9] = [
    ("sdp_parse", sdp_parse),
    ("jsep_apply", jsep_apply),
    ("stun", stun),
    ("rtp_header", rtp_header),
    ("rtcp_compound", rtcp_compound),
    ("dcep", dcep_message),
    ("candidate_line", candidate_line),
    ("turn_channel", turn_channel),
    ("mdns", mdns_answer),
];

/// What is understood is written as text that means the same.
pub fn sdp_parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(description) = text.parse::<SessionDescription>() {
        assert_eq!(description.to_string().parse(), Ok(description));
    }
}

fn session() -> Session {
    let fingerprint = format!("sha-256 {}", vec!["AB"; 32].join(":"));
    Session::new(SessionConfig::new(vec![fingerprint], "cname"), StdRng::seed_from_u64(7))
}

/// A description of the peer is refused and changes nothing, or an answer to it can be made; so in an exchange that
/// we began. A digit in front chooses: 0 offer, 1 answer, 2 offer in glare, 3 provisional answer; without one, offer.
pub fn jsep_apply(bytes: &[u8]) {
    let (choice, text) = match bytes.split_first() {
        Some((choice @ b'0'..=b'3', text)) => (*choice, text),
        _ => (b'0', bytes),
    };
    let text = String::from_utf8_lossy(text).into_owned();
    let mut session = session();
    session.add_track(MediaKind::Audio, vec!["stream".to_owned()], None).expect("a track");
    session
        .add_transceiver(
            MediaKind::Video,
            TransceiverInit { direction: Direction::Recvonly, ..TransceiverInit::default() },
        )
        .expect("a transceiver");
    session.add_data_section().expect("data");
    if choice & 1 == 0 {
        apply_offer(&mut session, text, choice & 2 != 0);
    } else {
        apply_answer(&mut session, text, choice & 2 != 0);
    }
    let _ = session.add_remote_candidate(&CandidateInit {
        candidate: "candidate:1 1 udp 1 192.0.2.1 5000 typ host".to_owned(),
        media_line_index: Some(usize::from(choice & 1)),
        ..CandidateInit::default()
    });
    session.close();
}

fn apply_offer(session: &mut Session, text: String, glare: bool) {
    if glare {
        session.set_local_description(Description::offer("")).expect("our own offer");
    }
    let before = session.signaling_state();
    if session.set_remote_description(Description::offer(text)).is_err() {
        assert_eq!(session.signaling_state(), before, "a refused description changes nothing");
        return;
    }
    let answer = session.create_answer().expect("what is accepted is answered");
    assert!(answer.sdp.parse::<SessionDescription>().is_ok(), "what is written is read: {}", answer.sdp);
    session.set_local_description(answer).expect("our own answer");
    session.create_offer(OfferOptions { ice_restart: true }).expect("the next offer");
}

fn apply_answer(session: &mut Session, text: String, provisional: bool) {
    session.set_local_description(Description::offer("")).expect("our own offer");
    let kind = if provisional { SdpType::Pranswer } else { SdpType::Answer };
    let before = session.signaling_state();
    match session.set_remote_description(Description { kind, sdp: text }) {
        Ok(()) if provisional => {}
        Ok(()) => {
            session.create_offer(OfferOptions::default()).expect("the next offer");
        }
        Err(_) => assert_eq!(session.signaling_state(), before, "a refused description changes nothing"),
    }
}

/// Every getter answers, and nothing is authentic that we did not sign.
pub fn stun(bytes: &[u8]) {
    let _ = ufrag_of(bytes);
    let Ok(message) = Message::parse(bytes) else { return };
    assert!(is_stun(bytes), "what is parsed is recognised");
    let _ = (message.username(), message.realm(), message.software(), message.nonce(), message.data());
    let _ = (message.xor_mapped_address(), message.address(AttributeType::MAPPED_ADDRESS));
    let _ = (message.error_code(), message.priority(), message.lifetime(), message.channel_number());
    let _ = (message.use_candidate(), message.ice_controlling(), message.ice_controlled());
    let _ = (message.class(), message.method(), message.transaction_id());
    assert!(message.attributes().count() <= bytes.len() / 4);
    let _ = message.unknown_required_attributes().count();
    let _ = message.verify_integrity(&IntegrityKey::new(b"a key that nobody has"));
    let _ = format!("{message:?}");
}

/// Header, extensions and payload lie within the packet.
pub fn rtp_header(bytes: &[u8]) {
    let map = ExtensionMap::new(
        [
            (1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
            (2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
            (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
            (10, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
            (12, "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"),
        ],
        true,
    );
    for header in [RtpHeader::parse(bytes), RtpHeader::parse_protected(bytes)].into_iter().flatten() {
        assert!(header.extensions().count() <= bytes.len());
        assert!(header.payload_range().end <= bytes.len());
        let _ = (header.csrcs().count(), header.payload(), header.timestamp(), header.ssrc());
        let _ = (map.decode(&header), map.mixer_audio_levels(&header), map.elements(&header).count());
    }
}

/// Each packet of a compound can be walked through, in work that the length of the datagram bounds.
pub fn rtcp_compound(bytes: &[u8]) {
    let mut packets = 0;
    for packet in Compound::parse(bytes) {
        packets += 1;
        let items = match &packet {
            RtcpPacket::SenderReport(report) => report.blocks().count(),
            RtcpPacket::ReceiverReport(report) => report.blocks().count(),
            RtcpPacket::Nack(nack) => nack.sequence_numbers().count() / 17,
            _ => 0,
        };
        assert!(items <= bytes.len());
        let _ = format!("{packet:?}");
    }
    assert!(packets <= bytes.len() / 4);
}

/// What is understood is written as bytes that mean the same.
pub fn dcep_message(bytes: &[u8]) {
    if let Ok(message) = dcep::Message::parse(bytes) {
        let written = message.serialise().expect("what was read can be written");
        assert_eq!(dcep::Message::parse(&written), Ok(message));
    }
}

/// What is understood is written as text that means the same.
pub fn candidate_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(candidate) = text.parse::<Candidate>() {
        let written = candidate.to_string();
        assert_eq!(written.parse::<Candidate>().map(|again| again.to_string()), Ok(written));
    }
}

/// Where the peer of [`turn_channel`] is.
pub const TURN_PEER: &str = "192.0.2.1:5000";

/// A client with an allocation, a permission and a channel, the first that there is: 0x4000.
fn turn_client(now: Instant) -> Client {
    let mut client = Client::new(now, ClientConfig::new(), StdRng::seed_from_u64(7));
    let peer = TURN_PEER.parse().expect("an address");
    let grant = |client: &mut Client| {
        while let Some(sent) = client.poll_transmit() {
            let Ok(request) = Message::parse(&sent) else { continue };
            let answer =
                MessageBuilder::new(Class::SuccessResponse, request.method(), request.transaction_id());
            let answer = match request.method() {
                Method::ALLOCATE => answer
                    .xor_mapped_address("203.0.113.5:4000".parse().expect("an address"))
                    .xor_address(
                        AttributeType::XOR_RELAYED_ADDRESS,
                        "198.51.100.7:50000".parse().expect("an address"),
                    )
                    .lifetime(600),
                _ => answer,
            };
            let _ = client.handle_packet(now, &answer.finish());
        }
    };
    grant(&mut client);
    // What is no check asks for a channel, once there is a permission.
    for _ in 0..2 {
        let _ = client.send(now, peer, &[20, 0xfe, 0xfd], &mut Vec::new());
        grant(&mut client);
    }
    let mut framed = Vec::new();
    assert_eq!(client.send(now, peer, b"x", &mut framed), Sent::Framed);
    assert_eq!(framed, [0x40, 0, 0, 1, b'x'], "there is a channel");
    client
}

/// Whatever a TURN server sends, as a datagram and as a piece of a stream: data comes of the one peer alone and lies
/// within what was received, and the client can end.
pub fn turn_channel(bytes: &[u8]) {
    let now = Instant::now();
    let mut client = turn_client(now);
    let peer: SocketAddr = TURN_PEER.parse().expect("an address");
    let mut take = |message: &[u8]| {
        if let Ok(Received::Data { peer: from, payload, .. }) = client.handle_packet(now, message) {
            assert_eq!(from.ip(), peer.ip(), "data of strangers");
            assert!(payload.len() <= message.len());
        }
    };
    take(bytes);
    let mut deframer = Deframer::default();
    for piece in bytes.chunks(7) {
        deframer.extend(piece);
        while let Ok(Some(message)) = deframer.next_message() {
            assert!(message.len() <= bytes.len());
            take(&message);
        }
    }
    client.close(now);
    while client.poll_transmit().is_some() {}
    client.handle_timeout(now + Duration::from_secs(60));
    assert!(client.is_ended());
    while let Some(event) = client.poll_event() {
        assert!(!matches!(event, Event::Failed(_)) || bytes.len() >= 20, "too little to end an allocation");
    }
}

/// The name that [`mdns_answer`] asks for.
pub const MDNS_NAME: &str = "9b36eaac-bb2e-49bb-bb78-21c41c499900.local";

/// An answer gives an address or none; and a name that may be asked for gives a question of one datagram, which is no
/// answer.
pub fn mdns_answer(bytes: &[u8]) {
    let _ = mdns::address_in(bytes, MDNS_NAME);
    let text = String::from_utf8_lossy(bytes);
    let query = mdns::query(&text);
    assert!(query.is_some() || !mdns::is_candidate_name(&text), "{text:?}");
    if let Some(query) = query {
        assert!(query.len() <= 512, "{} bytes", query.len());
        assert_eq!(mdns::address_in(&query, &text), None);
    }
}
