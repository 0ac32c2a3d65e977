//! An echo server that strangers can call: sound, pictures and messages come back to their sender.
//!
//! ```sh
//! cargo run --release --example echo -- --listen 127.0.0.1:8090     # then open http://127.0.0.1:8090/
//! curl -X POST -H 'content-type: application/json' -d '{"type":"offer","sdp":"v=0…"}' \
//!     http://127.0.0.1:8090/offer
//! ```
//!
//! `POST /offer` takes `{"type": "offer", "sdp": …}` and returns `{"type": "answer", "sdp": …, "id": …}`, candidates
//! included. With that `id` beside it, another offer renegotiates the same connection; that is how to restart ICE
//! when nothing else gets through. Pages of any origin may ask.
//!
//! Data channels are echoed, except one labelled `signalling`: on it, `{"type", "sdp"}` texts renegotiate in both
//! directions. When offers cross, this side gives way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_rtc::{
    MediaKind, NetworkConfig, RtcConfiguration, RtcDataChannel, RtcDataChannelMessage, RtcEngine,
    RtcEngineConfig, RtcError, RtcEvents, RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState,
    RtcRtpTransceiverDirection as Direction, RtcSdpType, RtcSessionDescription, RtcSignalingState, UdpMode,
};
use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Service,
    http::header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ContentType,
        HeaderValue,
    },
    web,
};
use clap::Parser;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

/// A description has a few kilobytes; one with hundreds of sections stays below this.
const OFFER_BYTES_MAX: usize = 256 * 1024;
/// A connection that has failed can be revived for so long.
const REVIVAL_PATIENCE: Duration = Duration::from_secs(30);
const SIGNALLING: &str = "signalling";

/// Sends back what it gets: audio, video and data.
#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Where to serve the page and POST /offer
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    /// UDP port for media, shared by all connections; 0: any
    #[arg(long, default_value_t = 0)]
    udp_port: u16,
    /// More connections at once are refused
    #[arg(long, default_value_t = 100)]
    max_connections: usize,
}

struct Server {
    engine: RtcEngine,
    calls: Mutex<HashMap<String, Arc<Call>>>,
    max_connections: usize,
}

/// One caller.
struct Call {
    connection: RtcPeerConnection,
    /// Offers come by POST and by data channel: one after the other.
    negotiating: tokio::sync::Mutex<()>,
    signalling: Mutex<Option<RtcDataChannel>>,
}

/// The body of a request.
#[derive(Deserialize)]
struct Offer {
    #[serde(flatten)]
    description: RtcSessionDescription,
    id: Option<String>,
}

async fn offer(server: web::Data<Server>, offer: web::Json<Offer>) -> HttpResponse {
    let Offer { description, id } = offer.into_inner();
    if description.kind != RtcSdpType::Offer {
        return HttpResponse::BadRequest().body("this is no offer");
    }
    let (id, call) = match id {
        Some(id) => match server.call(&id) {
            Some(call) => (id, call),
            None => return HttpResponse::NotFound().body("no connection has this id, or not any more"),
        },
        None => match Server::begin(&server).await {
            Ok(Some(begun)) => begun,
            Ok(None) => return HttpResponse::ServiceUnavailable().body("too many connections"),
            Err(error) => return HttpResponse::InternalServerError().body(error.to_string()),
        },
    };
    match call.answer(description).await {
        Ok(Some(answer)) => {
            HttpResponse::Ok().json(json!({ "type": answer.kind, "sdp": answer.sdp, "id": id }))
        }
        Ok(None) => HttpResponse::Gone().body("the connection was closed"),
        Err(error) => HttpResponse::BadRequest().body(error.to_string()),
    }
}

impl Server {
    fn call(&self, id: &str) -> Option<Arc<Call>> {
        self.calls().get(id).cloned()
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Call>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection under a name that can't be guessed; `None` when there are too many.
    async fn begin(server: &web::Data<Self>) -> Result<Option<(String, Arc<Call>)>, RtcError> {
        if server.calls().len() >= server.max_connections {
            return Ok(None);
        }
        let connection = RtcPeerConnection::on(&server.engine, RtcConfiguration::default()).await?;
        let events = connection.events();
        let id = format!("{:032x}", rand::random::<u128>());
        let (negotiating, signalling) = (tokio::sync::Mutex::new(()), Mutex::new(None));
        let call = Arc::new(Call { connection, negotiating, signalling });
        server.calls().insert(id.clone(), Arc::clone(&call));
        let (server, kept, name) = (server.clone(), Arc::clone(&call), id.clone());
        actix_web::rt::spawn(async move {
            if let Some(events) = events {
                keep(&kept, events).await;
            }
            kept.connection.close().await;
            server.calls().remove(&name);
        });
        Ok(Some((id, call)))
    }
}

impl Call {
    /// `None` when the connection was closed meanwhile.
    async fn answer(&self, offer: RtcSessionDescription) -> Result<Option<RtcSessionDescription>, RtcError> {
        let _one_at_a_time = self.negotiating.lock().await;
        self.connection.set_remote_description(offer).await?;
        self.echo().await?;
        self.connection.set_local_description(None).await?;
        self.connection.gathering_complete().await?;
        Ok(self.connection.local_description())
    }

