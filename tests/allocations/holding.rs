//! What a connected subscriber holds, on the thread that forwards to it.

use std::time::Duration;

use actix_rtc::MediaKind;

use crate::{counting, stage::Stage};

const FEW: usize = 4;
const MANY: usize = 16;
/// Enough for everything to have been made that the first packets make.
const LOTS: usize = 3;
const PACKETS: usize = 10;
/// Bytes for each subscriber of one section, by size asked for; what the application's handles hold is not
/// counted, nor what other threads have allocated.
const BYTES_MAX: i64 = 64 * 1024;

/// Bytes that the forwarding thread holds for so many subscribers and their publisher.
async fn held(subscribers: usize) -> i64 {
    counting::enable();
    let mut stage = Stage::start(MediaKind::Video, subscribers).await;
    stage.publish(LOTS, PACKETS, true).await;
    let held = stage.forwarder.shards().run_on(0, || async { counting::held() }).await.unwrap();
    stage.end().await;
    held
}

#[test]
fn a_connected_subscriber_holds_little() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        let (few, many) = (held(FEW).await, held(MANY).await);
        let each = (many - few) / (MANY - FEW) as i64;
        println!("{each} bytes for each subscriber");
        assert!(each <= BYTES_MAX, "{each} bytes for each subscriber");
        assert!(each >= BYTES_MAX / 8, "the counter counts: {each} bytes for each subscriber");
    };
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}
