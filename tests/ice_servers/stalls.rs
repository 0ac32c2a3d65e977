//! Whether the machine, and not what is tested, has lost packets or has been late.
//!
//! coturn asks for receive buffers of a quarter of a second of these tests' media, and a track drops what nobody
//! has read for 100 ms. On a machine that other guests hold up for longer, that is where packets go. Shared with
//! `tests/calls` and xtask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(10);
/// Well below the age at which a track drops packets: this thread is not the one that is held up longest.
const STALL: Duration = Duration::from_millis(40);

/// Watches the machine for as long as this value lives.
pub(crate) struct Stalls {
    seen: Arc<AtomicBool>,
    dropped_before: Option<u64>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let seen = Arc::new(AtomicBool::new(false));
        let watched = Arc::downgrade(&seen);
        std::thread::spawn(move || {
            let mut last = Instant::now();
            while let Some(seen) = watched.upgrade() {
                drop(seen);
                std::thread::sleep(TICK);
                let now = Instant::now();
                if let Some(seen) = watched.upgrade().filter(|_| now - last > STALL + TICK) {
                    seen.store(true, Ordering::Relaxed);
                }
                last = now;
            }
        });
        Self { seen, dropped_before: dropped_by_the_kernel() }
    }

    /// Whether there was a stall, or a full socket anywhere on the machine.
    pub(crate) fn happened(&self) -> bool {
        self.seen.load(Ordering::Relaxed) || dropped_by_the_kernel() != self.dropped_before
    }
}

/// Datagrams that found the buffer of their socket full, where the kernel tells.
fn dropped_by_the_kernel() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/snmp").ok()?;
    let mut lines = table.lines().filter(|line| line.starts_with("Udp:"));
    let column = lines.next()?.split(' ').position(|name| name == "RcvbufErrors")?;
    lines.next()?.split(' ').nth(column)?.parse().ok()
}
