//! The threads, sockets and certificate that connections share.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::Addr;

use super::{KeyType, RtcCertificate, certificate::MAX_VALIDITY};
use crate::{
    actors::{
        kit::{self, ShardError, Shards, ShardsConfig},
        network::{NetworkConfig, RouterSize, TcpMode},
        shard::{Flush, LocalPorts, LocalTcpPorts, RouterSizeRequest, Shard, ShardConfig, UdpMode},
    },
    messages::error::RtcError,
    proto::rtcp::{ClockAnchor, NtpTime},
};

/// How an engine is started.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RtcEngineConfig {
    /// Number of threads; default: the cores this process may use.
    pub shards: ShardsConfig,
    /// One socket for all peers of a shard, or own sockets for each. Default: own sockets.
    pub udp: UdpMode,
    /// Which addresses are offered to peers.
    pub network: NetworkConfig,
    /// Our certificate; by default a new one (ECDSA P-256) is made.
    pub certificate: Option<RtcCertificate>,
}

impl Default for RtcEngineConfig {
    fn default() -> Self {
        Self {
            shards: ShardsConfig::default(),
            udp: UdpMode::PerConnection,
            network: NetworkConfig::default(),
            certificate: None,
        }
    }
}

/// The threads on which connections live, with the sockets they share. Clones are handles to the same
/// engine.
#[derive(Clone)]
pub struct RtcEngine {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Shards,
    actors: Vec<Addr<Shard>>,
    certificate: RtcCertificate,
    clock: ClockAnchor,
}

impl std::fmt::Debug for RtcEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcEngine").field("shards", &self.inner.shards.len()).finish()
    }
}

impl RtcEngine {
    /// Starts the threads and binds the shared sockets.
    ///
    /// # Errors
    /// When a thread can't be started, a port can't be bound, or no certificate can be made.
    pub async fn start(config: RtcEngineConfig) -> io::Result<Self> {
        let shards = Shards::start(config.shards)?;
        let certificate = match config.certificate {
            Some(certificate) => certificate,
            // A server keeps it for the life of its process.
            None => RtcCertificate::generate_with_expiry(KeyType::EcdsaP256, MAX_VALIDITY)
                .map_err(io::Error::other)?,
        };
        let clock = ClockAnchor { instant: kit::now(), ntp: NtpTime::from(kit::wall_clock()) };
        let mut actors = Vec::with_capacity(shards.len());
        for index in 0..shards.len() {
            let udp = match config.udp {
                UdpMode::Shared { port } => UdpMode::Shared { port: port_of_shard(port, index)? },
                udp @ UdpMode::PerConnection => udp,
            };
            let mut network = config.network.clone();
            network.tcp = tcp_of_shard(network.tcp, config.udp, index)?;
            let shard_config = ShardConfig { udp, network };
            let started = shards.run_on(index, move || async move { Shard::start(shard_config) }).await;
            actors.push(started.map_err(io::Error::other)??);
        }
        Ok(Self { inner: Arc::new(Inner { shards, actors, certificate, clock }) })
    }

    /// The engine of connections that name none: default configuration, started at its first use.
    ///
    /// # Errors
    /// See [`RtcEngine::start`]; a failed start is tried again at the next call.
    pub async fn global() -> io::Result<Self> {
        static GLOBAL: OnceLock<RtcEngine> = OnceLock::new();
        if let Some(engine) = GLOBAL.get() {
            return Ok(engine.clone());
        }
        let engine = Self::start(RtcEngineConfig::default()).await?;
        // Two first users at once: one engine wins, the other's idle threads end.
        Ok(GLOBAL.get_or_init(|| engine).clone())
    }

    /// The threads.
    pub fn shards(&self) -> &Shards {
        &self.inner.shards
    }

    /// Whether every shard can make connections and send for them. False after a shutdown, and when a
    /// shard has panicked more often than its policy forgives: then only a new process helps.
    pub fn is_healthy(&self) -> bool {
        self.inner.shards.is_running() && self.inner.actors.iter().all(Addr::connected)
    }

