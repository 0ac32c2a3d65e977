//! The handle of a connection of ICE alone.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
};

use actix::Addr;
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    IceConnectionConfig, IceConnectionEvents, IceTraffic,
    datagrams::{Inboxes, Outbound, split},
    events::Events,
};
use crate::{
    actors::{
        ice_agent::IceAgent,
        ice_connection::IceConnectionActor,
        kit::{self, LaneReceiver},
        shard::CreateIceConnection,
    },
    api::{RtcEngine, engine::ask},
    messages::{
        error::RtcError,
        ice::CandidatePair,
        ice_connection::{
            AddIceCandidate, CloseComponents, CollectComponents, ConnectComponents, GatherComponents,
            IceConnectionEvent, IceConnectionSnapshot, RestartComponents, SelectComponentPair,
            SetConnectionRole, SetIceCredentials, SetIceLite,
        },
        peer_connection::RtcIceGatheringState,
        statistics::IceStatistics,
    },
    proto::ice::{Candidate, Credentials, Role, State},
};

/// A path to a peer, found and kept open by ICE. Clones are handles to the same connection, which is closed
/// when the last of them is dropped.
///
/// In order: [`gather`](Self::gather), tell the peer credentials and candidates,
/// [`set_remote_credentials`](Self::set_remote_credentials) and
/// [`add_remote_candidate`](Self::add_remote_candidate) with the peer's, [`connect`](Self::connect),
/// [`send`](Self::send) and [`recv`](Self::recv). Candidates may as well be exchanged one by one, as
/// [`events`](Self::events) tell them, before and after `connect`.
#[derive(Clone)]
pub struct IceConnection {
    shared: Arc<Shared>,
}

struct Shared {
    address: Addr<IceConnectionActor>,
    snapshot: watch::Receiver<IceConnectionSnapshot>,
    events: Mutex<Option<LaneReceiver<IceConnectionEvent>>>,
    agents: Vec<(u8, Addr<IceAgent>)>,
    outbound: Vec<Outbound>,
    /// One reader at a time: what it has not returned stays here.
    inbound: tokio::sync::Mutex<Inboxes>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.address.connected() {
            self.address.do_send(CloseComponents);
        }
    }
}

fn closed() -> RtcError {
    RtcError::InvalidStateError("the connection is closed".to_owned())
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&IceConnectionSnapshot) -> T) -> T {
        read(&self.snapshot.borrow())
    }

    async fn request<M, T>(&self, message: M) -> Result<T, RtcError>
    where
        Addr<IceConnectionActor>: kit::Destination<M>,
        M: actix::Message<Result = Result<T, RtcError>>,
    {
        if self.read(|snapshot| snapshot.state == State::Closed) {
            return Err(closed());
        }
        ask(&self.address, message).await?
    }

    /// Waits until the snapshot is as wanted, or the connection is closed.
    async fn until(&self, wanted: impl Fn(&IceConnectionSnapshot) -> bool) {
        let mut snapshot = self.snapshot.clone();
        // An error says that the actor is gone: nothing changes any more.
        let _ = snapshot.wait_for(|shown| shown.state == State::Closed || wanted(shown)).await;
    }
}

