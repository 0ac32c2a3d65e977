//! Life and death of channels, as their applications see it.

use actix_rtc::{
    RtcDataChannelEvent::{BufferedAmountLow, Close, Closing, Error, Message, Open},
    RtcDataChannelInit, RtcDataChannelMessage, RtcDataChannelState, RtcError, RtcSctpTransportState,
    messages::{
        data_channel::RtcPriorityType,
        sctp::{CloseSctp, CollectSctpStatistics, SctpEvent},
    },
};
use futures_util::StreamExt;

use super::pair::{Pair, all, moment, paused, text};

#[test]
fn a_channel_lives_from_connecting_to_closed_on_both_sides() {
    paused(async {
        let pair = Pair::new();
        let ours = pair.client.open("chat", RtcDataChannelInit::default()).await.unwrap();
        assert_eq!(ours.ready_state(), RtcDataChannelState::Connecting);
        assert_eq!(ours.id(), None);
        pair.start(0.0, 0);
        let theirs = pair.server.accept().await;
        assert_eq!(theirs.ready_state(), RtcDataChannelState::Open, "it is open when it is announced");
        assert_eq!((ours.id(), theirs.id()), (Some(0), Some(0)));
        assert_eq!(theirs.label(), "chat");

        ours.send("hello").await.unwrap();
        ours.send(vec![1, 2, 3]).await.unwrap();
        theirs.send("").await.unwrap();
        moment().await;
        ours.close();
        assert_eq!(ours.ready_state(), RtcDataChannelState::Closing);
        let received = all(theirs.events()).await;
        let binary = Message(RtcDataChannelMessage::Binary(vec![1, 2, 3].into()));
        assert_eq!(
            received,
            [Open, text("hello"), binary, BufferedAmountLow, Closing, Close]
                .into_iter()
                .filter(|event| *event != BufferedAmountLow)
                .collect::<Vec<_>>()
        );
        assert_eq!(all(ours.events()).await, [Open, BufferedAmountLow, text(""), Close]);
        assert_eq!(
            (ours.ready_state(), theirs.ready_state()),
            (RtcDataChannelState::Closed, RtcDataChannelState::Closed)
        );
    });
}

/// Every property of W3C `RTCDataChannel`, on both sides.
#[test]
fn both_sides_show_what_the_channel_was_opened_with() {
    paused(async {
        let pair = Pair::started();
        let init = RtcDataChannelInit {
            ordered: false,
            max_retransmits: Some(3),
            protocol: "protocol".to_owned(),
            priority: RtcPriorityType::High,
            ..RtcDataChannelInit::default()
        };
        let (ours, theirs) = pair.channel(init).await;
        for channel in [&ours, &theirs] {
            assert_eq!(channel.label(), "channel");
            assert_eq!(channel.protocol(), "protocol");
            assert!(!channel.ordered() && !channel.negotiated());
            assert_eq!((channel.max_retransmits(), channel.max_packet_life_time()), (Some(3), None));
            assert_eq!(channel.priority(), RtcPriorityType::High);
            assert_eq!(channel.buffered_amount(), 0);
            assert_eq!(channel.buffered_amount_low_threshold(), 0);
        }
        let init = RtcDataChannelInit { max_packet_life_time: Some(70), ..RtcDataChannelInit::default() };
        let (_, theirs) = pair.channel(init).await;
        assert_eq!((theirs.max_retransmits(), theirs.max_packet_life_time()), (None, Some(70)));
        assert!(theirs.ordered());
    });
}

#[test]
fn negotiated_channels_are_not_announced() {
    paused(async {
        let pair = Pair::started();
        let init = RtcDataChannelInit { negotiated: true, id: Some(5), ..RtcDataChannelInit::default() };
        let ours = pair.client.open("a", init.clone()).await.unwrap();
        let theirs = pair.server.open("b", init).await.unwrap();
        assert_eq!(ours.id(), Some(5));
        moment().await;
        ours.send("to b").await.unwrap();
        theirs.send("to a").await.unwrap();
        moment().await;
        assert_eq!(ours.events().message().await, Some("to a".into()));
        assert_eq!(theirs.events().message().await, Some("to b".into()));
        assert!(!pair.server.reports.borrow().iter().any(|event| matches!(event, SctpEvent::DataChannel(_))));
    });
}

#[test]
fn the_transport_shows_its_state_and_limits() {
    paused(async {
        let pair = Pair::new();
        let shown = || *pair.client.snapshot.lock();
        moment().await;
        assert_eq!(shown().state, RtcSctpTransportState::Connecting);
        assert_eq!((shown().max_message_size, shown().max_channels), (262_144, None));
        pair.configure(Some(0));
        moment().await;
        assert_eq!(shown().max_message_size, u64::MAX, "any size");
        pair.configure(None);
        pair.start(0.0, 0);
        moment().await;
        assert_eq!(shown().state, RtcSctpTransportState::Connected);
        assert_eq!((shown().max_message_size, shown().max_channels), (65_536, Some(65_535)));
        let reports = pair.client.reports.borrow();
        assert!(matches!(reports[..], [SctpEvent::StateChanged(RtcSctpTransportState::Connected)]));
    });
}

