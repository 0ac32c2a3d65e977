//! An echo server: every audio and video packet comes back to its sender.
//!
//! ```sh
//! cargo run --release --example echo -- --listen 127.0.0.1:8090
//! curl -X POST -H 'content-type: application/json' -d '{"type":"offer","sdp":"v=0…"}' \
//!     http://127.0.0.1:8090/offer
//! ```
//!
//! `POST /offer` takes `{"type":"offer","sdp":…}` and returns the answer, candidates included.

use actix_rtc::{
    MediaKind, NetworkConfig, RtcConfiguration, RtcEngine, RtcEngineConfig, RtcError, RtcEvents,
    RtcPeerConnection, RtcPeerConnectionEvent, RtcPeerConnectionState, RtcRtpTransceiverDirection,
    RtcSessionDescription, UdpMode,
};
use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use futures_util::StreamExt;

/// Answers an offer with a connection that sends everything back.
async fn offer(
    engine: web::Data<RtcEngine>,
    offer: web::Json<RtcSessionDescription>,
) -> Result<impl Responder, actix_web::Error> {
    match answer(&engine, offer.into_inner()).await {
        Ok(answer) => Ok(HttpResponse::Ok().json(answer)),
        Err(error @ (RtcError::OperationError(_) | RtcError::Gone(_))) => {
            Err(actix_web::error::ErrorInternalServerError(error))
        }
        Err(error) => Err(actix_web::error::ErrorBadRequest(error)),
    }
}

async fn answer(engine: &RtcEngine, offer: RtcSessionDescription) -> Result<RtcSessionDescription, RtcError> {
    let connection = RtcPeerConnection::on(engine, RtcConfiguration::default()).await?;
    connection.set_remote_description(offer).await?;
    for transceiver in connection.get_transceivers() {
        // What the peer sends on a section is what we send on it.
        if let Some(track) = transceiver.receiver().track() {
            transceiver.set_direction(RtcRtpTransceiverDirection::Sendrecv).await?;
            transceiver.sender().send_track(Some(track), vec!["echo".to_owned()]).await?;
        }
    }
    connection.set_local_description(None).await?;
    connection.gathering_complete().await?;
    let answer = connection.local_description();
    if let Some(events) = connection.events() {
        actix_web::rt::spawn(keep(connection, events));
    }
    answer.ok_or_else(|| RtcError::Gone("the connection was closed".to_owned()))
}

/// Holds the connection until it ends, and reports what happens to it.
async fn keep(connection: RtcPeerConnection, mut events: RtcEvents) {
    while let Some(event) = events.next().await {
        match event {
            RtcPeerConnectionEvent::Track { track, .. } => {
                let kind = if track.kind() == MediaKind::Audio { "audio" } else { "video" };
                println!("echoing {kind} track {}", track.id());
            }
            RtcPeerConnectionEvent::ConnectionStateChange(state) => {
                println!("connection {}", state.as_str());
                if matches!(state, RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed) {
                    break;
                }
            }
            RtcPeerConnectionEvent::Failure(reason) => println!("{reason}"),
            _ => {}
        }
    }
    connection.close().await;
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let address = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        [] => "127.0.0.1:8090".to_owned(),
        ["--listen", address] => address.to_owned(),
        _ => return Err(std::io::Error::other("usage: echo [--listen ADDRESS:PORT]")),
    };
    let mut config = RtcEngineConfig::default();
    config.udp = UdpMode::Shared { port: 0 };
    let mut network = NetworkConfig::default();
    network.include_loopback = address.starts_with("127.") || address.starts_with("localhost");
    config.network = network;
    let engine = RtcEngine::start(config).await?;
    let data = web::Data::new(engine);
    let server =
        HttpServer::new(move || App::new().app_data(data.clone()).route("/offer", web::post().to(offer)))
            .bind(&address)?;
    for address in server.addrs() {
        println!("echo is ready: POST http://{address}/offer");
    }
    server.run().await
}
