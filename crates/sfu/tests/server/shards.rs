//! Rooms whose members live on several shards. The server is a process of its own, because series of metrics are per
//! shard, for the whole process.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use actix_rtc::{MediaKind, MediaStreamTrack, RtcEngine};
use serde_json::{Value, json};

use crate::{
    peer::{Peer, Source, engine, marks, run},
    program::PROGRAM,
    socket::Socket,
    web::{get, request},
};

const MARK: u8 = 5;

/// A server with two shards.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--shards", "2", "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // To its last line: a server whose standard output is closed ends.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        assert!(lines.next().unwrap().unwrap().starts_with("media: "));
        let address = line.strip_prefix("actix-rtc-sfu is ready: http://").unwrap();
        Self { child, address: address.trim_end_matches('/').parse().unwrap() }
    }

    /// A figure of each shard; 0 where there is none yet.
    fn figures(&self, metric: &str, labels: &str) -> [f64; 2] {
        let text = get(self.address, "/metrics").body;
        [0, 1].map(|shard| {
            let series = format!("{metric}{{shard=\"{shard}\"{labels}}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&series))
                .map_or(0.0, |value| value.parse().unwrap())
        })
    }

    fn relays(&self) -> [f64; 2] {
        self.figures("actix_rtc_actors", ",actor=\"track_relay\"")
    }

    /// Waits until as many relays are left on the two shards together.
    async fn relays_left(&self, count: f64) {
        while self.relays().iter().sum::<f64>() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn publisher(&self, engine: &RtcEngine, video: &Source) -> Peer {
        let mut publisher = Peer::new(engine).await;
        publisher.add(MediaKind::Video, Some(&video.track)).await;
        assert_eq!(publisher.call(self.address, "/whip/demo").await.status, 201);
        publisher.connected().await;
        publisher
    }

    /// Somebody who watches, what they see, and where their session is.
    async fn viewer(&self, engine: &RtcEngine) -> (Peer, MediaStreamTrack, String) {
        let mut viewer = Peer::new(engine).await;
        viewer.add(MediaKind::Video, None).await;
        let response = viewer.call(self.address, "/whep/demo").await;
        assert_eq!(response.status, 201, "{}", response.body);
        let (track, _) = viewer.track().await;
        (viewer, track, response.header("location").unwrap().to_owned())
    }
}

/// One publisher and three viewers. Returns how many peers were on each shard, and how many relays.
async fn one_to_three(flags: &[&str]) -> [[f64; 2]; 2] {
    let server = Program::start(flags);
    let engine = engine().await;
    let video = Source::start(&engine, MediaKind::Video, MARK).await;
    let _publisher = server.publisher(&engine, &video).await;
    let mut viewers = Vec::new();
    for _ in 0..3 {
        viewers.push(server.viewer(&engine).await);
    }
    for (_, track, _) in &viewers {
        assert!(marks(track, 50).await.iter().all(|mark| *mark == MARK));
    }
    let [peers, relays] = [server.figures("actix_rtc_peers", ""), server.relays()];
    assert_eq!(server.figures("actix_rtc_rooms", "").iter().sum::<f64>(), 1.0);
    let busy = server.figures("actix_rtc_shard_busy_ratio", "");
    assert!(busy.iter().all(|share| (0.0..=1.0).contains(share)), "{busy:?}");
    for (viewer, _, session) in &mut viewers {
        assert_eq!(request(server.address, "DELETE", session, None).status, 200);
        viewer.closed().await;
    }
    server.relays_left(0.0).await;
    [peers, relays]
}

#[test]
fn a_room_spread_over_two_shards_has_one_relay_for_its_publishers_track() {
    run(async {
        let [peers, mut relays] = one_to_three(&["--room-placement", "spread"]).await;
        assert_eq!(peers, [2.0, 2.0]);
        relays.sort_by(f64::total_cmp);
        assert_eq!(relays, [0.0, 1.0]);
    });
}

#[test]
fn a_room_spills_to_the_other_shard_and_one_that_must_not_does_not() {
    run(async {
        let spill = ["--room-placement", "spill", "--room-members-per-shard", "3"];
        let [mut peers, mut relays] = one_to_three(&spill).await;
        peers.sort_by(f64::total_cmp);
        relays.sort_by(f64::total_cmp);
        assert_eq!((peers, relays), ([1.0, 3.0], [0.0, 1.0]));

        let single = ["--room-placement", "single", "--room-members-per-shard", "3"];
        let [mut peers, relays] = one_to_three(&single).await;
        peers.sort_by(f64::total_cmp);
        assert_eq!((peers, relays), ([0.0, 4.0], [0.0, 0.0]));
    });
}

#[test]
fn people_on_two_shards_see_each_other_until_one_leaves() {
    let server = Program::start(&["--room-placement", "spread"]);
    run(async {
        let engine = engine().await;
        let videos = [
            Source::start(&engine, MediaKind::Video, 1).await,
            Source::start(&engine, MediaKind::Video, 2).await,
        ];
        let (mut sockets, mut ids) = (Vec::new(), Vec::new());
        for name in ["Ann", "Ben"] {
            let (socket, joined) = Socket::join(server.address, "demo", name);
            ids.push(joined["participant"].clone());
            sockets.push(socket);
        }
        let mut peers = [Peer::new(&engine).await, Peer::new(&engine).await];
        for ((peer, socket), video) in peers.iter_mut().zip(&mut sockets).zip(&videos) {
            peer.add(MediaKind::Video, Some(&video.track)).await;
            peer.negotiate(socket, 1, json!({})).await;
            peer.connected().await;
        }
        assert_eq!(server.figures("actix_rtc_peers", ""), [1.0, 1.0]);

        let publishes = |told: &Value, id: &Value| {
            told["participant"]["id"] == *id && told["participant"]["tracks"][0].is_object()
        };
        for (at, other) in [(0, 1), (1, 0)] {
            let told = sockets[at].expect_where("participant-updated", |told| publishes(told, &ids[other]));
            let track_id = &told["participant"]["tracks"][0]["id"];
            peers[at].add(MediaKind::Video, None).await;
            // The transport is there: no candidates follow this answer.
            let sdp = peers[at].offer().await;
            let offer = json!({"type": "offer", "id": 2, "sdp": sdp, "subscriptions": {"1": track_id}});
            sockets[at].send(&offer);
            let answer = sockets[at].expect_where("answer", |answer| answer["id"] == 2);
            peers[at].accept(answer["sdp"].as_str().unwrap()).await;
            let (track, _) = peers[at].track().await;
            let mark = u8::try_from(other + 1).unwrap();
            assert!(marks(&track, 50).await.iter().all(|seen| *seen == mark));
        }
        assert_eq!(server.relays(), [1.0, 1.0], "each one's track goes to the other's shard");

        sockets[0].send(&json!({"type": "leave"}));
        assert_eq!(sockets[1].expect("participant-left")["participant"], ids[0]);
        server.relays_left(0.0).await;
    });
}