/// W3C `RTCPeerConnection.close`: no event here, an error and `close` there.
#[test]
fn closing_the_connection_is_silent_here_and_an_error_there() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        ours.send("last").await.unwrap();
        moment().await;
        pair.client.address.send(CloseSctp::Abort).await.unwrap();
        assert_eq!(all(ours.events()).await, [Open, BufferedAmountLow]);
        assert_eq!(ours.ready_state(), RtcDataChannelState::Closed);
        let events = all(theirs.events()).await;
        assert!(
            matches!(&events[..], [Open, message, Error(RtcError::OperationError(_)), Close] if *message == text("last")),
            "{events:?}"
        );
        assert_eq!(pair.server.snapshot.lock().state, RtcSctpTransportState::Closed);
        assert!(pair.server.reports.borrow().iter().any(|event| matches!(event, SctpEvent::Failed(_))));
        assert!(ours.send("more").await.is_err() && theirs.send("more").await.is_err());
    });
}

#[test]
fn a_lost_transport_is_a_network_error_on_every_channel() {
    paused(async {
        let pair = Pair::started();
        let channels = [
            pair.channel(RtcDataChannelInit::default()).await.0,
            pair.channel(RtcDataChannelInit::default()).await.0,
        ];
        let never = pair.client.open("x", RtcDataChannelInit::default()).await.unwrap();
        moment().await;
        pair.client.address.send(CloseSctp::TransportLost).await.unwrap();
        for channel in channels.into_iter().chain([never]) {
            let events = all(channel.events()).await;
            assert!(matches!(events[..], [Open, Error(RtcError::NetworkError(_)), Close]), "{events:?}");
        }
    });
}

/// The association is dropped without a word, as when its connection has panicked.
#[test]
fn channels_without_an_association_end() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        moment().await;
        drop(pair);
        for channel in [ours, theirs] {
            let events = all(channel.events()).await;
            assert!(matches!(events[..], [Open, Error(RtcError::OperationError(_)), Close]), "{events:?}");
        }
    });
}

#[test]
fn a_channel_closed_before_the_connection_never_opens() {
    paused(async {
        let pair = Pair::new();
        let ours = pair.client.open("x", RtcDataChannelInit::default()).await.unwrap();
        ours.close();
        pair.start(0.0, 0);
        assert_eq!(all(ours.events()).await, [Close]);
        moment().await;
        assert!(!pair.server.reports.borrow().iter().any(|event| matches!(event, SctpEvent::DataChannel(_))));
    });
}

/// Dropping handles closes nothing; what nobody can read is not kept.
#[test]
fn a_channel_without_handles_goes_on_and_keeps_nothing() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        drop(theirs);
        for _ in 0..100 {
            ours.send(vec![0; 65_536]).await.unwrap();
        }
        moment().await;
        assert_eq!(ours.ready_state(), RtcDataChannelState::Open);
        assert_eq!(ours.buffered_amount(), 0, "6.5 MB went through");
    });
}

/// Issue 5: 1,000 channels opened and closed, their identifiers recycled.
#[test]
fn a_thousand_channels_come_and_go() {
    paused(async {
        let pair = Pair::started();
        let mut ours = Vec::new();
        for number in 0..1_000 {
            ours.push(pair.client.open(&format!("{number}"), RtcDataChannelInit::default()).await.unwrap());
        }
        let mut theirs = Vec::new();
        for number in 0..1_000 {
            theirs.push(pair.server.accept().await);
            assert_eq!(theirs[number].label(), format!("{number}"));
        }
        for channel in &ours {
            channel.send(channel.label()).await.unwrap();
        }
        for channel in &theirs {
            assert_eq!(channel.events().message().await, Some(channel.label().into()));
        }
        ours.iter().chain(&theirs).for_each(actix_rtc::RtcDataChannel::close);
        for channel in ours.iter().chain(&theirs) {
            let mut events = channel.events();
            while events.next().await.is_some() {}
            assert_eq!(channel.ready_state(), RtcDataChannelState::Closed);
        }
        for side in [&pair.client, &pair.server] {
            let statistics = side.address.send(CollectSctpStatistics).await.unwrap();
            assert_eq!((statistics.channels_opened, statistics.channels_closed), (1_000, 1_000));
            assert!(statistics.channels.is_empty());
        }
    });
}

#[test]
fn statistics_count_messages_and_bytes() {
    paused(async {
        let pair = Pair::started();
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        for size in [0, 10, 1_000] {
            ours.send(vec![0; size]).await.unwrap();
        }
        theirs.send("four").await.unwrap();
        moment().await;
        let statistics = pair.client.address.send(CollectSctpStatistics).await.unwrap();
        let [(_, channel)] = &statistics.channels[..] else { panic!("one channel") };
        assert_eq!((channel.messages_sent, channel.bytes_sent), (3, 1_010));
        assert_eq!((channel.messages_received, channel.bytes_received), (1, 4));
        assert_eq!((channel.id, channel.state), (Some(0), RtcDataChannelState::Open));
        assert!(statistics.packets_sent > 3 && statistics.packets_received > 3);
    });
}
