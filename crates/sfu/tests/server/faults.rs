//! Panics on demand: contained, healed, or told.

use actix_rtc::MediaKind;
use serde_json::json;

use crate::{
    peer::{Peer, Source, engine, marks, run},
    server::TestServer,
    socket::Socket,
    web::request,
};

fn panic_in(server: &TestServer, query: &str) -> u16 {
    request(server.address, "POST", &format!("/debug/panic?actor={query}"), None).status
}

/// The server may hear a moment after its peer that they are connected.
fn panic_when_connected(server: &TestServer, query: &str) {
    const TRIES: usize = 500;
    assert!((0..TRIES).any(|_| panic_in(server, query) == 200), "nobody like that is connected: {query}");
}

#[test]
fn a_panic_in_a_sender_heals() {
    let server = TestServer::with(&["--enable-fault-injection"]);
    run(async {
        assert_eq!(panic_in(&server, "rtp_sender"), 409, "nobody is there yet");
        assert_eq!(panic_in(&server, "nonsense"), 400);
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, 1).await;
        let mut publisher = Peer::new(&engine).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        assert_eq!(publisher.call(server.address, "/whip/demo").await.status, 201);
        publisher.connected().await;
        let mut viewer = Peer::new(&engine).await;
        viewer.add(MediaKind::Video, None).await;
        assert_eq!(viewer.call(server.address, "/whep/demo").await.status, 201);
        let (track, _) = viewer.track().await;
        marks(&track, 50).await;
        panic_when_connected(&server, "rtp_sender");
        marks(&track, 50).await;
    });
}

#[test]
fn a_receiver_that_panics_too_often_ends_its_track_for_all() {
    let server = TestServer::with(&["--enable-fault-injection"]);
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, 1).await;
        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let mut publisher = Peer::new(&engine).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        assert_eq!(publisher.call(server.address, "/whip/demo").await.status, 201);
        publisher.connected().await;
        let joined = ann.expect("participant-joined");
        let id = joined["participant"]["id"].as_str().unwrap();
        // Five restarts are forgiven within ten seconds.
        for _ in 0..6 {
            panic_when_connected(&server, &format!("rtp_receiver&participant={id}"));
        }
        assert_eq!(ann.expect("participant-updated")["participant"]["tracks"], json!([]));
    });
}

#[test]
fn a_lost_connection_is_told_to_its_client() {
    let server = TestServer::with(&["--enable-fault-injection"]);
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, 1).await;
        let (mut ann, joined) = Socket::join(server.address, "demo", "Ann");
        let (mut ben, _) = Socket::join(server.address, "demo", "Ben");
        let mut peer = Peer::new(&engine).await;
        peer.add(MediaKind::Video, Some(&video.track)).await;
        peer.negotiate(&mut ann, 1, json!({})).await;
        peer.connected().await;
        ben.expect("participant-updated");
        let id = joined["participant"].as_str().unwrap();
        panic_when_connected(&server, &format!("peer_connection&participant={id}"));
        assert_eq!(ann.expect("error")["code"], "connection-failed");
        assert_eq!(ann.expect("closing")["reason"], "internal");
        assert_eq!(ann.expect_close(), Some(1011));
        assert_eq!(ben.expect("participant-left")["participant"], id);
    });
}
