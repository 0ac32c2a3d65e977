//! Starting and ending the server: the engine that carries media, and HTTP in front of it.

use std::{
    fmt::Debug,
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_http::{HttpServiceBuilder, Request, Response, body::BoxBody};
use actix_rtc::{
    NetworkConfig, RtcEngine, RtcEngineConfig, RtcError, TcpMode, UdpMode, actors::kit::ShardsConfig,
};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    App as HttpApp, HttpResponse,
    dev::{AppConfig, ServerHandle, ServiceResponse},
    web::{self, Data, PathConfig, QueryConfig, ServiceConfig},
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    app::App,
    config::Config,
    debug, health, http,
    http::HttpProblem,
    http_session::HttpSessions,
    metrics::{self, Metrics},
    page,
    problem::{Code, Problem},
    rooms::Rooms,
    shutdown::Lifecycle,
    signalling,
    tls::{self, TlsError},
    upgrade::Upgrades,
};

/// HTTP carries no media: two threads serve thousands of clients.
const HTTP_WORKERS: usize = 2;
/// From the first byte of a request to the end of its head.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// For a client to end its side, too.
const DISCONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// For the engine's threads to end: at least this much, whatever the sessions took.
const ENGINE_PATIENCE_MIN: Duration = Duration::from_millis(500);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No socket for HTTP.
    #[error(
        "can't listen on {address}: {reason}; is another server running there? --listen takes another address"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// No threads or no sockets for media.
    #[error(
        "the media engine can't be started: {0}; --udp-port and --tcp-port take other ports, 0 any free one"
    )]
    Engine(io::Error),
    /// The engine does not answer.
    #[error("the media engine does not answer: {0}")]
    EngineGone(#[from] RtcError),
    /// Metrics that contradict each other.
    #[error("the metrics can't be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No HTTPS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why the server did not end in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Something took too long, and was left to itself.
    #[error("the server could not be shut down in order within the deadline")]
    DeadlinePassed,
}

/// A running server. Serves until [`Server::shutdown`].
pub struct Server {
    app: Data<App>,
    engine: RtcEngine,
    address: SocketAddr,
    media_ports: Vec<u16>,
    media_tcp_ports: Vec<u16>,
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Starts the engine and listens. Call on an actix system.
    ///
    /// # Errors
    /// When a port is taken, a file can't be read, or the system has no more of something.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let engine = start_engine(&config).await?;
        let media_ports = engine.local_ports().await?;
        let media_tcp_ports = engine.local_tcp_ports().await?;
        let metrics = Metrics::new()?;
        let app = Data::new(App {
            rooms: Rooms::new(engine.clone(), config.limits, config.placement, metrics.data().clone()),
            http_sessions: HttpSessions::new(config.limits),
            lifecycle: Lifecycle::new(config.limits.sessions),
            metrics,
            peers: debug::Peers::default(),
            config,
        });
        let (server, address) = listen(&app)?;
        log_start(&app.config, address, &media_ports, &media_tcp_ports);
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        Ok(Self { app, engine, address, media_ports, media_tcp_ports, handle, serving })
    }

    /// Where HTTP is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address, for this machine if the server listens on all of its addresses.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{}://{address}/", self.app.config.scheme())
    }

    /// The UDP ports that media goes through.
    pub fn media_ports(&self) -> &[u16] {
        &self.media_ports
    }

    /// The TCP ports that media goes through where UDP does not; empty without `tcp`.
    pub fn media_tcp_ports(&self) -> &[u16] {
        &self.media_tcp_ports
    }

    /// Ends calls, connections and threads, in this order, within the configured deadline.
    ///
    /// # Errors
    /// When the deadline passed before all had ended.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        let deadline = Instant::now() + self.app.config.timeouts.shutdown;
        let remaining = || deadline.saturating_duration_since(Instant::now());
        self.app.lifecycle.close();
        let sessions = tokio::time::timeout(remaining(), self.app.lifecycle.all_ended()).await;
        // Without grace: the sessions are over, and idle keep-alive connections may wait for nothing.
        self.handle.stop(false).await;
        let served = tokio::time::timeout(remaining(), self.serving).await;
        let ended = self.engine.shutdown(remaining().max(ENGINE_PATIENCE_MIN)).await;
        if sessions.is_err() || served.is_err() || ended.is_err() {
            return Err(ShutdownError::DeadlinePassed);
        }
        Ok(())
    }
}

