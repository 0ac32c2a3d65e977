//! A peer made of the protocol state machines alone: signalling, ICE, DTLS, SRTP, sender, receiver.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_rtc::proto::{
    Protocol, Transmit,
    demux::{PacketKind, classify},
    dtls::{self, Certificate, HashAlgorithm},
    ice,
    jsep::{self, DtlsRole, RtpSendParameters, TransceiverInit},
    receiver::{Receiver, ReceiverParameters},
    rtcp::{ClockAnchor, Compound, NtpTime},
    rtp::{CodecKey, Demultiplexer, ExtensionMap, Extensions, MediaKind, MediaLot, Mid, RtpPacket, Section},
    sender::{OutgoingPacket, Sender, SenderParameters},
    srtp,
};
use bytes::{Bytes, BytesMut};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// 50 packets a second.
const MEDIA_INTERVAL: Duration = Duration::from_millis(20);
const GENERATION: u32 = 1;

struct Media {
    inbound: srtp::Inbound,
    outbound: srtp::Outbound,
    sender: Sender,
    receiver: Receiver,
    demultiplexer: Demultiplexer,
    codec: CodecKey,
    next_packet: Instant,
    number: u64,
}

pub(crate) struct Peer {
    pub(crate) session: jsep::Session,
    address: SocketAddr,
    role: ice::Role,
    agent: ice::Agent,
    dtls: Option<dtls::Session>,
    certificate: Certificate,
    random: StdRng,
    selected: Option<ice::SelectedPair>,
    media: Option<Box<Media>>,
    outgoing: Vec<Transmit>,
    /// Payloads as the application got them.
    pub(crate) received: Vec<Bytes>,
    pub(crate) failure: Option<String>,
    pub(crate) retransmissions_received: u64,
}

