//! Server-reflexive candidates over IPv6, with several connections on one socket, and with hidden host addresses.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use actix_rtc::{
    RtcConfiguration, RtcDataChannelInit, RtcEngine, RtcIceServer, RtcPeerConnection, UdpMode,
    proto::stun::{Class, Message, MessageBuilder, Method},
};

use crate::pair::{engine, loopback, run};

const END: Duration = Duration::from_secs(5);

/// A STUN server on a loopback address that answers as if a NAT stood before the client. It ends with the process.
fn server(address: &str, mapped: SocketAddr) -> String {
    let socket = UdpSocket::bind(address).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1_500];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let Ok(request) = Message::parse(&buffer[..length]) else { continue };
            if request.class() == Class::Request {
                let id = request.transaction_id();
                let answer = MessageBuilder::new(Class::SuccessResponse, Method::BINDING, id);
                let _ = socket.send_to(&answer.xor_mapped_address(mapped).finish(), client);
            }
        }
    });
    format!("stun:{address}")
}

/// The reflexive candidates of one connection.
async fn reflexive(engine: &RtcEngine, urls: &[String]) -> Vec<String> {
    let mut configuration = RtcConfiguration::default();
    configuration.ice_servers = urls.iter().map(|url| RtcIceServer::new(url.as_str())).collect();
    let connection = RtcPeerConnection::on(engine, configuration).await.unwrap();
    connection.create_data_channel("data", RtcDataChannelInit::default()).await.unwrap();
    connection.set_local_description(None).await.unwrap();
    connection.gathering_complete().await.unwrap();
    let sdp = connection.local_description().unwrap().sdp;
    connection.close().await;
    sdp.lines().filter(|line| line.contains(" typ srflx ")).map(str::to_owned).collect()
}

#[test]
fn both_families_are_asked_for_over_shared_sockets_and_each_from_its_own() {
    run(async {
        let urls = [
            server("127.0.0.1:0", "203.0.113.7:4321".parse().unwrap()),
            server("[::1]:0", "[2001:db8::7]:4321".parse().unwrap()),
        ];
        let engine = engine(UdpMode::Shared { port: 0 }, loopback()).await;
        let all = futures_util::future::join_all((0..10).map(|_| reflexive(&engine, &urls))).await;
        for lines in all {
            assert_eq!(lines.len(), 2, "{lines:?}");
            let of = |address: &str| lines.iter().find(|line| line.contains(address)).unwrap();
            assert!(of(" 203.0.113.7 4321 ").contains(" raddr 127.0.0.1 "), "{lines:?}");
            assert!(of(" 2001:db8::7 4321 ").contains(" raddr ::1 "), "{lines:?}");
        }
        engine.shutdown(END).await.unwrap();
    });
}

#[test]
fn what_is_behind_a_reflexive_candidate_is_hidden_with_the_host_addresses() {
    run(async {
        let urls = [
            server("127.0.0.1:0", "203.0.113.7:4321".parse().unwrap()),
            server("[::1]:0", "[2001:db8::7]:4321".parse().unwrap()),
        ];
        let mut network = loopback();
        network.hide_host_addresses = true;
        let engine = engine(UdpMode::PerConnection, network).await;
        let lines = reflexive(&engine, &urls).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in &lines {
            let related =
                if line.contains("2001:db8::7") { "raddr :: rport 9" } else { "raddr 0.0.0.0 rport 9" };
            assert!(line.contains(related), "{line}");
        }
        engine.shutdown(END).await.unwrap();
    });
}