fn log_start(config: &Config, address: SocketAddr, media_ports: &[u16], media_tcp_ports: &[u16]) {
    let (scheme, shards) = (config.scheme(), config.shards);
    tracing::info!(%address, scheme, shards, ?media_ports, ?media_tcp_ports, "serving");
    if config.https.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            "browsers give cameras and microphones only to HTTPS pages and to localhost: for people on other \
             machines set --certificate and --key, or put a proxy with HTTPS in front"
        );
    }
}

async fn start_engine(config: &Config) -> Result<RtcEngine, StartError> {
    let mut shards = ShardsConfig::default();
    shards.count = config.shards;
    let mut network = NetworkConfig::default();
    network.include_loopback = config.include_loopback;
    network.advertise.clone_from(&config.advertise);
    if let Some(port) = config.tcp_port {
        // Browsers open connections and accept none.
        network.tcp = TcpMode::Passive { port };
    }
    let mut engine = RtcEngineConfig::default();
    engine.shards = shards;
    engine.udp = UdpMode::Shared { port: config.udp_port };
    engine.network = network;
    RtcEngine::start(engine).await.map_err(StartError::Engine)
}

fn listen(app: &Data<App>) -> Result<(actix_web::dev::Server, SocketAddr), StartError> {
    let listen = app.config.listen;
    let refused = |reason| StartError::Listen { address: listen, reason };
    let (listener, address) = bind(listen).map_err(refused)?;
    let builder = actix_server::Server::build().workers(HTTP_WORKERS).disable_signals();
    let data = app.clone();
    let builder = match &app.config.https {
        Some(https) => {
            let acceptor = tls::acceptor(https)?;
            builder.listen("https", listener, move || {
                let service = http_service().secure().local_addr(address);
                let service = service.upgrade(Upgrades(application(data.clone())));
                service.finish(application(data.clone())).openssl(acceptor.clone())
            })
        }
        None => builder.listen("http", listener, move || {
            let service = http_service().local_addr(address);
            service.upgrade(Upgrades(application(data.clone()))).finish(application(data.clone())).tcp()
        }),
    };
    Ok((builder.map_err(refused)?.run(), address))
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that is started again takes its port over from connections that have ended.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn http_service<T, S>() -> HttpServiceBuilder<T, S>
where
    S: ServiceFactory<Request, Config = (), Error: Into<Response<BoxBody>> + 'static, InitError: Debug>,
    <S::Service as Service<Request>>::Future: 'static,
{
    HttpServiceBuilder::default()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_PATIENCE)
        .client_disconnect_timeout(DISCONNECT_PATIENCE)
}

/// What answers requests; each thread has its own.
fn application(
    data: Data<App>,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = ServiceResponse,
    Error = Response<BoxBody>,
    InitError = (),
    Service = impl Service<Request, Response = ServiceResponse, Error = Response<BoxBody>, Future: 'static>
              + 'static,
    Future: 'static,
> {
    let shared = data.clone();
    let application = HttpApp::new().app_data(data).configure(move |service| configure(service, &shared));
    let application = application.into_factory().map_err(|error| Response::from(error.error_response()));
    map_config(application, |()| AppConfig::default())
}

fn configure(service: &mut ServiceConfig, app: &Data<App>) {
    page::configure(service);
    http::configure(service);
    debug::configure(service, &app.config);
    service
        .app_data(PathConfig::default().error_handler(|error, _| unusable(error.to_string())))
        .app_data(QueryConfig::default().error_handler(|error, _| unusable(error.to_string())))
        .route("/ws", web::get().to(signalling::open))
        .route("/metrics", web::get().to(metrics::scrape))
        .route("/healthz", web::get().to(health::alive))
        .route("/readyz", web::get().to(health::ready))
        .default_service(web::to(not_found));
}

/// An address whose parts can't be read.
fn unusable(reason: String) -> actix_web::Error {
    HttpProblem(Problem::new(Code::InvalidMessage, format!("the address can't be understood: {reason}")))
        .into()
}

async fn not_found() -> Result<HttpResponse, HttpProblem> {
    Err(HttpProblem(Problem::new(Code::NotFound, "there is nothing at this address")))
}
