//! A peer that hides its addresses behind a `.local` name (RFC 6762), answered for on the loopback link.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use actix_rtc::{
    RtcConfiguration, RtcPeerConnection, RtcPeerConnectionState, RtcRtpTransceiverDirection,
    RtcRtpTransceiverInit, UdpMode,
    proto::mdns::{GROUP_V4, PORT},
};
use socket2::{Domain, Socket, Type};

use crate::{
    call::{Camera, Engines},
    runner::run,
};

const LABEL: &str = "5f3c1f2e-8a2b-4a0e-9d57-3a9c2b1d4e6f";

/// Answers for the name with 127.0.0.1, not the first but the second time it is asked. `None` where loopback has
/// no multicast.
fn responder() -> Option<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into()).ok()?;
    socket.join_multicast_v4(&GROUP_V4, &Ipv4Addr::LOCALHOST).ok()?;
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).ok()?;
    let socket = UdpSocket::from(socket);
    socket.send_to(b"is there multicast?", (GROUP_V4, PORT)).ok()?;
    let mut name = vec![LABEL.len() as u8];
    name.extend_from_slice(LABEL.as_bytes());
    name.extend_from_slice(b"\x05local\x00");
    let answer = [
        &[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..],
        &name,
        &[0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 127, 0, 0, 1],
    ]
    .concat();
    std::thread::spawn(move || {
        let (mut buffer, mut asked) = ([0; 9_000], 0);
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let is_question =
                buffer[2] & 0x80 == 0 && buffer[..length].windows(LABEL.len()).any(|w| w == LABEL.as_bytes());
            asked += u32::from(is_question);
            if is_question && asked > 1 {
                let _ = socket.send_to(&answer, (GROUP_V4, PORT));
            }
        }
    });
    Some(())
}

/// Only the candidate of 127.0.0.1, by its name.
fn hide(sdp: &str) -> String {
    let is_kept = |line: &&str| !line.starts_with("a=candidate:") || line.contains(" 127.0.0.1 ");
    let lines = sdp.lines().filter(is_kept).map(|line| {
        if line.starts_with("a=candidate:") {
            line.replace(" 127.0.0.1 ", &format!(" {LABEL}.local "))
        } else {
            line.into()
        }
    });
    lines.flat_map(|line| [line, "\r\n".into()]).collect()
}

#[test]
fn a_peer_behind_a_name_is_found() {
    run(async {
        if responder().is_none() {
            return eprintln!("SKIPPED: no multicast on loopback here");
        }
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let offerer = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap();
        let answerer = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let init = RtcRtpTransceiverInit {
            direction: RtcRtpTransceiverDirection::Sendonly,
            ..RtcRtpTransceiverInit::default()
        };
        offerer.add_transceiver(&camera.track, init).await.unwrap();
        let mut events = offerer.events().unwrap();
        offerer.set_local_description(None).await.unwrap();
        offerer.gathering_complete().await.unwrap();
        // The answerer knows no candidate of the offerer: it can only be called.
        let mut offer = offerer.local_description().unwrap();
        offer.sdp =
            offer.sdp.lines().filter(|l| !l.starts_with("a=candidate:")).flat_map(|l| [l, "\r\n"]).collect();
        answerer.set_remote_description(offer).await.unwrap();
        answerer.set_local_description(None).await.unwrap();
        answerer.gathering_complete().await.unwrap();
        let mut answer = answerer.local_description().unwrap();
        answer.sdp = hide(&answer.sdp);
        assert!(answer.sdp.contains(".local "));
        offerer.set_remote_description(answer).await.unwrap();
        assert!(events.until(RtcPeerConnectionState::Connected).await);
        offerer.close().await;
        answerer.close().await;
        drop(camera);
        engines.shutdown().await;
    });
}
