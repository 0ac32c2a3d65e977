//! Data channels of two connections over real sockets on loopback: ICE, DTLS, SCTP and all actors.

use std::time::Duration;

use actix_rtc::{
    MediaKind, NetworkConfig, RtcConfiguration, RtcDataChannel,
    RtcDataChannelEvent::{Close, Error},
    RtcDataChannelInit, RtcDataChannelState, RtcEngine, RtcEngineConfig, RtcError, RtcEvents,
    RtcPeerConnection, RtcPeerConnectionEvent, RtcRtpTransceiverInit, RtcSctpTransportState,
};
use futures_util::StreamExt;
use openssl::sha::Sha256;

/// A test on a plain runtime, as an application would run it, with a limit that only a bug reaches.
fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

struct Connections {
    engine: RtcEngine,
    offerer: RtcPeerConnection,
    answerer: RtcPeerConnection,
    answerer_events: RtcEvents,
}

impl Connections {
    async fn new() -> Self {
        let mut config = RtcEngineConfig::default();
        config.shards.count = 1;
        config.shards.pin = false;
        let mut network = NetworkConfig::default();
        network.include_loopback = true;
        config.network = network;
        let engine = RtcEngine::start(config).await.unwrap();
        let offerer = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await.unwrap();
        let answerer = RtcPeerConnection::on(&engine, RtcConfiguration::default()).await.unwrap();
        let answerer_events = answerer.events().unwrap();
        Self { engine, offerer, answerer, answerer_events }
    }

    async fn negotiate(&self) {
        let (offerer, answerer) = (&self.offerer, &self.answerer);
        offerer.set_local_description(None).await.unwrap();
        offerer.gathering_complete().await.unwrap();
        answerer.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
        answerer.set_local_description(None).await.unwrap();
        answerer.gathering_complete().await.unwrap();
        offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
    }

    /// The next channel that the offerer opens.
    async fn accept(&mut self) -> RtcDataChannel {
        loop {
            if let RtcPeerConnectionEvent::DataChannel(channel) = self.answerer_events.next().await.unwrap() {
                return channel;
            }
        }
    }

    async fn end(self) {
        self.offerer.close().await;
        self.answerer.close().await;
        self.engine.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}

/// Messages of all sizes, there and back, without a media section.
#[test]
fn a_data_only_connection_echoes_messages_of_every_size() {
    run(async {
        let mut pair = Connections::new().await;
        let ours = pair.offerer.create_data_channel("écho", RtcDataChannelInit::default()).await.unwrap();
        assert!(pair.offerer.sctp().is_none(), "W3C: nothing before it is negotiated");
        pair.negotiate().await;
        let theirs = pair.accept().await;
        assert_eq!(theirs.label(), "écho");
        let description = pair.offerer.local_description().unwrap().sdp;
        assert!(!description.contains("m=audio") && !description.contains("m=video"));
        let sctp = pair.offerer.sctp().unwrap();
        assert_eq!(
            (sctp.state(), sctp.max_message_size()),
            (RtcSctpTransportState::Connected, Some(262_144))
        );
        let echo = tokio::spawn(async move {
            let mut events = theirs.events();
            while let Some(message) = events.message().await {
                theirs.send(message).await.unwrap();
            }
        });
        let mut events = ours.events();
        // W3C: nothing is accepted before it is open.
        while ours.ready_state() == RtcDataChannelState::Connecting {
            events.next().await.unwrap();
        }
        for size in [0, 1, 1_163, 1_164, 1_165, 16_384, 65_536, 262_144] {
            ours.send(vec![size as u8; size]).await.unwrap();
            ours.send("x".repeat(size)).await.unwrap();
            assert_eq!(events.message().await, Some(vec![size as u8; size].into()));
            assert_eq!(events.message().await, Some("x".repeat(size).into()));
        }
        ours.close();
        echo.await.unwrap();
        pair.end().await;
    });
}

/// Issue 5: large transfers with equal SHA-256. (1 GiB in `cargo xtask test`; a debug build is slow.)
#[test]
fn a_large_transfer_arrives_unchanged() {
    const MESSAGES: u32 = 512;
    run(async {
        let mut pair = Connections::new().await;
        let ours = pair.offerer.create_data_channel("file", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        let theirs = pair.accept().await;
        let sender = tokio::spawn(async move {
            let mut events = ours.events();
            assert!(events.next().await.is_some(), "it opens");
            let mut sum = Sha256::new();
            let mut number = 1_u32;
            for _ in 0..MESSAGES {
                let data: Vec<u8> = (0..16_384)
                    .map(|_| {
                        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (number >> 24) as u8
                    })
                    .collect();
                sum.update(&data);
                ours.send(data).await.unwrap();
            }
            ours.close();
            sum.finish()
        });
        let mut events = theirs.events();
        let (mut sum, mut count) = (Sha256::new(), 0);
        while let Some(message) = events.message().await {
            let actix_rtc::RtcDataChannelMessage::Binary(data) = message else { panic!("bytes were sent") };
            sum.update(&data);
            count += 1;
        }
        assert_eq!(count, MESSAGES);
        assert_eq!(sender.await.unwrap(), sum.finish());
        pair.end().await;
    });
}

/// Data joins a call that has run for a while: same DTLS session, no new handshake.
#[test]
fn a_channel_can_be_added_to_a_connection_that_runs() {
    run(async {
        let mut pair = Connections::new().await;
        pair.offerer.add_transceiver(MediaKind::Audio, RtcRtpTransceiverInit::default()).await.unwrap();
        pair.negotiate().await;
        while pair.offerer.connection_state() != actix_rtc::RtcPeerConnectionState::Connected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ours = pair.offerer.create_data_channel("late", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        let theirs = pair.accept().await;
        theirs.send("welcome").await.unwrap();
        assert_eq!(ours.events().message().await, Some("welcome".into()));
        pair.end().await;
    });
}

/// W3C close: ABORT and close_notify; what was sent before arrives.
#[test]
fn closing_a_connection_tells_the_peers_channels() {
    run(async {
        let mut pair = Connections::new().await;
        let ours = pair.offerer.create_data_channel("x", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        let theirs = pair.accept().await;
        let mut events = theirs.events();
        while ours.ready_state() != RtcDataChannelState::Open {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ours.send("goodbye").await.unwrap();
        while ours.buffered_amount() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        pair.offerer.close().await;
        assert_eq!(events.message().await, Some("goodbye".into()));
        let mut rest = Vec::new();
        while let Some(event) = events.next().await {
            rest.push(event);
        }
        assert!(matches!(rest[..], [Error(RtcError::OperationError(_)), Close]), "{rest:?}");
        assert_eq!(ours.ready_state(), RtcDataChannelState::Closed);
        pair.end().await;
    });
}
