//! The stream that OpenSSL reads from and writes to: queues of whole datagrams.
//!
//! It also stops OpenSSL where a flight ends. OpenSSL would go on to read at once, and every read asks
//! its clock-driven timer first (see `openssl_timer`). So `flush`, which OpenSSL calls when a flight is
//! written, answers "would block" then: the handshake stands still, at the end of the flight, until
//! the session resumes it with the peer's complete answer.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};

use super::protection::LastSealed;
use super::record::{CLIENT_HELLO, HANDSHAKE, SERVER_HELLO_DONE, fragments, records};
use super::session::Role;

/// Datagrams that wait to be polled. Twice what an SCTP association puts out at once; beyond it
/// nobody is polling, and a network may lose datagrams.
pub(super) const MAXIMUM_QUEUED_DATAGRAMS: usize = 1024;

/// What happens to what OpenSSL writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Queue it; stop at the end of a flight.
    Handshaking,
    /// Queue it, never stop: everything after the handshake.
    Passing,
    /// Queue it, joined to datagrams of the MTU: OpenSSL resends each message of a flight by itself, but
    /// the fewer datagrams, the fewer are lost. `alone` until the first one is queued.
    Joining { alone: bool },
    /// Drop it: the price of asking OpenSSL's timer to hold.
    Discarding,
}

#[derive(Debug)]
pub(super) struct DatagramIo {
    role: Role,
    mtu: usize,
    inbound: VecDeque<Bytes>,
    outbound: VecDeque<BytesMut>,
    mode: Mode,
    /// Something was written since the handshake was resumed.
    wrote: bool,
    /// The last thing written ends a flight that expects an answer.
    at_end_of_flight: bool,
    last_sealed: Option<LastSealed>,
}

impl DatagramIo {
    pub(super) fn new(role: Role, mtu: usize) -> Self {
        Self {
            role,
            mtu,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            mode: Mode::Handshaking,
            wrote: false,
            at_end_of_flight: false,
            last_sealed: None,
        }
    }

    /// The last encrypted record that OpenSSL made, whether it was sent or not.
    pub(super) fn last_sealed(&self) -> Option<LastSealed> {
        self.last_sealed
    }

    /// Puts a datagram in front of OpenSSL.
    pub(super) fn push(&mut self, datagram: Bytes) {
        self.inbound.push_back(datagram);
    }

    /// Takes back what OpenSSL hasn't read.
    pub(super) fn take_inbound(&mut self) -> Option<Bytes> {
        self.inbound.pop_front()
    }

    /// Drops what OpenSSL didn't read.
    pub(super) fn clear_inbound(&mut self) {
        self.inbound.clear();
    }

    /// The next datagram to send.
    pub(super) fn poll_outbound(&mut self) -> Option<Bytes> {
        self.outbound.pop_front().map(BytesMut::freeze)
    }

    pub(super) fn outbound_length(&self) -> usize {
        self.outbound.len()
    }

    /// What was queued since the queue had this length.
    pub(super) fn outbound_since(&self, length: usize) -> Vec<Bytes> {
        self.outbound.iter().skip(length).map(|datagram| Bytes::copy_from_slice(datagram)).collect()
    }

    /// Queues datagrams that were sent before.
    pub(super) fn queue_copies(&mut self, datagrams: &[Bytes]) {
        for datagram in datagrams {
            if !self.is_outbound_full() {
                self.outbound.push_back(BytesMut::from(&datagram[..]));
            }
        }
    }

    pub(super) fn is_outbound_full(&self) -> bool {
        self.outbound.len() >= MAXIMUM_QUEUED_DATAGRAMS
    }

    /// The handshake is about to be resumed: it may read, and the next flight will stop it.
    pub(super) fn resume(&mut self) {
        self.mode = Mode::Handshaking;
        self.wrote = false;
        self.at_end_of_flight = false;
    }

    /// Whether the resumed handshake wrote something.
    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    /// Whether the handshake stands still at the end of a flight.
    pub(super) fn is_at_end_of_flight(&self) -> bool {
        self.at_end_of_flight
    }

    pub(super) fn pass(&mut self) {
        self.mode = Mode::Passing;
    }

    /// From now on a flight is sent again.
    pub(super) fn join(&mut self) {
        self.mode = Mode::Joining { alone: true };
    }

    pub(super) fn discard(&mut self) {
        self.mode = Mode::Discarding;
    }

    fn queue(&mut self, datagram: &[u8]) {
        if self.mode == Mode::Discarding {
            return;
        }
        if self.mode == (Mode::Joining { alone: false })
            && let Some(last) = self.outbound.back_mut()
            && last.len() + datagram.len() <= self.mtu
        {
            last.extend_from_slice(datagram);
        } else if !self.is_outbound_full() {
            self.outbound.push_back(BytesMut::from(datagram));
        }
        if self.mode == (Mode::Joining { alone: true }) {
            self.mode = Mode::Joining { alone: false };
        }
    }

    /// Whether the last record of a datagram is the last of a flight that the peer must answer. The
    /// server's Finished isn't: its handshake is then over.
    fn ends_flight(&self, datagram: &[u8]) -> bool {
        let Some(last) = records(datagram).last() else {
            return false;
        };
        match (last.content_type, last.epoch) {
            (HANDSHAKE, 0) => fragments(last.body).last().is_some_and(|fragment| {
                let message_type = match self.role {
                    Role::Client => CLIENT_HELLO,
                    Role::Server => SERVER_HELLO_DONE,
                };
                fragment.message_type == message_type && fragment.end() == fragment.message_length
            }),
            // The only encrypted handshake message is Finished.
            (HANDSHAKE, _) => self.role == Role::Client,
            _ => false,
        }
    }
}

impl Read for DatagramIo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbound.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        // OpenSSL reads with the room of a largest record; a datagram longer than that has its rest cut
        // off, as a socket would.
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for DatagramIo {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.last_sealed =
            records(datagram).filter_map(|record| LastSealed::of(&record)).last().or(self.last_sealed);
        if self.mode == Mode::Handshaking {
            self.wrote = true;
            self.at_end_of_flight = self.ends_flight(datagram);
        }
        self.queue(datagram);
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.mode == Mode::Handshaking && self.at_end_of_flight {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}