impl IceConnection {
    /// A connection with its sockets; nothing is sent yet.
    ///
    /// # Errors
    /// [`RtcError::RangeError`] for a number of components that can't be had, [`RtcError::TypeError`] for
    /// credentials that RFC 8839 does not allow, [`RtcError::SyntaxError`], [`RtcError::InvalidAccessError`]
    /// and [`RtcError::NotSupportedError`] for servers that can't be used and a shard that does not exist,
    /// [`RtcError::OperationError`] when no socket can be bound.
    pub async fn new(engine: &RtcEngine, config: IceConnectionConfig) -> Result<Self, RtcError> {
        let shard = engine.shard_for(config.shard)?;
        let handle = ask(shard, CreateIceConnection(config.checked()?)).await??;
        let agents = handle.agents.iter().map(|agent| (agent.component, agent.address.clone())).collect();
        let (inbound, outbound) = handle.agents.into_iter().map(split).unzip();
        let shared = Shared {
            address: handle.address,
            snapshot: handle.snapshot,
            events: Mutex::new(Some(handle.events)),
            agents,
            outbound,
            inbound: tokio::sync::Mutex::new(Inboxes::new(inbound)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Gathers the candidates of all components, and waits until they are known: 5 s at most when servers do
    /// not answer. Only the first call gathers. Cancel-safe: gathering goes on, and
    /// [`events`](Self::events) tell the candidates as they are found.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when the connection is closed.
    pub async fn gather(&self) -> Result<(), RtcError> {
        self.shared.request(GatherComponents).await?;
        self.shared.until(|shown| shown.gathering_state == RtcIceGatheringState::Complete).await;
        match self.gathering_state() {
            RtcIceGatheringState::Complete => Ok(()),
            _ => Err(closed()),
        }
    }

    /// Tells the peer's credentials. Once [`connect`](Self::connect) was called, others than before mean that the
    /// peer has restarted: its candidates are forgotten, and data goes on over the selected pair until there is
    /// a new one.
    ///
    /// # Errors
    /// [`RtcError::TypeError`] for credentials that RFC 8839 §5.4 does not allow,
    /// [`RtcError::InvalidStateError`] when the connection is closed.
    pub async fn set_remote_credentials(&self, credentials: Credentials) -> Result<(), RtcError> {
        credentials.check().map_err(|error| RtcError::TypeError(error.to_string()))?;
        self.shared.request(SetIceCredentials(credentials)).await
    }

    /// Says whether the peer is a lite agent. If it is, this side is controlling (RFC 8445 §6.1.1).
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when the connection is closed.
    pub async fn set_remote_lite(&self, is_lite: bool) -> Result<(), RtcError> {
        self.shared.request(SetIceLite(is_lite)).await
    }

    /// Says who nominates, when signalling has decided otherwise than the configuration.
    ///
    /// # Errors
    /// [`RtcError::InvalidAccessError`] for a lite agent that should control,
    /// [`RtcError::InvalidStateError`] when the connection is closed.
    pub async fn set_role(&self, role: Role) -> Result<(), RtcError> {
        self.shared.request(SetConnectionRole(role)).await
    }

    /// Adds a candidate of the peer; `None`: there are no more. One that can't be used (of another component,
    /// type or transport, at an address nothing may be sent to) is skipped. A `.local` name is looked up by
    /// mDNS.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] after the end of candidates; [`RtcError::OperationError`] beyond the
    /// limit of candidates. Not when the connection is closed: then there is nothing to be added to.
    pub async fn add_remote_candidate(&self, candidate: Option<Candidate>) -> Result<(), RtcError> {
        match self.shared.request(AddIceCandidate(candidate)).await {
            Err(_) if self.state() == State::Closed => Ok(()),
            answer => answer,
        }
    }

    /// Checks the pairs, and waits until every component has one. Cancel-safe: checks go on.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] before [`gather`](Self::gather) and
    /// [`set_remote_credentials`](Self::set_remote_credentials) were called, and when the connection is
    /// closed; [`RtcError::NetworkError`] when no pair works: after 39.5 s (RFC 8863), twice that while the
    /// peer may have more candidates.
    pub async fn connect(&self) -> Result<(), RtcError> {
        self.shared.request(ConnectComponents).await?;
        let settled = |state| matches!(state, State::Connected | State::Completed | State::Failed);
        self.shared.until(|shown| settled(shown.state)).await;
        match self.state() {
            State::Failed => {
                Err(RtcError::NetworkError("ICE negotiation failed: no pair of candidates works".to_owned()))
            }
            State::Closed => Err(closed()),
            _ => Ok(()),
        }
    }

    /// Closes the connection, and waits until relays are given back. A second call does nothing.
    pub async fn close(&self) {
        // Closed already, or lost: there is nothing left to close.
        let _ = ask(&self.shared.address, CloseComponents).await;
    }

    /// Begins anew with new credentials (RFC 8445 §9), which are returned: signal them, and the candidates that
    /// are gathered for them, and tell the peer's new ones as before. Data goes on over the selected pair until
    /// there is a new one. Revives a connection that has failed.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when the connection is closed.
    pub async fn restart(&self) -> Result<Credentials, RtcError> {
        self.shared.request(RestartComponents).await
    }

    /// Uses the pair of the candidates with these foundations for a component, whatever the checks say. Consent
    /// (RFC 7675) is checked from then on: without the peer's credentials it ends after 30 s.
    ///
    /// # Errors
    /// [`RtcError::InvalidAccessError`] when there is no such pair or component,
    /// [`RtcError::InvalidStateError`] when the connection has failed or is closed.
    pub async fn set_selected_pair(
        &self,
        component: u8,
        local_foundation: &str,
        remote_foundation: &str,
    ) -> Result<(), RtcError> {
        let (local_foundation, remote_foundation) =
            (local_foundation.to_owned(), remote_foundation.to_owned());
        let request = SelectComponentPair { component, local_foundation, remote_foundation };
        self.shared.request(request).await?;
        // The agent has selected it; its report is behind the answer.
        self.shared.until(|shown| shown.selected_pair(component).is_some()).await;
        Ok(())
    }

    /// Sends a datagram over component 1. See [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub async fn send(&self, datagram: impl Into<Bytes>) -> Result<(), RtcError> {
        self.send_to(datagram, 1).await
    }

    /// Queues a datagram for the selected pair of a component, and waits for room while 512 wait. Nothing says that
    /// it arrives. Cancel-safe: a dropped future has queued nothing.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] while the component has no pair: before it is connected, and when
    /// consent has ended; [`RtcError::InvalidAccessError`] for a component that does not exist;
    /// [`RtcError::DataError`] for an empty datagram or one of more than
    /// [`DATAGRAM_LENGTH_MAX`](super::DATAGRAM_LENGTH_MAX) bytes.
    pub async fn send_to(&self, datagram: impl Into<Bytes>, component: u8) -> Result<(), RtcError> {
        self.outbound(component)?.send(datagram.into()).await
    }

    /// The same without waiting: false when there is no room.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn try_send_to(&self, datagram: impl Into<Bytes>, component: u8) -> Result<bool, RtcError> {
        self.outbound(component)?.try_send(datagram.into())
    }

    fn outbound(&self, component: u8) -> Result<&Outbound, RtcError> {
        let outbound = self.shared.outbound.iter().find(|outbound| outbound.component == component);
        let outbound = outbound
            .ok_or_else(|| RtcError::InvalidAccessError(format!("there is no component {component}")))?;
        if !self.shared.read(|shown| shown.selected_pair(component).is_some()) {
            let sentence = format!("component {component} is not connected: nothing may be sent");
            return Err(RtcError::InvalidStateError(sentence));
        }
        Ok(outbound)
    }

    /// The next datagram of the peer, of whichever component. See [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv(&self) -> Result<Bytes, RtcError> {
        self.recv_from().await.map(|(datagram, _)| datagram)
    }

