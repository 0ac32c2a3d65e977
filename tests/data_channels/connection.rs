//! Data channels of two connections over real sockets on loopback: ICE, DTLS, SCTP and all actors.

use std::time::{Duration, Instant};

use actix_rtc::{
    MediaKind, NetworkConfig, RtcConfiguration, RtcDataChannel,
    RtcDataChannelEvent::{Close, Error},
    RtcDataChannelInit, RtcDataChannelState, RtcEngine, RtcEngineConfig, RtcError, RtcEvents,
    RtcPeerConnection, RtcPeerConnectionEvent, RtcRtpTransceiverInit, RtcSctpTransportState,
    messages::data_channel::SEND_HIGH_WATER,
};
use futures_util::StreamExt;
use openssl::sha::Sha256;

/// A test on a plain runtime, as an application would run it, with a limit that only a bug reaches.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test hangs");
    });
}

pub(crate) struct Connections {
    engine: RtcEngine,
    pub(crate) offerer: RtcPeerConnection,
    pub(crate) answerer: RtcPeerConnection,
    answerer_events: RtcEvents,
}

impl Connections {
    pub(crate) async fn new() -> Self {
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
    pub(crate) async fn accept(&mut self) -> RtcDataChannel {
        loop {
            if let RtcPeerConnectionEvent::DataChannel(channel) = self.answerer_events.next().await.unwrap() {
                return channel;
            }
        }
    }

    pub(crate) async fn end(self) {
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

/// Resident memory of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() << 10
}

/// Issue 5: 1 GiB with equal SHA-256, while the memory of both ends together stays bounded.
#[test]
fn a_gibibyte_arrives_unchanged_in_bounded_memory() {
    const BYTES: usize = 1 << 30;
    const MESSAGE: usize = 65_536;
    run(async {
        let mut pair = Connections::new().await;
        let ours = pair.offerer.create_data_channel("file", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        let theirs = pair.accept().await;
        let started = Instant::now();
        let before = memory();
        let sender = std::thread::spawn(move || {
            // Noise, and each message another piece of it.
            let mut number = 1_u32;
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (number >> 24) as u8
            })
            .take(2 * MESSAGE)
            .collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut events = ours.events();
                assert!(events.next().await.is_some(), "it opens");
                let mut sum = Sha256::new();
                for count in 0..BYTES / MESSAGE {
                    let begin = count.wrapping_mul(7_919) % MESSAGE;
                    let mut data = noise[begin..begin + MESSAGE].to_vec();
                    data[..8].copy_from_slice(&count.to_be_bytes());
                    sum.update(&data);
                    ours.send(data).await.unwrap();
                    assert!(ours.buffered_amount() <= SEND_HIGH_WATER);
                }
                ours.close();
                sum.finish()
            })
        });
        let mut events = theirs.events();
        let (mut sum, mut bytes, mut most) = (Sha256::new(), 0, 0);
        while let Some(message) = events.message().await {
            let actix_rtc::RtcDataChannelMessage::Binary(data) = message else { panic!("bytes were sent") };
            sum.update(&data);
            bytes += data.len();
            if bytes % (16 << 20) == 0 {
                most = most.max(memory());
            }
        }
        assert_eq!(bytes, BYTES);
        assert_eq!(sender.join().unwrap(), sum.finish());
        let (seconds, grown) = (started.elapsed().as_secs_f64(), most.saturating_sub(before) >> 20);
        println!(
            "1 GiB in {seconds:.1} s: {:.0} MB/s; {grown} MiB more memory",
            BYTES as f64 / 1e6 / seconds
        );
        // Tests beside this one have some too; all of it would be a thousand.
        assert!(grown < 300, "{grown} MiB");
        pair.end().await;
    });
}

/// Issue 5: a slow reader, on real sockets. What the sender is allowed to give away is bounded; then the
/// reader wakes up, and everything is there.
#[test]
fn a_reader_that_sleeps_bounds_its_sender_and_loses_nothing() {
    run(async {
        let mut pair = Connections::new().await;
        let ours = pair.offerer.create_data_channel("slow", RtcDataChannelInit::default()).await.unwrap();
        pair.negotiate().await;
        let theirs = pair.accept().await;
        let mut opened = ours.events();
        assert!(opened.next().await.is_some(), "it opens");
        let mut accepted = 0_u32;
        // Until there has been no room for longer than a busy machine stands still.
        while let Ok(sent) =
            tokio::time::timeout(Duration::from_secs(2), ours.send(numbered(accepted, 16_384))).await
        {
            sent.unwrap();
            assert!(ours.buffered_amount() <= SEND_HIGH_WATER);
            accepted += 1;
        }
        let bytes = accepted as usize * 16_384;
        // Its own queue, links, the window, the queue of the application there.
        assert!(((8 << 20)..(13 << 20)).contains(&bytes), "{bytes} bytes were accepted");
        let mut events = theirs.events();
        for expected in 0..accepted {
            let message = events.message().await.unwrap();
            assert_eq!(message, numbered(expected, 16_384).into());
        }
        pair.end().await;
    });
}

fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut data = vec![number as u8; size];
    data[..4].copy_from_slice(&number.to_be_bytes());
    data
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
