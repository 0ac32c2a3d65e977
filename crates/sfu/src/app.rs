//! What all requests share.

use std::sync::Arc;

use crate::{
    config::Config, debug::Peers, http_session::HttpSessions, metrics::Metrics, rooms::Rooms,
    shutdown::Lifecycle,
};

/// One running server.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) http_sessions: HttpSessions,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: Metrics,
    pub(crate) peers: Peers,
}
