//! ICE restarts while media runs: asked for by either side, and after the loss of an agent.

use actix_rtc::{RtcPeerConnection, RtcPeerConnectionState, UdpMode};

use crate::{
    call::{Call, Camera, Engines, Viewer, negotiate},
    run_undisturbed,
};

/// The `a=ice-ufrag` of the local description.
fn ufrag(connection: &RtcPeerConnection) -> String {
    let description = connection.local_description().unwrap();
    let line = description.sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.unwrap().to_owned()
}

/// One exchange that restarts ICE, and what must hold during and after it.
async fn restart(offerer: &RtcPeerConnection, answerer: &RtcPeerConnection, viewer: &mut Viewer) {
    let before = (ufrag(offerer), ufrag(answerer));
    offerer.restart_ice().await.unwrap();
    negotiate(offerer, answerer).await;
    assert_ne!(ufrag(offerer), before.0, "both sides have new credentials");
    assert_ne!(ufrag(answerer), before.1, "both sides have new credentials");
    for connection in [offerer, answerer] {
        let description = connection.local_description().unwrap();
        assert!(description.sdp.contains("a=candidate:"), "a restart gathers anew: {}", description.sdp);
    }
    // The pair of before carries media until the new one is nominated, which is on the way meanwhile.
    viewer.sees(200).await;
    for connection in [offerer, answerer] {
        assert_eq!(connection.connection_state(), RtcPeerConnectionState::Connected);
    }
}

async fn media_survives_restarts(udp: UdpMode) {
    let engines = Engines::start(udp).await;
    let camera = Camera::start(&engines, 1).await;
    let call = Call::start(&engines, &camera.track).await;
    let mut viewer = Viewer::start(call.packets);
    viewer.sees(20).await;
    for by_sender in [true, false, false, true] {
        println!("restart by the sender: {by_sender}");
        match by_sender {
            true => restart(&call.sender, &call.receiver, &mut viewer).await,
            false => restart(&call.receiver, &call.sender, &mut viewer).await,
        }
    }
    engines.shutdown().await;
}

#[test]
fn media_survives_restarts_by_either_side_over_a_shared_socket() {
    run_undisturbed(|| media_survives_restarts(UdpMode::Shared { port: 0 }));
}

#[test]
fn media_survives_restarts_by_either_side_over_own_sockets() {
    run_undisturbed(|| media_survives_restarts(UdpMode::PerConnection));
}

/// The loss of an agent costs a negotiation, nothing else.
#[cfg(feature = "fault-injection")]
#[test]
fn a_connection_whose_agent_panicked_connects_again_without_a_gap() {
    use actix_rtc::{
        RtcPeerConnectionEvent,
        actors::fault_injection::{FaultTarget, InjectFault},
        proto::ice,
    };
    use futures_util::StreamExt;

    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        for on_sender in [true, false] {
            println!("panic on the sender's side: {on_sender}");
            let mut call = Call::start(&engines, &camera.track).await;
            let mut viewer = Viewer::start(call.packets);
            viewer.sees(20).await;
            let victim = if on_sender { call.sender.clone() } else { call.receiver.clone() };
            let before = ufrag(&victim);
            assert!(victim.address().send(InjectFault(FaultTarget::IceAgent)).await.unwrap());
            let events = if on_sender { &mut call.sender_events } else { &mut call.receiver_events };
            while !matches!(events.next().await.unwrap(), RtcPeerConnectionEvent::NegotiationNeeded) {}
            // The offer comes from the same side in both cases: it is enough that the victim answers.
            negotiate(&call.sender, &call.receiver).await;
            assert_ne!(ufrag(&victim), before);
            let mut connected = false;
            while !connected {
                let states = [&call.sender, &call.receiver]
                    .map(|connection| (connection.connection_state(), connection.ice_connection_state()));
                connected = states.iter().all(|(connection, ice)| {
                    *connection == RtcPeerConnectionState::Connected
                        && matches!(ice, ice::State::Connected | ice::State::Completed)
                });
                viewer.sees(20).await;
            }
            call.sender.close().await;
            call.receiver.close().await;
        }
        engines.shutdown().await;
    });
}

