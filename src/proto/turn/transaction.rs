//! Requests that wait for the server's answer (RFC 8489 sections 6.2.1 and 6.2.2).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::proto::stun::{Method, TransactionId};

/// RTO (RFC 8489 section 6.2.1).
const FIRST_INTERVAL: Duration = Duration::from_millis(500);

/// Rc: how often a request is sent over UDP.
const MAX_SENDS: u32 = 7;

/// Rm: how many first intervals are waited after the last sending.
const LAST_WAIT: u32 = 16;

/// Ti: how long a request over TCP may take (RFC 8489 section 6.2.2).
const STREAM_WAIT: Duration = Duration::from_millis(39_500);

/// A client that is closing doesn't wait that long: the allocation ends by itself if the server is deaf.
const MAX_CLOSING_SENDS: u32 = 3;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Allocate,
    Refresh,
    /// Refresh with a lifetime of zero.
    Delete,
    Permission(IpAddr),
    Channel(u16, SocketAddr),
}

impl Request {
    pub(super) fn method(self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::Refresh | Self::Delete => Method::REFRESH,
            Self::Permission(_) => Method::CREATE_PERMISSION,
            Self::Channel(..) => Method::CHANNEL_BIND,
        }
    }

    fn max_sends(self) -> u32 {
        if self == Self::Delete { MAX_CLOSING_SENDS } else { MAX_SENDS }
    }
}

/// One request.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) request: Request,
    /// When it was first sent: what it creates lives from then on, seen carefully.
    pub(super) sent_at: Instant,
    /// Whether it was signed.
    pub(super) is_signed: bool,
    /// How often the server has sent it back with a new nonce.
    pub(super) challenges: u8,
    due: Instant,
    sends: u32,
    is_stream: bool,
    payload: Bytes,
}

impl Transaction {
    pub(super) fn new(id: TransactionId, request: Request, now: Instant, payload: Bytes) -> Self {
        Self {
            id,
            request,
            sent_at: now,
            is_signed: false,
            challenges: 0,
            due: now + FIRST_INTERVAL,
            sends: 1,
            is_stream: false,
            payload,
        }
    }

    /// Over a stream nothing is repeated.
    pub(super) fn over_stream(mut self) -> Self {
        self.is_stream = true;
        let wait = if self.request == Request::Delete { FIRST_INTERVAL } else { STREAM_WAIT };
        self.due = self.sent_at + wait;
        self
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The time has come: the bytes to send again, or `None` when the request is given up.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Bytes> {
        let max_sends = self.request.max_sends();
        if self.is_stream || self.sends >= max_sends {
            return None;
        }
        self.sends += 1;
        let wait = if self.sends == MAX_SENDS { LAST_WAIT } else { 1 << (self.sends - 1) };
        // After a long sleep one repetition is enough: the next is counted from now.
        self.due = self.due.max(now) + FIRST_INTERVAL * wait;
        Some(self.payload.clone())
    }
}
