//! The errors of W3C `createDataChannel` and `send`.

use actix_rtc::{RtcDataChannel, RtcDataChannelInit, RtcError, TrySendError};

use super::pair::{Pair, moment, paused};

async fn refusal(pair: &Pair, label: &str, init: RtcDataChannelInit) -> String {
    pair.client.open(label, init).await.unwrap_err().name().to_owned()
}

fn negotiated(id: u16) -> RtcDataChannelInit {
    RtcDataChannelInit { negotiated: true, id: Some(id), ..RtcDataChannelInit::default() }
}

/// aiortc: both limits, 65535, a used identifier.
#[test]
fn what_can_not_be_opened_is_named_as_in_w3c() {
    paused(async {
        let pair = Pair::started();
        moment().await;
        let both = RtcDataChannelInit {
            max_retransmits: Some(0),
            max_packet_life_time: Some(0),
            ..RtcDataChannelInit::default()
        };
        assert_eq!(refusal(&pair, "x", both).await, "TypeError");
        assert_eq!(refusal(&pair, "x", negotiated(65_535)).await, "TypeError");
        let without = RtcDataChannelInit { negotiated: true, ..RtcDataChannelInit::default() };
        assert_eq!(refusal(&pair, "x", without).await, "TypeError");
        assert_eq!(refusal(&pair, &"x".repeat(65_536), RtcDataChannelInit::default()).await, "TypeError");
        let protocol = RtcDataChannelInit { protocol: "é".repeat(32_768), ..RtcDataChannelInit::default() };
        assert_eq!(refusal(&pair, "x", protocol).await, "TypeError");
        let _first = pair.client.open("x", negotiated(65_534)).await.unwrap();
        assert_eq!(refusal(&pair, "x", negotiated(65_534)).await, "OperationError");
        // The identifier of a channel that is not negotiated is ignored.
        let ignored = RtcDataChannelInit { id: Some(65_535), ..RtcDataChannelInit::default() };
        let channel = pair.client.open("x", ignored).await.unwrap();
        assert_eq!(channel.id(), Some(0));
        assert_eq!(refusal(&pair, "x", negotiated(0)).await, "OperationError");
    });
}

fn name(result: Result<(), RtcError>) -> &'static str {
    result.unwrap_err().name()
}

#[test]
fn messages_are_refused_unless_the_channel_is_open() {
    paused(async {
        let pair = Pair::new();
        let ours: RtcDataChannel = pair.client.open("x", RtcDataChannelInit::default()).await.unwrap();
        assert_eq!(name(ours.send("early").await), "InvalidStateError");
        pair.start(0.0, 0);
        moment().await;
        ours.send("in time").await.unwrap();
        ours.close();
        assert_eq!(name(ours.send("closing").await), "InvalidStateError");
        moment().await;
        assert_eq!(name(ours.send("closed").await), "InvalidStateError");
        assert!(matches!(ours.try_send("closed"), Err(TrySendError::Failed(RtcError::InvalidStateError(_)))));
    });
}

/// aiortc: too large, and any size when the peer says 0.
#[test]
fn messages_larger_than_the_peer_takes_are_type_errors() {
    paused(async {
        let pair = Pair::started();
        pair.configure(None);
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        ours.send(vec![0; 65_536]).await.unwrap();
        assert_eq!(name(ours.send(vec![0; 65_537]).await), "TypeError");
        assert_eq!(name(ours.send("é".repeat(32_769)).await), "TypeError", "bytes count, not characters");
        assert!(matches!(ours.try_send(vec![0; 65_537]), Err(TrySendError::Failed(RtcError::TypeError(_)))));
        pair.configure(Some(0));
        moment().await;
        ours.send(vec![0; 262_144]).await.unwrap();
        let mut events = theirs.events();
        assert_eq!(events.message().await.unwrap().len(), 65_536);
        assert_eq!(events.message().await.unwrap().len(), 262_144);
    });
}

#[test]
fn who_waits_for_room_is_told_when_the_channel_closes() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        // Nobody reads: 1 MiB unread there, the window, then our own queue fill.
        let sender = ours.clone();
        let waiting = tokio::task::spawn_local(async move {
            loop {
                if let Err(error) = sender.send(vec![0; 65_536]).await {
                    return error;
                }
            }
        });
        moment().await;
        assert!(!waiting.is_finished());
        theirs.close();
        assert_eq!(waiting.await.unwrap().name(), "InvalidStateError");
    });
}