/// Waits for a connection to be connected, over ICE and as a whole.
async fn is_connected(connection: &RtcPeerConnection, viewer: &mut Viewer) {
    use actix_rtc::RtcIceConnectionState::{Completed, Connected};
    while connection.connection_state() != RtcPeerConnectionState::Connected
        || !matches!(connection.ice_connection_state(), Connected | Completed)
    {
        viewer.sees(1).await;
    }
}

/// An offer to restart that is taken back leaves the session of before, and the next one restarts it.
#[test]
fn a_restart_that_is_rolled_back_changes_nothing() {
    use actix_rtc::{RtcSdpType, RtcSessionDescription};

    run_undisturbed(|| async {
        let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
        let camera = Camera::start(&engines, 1).await;
        let call = Call::start(&engines, &camera.track).await;
        let mut viewer = Viewer::start(call.packets);
        viewer.sees(20).await;
        let before = ufrag(&call.sender);
        call.sender.restart_ice().await.unwrap();
        call.sender.set_local_description(None).await.unwrap();
        assert_ne!(ufrag(&call.sender), before);
        let rollback = RtcSessionDescription { kind: RtcSdpType::Rollback, sdp: String::new() };
        call.sender.set_local_description(Some(rollback)).await.unwrap();
        assert_eq!(ufrag(&call.sender), before);
        viewer.sees(100).await;
        is_connected(&call.sender, &mut viewer).await;
        is_connected(&call.receiver, &mut viewer).await;
        restart(&call.sender, &call.receiver, &mut viewer).await;
        restart(&call.receiver, &call.sender, &mut viewer).await;
        engines.shutdown().await;
    });
}

/// A loss that can't be forgiven makes the connection `failed`; a restart gives it a new agent and keeps its keys.
#[cfg(feature = "fault-injection")]
async fn a_failed_connection_is_restarted(
    target: actix_rtc::actors::fault_injection::FaultTarget,
    panics: usize,
    by_victim: bool,
) {
    use actix_rtc::actors::fault_injection::InjectFault;
    use futures_util::StreamExt;

    let engines = Engines::start(UdpMode::Shared { port: 0 }).await;
    let camera = Camera::start(&engines, 1).await;
    let mut call = Call::start(&engines, &camera.track).await;
    let mut viewer = Viewer::start(call.packets);
    viewer.sees(20).await;
    let before = call.sender.transports()[0].get_remote_certificates();
    for _ in 0..panics {
        assert!(call.sender.address().send(InjectFault(target)).await.unwrap());
    }
    while call.sender.connection_state() != RtcPeerConnectionState::Failed {
        call.sender_events.next().await.unwrap();
    }
    let (offerer, answerer) =
        if by_victim { (&call.sender, &call.receiver) } else { (&call.receiver, &call.sender) };
    offerer.restart_ice().await.unwrap();
    negotiate(offerer, answerer).await;
    for (connection, events) in
        [(&call.sender, &mut call.sender_events), (&call.receiver, &mut call.receiver_events)]
    {
        while connection.connection_state() != RtcPeerConnectionState::Connected {
            events.next().await.unwrap();
        }
    }
    let mut packets = call.receiver.get_receivers()[0].track().unwrap().packets();
    for _ in 0..20 {
        packets.next().await.unwrap();
    }
    assert_eq!(
        call.sender.transports()[0].get_remote_certificates(),
        before,
        "there was no second handshake"
    );
    engines.shutdown().await;
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_connection_whose_agent_is_lost_is_revived_by_a_restart_of_either_side() {
    use actix_rtc::actors::fault_injection::FaultTarget;
    run_undisturbed(|| a_failed_connection_is_restarted(FaultTarget::IceAgent, 2, true));
    run_undisturbed(|| a_failed_connection_is_restarted(FaultTarget::IceAgent, 2, false));
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_connection_whose_socket_was_lost_is_revived_by_a_restart_of_either_side() {
    use actix_rtc::actors::fault_injection::FaultTarget;
    run_undisturbed(|| a_failed_connection_is_restarted(FaultTarget::UdpSocket, 4, true));
    run_undisturbed(|| a_failed_connection_is_restarted(FaultTarget::UdpSocket, 4, false));
}
