//! `getStats` in a real call: every mandatory member, its plausibility, selection, stability.

use std::{collections::BTreeMap, time::Duration};

use actix_rtc::{
    RtcConfiguration, RtcDataChannelEvent, RtcDataChannelInit, RtcPeerConnection, RtcPeerConnectionEvent,
    RtcPeerConnectionState, RtcStatsReport, UdpMode, stats::RtcStats,
};
use futures_util::StreamExt;
use serde_json::Value;

use crate::{
    call::{Call, Camera, Engines, Viewer, negotiate},
    run,
};

/// W3C webrtc-pc §8.6, the members that apply to a stack without codecs in a call with video, by type.
/// What is left out, and why, is in the documentation of `actix_rtc::stats`.
const MANDATORY: &[(&str, &[&str])] = &[
    ("codec", &["payloadType", "mimeType", "clockRate"]),
    (
        "inbound-rtp",
        &[
            "ssrc",
            "kind",
            "transportId",
            "codecId",
            "packetsReceived",
            "packetsLost",
            "jitter",
            "trackIdentifier",
            "remoteId",
            "nackCount",
            "framesReceived",
            "bytesReceived",
            "packetsDiscarded",
        ],
    ),
    (
        "outbound-rtp",
        &[
            "ssrc",
            "kind",
            "transportId",
            "codecId",
            "packetsSent",
            "bytesSent",
            "remoteId",
            "nackCount",
            "framesSent",
        ],
    ),
    (
        "remote-inbound-rtp",
        &[
            "ssrc",
            "kind",
            "transportId",
            "codecId",
            "packetsReceived",
            "packetsLost",
            "jitter",
            "localId",
            "roundTripTime",
        ],
    ),
    (
        "remote-outbound-rtp",
        &["ssrc", "kind", "transportId", "codecId", "packetsSent", "bytesSent", "localId", "remoteTimestamp"],
    ),
    ("media-source", &["trackIdentifier", "kind"]),
    ("peer-connection", &["dataChannelsOpened", "dataChannelsClosed"]),
    (
        "transport",
        &[
            "bytesSent",
            "bytesReceived",
            "selectedCandidatePairId",
            "localCertificateId",
            "remoteCertificateId",
        ],
    ),
    (
        "candidate-pair",
        &[
            "transportId",
            "localCandidateId",
            "remoteCandidateId",
            "state",
            "nominated",
            "bytesSent",
            "bytesReceived",
            "totalRoundTripTime",
            "responsesReceived",
            "currentRoundTripTime",
        ],
    ),
    ("local-candidate", &["address", "port", "protocol", "candidateType"]),
    ("remote-candidate", &["address", "port", "protocol", "candidateType"]),
    ("certificate", &["fingerprint", "fingerprintAlgorithm", "base64Certificate"]),
];

/// Both sides of a call with video in one direction, after the first reports have gone each way.
async fn reports(call: &Call) -> (RtcStatsReport, RtcStatsReport) {
    loop {
        let sender = call.sender.get_stats(None).await.unwrap();
        let receiver = call.receiver.get_stats(None).await.unwrap();
        let measured = |stats: &RtcStats| match stats {
            RtcStats::RemoteInboundRtp(stats) => stats.round_trip_time.is_some(),
            _ => false,
        };
        if sender.iter().any(measured) && receiver.of_type("remote-outbound-rtp").next().is_some() {
            return (sender, receiver);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn json(report: &RtcStatsReport) -> BTreeMap<String, Value> {
    let Value::Object(objects) = serde_json::to_value(report).unwrap() else { panic!("no object") };
    objects.into_iter().collect()
}

/// The selected pair's objects show all that the others may not have measured.
fn is_comparable(object: &Value, report: &BTreeMap<String, Value>) -> bool {
    let transports = report.values().filter(|other| other["type"] == "transport");
    let selected: Vec<_> = transports.map(|transport| &transport["selectedCandidatePairId"]).collect();
    object["type"] != "candidate-pair" || selected.contains(&&object["id"])
}

#[test]
fn every_mandatory_member_is_there() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let call = Call::start(&engines, &camera.track).await;
        let (sender, receiver) = reports(&call).await;
        let (sender, receiver) = (json(&sender), json(&receiver));
        for (kind, members) in MANDATORY {
            let mut found = 0;
            for report in [&sender, &receiver] {
                let objects = report.values().filter(|object| object["type"] == *kind);
                for object in objects.filter(|object| is_comparable(object, report)) {
                    found += 1;
                    for member in ["id", "timestamp"].iter().chain(*members) {
                        assert!(!object[*member].is_null(), "{kind} lacks {member}: {object:#}");
                    }
                }
            }
            assert!(found > 0, "there is no {kind}");
        }
        engines.shutdown().await;
    });
}

