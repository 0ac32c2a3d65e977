//! Flow control: what is accepted arrives, and no more is accepted than can be kept.

use std::time::Duration;

use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcDataChannelMessage, TrySendError,
    messages::{
        data_channel::{SEND_HIGH_WATER, UNREAD_HIGH_WATER},
        sctp::CollectSctpStatistics,
    },
};
use futures_util::StreamExt;

use super::pair::{Pair, moment, paused};

/// A message that says which it is.
fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut data = vec![0; size.max(4)];
    data[..4].copy_from_slice(&number.to_be_bytes());
    data
}

fn number(message: &RtcDataChannelMessage) -> u32 {
    let RtcDataChannelMessage::Binary(data) = message else { panic!("bytes were sent") };
    u32::from_be_bytes([data[0], data[1], data[2], data[3]])
}

/// Sends until there is no room; says how many messages there was room for.
fn fill(channel: &RtcDataChannel, first: u32, size: usize) -> u32 {
    let mut next = first;
    loop {
        match channel.try_send(numbered(next, size)) {
            Ok(()) => next += 1,
            Err(TrySendError::WouldBlock(message)) => {
                assert_eq!(number(&message), next, "it is given back");
                return next - first;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Issue 5 "a slow reader": the sender's memory stays under its bound for 60 s, then everything
/// arrives.
#[test]
fn a_slow_reader_bounds_its_sender_and_loses_nothing() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        let mut accepted = 0;
        for _ in 0..600 {
            accepted += fill(&ours, accepted, 16_384);
            assert!(ours.buffered_amount() <= SEND_HIGH_WATER);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let bytes = accepted as usize * 16_384;
        // Our queue, two links, the peer's window, its application's queue.
        assert!(bytes <= SEND_HIGH_WATER + UNREAD_HIGH_WATER + (8 << 20) + (2 << 20), "{bytes}");
        let stalled = pair.server.address.send(CollectSctpStatistics).await.unwrap();
        assert!(stalled.reader_stalls >= 1, "it is counted");
        let mut events = theirs.events();
        for expected in 0..accepted {
            assert_eq!(number(&events.message().await.unwrap()), expected);
        }
        // And it goes on.
        moment().await;
        ours.send(numbered(accepted, 10)).await.unwrap();
        assert_eq!(number(&events.message().await.unwrap()), accepted);
    });
}

#[test]
fn a_slow_reader_of_one_channel_does_not_stop_another() {
    paused(async {
        let pair = Pair::started();
        let (slow, slow_there) = pair.channel(RtcDataChannelInit::default()).await;
        let (quick, quick_there) = pair.channel(RtcDataChannelInit::default()).await;
        // 4 MiB: less than the window.
        for count in 0..64 {
            slow.send(numbered(count, 65_536)).await.unwrap();
        }
        moment().await;
        let mut events = quick_there.events();
        for count in 0..200 {
            quick.send(numbered(count, 100)).await.unwrap();
            assert_eq!(number(&events.message().await.unwrap()), count);
        }
        let mut events = slow_there.events();
        for count in 0..64 {
            assert_eq!(number(&events.message().await.unwrap()), count);
        }
    });
}

#[test]
fn waiting_for_room_takes_no_busy_loop_and_keeps_the_order() {
    for seed in 0..5 {
        paused(async {
            let pair = Pair::new();
            pair.start(0.03, seed);
            let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
            let sender = tokio::task::spawn_local(async move {
                for count in 0..400 {
                    ours.send(numbered(count, 20_000)).await.unwrap();
                }
                ours.close();
            });
            let mut events = theirs.events();
            for count in 0..400 {
                assert_eq!(number(&events.message().await.unwrap()), count, "seed {seed}");
            }
            assert_eq!(events.message().await, None);
            sender.await.unwrap();
        });
    }
}

/// W3C bufferedAmount and onbufferedamountlow.
#[test]
fn the_buffered_amount_falls_to_its_threshold_once() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        let mut events = ours.events();
        assert_eq!(events.next().await, Some(RtcDataChannelEvent::Open));
        ours.set_buffered_amount_low_threshold(100_000);
        assert_eq!(ours.buffered_amount_low_threshold(), 100_000);
        for _ in 0..10 {
            ours.send(vec![0; 50_000]).await.unwrap();
        }
        assert_eq!(ours.buffered_amount(), 500_000, "nothing has left yet");
        assert_eq!(events.next().await, Some(RtcDataChannelEvent::BufferedAmountLow));
        assert!(ours.buffered_amount() <= 100_000);
        moment().await;
        assert_eq!(ours.buffered_amount(), 0);
        // From below the threshold it can't fall to it.
        ours.send(vec![0; 100_000]).await.unwrap();
        moment().await;
        ours.close();
        assert_eq!(events.next().await, Some(RtcDataChannelEvent::Close));
        drop(theirs);
    });
}

#[test]
fn an_empty_message_is_buffered_without_bytes_and_arrives() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        ours.send("").await.unwrap();
        ours.send(Vec::new()).await.unwrap();
        assert_eq!(ours.buffered_amount(), 0);
        let mut events = theirs.events();
        assert_eq!(events.message().await, Some(RtcDataChannelMessage::Text(String::new())));
        assert_eq!(events.message().await, Some(RtcDataChannelMessage::Binary(Vec::new().into())));
        moment().await;
        // Their room is free again.
        assert_eq!(fill(&ours, 0, 1), SEND_HIGH_WATER as u32 / 4);
    });
}

/// A future that is dropped has sent nothing, and takes no room.
#[test]
fn a_cancelled_send_has_not_happened() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        let mut accepted = 0;
        loop {
            let sending = ours.send(numbered(accepted, 65_536));
            match tokio::time::timeout(Duration::from_secs(2), sending).await {
                Ok(sent) => sent.unwrap(),
                Err(_) => break,
            }
            accepted += 1;
        }
        let mut events = theirs.events();
        for expected in 0..accepted {
            assert_eq!(number(&events.message().await.unwrap()), expected);
        }
        moment().await;
        assert_eq!(fill(&ours, accepted, 65_536), 16, "all the room is there");
        assert_eq!(number(&events.message().await.unwrap()), accepted);
    });
}

/// Text that is not UTF-8 can't be sent here, but received: W3C decodes it with U+FFFD.
#[test]
fn unreadable_text_is_decoded_as_w3c_does() {
    use actix_rtc::proto::sctp::{Message, MessageKind};
    let message = Message { kind: MessageKind::Text, data: vec![b'a', 0xC3, 0x28].into() };
    assert_eq!(RtcDataChannelMessage::from(message), RtcDataChannelMessage::Text("a\u{FFFD}(".to_owned()));
}
