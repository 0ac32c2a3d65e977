//! A panic in each actor of the data path, and who does not notice.

use actix_rtc::{
    RtcDataChannelEvent::{Close, Closing, Error, Open},
    RtcDataChannelInit, RtcDataChannelState, RtcError,
    actors::{fault_injection::Boom, sctp_assoc::BoomChannel},
};

use super::pair::{Pair, all, moment, paused};

/// ARCHITECTURE.md: its stream is reset, siblings unaffected.
#[test]
fn a_panic_in_a_channel_costs_that_channel_only() {
    paused(async {
        let pair = Pair::started();
        let channels = [
            pair.channel(RtcDataChannelInit::default()).await,
            pair.channel(RtcDataChannelInit::default()).await,
        ];
        moment().await;
        assert!(pair.client.address.send(BoomChannel).await.unwrap());
        moment().await;
        let mut survivors = 0;
        for (ours, theirs) in channels {
            if ours.ready_state() == RtcDataChannelState::Open {
                ours.send("still here").await.unwrap();
                assert_eq!(theirs.events().message().await, Some("still here".into()));
                survivors += 1;
                continue;
            }
            let events = all(ours.events()).await;
            assert!(matches!(events[..], [Open, Error(RtcError::OperationError(_)), Close]), "{events:?}");
            assert_eq!(all(theirs.events()).await, [Open, Closing, Close]);
        }
        assert_eq!(survivors, 1);
        // The stream was reset in both directions: its identifier is free.
        let (ours, theirs) = pair.channel(RtcDataChannelInit::default()).await;
        ours.send("next").await.unwrap();
        assert_eq!(theirs.events().message().await, Some("next".into()));
    });
}

#[test]
fn a_panic_in_the_association_closes_every_channel_with_an_error() {
    paused(async {
        let pair = Pair::started();
        let channels = [
            pair.channel(RtcDataChannelInit::default()).await.0,
            pair.channel(RtcDataChannelInit::default()).await.0,
        ];
        moment().await;
        let _ = pair.client.address.send(Boom).await;
        for channel in channels {
            let events = all(channel.events()).await;
            assert!(matches!(events[..], [Open, Error(RtcError::OperationError(_)), Close]), "{events:?}");
            assert!(channel.send("x").await.is_err());
        }
    });
}
