//! The receive window: what the peer may send, and who is told when there is room again.
//!
//! What comes for channels that do not read is taken out of the crate at once, because it walks over what
//! it holds at each packet. To the peer it is not free all the same: it is taken off the window that the
//! crate announces (RFC 9260 §6.2), and when that is closed, nothing new is let in.

use bytes::Bytes;

use super::{
    association::{Association, Phase},
    channels::Stream,
    config::MAX_PAYLOAD,
    outbound,
};

/// A window that stops a sender: less than some full packets (RFC 9260 §6.1, silly windows).
const MIN_TOLD_WINDOW: u32 = 4 * MAX_PAYLOAD;
/// What must have been read for it to be told.
const WINDOW_UPDATE: u64 = 256 << 10;

/// What the last SACK said, and what was read since.
#[derive(Default)]
pub(super) struct Window {
    sack: Bytes,
    told: u32,
    read: usize,
}

impl Association {
    /// A SACK leaves, which says that so much is free in the crate.
    pub(super) fn window_told(&mut self, window: u32, sack: &[u8]) {
        self.inbound.note_used_window(self.config.receive_window.saturating_sub(window));
        let window = window.saturating_sub(u32::try_from(self.held).unwrap_or(u32::MAX));
        // The crate still has room: it would take what comes into the closed window.
        self.inbound.is_full = window == 0 && self.held > 0;
        self.window.told = window;
        self.window.read = 0;
        // Only a closed window will need to be told again.
        if window < MIN_TOLD_WINDOW {
            self.window.sack = Bytes::copy_from_slice(sack);
        }
        let is_unread = self.held > 0 || self.streams.values().any(Stream::is_unread);
        let is_stalled = window < MAX_PAYLOAD && is_unread;
        if is_stalled && !self.is_stalled {
            self.counters.reader_stalls += 1;
        }
        self.is_stalled = is_stalled;
    }

    /// Messages were read: so much of the receive window is free again.
    pub(super) fn note_read(&mut self, bytes: usize) {
        self.window.read += bytes;
        self.inbound.is_full = false;
    }

    /// RFC 9260 §6.2: tells a sender that has stopped for want of a window that there is one again. The
    /// crate waits for the sender to ask, which it does ever more rarely.
    pub(super) fn update_window(&mut self) {
        let window = &mut self.window;
        let is_news = window.told < MIN_TOLD_WINDOW && window.read as u64 >= WINDOW_UPDATE;
        if !is_news || !matches!(self.phase, Phase::Connected) {
            return;
        }
        let free = window.told.saturating_add(u32::try_from(window.read).unwrap_or(u32::MAX));
        let free = free.min(self.config.receive_window);
        if let Some(sack) = outbound::with_window(&window.sack, |_| free) {
            self.transmits.push_back(sack);
            self.window = Window { sack: Bytes::new(), told: free, read: 0 };
            self.is_stalled = false;
        }
    }

    /// What was read for channels that do not read is not free for the peer.
    pub(super) fn less_window(&self, packet: Bytes) -> Bytes {
        if self.held == 0 {
            return packet;
        }
        let held = u32::try_from(self.held).unwrap_or(u32::MAX);
        outbound::with_window(&packet, |window| window.saturating_sub(held)).unwrap_or(packet)
    }
}