    /// What the caller sends on a section is what we send on it.
    async fn echo(&self) -> Result<(), RtcError> {
        for transceiver in self.connection.get_transceivers() {
            if transceiver.stopped() {
                continue;
            }
            let arrives =
                matches!(transceiver.remote_direction(), Some(Direction::Sendrecv | Direction::Sendonly));
            let direction = if arrives { Direction::Sendrecv } else { Direction::Recvonly };
            if transceiver.direction() != direction {
                transceiver.set_direction(direction).await?;
            }
            let track = transceiver.receiver().track().filter(|_| arrives);
            if transceiver.sender().track().is_some() != track.is_some() {
                transceiver.sender().send_track(track, vec!["echo".to_owned()]).await?;
            }
        }
        Ok(())
    }

    /// Offers by the channel labelled `signalling`, if there is one.
    async fn negotiate(&self) -> Result<(), RtcError> {
        let channel = self.signalling.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(channel) = channel else { return Ok(()) };
        let _one_at_a_time = self.negotiating.lock().await;
        if self.connection.signaling_state() != RtcSignalingState::Stable {
            return Ok(());
        }
        self.connection.set_local_description(None).await?;
        match self.connection.local_description() {
            Some(offer) => channel.send(json!(offer).to_string()).await,
            None => Ok(()),
        }
    }

    /// Serves the channel labelled `signalling` until it ends.
    async fn signal(&self, channel: RtcDataChannel) {
        *self.signalling.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel.clone());
        let mut events = channel.events();
        while let Some(message) = events.message().await {
            if let Err(error) = self.take(&channel, message).await {
                println!("signalling: {error}");
            }
        }
        *self.signalling.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn take(&self, channel: &RtcDataChannel, message: RtcDataChannelMessage) -> Result<(), RtcError> {
        let RtcDataChannelMessage::Text(text) = message else { return Ok(()) };
        let description: RtcSessionDescription =
            serde_json::from_str(&text).map_err(|error| RtcError::DataError(error.to_string()))?;
        if description.kind != RtcSdpType::Offer {
            let _one_at_a_time = self.negotiating.lock().await;
            return self.connection.set_remote_description(description).await;
        }
        match self.answer(description).await? {
            Some(answer) => channel.send(json!(answer).to_string()).await,
            None => Ok(()),
        }
    }
}

/// Follows a connection until it has ended, or has failed and nobody revives it.
async fn keep(call: &Arc<Call>, mut events: RtcEvents) {
    let mut has_failed = false;
    loop {
        let event = if has_failed {
            tokio::time::timeout(REVIVAL_PATIENCE, events.next()).await.unwrap_or_default()
        } else {
            events.next().await
        };
        match event {
            Some(RtcPeerConnectionEvent::Track { track, .. }) => {
                let kind = if track.kind() == MediaKind::Audio { "audio" } else { "video" };
                println!("echoing {kind} track {}", track.id());
            }
            Some(RtcPeerConnectionEvent::DataChannel(channel)) => {
                println!("channel {}", channel.label());
                let call = Arc::clone(call);
                actix_web::rt::spawn(async move {
                    match channel.label() {
                        SIGNALLING => call.signal(channel).await,
                        _ => echo_messages(channel).await,
                    }
                });
            }
            Some(RtcPeerConnectionEvent::NegotiationNeeded) => {
                if let Err(error) = call.negotiate().await {
                    println!("renegotiation: {error}");
                }
            }
            Some(RtcPeerConnectionEvent::ConnectionStateChange(state)) => {
                println!("connection {}", state.as_str());
                has_failed = state == RtcPeerConnectionState::Failed;
                if state == RtcPeerConnectionState::Closed {
                    break;
                }
            }
            Some(RtcPeerConnectionEvent::Failure(reason)) => println!("{reason}"),
            Some(_) => {}
            None => break,
        }
    }
}

async fn echo_messages(channel: RtcDataChannel) {
    let mut events = channel.events();
    while let Some(message) = events.message().await {
        if channel.send(message).await.is_err() {
            break;
        }
    }
}

async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::html()).body(include_str!("echo_page/index.html"))
}

async fn preflight() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let mut network = NetworkConfig::default();
    let listen = &arguments.listen;
    network.include_loopback = listen.starts_with("127.") || listen.starts_with("localhost");
    let mut config = RtcEngineConfig::default();
    config.network = network;
    config.udp = UdpMode::Shared { port: arguments.udp_port };
    let engine = RtcEngine::start(config).await?;
    let server = Server { engine, calls: Mutex::default(), max_connections: arguments.max_connections };
    let server = web::Data::new(server);
    let http = HttpServer::new(move || {
        App::new()
            .app_data(server.clone())
            .app_data(web::JsonConfig::default().limit(OFFER_BYTES_MAX))
            .wrap_fn(|request, service| {
                let response = service.call(request);
                async {
                    let mut response = response.await?;
                    let headers = response.headers_mut();
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
                    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
                    Ok(response)
                }
            })
            .route("/", web::get().to(page))
            .route("/offer", web::post().to(offer))
            .route("/offer", web::method(actix_web::http::Method::OPTIONS).to(preflight))
    })
    .bind(&arguments.listen)?;
    for address in http.addrs() {
        println!("echo is ready: http://{address}/ and POST http://{address}/offer");
    }
    http.run().await
}
