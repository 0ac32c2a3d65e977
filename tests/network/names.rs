//! Own addresses behind `.local` names: who can look them up connects, and nobody is told an address.

use std::time::Duration;

use actix_rtc::{TcpMode, UdpMode};

use crate::pair::{Pair, candidates, engine, loopback, run};

const END: Duration = Duration::from_secs(5);

#[test]
fn two_sides_that_hide_their_addresses_find_each_other() {
    run(async {
        let mut network = loopback();
        network.hide_host_addresses = true;
        network.tcp = TcpMode::ActiveAndPassive { port: 0 };
        let engine = engine(UdpMode::PerConnection, network).await;
        let lines = candidates(&engine).await;
        assert!(lines.len() >= 3, "{lines:?}");
        for line in &lines {
            assert!(
                line.contains(".local ") && !line.contains("127.0.0.1") && !line.contains("::1"),
                "{line}"
            );
        }
        let name = |line: &String| line.split(' ').nth(4).unwrap().to_owned();
        assert_eq!(name(&lines[0]), name(&lines[1]), "one name per address, whatever the protocol");
        let again = candidates(&engine).await;
        assert_ne!(name(&lines[0]), name(&again[0]), "another connection has other names");
        let pair = Pair::connect(&engine, &engine, |_| true).await;
        pair.exchange().await;
        for connection in [&pair.offerer, &pair.answerer] {
            let sdp = connection.local_description().unwrap().sdp;
            let told = sdp.lines().filter(|line| line.starts_with("a=candidate:"));
            assert!(told.into_iter().all(|line| line.contains(".local ")), "{sdp}");
        }
        pair.close().await;
        engine.shutdown(END).await.unwrap();
    });
}
