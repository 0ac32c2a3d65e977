//! Calls through the server, with the library as the peer.

use std::time::Duration;

use actix_rtc::{MediaKind, RtcPeerConnectionState, RtcRtpTransceiverDirection as Direction};
use serde_json::json;

use crate::{
    peer::{Peer, Source, engine, marks, run},
    server::TestServer,
    socket::Socket,
    web::{self, request},
};

const AUDIO_MARK: u8 = 7;
const VIDEO_MARK: u8 = 9;

#[test]
fn what_is_published_by_whip_is_watched_by_whep() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let (audio, video) = (
            Source::start(&engine, MediaKind::Audio, AUDIO_MARK).await,
            Source::start(&engine, MediaKind::Video, VIDEO_MARK).await,
        );
        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let mut publisher = Peer::new(&engine).await;
        publisher.add(MediaKind::Audio, Some(&audio.track)).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        let created = publisher.call(server.address, "/whip/demo?name=Camera").await;
        assert_eq!((created.status, created.header("content-type")), (201, Some(web::SDP)));
        assert!(created.body.contains("a=candidate:") && created.body.contains("a=end-of-candidates"));
        assert!(created.body.contains("a=recvonly") && !created.body.contains("a=sendrecv"));
        publisher.connected().await;

        let joined = ann.expect("participant-joined");
        let participant = &joined["participant"];
        assert_eq!(
            (participant["name"].as_str(), participant["tracks"].as_array().unwrap().len()),
            (Some("Camera"), 2)
        );
        let id = participant["id"].as_str().unwrap();

        let mut viewer = Peer::new(&engine).await;
        viewer.add(MediaKind::Audio, None).await;
        viewer.add(MediaKind::Video, None).await;
        let watching = viewer.call(server.address, &format!("/whep/demo?publisher={id}")).await;
        assert_eq!(watching.status, 201, "{}", watching.body);
        assert!(watching.body.contains("a=sendonly"));
        for _ in 0..2 {
            let (track, streams) = viewer.track().await;
            assert_eq!(streams, [id], "tracks are grouped by who sends them");
            let mark = if track.kind() == MediaKind::Audio { AUDIO_MARK } else { VIDEO_MARK };
            assert!(marks(&track, 50).await.iter().all(|got| *got == mark));
        }

        let location = created.header("location").unwrap();
        assert!(location.starts_with("/whip/demo/") && location.len() >= "/whip/demo/".len() + 32);
        let elsewhere = location.replace("/demo/", "/other/");
        assert_eq!(request(server.address, "DELETE", &elsewhere, None).status, 404, "another room's");
        assert_eq!(request(server.address, "DELETE", location, None).status, 200);
        assert_eq!(ann.expect("participant-left")["participant"], id);
        publisher.closed().await;
        assert_eq!(request(server.address, "DELETE", location, None).status, 404, "it has ended");
        assert_eq!(request(server.address, "DELETE", watching.header("location").unwrap(), None).status, 200);
        viewer.closed().await;
    });
}

#[test]
fn a_viewer_gets_all_or_nothing() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let publisher = Peer::new(&engine).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        assert_eq!(publisher.call(server.address, "/whip/demo").await.status, 201);

        let deaf = Peer::new(&engine).await;
        deaf.add(MediaKind::Audio, None).await;
        let refused = deaf.call(server.address, "/whep/demo").await;
        assert_eq!((refused.status, refused.problem()["code"].as_str()), (422, Some("too-few-sections")));

        let roomy = Peer::new(&engine).await;
        for kind in [MediaKind::Video, MediaKind::Audio, MediaKind::Video] {
            roomy.add(kind, None).await;
        }
        assert_eq!(roomy.call(server.address, "/whep/demo").await.status, 201);
        let directions: Vec<_> = roomy
            .connection
            .get_transceivers()
            .iter()
            .map(|transceiver| transceiver.current_direction().unwrap())
            .collect();
        assert_eq!(directions, [Direction::Recvonly, Direction::Inactive, Direction::Inactive]);
    });
}

#[test]
fn a_publisher_of_nothing_is_refused() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let silent = Peer::new(&engine).await;
        silent.add(MediaKind::Audio, None).await;
        let refused = silent.call(server.address, "/whip/demo").await;
        assert_eq!((refused.status, refused.problem()["code"].as_str()), (422, Some("nothing-published")));
    });
}

