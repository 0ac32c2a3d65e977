//! Datagrams of the application over the selected pair, for an agent with nothing above it: no DTLS, no media.
//!
//! What arrives does not come here: the router and the TURN clients put it where the application takes it
//! ([`PeerLanes::is_raw`](crate::actors::network::PeerLanes)), and only from addresses that ICE has
//! authenticated. What is sent waits in a queue that makes its sender wait when it is full, so nothing that
//! was accepted is dropped but for a lost pair and a kernel that takes no more; both are counted.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context as TaskContext, Poll},
};

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::IceAgent;
use crate::{
    actors::{
        kit::{self, DropReason},
        network::Route,
    },
    messages::{
        error::RtcError,
        ice::{SelectPair, SendDatagram},
        ice_connection::DatagramCounters,
    },
    proto::{Protocol, demux, ice::IceError},
};

/// Datagrams that may wait, each way: what a wake-up handles several times over, half a megabyte of full
/// packets.
pub const DATAGRAMS_MAX: usize = 512;

/// Where an agent gets what it is to send.
pub struct DatagramPort {
    /// What the application wants to send.
    pub outbound: mpsc::Receiver<Bytes>,
    /// What became of it.
    pub counters: Arc<DatagramCounters>,
}

impl IceAgent {
    /// Sends what waits, a limited number per turn. True if more may wait.
    pub(super) fn take_datagrams(&mut self, cx: &mut TaskContext<'_>) -> bool {
        for _ in 0..kit::INPUT_BUDGET {
            let Some(port) = &mut self.environment.datagrams else { return false };
            match port.outbound.poll_recv(cx) {
                Poll::Ready(Some(datagram)) => {
                    let counters = Arc::clone(&port.counters);
                    if self.send_datagram(&datagram).is_err() {
                        counters.send_dropped.fetch_add(1, Relaxed);
                    }
                }
                // The handle is gone; whoever owns the agent ends it.
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
        true
    }

    fn send_datagram(&self, datagram: &[u8]) -> Result<(), RtcError> {
        let environment = &self.environment;
        let socket = self
            .selected
            .and_then(|route| Some((route, environment.sockets.find(route.protocol, route.local)?)));
        let Some((selected, socket)) = socket else {
            kit::statistics().drop(DropReason::NoRoute, 1);
            let sentence = "no pair of candidates is selected: nothing may be sent".to_owned();
            return Err(RtcError::InvalidStateError(sentence));
        };
        let route = Route { socket, source: Some(selected.local.ip()), destination: selected.remote };
        let length = datagram.len();
        let written = environment.egress.borrow_mut().write(&route, length, |buffer| {
            buffer.copy_from_slice(datagram);
            Some(length)
        });
        let statistics = kit::statistics();
        if written.is_err() {
            statistics.drop(DropReason::SendQueueFull, 1);
            return Err(RtcError::OperationError("the shard's send queue is full".to_owned()));
        }
        statistics.packets_out(demux::classify(datagram), 1, length as u64);
        if let Some(port) = &environment.datagrams {
            port.counters.sent.fetch_add(1, Relaxed);
            port.counters.bytes_sent.fetch_add(length as u64, Relaxed);
        }
        Ok(())
    }
}

impl Handler<SendDatagram> for IceAgent {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: SendDatagram, _: &mut Self::Context) -> Self::Result {
        self.send_datagram(&message.0)
    }
}

impl Handler<SelectPair> for IceAgent {
    type Result = Result<(), RtcError>;

    fn handle(&mut self, message: SelectPair, _: &mut Self::Context) -> Self::Result {
        let SelectPair { local_foundation, remote_foundation } = message;
        let selected = self.agent.select_pair(kit::now(), &local_foundation, &remote_foundation);
        let selected = selected.map_err(|error| match error {
            IceError::Closed => RtcError::InvalidStateError("the agent has failed or is closed".to_owned()),
            error => RtcError::InvalidAccessError(error.to_string()),
        })?;
        // The application vouches for the address that it has chosen.
        let relayed = self.environment.sockets.find_relayed(selected.protocol, selected.local);
        match relayed.as_ref().and_then(|socket| socket.relay()) {
            Some(relay) => relay.trust(selected.remote),
            None if selected.protocol == Protocol::Tcp => {
                self.trust_connection(selected.local, selected.remote);
            }
            None => {
                self.environment.router.borrow_mut().authenticate(self.environment.key, selected.remote);
            }
        }
        Ok(())
    }
}
