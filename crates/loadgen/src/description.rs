//! Session descriptions as far as a load generator needs them: written by hand, read by the library.
//!
//! All sections share one transport (BUNDLE), RTP and RTCP share it too, candidates are complete.

use std::{fmt::Write as _, net::SocketAddr};

use actix_rtc::proto::{
    dtls::Fingerprint,
    ice::{Candidate, Credentials, TransportProtocol},
    sctp::{DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_PORT},
    sdp::{Direction, MediaType, SessionDescription, Setup},
};
use anyhow::{Context, bail};

use crate::media::{Kind, MID_EXTENSION, OPUS, RID_EXTENSION, VP8};

/// What a section is for.
#[derive(Clone, Debug)]
pub(crate) enum Use {
    /// Sends these sources; with rids, if there are several layers.
    Send { kind: Kind, layers: Vec<(u32, &'static str)> },
    /// Receives, with the payload type that the other side has chosen.
    Receive { kind: Kind, payload_type: u8 },
    /// Data channels.
    Data,
    /// Not used: its media type stays.
    Refused { media_type: &'static str, format: String },
}

/// One section to be written.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) mid: String,
    pub(crate) purpose: Use,
}

/// What both offer and answer need of the transport.
pub(crate) struct Transport<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) fingerprint: &'a Fingerprint,
    pub(crate) address: SocketAddr,
    pub(crate) setup: Setup,
    /// Estimates of the bandwidth are sent.
    pub(crate) estimates: bool,
}

/// Writes an offer or an answer.
pub(crate) fn write(sections: &[Section], transport: &Transport<'_>) -> String {
    let mut text = String::from("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE");
    for section in sections.iter().filter(|section| !matches!(section.purpose, Use::Refused { .. })) {
        let _ = write!(text, " {}", section.mid);
    }
    text.push_str("\r\na=msid-semantic: WMS *\r\n");
    for section in sections {
        write_section(&mut text, section, transport);
    }
    text
}

fn write_section(text: &mut String, section: &Section, transport: &Transport<'_>) {
    let media_line = match &section.purpose {
        Use::Send { kind: Kind::Audio, .. } => format!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}"),
        Use::Send { kind: Kind::Video, .. } => format!("m=video 9 UDP/TLS/RTP/SAVPF {VP8}"),
        Use::Receive { kind: Kind::Audio, payload_type } => {
            format!("m=audio 9 UDP/TLS/RTP/SAVPF {payload_type}")
        }
        Use::Receive { kind: Kind::Video, payload_type } => {
            format!("m=video 9 UDP/TLS/RTP/SAVPF {payload_type}")
        }
        Use::Data => "m=application 9 UDP/DTLS/SCTP webrtc-datachannel".to_owned(),
        Use::Refused { media_type, format } => format!("m={media_type} 0 UDP/TLS/RTP/SAVPF {format}"),
    };
    let _ = write!(text, "{media_line}\r\nc=IN IP4 0.0.0.0\r\na=mid:{}\r\n", section.mid);
    if let Use::Refused { .. } = section.purpose {
        text.push_str("a=inactive\r\n");
        return;
    }
    let Transport { credentials, fingerprint, address, setup, estimates } = transport;
    let _ = write!(
        text,
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{fingerprint}\r\na=setup:{}\r\n",
        credentials.ufrag,
        credentials.password,
        setup.as_str(),
    );
    let host = Candidate::host(*address, u16::MAX);
    let _ = write!(text, "a={host}\r\na=end-of-candidates\r\n");
    match &section.purpose {
        Use::Send { kind, layers } => write_sender(text, section, *kind, layers),
        Use::Receive { kind, payload_type } => {
            text.push_str("a=rtcp-mux\r\na=recvonly\r\n");
            write_codec(text, *kind, *payload_type);
            if *estimates && *kind == Kind::Video {
                let _ = write!(text, "a=rtcp-fb:{payload_type} goog-remb\r\n");
            }
        }
        Use::Data => {
            let _ = write!(
                text,
                "a=sctp-port:{DEFAULT_PORT}\r\na=max-message-size:{DEFAULT_MAX_MESSAGE_SIZE}\r\n"
            );
        }
        Use::Refused { .. } => {}
    }
}