    /// The certificate that connections show unless they have their own.
    pub fn certificate(&self) -> &RtcCertificate {
        &self.inner.certificate
    }

    /// The shared UDP ports, one or two per shard; empty when every connection has its own.
    ///
    /// # Errors
    /// When a shard does not answer.
    pub async fn local_ports(&self) -> Result<Vec<u16>, RtcError> {
        let mut ports = Vec::new();
        for actor in &self.inner.actors {
            ports.extend(ask(actor, LocalPorts).await?);
        }
        Ok(ports)
    }

    /// The shared TCP ports, one or two per shard; empty when no connections are accepted, or every connection has
    /// its own.
    ///
    /// # Errors
    /// When a shard does not answer.
    pub async fn local_tcp_ports(&self) -> Result<Vec<u16>, RtcError> {
        let mut ports = Vec::new();
        for actor in &self.inner.actors {
            ports.extend(ask(actor, LocalTcpPorts).await?);
        }
        Ok(ports)
    }

    /// How much the shared sockets of each shard know about peers; zeros when every connection has its own.
    ///
    /// # Errors
    /// When a shard does not answer.
    pub async fn router_sizes(&self) -> Result<Vec<RouterSize>, RtcError> {
        let mut sizes = Vec::new();
        for actor in &self.inner.actors {
            sizes.push(ask(actor, RouterSizeRequest).await?);
        }
        Ok(sizes)
    }

    /// Hands everything that is queued to the kernel, then ends the threads. Close connections first
    /// so that their peers are told.
    ///
    /// # Errors
    /// When the threads do not end within `deadline`.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), ShardError> {
        for actor in &self.inner.actors {
            // A shard that does not answer has nothing to flush.
            let _ = ask(actor, Flush).await;
        }
        self.inner.shards.shutdown(deadline).await
    }

    pub(crate) fn clock(&self) -> ClockAnchor {
        self.inner.clock
    }

    /// The shard that was asked for, or the one with the fewest peers.
    ///
    /// # Errors
    /// [`RtcError::InvalidAccessError`] when there is no such shard.
    pub(crate) fn shard_for(&self, wanted: Option<usize>) -> Result<&Addr<Shard>, RtcError> {
        let shard = wanted.unwrap_or_else(|| self.inner.shards.least_loaded());
        self.shard(shard)
            .ok_or_else(|| RtcError::InvalidAccessError(format!("the engine has no shard {shard}")))
    }

    pub(crate) fn shard(&self, index: usize) -> Option<&Addr<Shard>> {
        self.inner.actors.get(index)
    }
}

/// The first shard has the configured port, the second the next one, and so on; 0 is any.
fn port_of_shard(port: u16, index: usize) -> io::Result<u16> {
    let too_high = || io::Error::new(io::ErrorKind::InvalidInput, "not enough ports above the first one");
    if port == 0 {
        return Ok(0);
    }
    u16::try_from(usize::from(port) + index).map_err(|_| too_high())
}

fn tcp_of_shard(tcp: TcpMode, udp: UdpMode, index: usize) -> io::Result<TcpMode> {
    let is_shared = matches!(udp, UdpMode::Shared { .. });
    Ok(match tcp {
        TcpMode::Passive { port } if is_shared => TcpMode::Passive { port: port_of_shard(port, index)? },
        TcpMode::ActiveAndPassive { port } if is_shared => {
            TcpMode::ActiveAndPassive { port: port_of_shard(port, index)? }
        }
        tcp => tcp,
    })
}

/// Asks an actor with the deadline of the API.
pub(crate) async fn ask<A, M>(actor: &Addr<A>, message: M) -> Result<M::Result, RtcError>
where
    Addr<A>: kit::Destination<M>,
    A: actix::Actor,
    M: actix::Message,
{
    kit::ask(actor, message, kit::DEFAULT_DEADLINE).await.map_err(|error| RtcError::Gone(error.to_string()))
}
