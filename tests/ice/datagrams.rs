//! Datagrams: any bytes, bounded queues, pairs chosen by hand.

use actix_rtc::{
    RtcError,
    ice::{DATAGRAM_LENGTH_MAX, IceConnection, IceState},
};

use crate::{
    pair::{close, connect, controlled, controlling, engine, exchange, impatient, invite_accept, pair},
    runner::run,
};

#[test]
fn nothing_is_sent_or_received_before_there_is_a_pair() {
    run(async {
        let engine = engine().await;
        let connection = IceConnection::new(&engine, controlling()).await.unwrap();
        for error in [connection.send("howdee").await.unwrap_err(), connection.recv().await.unwrap_err()] {
            assert!(
                matches!(&error, RtcError::InvalidStateError(text) if text.contains("connected")),
                "{error}"
            );
        }
    });
}

#[test]
fn whatever_is_not_stun_is_data() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        let mut all: Vec<Vec<u8>> = (0..=u8::MAX).map(|first| vec![first]).collect();
        all.extend((0..=u8::MAX).map(|first| vec![first, 200, 1, 2, 3]));
        // The outside of a STUN message but for its cookie, and for its length.
        all.push([&[0, 1, 0, 0][..], &[0; 16]].concat());
        all.push([&[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42][..], &[0; 12]].concat());
        for bytes in &all {
            a.send(bytes.clone()).await.unwrap();
            assert_eq!(b.recv().await.unwrap()[..], bytes[..]);
        }
        let longest = vec![0x17; 60_000];
        b.send(longest.clone()).await.unwrap();
        assert_eq!(a.recv().await.unwrap()[..], longest[..]);
        close(&a, &b).await;
    });
}

#[test]
fn lengths_that_no_datagram_has_are_refused() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        for length in [0, DATAGRAM_LENGTH_MAX + 1] {
            let error = a.send(vec![0; length]).await.unwrap_err();
            assert!(matches!(error, RtcError::DataError(_)), "{length}: {error}");
        }
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn what_nobody_takes_falls_out_of_a_bounded_queue_and_is_counted() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        let count = 20_000u32;
        for number in 0..count {
            a.send(number.to_be_bytes().to_vec()).await.unwrap();
        }
        // The last is on its way behind all others.
        let mut last = 0;
        let mut received = 0;
        while last != count - 1 {
            let datagram = b.recv().await.unwrap();
            last = u32::from_be_bytes(datagram[..].try_into().unwrap());
            received += 1;
        }
        let (sent, traffic) = (a.get_stats().await.unwrap()[0].2, b.get_stats().await.unwrap()[0].2);
        assert_eq!((sent.datagrams_sent, sent.datagrams_discarded_on_send), (u64::from(count), 0));
        assert_eq!(traffic.datagrams_received, received);
        assert!(traffic.datagrams_received + traffic.datagrams_discarded_on_receive <= u64::from(count));
        close(&a, &b).await;
    });
}

#[test]
fn who_does_not_wait_is_told_that_there_is_no_room() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        // The actor's thread is kept busy, so that nothing is taken.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let busy = engine.shards().arbiter(0).spawn_fn(move || held.recv().unwrap_or_default());
        assert!(busy);
        let mut accepted = 0;
        while a.try_send_to("howdee", 1).unwrap() {
            accepted += 1;
            assert!(accepted < 2_000, "the queue has no end");
        }
        release.send(()).unwrap();
        for _ in 0..accepted {
            assert_eq!(b.recv().await.unwrap(), "howdee");
        }
        close(&a, &b).await;
    });
}

#[test]
fn a_pair_can_be_chosen_without_checks() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        invite_accept(&a, &b).await;
        let foundation = |connection: &IceConnection| connection.default_candidate(1).unwrap().foundation;
        let error = a.set_selected_pair(1, "nobody", "knows").await.unwrap_err();
        assert!(matches!(error, RtcError::InvalidAccessError(_)), "{error}");
        a.set_selected_pair(1, &foundation(&a), &foundation(&b)).await.unwrap();
        b.set_selected_pair(1, &foundation(&b), &foundation(&a)).await.unwrap();
        exchange(&a, &b, 1).await;
        // Consent is not skipped: with the peer's credentials known, it is checked from now on.
        tokio::try_join!(a.connect(), b.connect()).unwrap();
        exchange(&a, &b, 1).await;
        close(&a, &b).await;
    });
}

#[test]
fn a_chosen_pair_lives_by_consent() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, impatient(controlling()), impatient(controlled())).await;
        a.gather().await.unwrap();
        b.gather().await.unwrap();
        let foundation = |connection: &IceConnection| connection.default_candidate(1).unwrap().foundation;
        a.add_remote_candidate(b.default_candidate(1)).await.unwrap();
        a.set_selected_pair(1, &foundation(&a), &foundation(&b)).await.unwrap();
        a.send("howdee").await.unwrap();
        // Without the peer's credentials nobody can confirm it.
        while a.state() != IceState::Failed {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(a.send("howdee").await.is_err());
        close(&a, &b).await;
    });
}

#[test]
fn datagrams_of_strangers_do_not_arrive() {
    run(async {
        let engine = engine().await;
        let (a, b) = pair(&engine, controlling(), controlled()).await;
        connect(&a, &b).await;
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = b.local_candidates()[0].address.ip().unwrap();
        for _ in 0..10 {
            stranger.send_to(b"let me in", at).unwrap();
        }
        exchange(&a, &b, 1).await;
        assert_eq!(b.get_stats().await.unwrap()[0].2.datagrams_received, 1);
        close(&a, &b).await;
    });
}