#[test]
fn a_session_that_never_connects_is_forgotten() {
    let server = TestServer::with(&["--connect-timeout", "0.3"]);
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let publisher = Peer::new(&engine).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        let offer: String = publisher
            .offer()
            .await
            .lines()
            .filter(|line| !line.contains("candidate"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        // The answer is thrown away, so nobody ever sends a check.
        let created = web::post_sdp(server.address, "/whip/demo", &offer);
        assert_eq!(created.status, 201, "{}", created.body);
        let joined = ann.expect("participant-joined");
        assert_eq!(ann.expect("participant-left")["participant"], joined["participant"]["id"]);
        let gone = request(server.address, "DELETE", created.header("location").unwrap(), None);
        assert_eq!(gone.status, 404);
    });
}

#[test]
fn people_see_each_other_over_the_websocket() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let (mut ann, joined) = Socket::join(server.address, "demo", "Ann");
        let (mut ben, _) = Socket::join(server.address, "demo", "Ben");
        let ann_id = joined["participant"].as_str().unwrap();

        let mut sender = Peer::new(&engine).await;
        sender.add(MediaKind::Video, Some(&video.track)).await;
        sender.negotiate(&mut ann, 1, json!({})).await;
        sender.connected().await;
        let updated = ben.expect("participant-updated");
        let tracks = &updated["participant"]["tracks"];
        assert_eq!(
            (updated["participant"]["id"].as_str(), tracks[0]["kind"].as_str()),
            (Some(ann_id), Some("video"))
        );
        let track_id = tracks[0]["id"].as_str().unwrap();

        let mut receiver = Peer::new(&engine).await;
        receiver.add(MediaKind::Video, None).await;
        receiver.negotiate(&mut ben, 1, json!({"0": track_id})).await;
        let (track, streams) = receiver.track().await;
        assert_eq!(streams, [ann_id]);
        assert!(marks(&track, 50).await.iter().all(|mark| *mark == VIDEO_MARK));
        let told = ann.settle();
        assert!(
            told.iter().all(|told| told["type"] == "participant-joined"),
            "who only watches publishes nothing"
        );

        ann.send(&json!({"type": "leave"}));
        assert_eq!(ben.expect("participant-left")["participant"], ann_id);
        sender.closed().await;
    });
}

#[test]
fn media_goes_on_over_an_ice_restart() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let mut publisher = Peer::new(&engine).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        assert_eq!(publisher.call(server.address, "/whip/demo").await.status, 201);
        publisher.connected().await;
        let (mut ann, joined) = Socket::join(server.address, "demo", "Ann");
        let track_id = &joined["participants"][0]["tracks"][0]["id"];
        let mut receiver = Peer::new(&engine).await;
        receiver.add(MediaKind::Video, None).await;
        let before = receiver.negotiate(&mut ann, 1, json!({"0": track_id})).await;
        let (track, _) = receiver.track().await;
        marks(&track, 50).await;

        receiver.connection.restart_ice().await.unwrap();
        let sdp = receiver.offer().await;
        ann.send(&json!({"type": "offer", "id": 2, "sdp": sdp, "subscriptions": {"0": track_id}}));
        let answer = ann.expect("answer")["sdp"].as_str().unwrap().to_owned();
        let ufrag = |sdp: &str| sdp.lines().find(|line| line.starts_with("a=ice-ufrag:")).unwrap().to_owned();
        assert_ne!(ufrag(&before), ufrag(&answer), "the server restarts as well");
        receiver.accept(&answer).await;
        marks(&track, 50).await;
    });
}

#[test]
fn a_subscription_to_what_is_not_there_is_answered_inactive() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        // A track of another room is as unknown as one that never was.
        let (mut other, _) = Socket::join(server.address, "other", "");
        let (mut witness, _) = Socket::join(server.address, "other", "");
        let stranger = Peer::new(&engine).await;
        stranger.add(MediaKind::Video, Some(&video.track)).await;
        stranger.negotiate(&mut other, 1, json!({})).await;
        let elsewhere = witness.expect("participant-updated")["participant"]["tracks"][0]["id"].clone();

        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let peer = Peer::new(&engine).await;
        peer.add(MediaKind::Video, None).await;
        peer.add(MediaKind::Video, None).await;
        let answer =
            peer.negotiate(&mut ann, 3, json!({"0": elsewhere, "1": "no-such-track", "9": "x"})).await;
        assert_eq!(answer.matches("a=inactive").count(), 2, "{answer}");
    });
}

