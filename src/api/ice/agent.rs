//! An ICE agent for who speaks to it by messages.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix::Addr;
use futures_util::Stream;

use super::{IceConnectionConfig, IceDatagrams, events::Events};
use crate::{
    actors::{ice_agent::IceAgent, shard::CreateIceAgent},
    api::{RtcEngine, engine::ask},
    messages::{error::RtcError, ice::IceEvent},
    proto::ice::Credentials,
};

/// An agent of one component, its events and its datagrams. The agent ends with [`CloseIce`](super::CloseIce), or
/// when the last `Addr` of it is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct IceAgentParts {
    /// The actor. It takes [`Gather`](super::Gather), [`SetRemoteIce`](super::SetRemoteIce) (which begins the
    /// checks), [`AddRemoteCandidate`](super::AddRemoteCandidate),
    /// [`EndOfRemoteCandidates`](super::EndOfRemoteCandidates), [`SetIceRole`](super::SetIceRole),
    /// [`SelectPair`](super::SelectPair), [`SendDatagram`](super::SendDatagram),
    /// [`RestartIce`](super::RestartIce), [`CollectIce`](super::CollectIce) and [`CloseIce`](super::CloseIce).
    pub address: Addr<IceAgent>,
    /// Our credentials, which the peer has to know.
    pub local_credentials: Credentials,
    /// What it tells.
    pub events: IceAgentEvents,
    /// What the peers exchange.
    pub datagrams: IceDatagrams,
}

/// The events of an agent in order; ends with it. Bounded to 1,024, the oldest go.
#[derive(Debug)]
pub struct IceAgentEvents(Events<IceEvent>);

impl Stream for IceAgentEvents {
    type Item = IceEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

/// Starts an agent with sockets of its own. Of `config` the number of components has no effect: an agent has
/// one.
///
/// # Errors
/// As [`IceConnection::new`](super::IceConnection::new).
pub async fn start_agent(engine: &RtcEngine, config: IceConnectionConfig) -> Result<IceAgentParts, RtcError> {
    let shard = engine.shard_for(config.shard)?;
    let mut settings = config.checked()?;
    let credentials = settings.credentials.take();
    let local_credentials = credentials.unwrap_or_else(random_credentials);
    settings.credentials = Some(local_credentials.clone());
    let (handle, events) = ask(shard, CreateIceAgent(settings)).await??;
    Ok(IceAgentParts {
        address: handle.address.clone(),
        local_credentials,
        events: IceAgentEvents(Events::new(events)),
        datagrams: IceDatagrams::new(handle),
    })
}

fn random_credentials() -> Credentials {
    use rand::{SeedableRng, rngs::StdRng};
    Credentials::generate(&mut StdRng::from_os_rng())
}
