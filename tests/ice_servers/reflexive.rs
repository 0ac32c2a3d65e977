//! Server-reflexive candidates, from a STUN server that sees its clients elsewhere.

use std::net::{SocketAddr, UdpSocket};

use actix_rtc::{
    MediaKind, RtcConfiguration, RtcIceCandidate, RtcIceCandidateType, RtcIceServer, RtcPeerConnection,
    RtcPeerConnectionEvent, RtcRtpTransceiverInit, UdpMode,
    proto::stun::{Class, Message, MessageBuilder, Method},
};
use futures_util::StreamExt;

use crate::{call::Engines, runner::run};

/// A STUN server that loses the first request and answers others as if a NAT stood before the client. It
/// ends with the process.
fn server_behind_a_nat(mapped: SocketAddr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1_500];
        for count in 0.. {
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let Ok(request) = Message::parse(&buffer[..length]) else { continue };
            if count > 0 && request.class() == Class::Request {
                let answer =
                    MessageBuilder::new(Class::SuccessResponse, Method::BINDING, request.transaction_id());
                socket.send_to(&answer.xor_mapped_address(mapped).finish(), client).unwrap();
            }
        }
    });
    address
}

#[test]
fn a_stun_server_tells_the_address_and_two_that_agree_make_one_candidate() {
    run(async {
        let mapped: SocketAddr = "203.0.113.7:4321".parse().unwrap();
        let urls = [0, 1].map(|_| format!("stun:{}", server_behind_a_nat(mapped)));
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let mut configuration = RtcConfiguration::on_shard(0);
        configuration.ice_servers = urls.iter().map(|url| RtcIceServer::new(url.as_str())).collect();
        // Several on one shard: all wait for answers of the same servers at the same socket.
        let mut peers = Vec::new();
        for _ in 0..20 {
            let peer = RtcPeerConnection::on(&engines.near, configuration.clone()).await.unwrap();
            peer.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
            peer.set_local_description(None).await.unwrap();
            peers.push(peer);
        }
        for peer in peers {
            let mut events = peer.events().unwrap();
            let mut found = Vec::new();
            loop {
                match events.next().await.unwrap() {
                    RtcPeerConnectionEvent::IceCandidate(Some(init)) if !init.candidate.is_empty() => {
                        let candidate = RtcIceCandidate::new(init).unwrap();
                        if candidate.kind == Some(RtcIceCandidateType::Srflx) {
                            found.push(candidate);
                        }
                    }
                    RtcPeerConnectionEvent::IceCandidate(None) => break,
                    RtcPeerConnectionEvent::IceCandidateError { error_text, .. } => panic!("{error_text}"),
                    _ => {}
                }
            }
            let [candidate] = &found[..] else { panic!("{found:?}") };
            assert_eq!(candidate.address.as_deref(), Some("203.0.113.7"));
            assert_eq!(candidate.port, Some(4321));
            assert_eq!(candidate.related_address.as_deref(), Some("127.0.0.1"));
            peer.close().await;
        }
        engines.shutdown().await;
    });
}