#[test]
fn a_track_of_the_wrong_kind_is_refused_and_the_offer_taken_back() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let (mut ben, _) = Socket::join(server.address, "demo", "Ben");
        let sender = Peer::new(&engine).await;
        sender.add(MediaKind::Video, Some(&video.track)).await;
        sender.negotiate(&mut ann, 1, json!({})).await;
        let track_id = ben.expect("participant-updated")["participant"]["tracks"][0]["id"].clone();

        let peer = Peer::new(&engine).await;
        peer.add(MediaKind::Audio, None).await;
        let sdp = peer.offer().await;
        ben.send(&json!({"type": "offer", "id": 5, "sdp": sdp, "subscriptions": {"0": track_id}}));
        let error = ben.expect("error");
        assert_eq!(
            (error["code"].as_str(), error["field"].as_str()),
            (Some("invalid-message"), Some("subscriptions"))
        );
        assert_eq!(error["id"], 5);
        ben.send(&json!({"type": "offer", "id": 6, "sdp": sdp, "subscriptions": {}}));
        assert!(
            ben.expect("answer")["sdp"].as_str().unwrap().contains("a=inactive"),
            "the same offer can be made again"
        );
    });
}

#[test]
fn a_section_that_ends_takes_its_track_with_it_and_gets_a_new_name_later() {
    let server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let (mut ben, _) = Socket::join(server.address, "demo", "Ben");
        let peer = Peer::new(&engine).await;
        peer.add(MediaKind::Video, Some(&video.track)).await;
        let transceiver = peer.connection.get_transceivers().remove(0);
        let mut names = Vec::new();
        for (id, direction, is_news) in [
            (1, Direction::Sendonly, true),
            (2, Direction::Sendonly, false),
            (3, Direction::Inactive, true),
            (4, Direction::Sendonly, true),
        ] {
            transceiver.set_direction(direction).await.unwrap();
            let sdp = peer.offer().await;
            ann.send(&json!({"type": "offer", "id": id, "sdp": sdp, "subscriptions": {}}));
            let answer = ann.expect("answer");
            peer.accept(answer["sdp"].as_str().unwrap()).await;
            if is_news {
                names.push(ben.expect("participant-updated")["participant"]["tracks"].clone());
            } else {
                ann.settle();
                assert!(ben.settle().is_empty(), "nothing has changed for the others");
            }
        }
        let [first, ended, anew] = &names[..] else { panic!("three changes") };
        assert_eq!(ended, &json!([]));
        assert_ne!(first[0]["id"], anew[0]["id"]);
    });
}

/// Handshakes that the server has finished.
fn dtls_connections(server: &TestServer) -> f64 {
    let text = request(server.address, "GET", "/metrics", None).body;
    let series = text.lines().filter(|line| line.starts_with("actix_rtc_dtls_transports{"));
    let connected = series.filter(|line| line.contains("state=\"connected\""));
    connected.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn shutting_down_hangs_up_on_every_peer() {
    let mut server = TestServer::start();
    run(async {
        let engine = engine().await;
        let video = Source::start(&engine, MediaKind::Video, VIDEO_MARK).await;
        let (mut ann, _) = Socket::join(server.address, "demo", "Ann");
        let mut on_socket = Peer::new(&engine).await;
        on_socket.add(MediaKind::Video, Some(&video.track)).await;
        on_socket.negotiate(&mut ann, 1, json!({})).await;
        let mut by_http = Peer::new(&engine).await;
        by_http.add(MediaKind::Video, Some(&video.track)).await;
        assert_eq!(by_http.call(server.address, "/whip/demo").await.status, 201);
        on_socket.connected().await;
        by_http.connected().await;
        // In a handshake that the server has not finished it could not say goodbye.
        while dtls_connections(&server) < 2.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.begin_shutdown();
        // By close_notify: of mere silence ICE would make `failed`, after half a minute.
        on_socket.closed().await;
        by_http.closed().await;
        for peer in [&on_socket, &by_http] {
            assert_eq!(peer.connection.connection_state(), RtcPeerConnectionState::Closed);
        }
    });
    server.wait();
}