#[test]
fn values_are_plausible_and_agree_with_the_other_side() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        call.next_packets(100).await;
        let (sender, receiver) = reports(&call).await;

        let Some(RtcStats::OutboundRtp(outbound)) = sender.of_type("outbound-rtp").next() else { panic!() };
        let Some(RtcStats::InboundRtp(inbound)) = receiver.of_type("inbound-rtp").next() else { panic!() };
        assert_eq!(outbound.ssrc, inbound.ssrc);
        assert_eq!(outbound.mid, inbound.mid);
        assert_eq!(outbound.active, Some(true));
        let (sent, received) = (outbound.packets_sent.unwrap(), inbound.packets_received.unwrap());
        assert!(sent >= 100 && received >= 100, "{sent} {received}");
        // A frame is one packet of 20 bytes.
        assert_eq!(outbound.bytes_sent, Some(sent * 20));
        assert_eq!(inbound.bytes_received, Some(received * 20));
        assert_eq!(inbound.frames_received, Some(received));
        assert_eq!(inbound.packets_lost, Some(0));
        assert!((0.0..1.0).contains(&inbound.jitter.unwrap()), "seconds");
        assert_eq!(inbound.track_identifier, camera.track.id());

        let remote = sender.get(outbound.remote_id.as_ref().unwrap()).unwrap();
        let RtcStats::RemoteInboundRtp(remote) = remote else { panic!() };
        assert!((0.0..1.0).contains(&remote.round_trip_time.unwrap()), "seconds");
        assert!((1..=sent).contains(&remote.packets_received.unwrap()));
        assert_eq!(remote.fraction_lost, Some(0.0));

        let Some(RtcStats::Codec(codec)) = sender.get(outbound.codec_id.as_ref().unwrap()) else { panic!() };
        assert_eq!((codec.mime_type.as_str(), codec.clock_rate), ("video/VP8", Some(90_000)));

        for (report, other) in [(&sender, &receiver), (&receiver, &sender)] {
            let Some(RtcStats::Transport(transport)) = report.of_type("transport").next() else { panic!() };
            let Some(RtcStats::Transport(peer)) = other.of_type("transport").next() else { panic!() };
            assert_eq!(transport.local_certificate_id, peer.remote_certificate_id);
            assert_eq!(transport.tls_version.as_deref(), Some("FEFD"));
            assert!(transport.dtls_cipher.as_ref().unwrap().starts_with("TLS_ECDHE_"));
            assert!(transport.srtp_cipher.is_some());
            assert_ne!(transport.dtls_role, peer.dtls_role);
            assert_ne!(transport.ice_role, peer.ice_role);
            let pair = report.get(transport.selected_candidate_pair_id.as_ref().unwrap()).unwrap();
            let RtcStats::CandidatePair(pair) = pair else { panic!() };
            assert_eq!(pair.bytes_sent, transport.bytes_sent, "there was one pair");
            assert!(report.get(&pair.local_candidate_id).is_some());
            assert!(report.get(&pair.remote_candidate_id).is_some());
            assert!((0.0..1.0).contains(&pair.current_round_trip_time.unwrap()), "seconds");
        }
        engines.shutdown().await;
    });
}

#[test]
fn ids_stay_counters_rise_and_time_never_runs_backwards() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let mut call = Call::start(&engines, &camera.track).await;
        let (before, _) = reports(&call).await;
        let sent = |report: &RtcStatsReport| match report.of_type("outbound-rtp").next() {
            Some(RtcStats::OutboundRtp(stats)) => stats.packets_sent.unwrap(),
            _ => panic!("nothing is sent"),
        };
        let after = loop {
            call.next_packets(10).await;
            let after = call.sender.get_stats(None).await.unwrap();
            if sent(&after) >= sent(&before) + 20 {
                break after;
            }
        };
        for old in &before {
            let new = after.get(old.id()).unwrap_or_else(|| panic!("{} is gone", old.id()));
            assert_eq!(old.type_name(), new.type_name());
            assert!(new.timestamp() >= old.timestamp(), "{}", old.id());
        }
        let text = serde_json::to_string(&after).unwrap();
        let read: RtcStatsReport = serde_json::from_str(&text).unwrap();
        let names = |report: &RtcStatsReport| -> Vec<_> {
            report.iter().map(|stats| (stats.id().to_owned(), stats.type_name())).collect()
        };
        assert_eq!(names(&read), names(&after));
        engines.shutdown().await;
    });
}

