//! How a peer comes to a server: the protocols that this program speaks, behind one interface.

pub(crate) mod janus;
pub(crate) mod websocket;
pub(crate) mod whip;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::ValueEnum;

/// For one HTTP request: a server that connects hundreds of peers at once takes its time.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// WHIP for publishers, WHEP for subscribers
    Whip,
    /// This project's signalling over a WebSocket (SIGNALLING.md)
    Websocket,
    /// Janus' VideoRoom plugin over HTTP; the room is made if need be
    Janus,
}

/// Where a session can be ended.
pub(crate) enum Session {
    /// The address to DELETE.
    Http(String),
    Janus(Box<janus::Handle>),
    Websocket(websocket::Presence),
}

impl Session {
    /// Tells the server that the peer leaves.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Http(url) => whip::delete(url).await,
            Self::Janus(handle) => janus::destroy(*handle).await,
            Self::Websocket(presence) => {
                drop(presence);
                Ok(())
            }
        }
    }
}

/// One that keeps its connections; errors of HTTP are answers like others.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(REQUEST_PATIENCE))
        .build()
        .into()
}

/// The address in `http://ADDRESS[/…]`, and what follows.
pub(crate) fn host_of(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.strip_prefix("http://").context("only http:// addresses are supported")?;
    let host = rest.split('/').next().unwrap_or_default();
    host.parse().with_context(|| format!("{url}: an IP address and a port are needed"))
}