impl Peer {
    pub(crate) fn new(
        now: Instant,
        address: SocketAddr,
        offerer: bool,
        certificate: &Certificate,
        seed: u64,
    ) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let fingerprint = certificate.fingerprint(HashAlgorithm::Sha256).unwrap().to_string();
        let config = jsep::SessionConfig::new(vec![fingerprint], "simulated");
        let mut session = jsep::Session::new(config, StdRng::from_rng(&mut random));
        let role = if offerer { ice::Role::Controlling } else { ice::Role::Controlled };
        // Replaced by the one of the transport that the local description makes.
        let agent_config = ice::AgentConfig::new(role, ice::Credentials::generate(&mut random));
        let agent = ice::Agent::new(now, agent_config, StdRng::from_rng(&mut random));
        if offerer {
            session.add_transceiver(MediaKind::Video, TransceiverInit::default()).unwrap();
        }
        Self {
            session,
            address,
            role,
            agent,
            dtls: None,
            certificate: certificate.clone(),
            random,
            selected: None,
            media: None,
            outgoing: Vec::new(),
            received: Vec::new(),
            failure: None,
            retransmissions_received: 0,
        }
    }

    /// Makes the agent of the one transport that the local description has, and its candidate.
    pub(crate) fn gather(&mut self, now: Instant) {
        let transport = &self.session.transports()[0];
        let (id, local) = (transport.id, transport.local.clone());
        let credentials = ice::Credentials { ufrag: local.ufrag, password: local.password };
        let config = ice::AgentConfig::new(self.role, credentials);
        self.agent = ice::Agent::new(now, config, StdRng::from_rng(&mut self.random));
        let host = ice::Candidate::host(self.address, 65_535);
        let candidate = self.agent.add_local_candidate(now, host).unwrap();
        self.agent.end_of_local_candidates();
        self.session.add_local_candidate(id, &candidate.to_string()).unwrap();
        self.session.end_of_local_candidates(id).unwrap();
    }

    /// Applies what was negotiated.
    pub(crate) fn start(&mut self, now: Instant) {
        let remote = self.session.transports()[0].remote.clone().unwrap();
        let credentials = ice::Credentials { ufrag: remote.ufrag, password: remote.password };
        self.agent.set_remote_credentials(now, credentials).unwrap();
        for line in &remote.candidates {
            self.agent.add_remote_candidate(now, line.parse().unwrap()).unwrap();
        }
        self.agent.end_of_remote_candidates(now);
        let role = match remote.dtls_role.unwrap() {
            DtlsRole::Client => dtls::Role::Client,
            DtlsRole::Server => dtls::Role::Server,
        };
        let config = dtls::SessionConfig {
            certificate: self.certificate.clone(),
            role,
            remote_fingerprints: remote.fingerprints.iter().map(|f| f.parse().unwrap()).collect(),
            mtu: 1_200,
            srtp_profiles: srtp::Profile::PREFERENCE.to_vec(),
        };
        self.dtls = Some(dtls::Session::new(now, config).unwrap());
        self.pump(now);
    }

    pub(crate) fn handle(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, payload: &[u8]) {
        match classify(payload) {
            // A refused check (late, duplicated) is part of the game.
            PacketKind::Stun => drop(self.agent.handle_packet(now, local, remote, payload)),
            PacketKind::Dtls => {
                if let Some(dtls) = &mut self.dtls {
                    dtls.handle_packet(now, payload);
                }
            }
            PacketKind::Rtp => self.handle_rtp(now, payload),
            PacketKind::Rtcp => self.handle_rtcp(now, payload),
            kind => panic!("a peer sent {kind:?}"),
        }
        self.pump(now);
    }

    fn handle_rtp(&mut self, now: Instant, payload: &[u8]) {
        let Some(media) = &mut self.media else { return };
        let mut packet = BytesMut::from(payload);
        // Duplicates are refused as replays.
        if media.inbound.unprotect_rtp(&mut packet).is_err() {
            return;
        }
        let packet = packet.freeze();
        let route = media.demultiplexer.route_packet(&packet).unwrap();
        let mut out = Vec::new();
        let repaired = route.repaired;
        let taken = media.receiver.handle_rtp(now, packet, route.rid, repaired, &mut out);
        if taken.is_ok() && repaired {
            self.retransmissions_received += out.len() as u64;
        }
        self.received.extend(out.into_iter().map(|packet| packet.payload));
    }

    fn handle_rtcp(&mut self, now: Instant, payload: &[u8]) {
        let Some(media) = &mut self.media else { return };
        let mut packet = BytesMut::from(payload);
        if media.inbound.unprotect_rtcp(&mut packet).is_err() {
            return;
        }
        let mut repairs = Vec::new();
        for packet in Compound::parse(&packet) {
            media.receiver.handle_rtcp(now, &packet);
            media.sender.handle_rtcp(now, &packet, &mut repairs);
        }
        for packet in repairs {
            self.send_rtp(&packet);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let media = self
            .media
            .as_ref()
            .map(|media| media.receiver.poll_timeout().into_iter().chain(media.sender.poll_timeout()).min());
        let packet = self.media.as_ref().map(|media| media.next_packet);
        let dtls =
            self.dtls.as_ref().filter(|_| self.selected.is_some()).and_then(|dtls| dtls.poll_timeout());
        [self.agent.poll_timeout(), dtls, media.flatten(), packet].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        if let Some(dtls) = self.dtls.as_mut().filter(|_| self.selected.is_some()) {
            dtls.handle_timeout(now);
        }
        if let Some(media) = &mut self.media {
            media.receiver.handle_timeout(now);
            media.sender.handle_timeout(now);
        }
        self.send_media(now);
        self.pump(now);
    }

    fn send_media(&mut self, now: Instant) {
        let Some(media) = &mut self.media else { return };
        if media.next_packet > now {
            return;
        }
        media.next_packet = now + MEDIA_INTERVAL;
        let key_frame = media.sender.wants_key_frame();
        let packet = video_packet(now, media.codec, media.number, key_frame);
        media.number += 1;
        let lot = Arc::new(MediaLot::new(vec![packet], false));
        if let Some(packet) = media.sender.forward(now, &lot, 0, GENERATION) {
            self.send_rtp(&packet);
        }
    }

    fn send_rtp(&mut self, packet: &OutgoingPacket) {
        let (Some(media), Some(pair)) = (&mut self.media, &self.selected) else { return };
        let mut buffer = vec![0; packet.len() + media.outbound.rtp_overhead()];
        let length = packet.write_to(&mut buffer);
        let length = if packet.is_retransmission() {
            media.outbound.protect_rtp_again(&mut buffer, length).unwrap()
        } else {
            media.outbound.protect_rtp(&mut buffer, length).unwrap()
        };
        buffer.truncate(length);
        self.outgoing.push(Transmit {
            protocol: Protocol::Udp,
            local: pair.local,
            remote: pair.remote,
            payload: buffer.into(),
        });
    }

    pub(crate) fn take_outgoing(&mut self) -> Vec<Transmit> {
        std::mem::take(&mut self.outgoing)
    }

    /// Takes everything the state machines have produced.
    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            match event {
                ice::Event::SelectedPairChanged(pair) => self.selected = pair,
                ice::Event::StateChanged(ice::State::Failed) => self.failure = Some("ICE failed".to_owned()),
                _ => {}
            }
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            self.outgoing.push(transmit);
        }
        self.pump_dtls(now);
        if let (Some(media), Some(pair)) = (&mut self.media, &self.selected) {
            let compounds: Vec<_> = std::iter::from_fn(|| media.receiver.poll_transmit(now))
                .chain(std::iter::from_fn(|| media.sender.poll_transmit(now)))
                .collect();
            for compound in compounds {
                let mut buffer = compound.to_vec();
                buffer.resize(compound.len() + media.outbound.rtcp_overhead(), 0);
                let length = media.outbound.protect_rtcp(&mut buffer, compound.len()).unwrap();
                buffer.truncate(length);
                self.outgoing.push(Transmit {
                    protocol: Protocol::Udp,
                    local: pair.local,
                    remote: pair.remote,
                    payload: buffer.into(),
                });
            }
        }
    }

    fn pump_dtls(&mut self, now: Instant) {
        let (Some(dtls), Some(pair)) = (&mut self.dtls, &self.selected) else { return };
        let mut connected = None;
        while let Some(event) = dtls.poll_event() {
            match event {
                dtls::Event::Connected { srtp } => connected = srtp,
                dtls::Event::Failed(error) => self.failure = Some(error.to_string()),
                event => panic!("unexpected {event:?}"),
            }
        }
        while let Some(payload) = dtls.poll_transmit() {
            self.outgoing.push(Transmit {
                protocol: Protocol::Udp,
                local: pair.local,
                remote: pair.remote,
                payload,
            });
        }
        if let Some((profile, keying)) = connected {
            self.media = Some(Box::new(self.make_media(now, profile, &keying)));
        }
    }

    fn make_media(&mut self, now: Instant, profile: srtp::Profile, keying: &srtp::KeyingMaterial) -> Media {
        let transceiver = &self.session.transceivers()[0];
        let send = transceiver.send_parameters().unwrap();
        let receive = transceiver.receive_parameters().unwrap();
        let extensions = ExtensionMap::new(receive.extensions.iter().map(|(id, uri)| (*id, uri)), false);
        let section = Section {
            index: 0,
            mid: Mid::new(&receive.mid),
            payload_types: receive.codecs.iter().map(|codec| codec.payload_type).collect(),
            ssrcs: receive.ssrcs.clone(),
            rids: Vec::new(),
        };
        let mut demultiplexer = Demultiplexer::new();
        demultiplexer.set_sections(vec![section], extensions.clone());
        let receiver_parameters = ReceiverParameters {
            kind: MediaKind::Video,
            codecs: receive.codecs.clone(),
            extensions,
            ssrcs: receive.ssrcs.clone(),
            local_ssrc: receive.local_ssrc,
            cname: receive.cname.clone(),
            reduced_size: receive.reduced_size,
        };
        let codec = send.codecs.iter().find(|codec| codec.name.eq_ignore_ascii_case("VP8")).unwrap().key();
        let mut sender =
            Sender::new(now, sender_parameters(now, send), None, StdRng::from_rng(&mut self.random));
        sender.switch_source(now, GENERATION);
        let jitter = Duration::from_millis(self.random.random_range(0..20));
        Media {
            inbound: srtp::Inbound::new(profile, keying.remote_key(), keying.remote_salt()).unwrap(),
            outbound: srtp::Outbound::new(profile, keying.local_key(), keying.local_salt()).unwrap(),
            sender,
            receiver: Receiver::new(now, receiver_parameters, StdRng::from_rng(&mut self.random)),
            demultiplexer,
            codec,
            next_packet: now + jitter,
            number: 0,
        }
    }
}