fn write_sender(text: &mut String, section: &Section, kind: Kind, layers: &[(u32, &'static str)]) {
    text.push_str("a=rtcp-mux\r\na=sendonly\r\n");
    let _ = write!(text, "a=extmap:{MID_EXTENSION} urn:ietf:params:rtp-hdrext:sdes:mid\r\n");
    let _ = write!(text, "a=msid:loadgen track-{}\r\n", section.mid);
    write_codec(text, kind, if kind == Kind::Audio { OPUS } else { VP8 });
    if let [(ssrc, _)] = layers {
        let _ = write!(
            text,
            "a=ssrc:{ssrc} cname:loadgen\r\na=ssrc:{ssrc} msid:loadgen track-{}\r\n",
            section.mid
        );
        return;
    }
    let _ = write!(text, "a=extmap:{RID_EXTENSION} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n");
    let rids: Vec<&str> = layers.iter().map(|(_, rid)| *rid).collect();
    for rid in &rids {
        let _ = write!(text, "a=rid:{rid} send\r\n");
    }
    let _ = write!(text, "a=simulcast:send {}\r\n", rids.join(";"));
}

fn write_codec(text: &mut String, kind: Kind, payload_type: u8) {
    let _ = match kind {
        Kind::Audio => write!(
            text,
            "a=rtpmap:{payload_type} opus/48000/2\r\na=fmtp:{payload_type} minptime=10;useinbandfec=1\r\n"
        ),
        Kind::Video => write!(
            text,
            "a=rtpmap:{payload_type} VP8/90000\r\na=rtcp-fb:{payload_type} ccm fir\r\n\
             a=rtcp-fb:{payload_type} nack\r\na=rtcp-fb:{payload_type} nack pli\r\n"
        ),
    };
}

/// What the other side's description says of its transport.
pub(crate) struct Remote {
    pub(crate) credentials: Credentials,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) setup: Setup,
    pub(crate) lite: bool,
}

/// Reads the transport of the first section in use.
pub(crate) fn read_transport(sdp: &str) -> anyhow::Result<Remote> {
    let description: SessionDescription = sdp.parse().context("the other side's description")?;
    let section = description.media.iter().find(|section| !section.rejected());
    let section = section.context("the answer uses no section")?;
    let transport = description.transport_of(section);
    let ufrag = transport.ice_ufrag.context("no ice-ufrag in the answer")?;
    let password = transport.ice_pwd.context("no ice-pwd in the answer")?;
    let fingerprints: Vec<Fingerprint> =
        transport.fingerprints.iter().filter_map(|line| line.parse().ok()).collect();
    if fingerprints.is_empty() {
        bail!("no fingerprint in the answer");
    }
    Ok(Remote {
        credentials: Credentials::new(ufrag, password)?,
        fingerprints,
        candidates: section.candidates.iter().filter_map(|line| candidate(line)).collect(),
        setup: transport.setup.unwrap_or(Setup::Actpass),
        lite: description.ice_lite,
    })
}

/// A candidate that the one IPv4 socket can reach; others would only be checked in vain.
pub(crate) fn candidate(line: &str) -> Option<Candidate> {
    let candidate: Candidate = line.parse().ok()?;
    let usable = candidate.protocol == TransportProtocol::Udp
        && candidate.component == 1
        && candidate.address.ip().is_some_and(|address| address.is_ipv4());
    usable.then_some(candidate)
}

/// The sections with which to answer an offer that sends to us.
pub(crate) fn answering_sections(offer: &str) -> anyhow::Result<Vec<Section>> {
    let description: SessionDescription = offer.parse().context("the server's offer")?;
    let section = |(index, section): (usize, &actix_rtc::proto::sdp::MediaDescription)| {
        let mid = section.mid.clone().unwrap_or_else(|| index.to_string());
        let sends = matches!(description.direction_of(section), Direction::Sendonly | Direction::Sendrecv);
        let (kind, name, media_type) = match section.media_type {
            MediaType::Audio => (Kind::Audio, "opus", "audio"),
            _ => (Kind::Video, "vp8", "video"),
        };
        let codec = section.codecs.iter().find(|codec| codec.name.eq_ignore_ascii_case(name));
        let purpose = match codec {
            Some(codec) if sends && !section.rejected() => {
                Use::Receive { kind, payload_type: codec.payload_type }
            }
            _ => Use::Refused { media_type, format: section.formats.first().cloned().unwrap_or_default() },
        };
        Section { mid, purpose }
    };
    Ok(description.media.iter().enumerate().map(section).collect())
}

#[cfg(test)]
mod tests {
    use actix_rtc::proto::dtls::{Certificate, HashAlgorithm, KeyType};

    use super::*;

    #[test]
    fn an_offer_can_be_read_and_answered() {
        let certificate = Certificate::generate(KeyType::EcdsaP256).unwrap();
        let fingerprint = certificate.fingerprint(HashAlgorithm::Sha256).unwrap();
        let credentials = Credentials::new("abcd", "abcdefghijklmnopqrstuv").unwrap();
        let address = "127.0.0.1:9000".parse().unwrap();
        let transport = Transport {
            credentials: &credentials,
            fingerprint: &fingerprint,
            address,
            setup: Setup::Actpass,
            estimates: true,
        };
        let layers = vec![(1, "q"), (2, "h"), (3, "f")];
        let sections = [
            Section { mid: "0".into(), purpose: Use::Send { kind: Kind::Audio, layers: vec![(9, "")] } },
            Section { mid: "1".into(), purpose: Use::Send { kind: Kind::Video, layers } },
        ];
        let offer = write(&sections, &transport);
        let remote = read_transport(&offer).unwrap();
        assert_eq!((remote.credentials, remote.setup), (credentials.clone(), Setup::Actpass));
        assert_eq!(remote.fingerprints, std::slice::from_ref(&fingerprint));
        assert_eq!(remote.candidates[0].address.ip(), Some(address));
        let answer = write(&answering_sections(&offer).unwrap(), &transport);
        let answer: SessionDescription = answer.parse().unwrap();
        assert_eq!(answer.media.len(), 2);
        assert!(answer.media.iter().all(|section| section.direction == Some(Direction::Recvonly)));
    }
}
