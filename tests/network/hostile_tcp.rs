//! What strangers may do to a TCP port of ours, and what it costs.

use std::time::Duration;

use actix_rtc::{RtcConfiguration, RtcDataChannelInit, RtcPeerConnection, TcpMode, UdpMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::pair::{Pair, engine, loopback, over_tcp, run};

/// A STUN Binding request with a USERNAME and nothing to prove it.
fn request(username: &str) -> Vec<u8> {
    let mut attribute = vec![0, 6, 0, u8::try_from(username.len()).unwrap()];
    attribute.extend_from_slice(username.as_bytes());
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    let mut message = vec![0, 1, 0, u8::try_from(attribute.len()).unwrap(), 0x21, 0x12, 0xA4, 0x42];
    message.extend_from_slice(&[7; 12]);
    message.extend_from_slice(&attribute);
    framed(&message)
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut frame = u16::try_from(datagram.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(datagram);
    frame
}

/// What comes back until the other side closes.
async fn closed(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
    // A reset is an end as well.
    let _ = read.expect("the connection is not closed");
    answer
}

#[test]
fn connections_that_do_not_begin_with_a_check_for_us_are_closed_and_others_do_not_notice() {
    run(async {
        let (mut active, mut passive) = (loopback(), loopback());
        active.tcp = TcpMode::Active;
        passive.tcp = TcpMode::Passive { port: 0 };
        let client = engine(UdpMode::PerConnection, active).await;
        let server = engine(UdpMode::Shared { port: 0 }, passive).await;
        let port = server.local_tcp_ports().await.unwrap()[0];
        let pair = Pair::connect(&client, &server, over_tcp).await;
        let long = [0xFF; 4];
        let dtls = framed(&[22, 254, 253, 0, 0, 0, 0]);
        let unknown = request("nobody:else");
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &long, &dtls, &unknown] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            assert_eq!(closed(stream).await, b"", "strangers get no answer");
        }
        pair.exchange().await;
        pair.close().await;
        client.shutdown(Duration::from_secs(5)).await.unwrap();
        server.shutdown(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn who_knows_a_ufrag_but_no_password_is_closed_in_time() {
    run(async {
        let mut passive = loopback();
        passive.tcp = TcpMode::Passive { port: 0 };
        let server = engine(UdpMode::Shared { port: 0 }, passive).await;
        let port = server.local_tcp_ports().await.unwrap()[0];
        let connection = RtcPeerConnection::on(&server, RtcConfiguration::default()).await.unwrap();
        connection.create_data_channel("data", RtcDataChannelInit::default()).await.unwrap();
        connection.set_local_description(None).await.unwrap();
        let sdp = connection.local_description().unwrap().sdp;
        let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        for _ in 0..100 {
            stream.write_all(&request(&format!("{ufrag}:abcd"))).await.unwrap();
        }
        let (answer, nothing) = tokio::join!(closed(stream), closed(silent));
        assert!(answer.len() < 1_000, "errors are rationed: {} bytes", answer.len());
        assert!(nothing.is_empty());
        connection.close().await;
        server.shutdown(Duration::from_secs(5)).await.unwrap();
    });
}