fn sender_parameters(now: Instant, send: &RtpSendParameters) -> SenderParameters {
    SenderParameters {
        kind: MediaKind::Video,
        ssrc: send.encodings[0].ssrc,
        rtx_ssrc: send.encodings[0].rtx_ssrc,
        rid: None,
        encodings: Vec::new(),
        bitrate_max: None,
        codecs: send.codecs.clone(),
        extensions: ExtensionMap::new(send.extensions.iter().map(|(id, uri)| (*id, uri)), false),
        mid: Mid::new(&send.mid),
        cname: send.cname.clone(),
        reduced_size: send.reduced_size,
        clock: ClockAnchor { instant: now, ntp: NtpTime(0xe000_0000_0000_0000) },
    }
}

/// One VP8 frame in one packet: descriptor, frame tag, and a number to check.
fn video_packet(now: Instant, codec: CodecKey, number: u64, key_frame: bool) -> RtpPacket {
    let mut payload = vec![0x10, u8::from(!key_frame), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
    payload.extend_from_slice(&number.to_be_bytes());
    RtpPacket {
        arrival: now,
        ssrc: 1,
        rid: None,
        codec,
        payload_type: 96,
        marker: true,
        sequence_number: 65_500 + number,
        timestamp: u32::try_from(number).unwrap().wrapping_mul(1_800).wrapping_sub(9_000),
        clock: None,
        extensions: Extensions::default(),
        payload: payload.into(),
        key_frame,
    }
}
