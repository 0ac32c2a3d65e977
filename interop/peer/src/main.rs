//! Our side of the interoperability tests: one connection per WebSocket, driven by the script at its other end, or
//! one connection driven over standard input and output, where no network is to be touched but the one under test.
//!
//! ```sh
//! cargo run --package actix-rtc-interop-peer -- --listen 127.0.0.1:0
//! cargo run --package actix-rtc-interop-peer -- --stdio
//! ```
//!
//! It does what it is told and tells what it sees; whether that is right, the script decides. `README.md` beside
//! this crate holds the messages. Not for use outside of tests: whoever reaches it can make it do anything.

mod command;
mod data;
mod ice;
mod negotiation;
mod outbox;
mod session;
mod view;

use std::time::Duration;

use actix_rtc::{NetworkConfig, RtcEngine, RtcEngineConfig, TcpMode, UdpMode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::header::ContentType, web};
use clap::Parser;

/// A description with many candidates is far smaller; a message of a data channel, in base64, is not.
const FRAME_BYTES_MAX: usize = 8 << 20;
/// At the end of the input the connection is closed and its relays given back.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// Our side of the interoperability tests.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Where to serve the page and the WebSocket
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// ICE alone, driven by lines of JSON on the standard input, instead of the WebSocket
    #[arg(long)]
    ice: bool,
    /// Serve one script, over standard input and output, and offer no loopback addresses
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    /// A socket per connection instead of one for all
    #[arg(long)]
    socket_per_connection: bool,
}

/// Where connections live: they share sockets, and what is told of those.
#[derive(Clone)]
pub(crate) struct Engines {
    /// Tells its addresses.
    pub(crate) open: RtcEngine,
    /// Tells names instead.
    pub(crate) hidden: RtcEngine,
}

impl Engines {
    async fn start(arguments: &Arguments) -> std::io::Result<Self> {
        let mut network = NetworkConfig::default();
        network.include_loopback = !arguments.stdio;
        if !arguments.stdio {
            network.tcp = TcpMode::ActiveAndPassive { port: 0 };
        }
        // The TURN servers of tests have certificates of their own making.
        network.tls.dangerous_accept_any_certificate = true;
        let mut config = RtcEngineConfig::default();
        config.udp = if arguments.socket_per_connection {
            UdpMode::PerConnection
        } else {
            UdpMode::Shared { port: 0 }
        };
        config.network = network;
        let open = RtcEngine::start(config.clone()).await?;
        config.network.hide_host_addresses = true;
        Ok(Self { open, hidden: RtcEngine::start(config).await? })
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if arguments.ice {
        return ice::run().await;
    }
    let engines = Engines::start(&arguments).await?;
    if arguments.stdio {
        session::run_lines(engines.clone()).await;
        return Ok(engines.open.shutdown(SHUTDOWN_PATIENCE).await?);
    }
    let engines = web::Data::new(engines);
    let routes = move || {
        let engines = engines.clone();
        App::new().app_data(engines).route("/", web::get().to(page)).route("/peer", web::get().to(open))
    };
    // Sessions are few and each waits most of the time.
    let server = HttpServer::new(routes).workers(1).bind(&arguments.listen)?;
    for address in server.addrs() {
        println!("the peer is ready: http://{address}/");
    }
    Ok(server.run().await?)
}

/// An empty page: scripts need one whose origin the browser trusts with a camera.
async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::html()).body("<!doctype html><title>interop</title>")
}

async fn open(
    engines: web::Data<Engines>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, socket, frames) = actix_ws::handle(&request, payload)?;
    let frames = frames
        .max_frame_size(FRAME_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(FRAME_BYTES_MAX);
    actix_web::rt::spawn(session::run(engines.get_ref().clone(), socket, frames));
    Ok(response)
}
