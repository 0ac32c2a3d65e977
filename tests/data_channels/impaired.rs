//! Data channels over real sockets and a bad network between them: issue 5's 5 % loss and 50 ms delay.

use std::time::{Duration, Instant};

use actix_rtc::{
    RtcDataChannel, RtcDataChannelEvents, RtcDataChannelInit, RtcDataChannelMessage, RtcSessionDescription,
};
use actix_rtc_impair::{Impairment, Relay, Side, route_through};

use super::connection::{Connections, run};

const BAD: Impairment = Impairment {
    loss: 0.05,
    duplicate: 0.01,
    delay: Duration::from_millis(50),
    jitter: Duration::from_millis(2),
};

/// Negotiates so that each side knows of the other only where the relay is. The relay begins as a wire.
async fn negotiate(pair: &Connections, seed: u64) -> Relay {
    let relay = Relay::start(seed, Impairment::default()).unwrap();
    let routed = |side, description: RtcSessionDescription| {
        let (sdp, real) =
            route_through(&description.sdp, relay.address_of(side)).expect("a candidate on loopback");
        relay.set_peer(side, real);
        RtcSessionDescription { sdp, ..description }
    };
    let (offerer, answerer) = (&pair.offerer, &pair.answerer);
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    let offer = routed(Side::A, offerer.local_description().unwrap());
    answerer.set_remote_description(offer).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    let answer = routed(Side::B, answerer.local_description().unwrap());
    offerer.set_remote_description(answer).await.unwrap();
    relay
}

/// A channel on both sides, open.
async fn channel(pair: &mut Connections, init: RtcDataChannelInit) -> (RtcDataChannel, RtcDataChannel) {
    let ours = pair.offerer.create_data_channel("x", init).await.unwrap();
    (ours, pair.accept().await)
}

fn numbered(number: u32) -> Vec<u8> {
    // 4 to 2,003 bytes: one packet, or two.
    let mut data = vec![number as u8; 4 + (number as usize * 37) % 2_000];
    data[..4].copy_from_slice(&number.to_be_bytes());
    data
}

async fn send_all(channel: RtcDataChannel, count: u32) {
    for number in 0..count {
        channel.send(numbered(number)).await.unwrap();
    }
}

/// The numbers of `count` messages, each of which is whole.
async fn receive(events: &mut RtcDataChannelEvents, count: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count as usize {
        let Some(RtcDataChannelMessage::Binary(data)) = events.message().await else { panic!("it ended") };
        let number = u32::from_be_bytes([data[0], data[1], data[2], data[3]]);
        assert_eq!(data, numbered(number));
        numbers.push(number);
    }
    numbers
}

#[test]
fn reliable_channels_lose_nothing_at_five_percent_loss_and_fifty_milliseconds() {
    const COUNT: u32 = 100;
    run(async {
        let mut pair = Connections::new().await;
        // Makes the section; the others join it.
        let first = pair.offerer.create_data_channel("first", RtcDataChannelInit::default()).await.unwrap();
        let relay = negotiate(&pair, 5).await;
        let first = (first, pair.accept().await);
        let unordered = RtcDataChannelInit { ordered: false, ..RtcDataChannelInit::default() };
        let second = channel(&mut pair, unordered).await;
        relay.set_impairment(BAD);
        let started = Instant::now();
        let mut receivers = [first.1.events(), first.0.events(), second.1.events(), second.0.events()];
        let senders =
            [first.0, first.1, second.0, second.1].map(|channel| tokio::spawn(send_all(channel, COUNT)));
        for (way, events) in receivers.iter_mut().enumerate() {
            let mut numbers = receive(events, COUNT).await;
            if way >= 2 {
                numbers.sort_unstable();
            }
            assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>(), "way {way}");
        }
        let seconds = started.elapsed().as_secs_f64();
        for sender in senders {
            sender.await.unwrap();
        }
        let kilobytes = 4.0 * f64::from(COUNT) / 1e3
            * (0..COUNT).map(|n| numbered(n).len()).sum::<usize>() as f64
            / f64::from(COUNT);
        println!("{kilobytes:.0} kB in {seconds:.1} s: {:.0} kB/s", kilobytes / seconds);
        for side in [Side::A, Side::B] {
            let counts = relay.counts_from(side);
            assert!(counts.lost > 0 && counts.forwarded > 50, "{counts:?}");
        }
        pair.end().await;
    });
}

/// Each message has one attempt: what the network loses stays lost, nothing else, and nobody waits for it.
#[test]
fn partially_reliable_channels_lose_what_the_network_loses() {
    const COUNT: u32 = 400;
    run(async {
        let mut pair = Connections::new().await;
        let init =
            RtcDataChannelInit { ordered: false, max_retransmits: Some(0), ..RtcDataChannelInit::default() };
        let ours = pair.offerer.create_data_channel("lossy", init).await.unwrap();
        let relay = negotiate(&pair, 6).await;
        let theirs = pair.accept().await;
        let mut events = theirs.events();
        relay.set_impairment(Impairment {
            loss: 0.15,
            delay: Duration::from_millis(20),
            ..Impairment::default()
        });
        for number in 0..COUNT {
            ours.send(number.to_be_bytes().to_vec()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        relay.set_impairment(Impairment::default());
        // A text ends it: it is sent until it gets through.
        let mut numbers = Vec::new();
        'received: loop {
            ours.send("end").await.unwrap();
            loop {
                match tokio::time::timeout(Duration::from_millis(200), events.message()).await {
                    Ok(Some(RtcDataChannelMessage::Binary(data))) => {
                        numbers.push(u32::from_be_bytes([data[0], data[1], data[2], data[3]]));
                    }
                    Ok(Some(RtcDataChannelMessage::Text(_))) => break 'received,
                    Ok(None) => panic!("it ended"),
                    Err(_) => break,
                }
            }
        }
        let arrived = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), arrived, "none twice");
        println!("{arrived} of {COUNT} arrived");
        assert!((COUNT as usize / 3..COUNT as usize).contains(&arrived), "{arrived} of {COUNT}");
        assert!(relay.counts_from(Side::A).lost > 0);
        pair.end().await;
    });
}