/// W3C webrtc-pc §8.5.
#[test]
fn a_selector_gives_the_streams_of_one_track_and_what_they_refer_to() {
    run(async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let (first, second) = (Camera::start(&engines, 1).await, Camera::start(&engines, 2).await);
        let mut call = Call::start(&engines, &first.track).await;
        let sender = call.sender.add_track(&second.track, Vec::new()).await.unwrap();
        negotiate(&call.sender, &call.receiver).await;
        call.next_packets(10).await;
        let both = reports(&call).await.0;
        assert_eq!(both.of_type("outbound-rtp").count(), 2);

        for report in
            [call.sender.get_stats(Some(&second.track)).await.unwrap(), sender.get_stats().await.unwrap()]
        {
            assert_eq!(report.of_type("outbound-rtp").count(), 1);
            assert_eq!(report.of_type("media-source").count(), 1);
            let Some(RtcStats::MediaSource(source)) = report.of_type("media-source").next() else { panic!() };
            assert_eq!(source.track_identifier, second.track.id());
            assert_eq!(report.of_type("transport").count(), 1);
            assert_eq!(report.of_type("candidate-pair").count(), 1, "the selected one");
            assert_eq!(report.of_type("peer-connection").count(), 0, "no stream refers to it");
            assert!(report.iter().all(|stats| both.get(stats.id()).is_some()));
        }
        let receiver = call.receiver.get_receivers().remove(0);
        let report = receiver.get_stats().await.unwrap();
        assert_eq!(report.of_type("inbound-rtp").count(), 1);
        assert_eq!(report.of_type("outbound-rtp").count(), 0);

        let stranger = Camera::start(&engines, 3).await;
        let error = call.sender.get_stats(Some(&stranger.track)).await.unwrap_err();
        assert_eq!(error.name(), "InvalidAccessError");
        engines.shutdown().await;
    });
}

#[test]
fn a_connection_that_was_closed_still_has_its_last_report() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let camera = Camera::start(&engines, 1).await;
        let Call { sender, receiver: _receiver, mut receiver_events, packets, .. } =
            Call::start(&engines, &camera.track).await;
        let mut viewer = Viewer::start(packets);
        viewer.sees(10).await;
        let report = sender.get_stats(None).await.unwrap();
        sender.close().await;
        assert!(receiver_events.until(RtcPeerConnectionState::Closed).await);
        assert_eq!(sender.get_stats(None).await.unwrap(), report);
        engines.shutdown().await;
    });
}

#[test]
fn a_new_connection_has_statistics_of_itself() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let connection = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap();
        let report = connection.get_stats(None).await.unwrap();
        assert_eq!(report.of_type("peer-connection").count(), 1);
        assert_eq!(report.of_type("outbound-rtp").count() + report.of_type("inbound-rtp").count(), 0);
        engines.shutdown().await;
    });
}

#[test]
fn a_connection_with_data_only_has_statistics() {
    run(async {
        let engines = Engines::start(UdpMode::PerConnection).await;
        let near = RtcPeerConnection::on(&engines.near, RtcConfiguration::on_shard(0)).await.unwrap();
        let far = RtcPeerConnection::on(&engines.far, RtcConfiguration::on_shard(0)).await.unwrap();
        let init = RtcDataChannelInit { protocol: "chess".to_owned(), ..RtcDataChannelInit::default() };
        let channel = near.create_data_channel("game", init).await.unwrap();
        let mut events = far.events().unwrap();
        negotiate(&near, &far).await;
        let theirs = loop {
            if let RtcPeerConnectionEvent::DataChannel(channel) = events.next().await.unwrap() {
                break channel;
            }
        };
        while channel.events().next().await != Some(RtcDataChannelEvent::Open) {}
        channel.send("e2e4").await.unwrap();
        channel.send("d2d4").await.unwrap();
        for _ in 0..2 {
            theirs.events().message().await.unwrap();
        }

        let reports = [near.get_stats(None).await.unwrap(), far.get_stats(None).await.unwrap()];
        for (report, members) in
            reports.iter().zip([["messagesSent", "bytesSent"], ["messagesReceived", "bytesReceived"]])
        {
            let report = json(report);
            let of = |kind: &str| report.values().find(|object| object["type"] == kind).unwrap();
            let data = of("data-channel");
            for member in
                ["messagesSent", "bytesSent", "messagesReceived", "bytesReceived", "dataChannelIdentifier"]
            {
                assert!(!data[member].is_null(), "{member}");
            }
            assert_eq!((&data["label"], &data["protocol"]), (&"game".into(), &"chess".into()));
            assert_eq!(
                (&data["state"], &data[members[0]], &data[members[1]]),
                (&"open".into(), &2.into(), &8.into())
            );
            assert_eq!(of("peer-connection")["dataChannelsOpened"], 1);
            assert_eq!(of("peer-connection")["dataChannelsClosed"], 0);
            let transport = of("transport");
            assert!(
                transport["bytesSent"].as_u64() > Some(100)
                    && transport["bytesReceived"].as_u64() > Some(100)
            );
            assert!(of("candidate-pair")["bytesSent"].is_u64());
        }
        channel.close();
        while theirs.events().next().await != Some(RtcDataChannelEvent::Close) {}
        let report = json(&far.get_stats(None).await.unwrap());
        let connection = report.values().find(|object| object["type"] == "peer-connection").unwrap();
        assert_eq!(connection["dataChannelsClosed"], 1);
        engines.shutdown().await;
    });
}