    /// The next datagram of the peer and its component. What has arrived is returned even after the end. 512 wait for
    /// each component; then the oldest go. Cancel-safe.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] before the connection was connected and when it is closed,
    /// [`RtcError::NetworkError`] when it has failed.
    pub async fn recv_from(&self) -> Result<(Bytes, u8), RtcError> {
        let mut inbound = self.shared.inbound.lock().await;
        let is_over = |shown: &IceConnectionSnapshot| {
            !shown.was_connected || matches!(shown.state, State::Failed | State::Closed)
        };
        tokio::select! {
            biased;
            received = poll_fn(|cx| inbound.poll_next(cx)) => Ok(received),
            () = self.shared.until(is_over) => Err(self.read_error()),
        }
    }

    fn read_error(&self) -> RtcError {
        match self.state() {
            State::Closed => closed(),
            State::Failed => RtcError::NetworkError("the connection has failed".to_owned()),
            _ => RtcError::InvalidStateError("the connection was not connected yet".to_owned()),
        }
    }

    /// The state of all components together: the worst counts.
    pub fn state(&self) -> State {
        self.shared.read(|shown| shown.state)
    }

    /// Whether candidates may still come.
    pub fn gathering_state(&self) -> RtcIceGatheringState {
        self.shared.read(|shown| shown.gathering_state)
    }

    /// Who nominates.
    pub fn role(&self) -> Role {
        self.shared.read(|shown| shown.role)
    }

    /// The components that are left: those the peer does not have are removed at the end of its candidates.
    pub fn components(&self) -> Vec<u8> {
        self.shared.read(|shown| shown.components.clone())
    }

    /// Our candidates that were found so far.
    pub fn local_candidates(&self) -> Vec<Candidate> {
        self.shared.read(|shown| shown.local_candidates.clone())
    }

    /// The peer's candidates, as they were told.
    pub fn remote_candidates(&self) -> Vec<Candidate> {
        self.shared.read(|shown| shown.remote_candidates.clone())
    }

    /// The candidate of a component that is most likely to be reached, that of the lowest priority: for the `m=` and
    /// `c=` lines of a description (RFC 8839 §4.2.1.2).
    pub fn default_candidate(&self, component: u8) -> Option<Candidate> {
        self.shared.read(|shown| {
            let of_component = shown.local_candidates.iter().filter(|c| c.component == component);
            of_component.min_by_key(|candidate| candidate.priority).cloned()
        })
    }

    /// Our credentials, which the peer has to know.
    pub fn local_credentials(&self) -> Credentials {
        self.shared.read(|shown| shown.local_credentials.clone())
    }

    /// The peer's credentials.
    pub fn remote_credentials(&self) -> Option<Credentials> {
        self.shared.read(|shown| shown.remote_credentials.clone())
    }

    /// The pair that a component uses.
    pub fn selected_pair(&self, component: u8) -> Option<CandidatePair> {
        self.shared.read(|shown| shown.selected_pair(component).cloned())
    }

    /// Candidates and pairs of each component that is left, and what went through it.
    ///
    /// # Errors
    /// [`RtcError::InvalidStateError`] when the connection is closed.
    pub async fn get_stats(&self) -> Result<Vec<(u8, IceStatistics, IceTraffic)>, RtcError> {
        let collected = self.shared.request(CollectComponents).await?;
        Ok(collected
            .into_iter()
            .map(|component| (component.component, component.ice, IceTraffic::from(&*component.datagrams)))
            .collect())
    }

    /// What happens to it, once: a second call returns `None`.
    pub fn events(&self) -> Option<IceConnectionEvents> {
        let mut events = self.shared.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.take().map(|lane| IceConnectionEvents(Events::new(lane)))
    }

    /// The actor behind the handle, for the messages of
    /// [`messages::ice_connection`](crate::messages::ice_connection).
    pub fn address(&self) -> &Addr<IceConnectionActor> {
        &self.shared.address
    }

    /// The actor of a component.
    pub fn agent(&self, component: u8) -> Option<&Addr<IceAgent>> {
        self.shared.agents.iter().find(|(number, _)| *number == component).map(|(_, address)| address)
    }
}

impl std::fmt::Debug for IceConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceConnection").field("state", &self.state()).finish_non_exhaustive()
    }
}
