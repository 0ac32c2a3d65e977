//! Who is not the one that was described gets nothing.

use actix_rtc::{
    RtcConfiguration, RtcPeerConnection, RtcPeerConnectionState, RtcSessionDescription, UdpMode,
    actors::kit::LaneKind,
};

use crate::{
    call::{Camera, Engines},
    run,
};

/// The description with a fingerprint that no certificate has.
fn forged(mut description: RtcSessionDescription) -> RtcSessionDescription {
    let mut lines: Vec<String> = description.sdp.lines().map(str::to_owned).collect();
    for line in lines.iter_mut().filter(|line| line.starts_with("a=fingerprint:")) {
        let start = line.find(' ').unwrap() + 1;
        let digest: Vec<&str> = line[start..].split(':').collect();
        let reversed: Vec<&str> = digest.iter().rev().copied().collect();
        *line = format!("{}{}", &line[..start], reversed.join(":"));
    }
    description.sdp = lines.join("\r\n") + "\r\n";
    description
}

async fn a_wrong_fingerprint_fails_both_sides(in_offer: bool) {
    let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
    let camera = Camera::start(&engines, 1).await;
    let offerer = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap();
    let answerer = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
    let (mut offerer_events, mut answerer_events) = (offerer.events().unwrap(), answerer.events().unwrap());
    offerer.add_track(&camera.track, Vec::new()).await.unwrap();
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    let offer = offerer.local_description().unwrap();
    answerer.set_remote_description(if in_offer { forged(offer) } else { offer }).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    let answer = answerer.local_description().unwrap();
    offerer.set_remote_description(if in_offer { answer } else { forged(answer) }).await.unwrap();
    // The side that was lied to notices; the other one is told by an alert, long before any timeout.
    // A client that has verified may be connected for the moment until the alert is there.
    for (connection, events) in [(&offerer, &mut offerer_events), (&answerer, &mut answerer_events)] {
        while connection.connection_state() != RtcPeerConnectionState::Failed {
            futures_util::StreamExt::next(events).await.unwrap();
        }
    }
    for engine in [&engines.near, &engines.far] {
        for shard in engine.shards().statistics() {
            assert_eq!(shard.lanes[LaneKind::ReceiverRtp].pushed.get(), 0, "no media was delivered");
        }
    }
    engines.shutdown().await;
}

#[test]
fn a_wrong_fingerprint_in_the_offer_fails_both_sides() {
    run(a_wrong_fingerprint_fails_both_sides(true));
}

#[test]
fn a_wrong_fingerprint_in_the_answer_fails_both_sides() {
    run(a_wrong_fingerprint_fails_both_sides(false));
}
