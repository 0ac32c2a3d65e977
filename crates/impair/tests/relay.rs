//! The relay with plain sockets.

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::UdpSocket,
        time::{Duration, Instant},
    };

    use actix_rtc_impair::{Counts, Impairment, Relay, Side};

    /// Times that nothing comes for half a second although something should.
    const WAITS_MAX: u32 = 20;

    fn peers(relay: &Relay) -> [UdpSocket; 2] {
        [Side::A, Side::B].map(|side| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            relay.set_peer(side, socket.local_addr().unwrap());
            socket
        })
    }

    fn receive(socket: &UdpSocket) -> io::Result<(u32, std::net::SocketAddr)> {
        let mut buffer = [0; 8];
        let (length, source) = socket.recv_from(&mut buffer)?;
        assert_eq!(length, 4);
        Ok((u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]), source))
    }

    /// What arrives of `total` datagrams, and what the relay says of them. No more than the buffer of a socket holds.
    fn exchange(seed: u64, impairment: Impairment, total: u32) -> (Vec<u32>, Counts) {
        let relay = Relay::start(seed, impairment).unwrap();
        let [a, b] = peers(&relay);
        for number in 0..total {
            a.send_to(&number.to_be_bytes(), relay.address_of(Side::B)).unwrap();
            if number % 50 == 49 {
                // No more at once than the buffers of sockets hold.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let (mut arrived, mut waits) = (Vec::new(), 0);
        // Silence alone is no end: the relay's thread may stand still. All is decided, and what is sent on has come.
        let over = |arrived: usize| {
            let counts = relay.counts_from(Side::A);
            counts.forwarded + counts.lost >= u64::from(total) && arrived as u64 >= counts.forwarded
        };
        while waits < WAITS_MAX {
            match receive(&b) {
                Ok((number, source)) => {
                    assert_eq!(source, relay.address_of(Side::A), "B sees the address that it knows");
                    arrived.push(number);
                }
                Err(_) if over(arrived.len()) => break,
                Err(_) => waits += 1,
            }
        }
        (arrived, relay.counts_from(Side::A))
    }

    #[test]
    fn a_wire_loses_nothing_and_keeps_the_order() {
        let (arrived, counts) = exchange(1, Impairment::default(), 200);
        assert_eq!(arrived, (0..200).collect::<Vec<_>>());
        assert_eq!(counts, Counts { forwarded: 200, ..Counts::default() });
    }

    #[test]
    fn the_seed_decides_what_is_lost() {
        let bad = Impairment { loss: 0.3, ..Impairment::default() };
        let (first, counts) = exchange(7, bad, 200);
        assert_eq!(first, exchange(7, bad, 200).0);
        assert_ne!(first, exchange(8, bad, 200).0);
        assert_eq!((counts.forwarded, counts.lost), (first.len() as u64, 200 - first.len() as u64));
        assert!((100..180).contains(&first.len()), "{} of 200", first.len());
    }

    #[test]
    fn datagrams_are_delayed_doubled_and_overtake_each_other() {
        let jitter = Duration::from_millis(20);
        let bad =
            Impairment { duplicate: 0.2, delay: Duration::from_millis(30), jitter, ..Impairment::default() };
        let started = Instant::now();
        let (mut arrived, counts) = exchange(9, bad, 100);
        assert!(started.elapsed() >= Duration::from_millis(30));
        assert!(arrived.windows(2).any(|two| two[0] > two[1]), "{arrived:?}");
        assert_eq!(counts.forwarded, arrived.len() as u64);
        assert!(arrived.len() > 105);
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn strangers_are_refused() {
        let relay = Relay::start(1, Impairment::default()).unwrap();
        let [a, b] = peers(&relay);
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&[9; 4], relay.address_of(Side::B)).unwrap();
        a.send_to(&1_u32.to_be_bytes(), relay.address_of(Side::B)).unwrap();
        assert_eq!(receive(&b).unwrap().0, 1);
        assert_eq!(relay.counts_from(Side::A).refused, 1);
        assert!(receive(&b).is_err());
    }
}
