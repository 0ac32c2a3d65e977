//! Malformed signalling: the client that sent it gets an error naming the line or field, nobody else notices.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::operations::join;
use super::stage::{Stage, with_server};
use crate::server::Server;
use crate::websocket::{Frame, WebSocket};

const PATIENCE: Duration = Duration::from_secs(20);

/// What an error has to point at.
enum Names {
    Line(u64),
    AnyLine,
    Field(&'static str),
    AnyField,
    /// The code says it all.
    Nothing,
}

struct BadMessage {
    what: &'static str,
    text: String,
    code: &'static str,
    names: Names,
}

pub(crate) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let workspace = stage.workspace();
    stage.case("malformed signalling", &[], || {
        with_server(workspace, "hostile-signalling", false, malformed)
    })?;
    stage.case("malformed WHIP and WHEP requests", &[], || {
        with_server(workspace, "hostile-http", false, malformed_http)
    })
}

fn malformed(server: &mut Server) -> Result<String> {
    let mut bystander = join(server.address, "bad-input", "Bystander")?;
    let mut stranger = WebSocket::open(server.address, "/ws")?;
    expect_error(&mut stranger, &not_joined())?;
    let mut offender = join(server.address, "bad-input", "Offender")?;
    let messages = bad_messages();
    for message in &messages {
        expect_error(&mut offender, message)?;
        answers_ping(&mut offender).with_context(|| format!("after {}", message.what))?;
    }
    drowned(server)?;
    answers_ping(&mut bystander).context("another participant")?;
    saw_no_error(&mut bystander)?;
    Ok(format!("{} kinds of bad messages named, other participants unaffected", messages.len() + 1))
}

fn not_joined() -> BadMessage {
    let text = json!({"type": "offer", "id": 1, "sdp": "v=0\r\n"}).to_string();
    BadMessage { what: "an offer before joining", text, code: "not-joined", names: Names::Nothing }
}

fn bad_messages() -> Vec<BadMessage> {
    let message = |what, text: String, code, names| BadMessage { what, text, code, names };
    let offer = |sdp: &str| json!({"type": "offer", "id": 7, "sdp": sdp, "subscriptions": {}}).to_string();
    let session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    vec![
        message("text that is no JSON", "hello".to_owned(), "invalid-json", Names::AnyLine),
        message(
            "JSON broken on line 2",
            "{\"type\":\n \"ping\",,}".to_owned(),
            "invalid-json",
            Names::Line(2),
        ),
        message("an empty message", String::new(), "invalid-json", Names::AnyLine),
        message("deep nesting", deep, "invalid-json", Names::AnyLine),
        message("an unknown type", r#"{"type":"dance"}"#.to_owned(), "invalid-message", Names::Field("type")),
        message("no type", r#"{"room":"a"}"#.to_owned(), "invalid-message", Names::Field("type")),
        message(
            "an offer without SDP",
            r#"{"type":"offer","id":7}"#.to_owned(),
            "invalid-message",
            Names::Field("sdp"),
        ),
        message(
            "an offer whose SDP is a number",
            r#"{"type":"offer","id":7,"sdp":5}"#.to_owned(),
            "invalid-message",
            Names::Field("sdp"),
        ),
        message(
            "an offer whose id is a list",
            r#"{"type":"offer","id":[],"sdp":"v=0"}"#.to_owned(),
            "invalid-message",
            Names::Field("id"),
        ),
        message(
            "a candidate that is none",
            r#"{"type":"candidate","candidate":"candidate:nonsense","sdpMid":"0"}"#.to_owned(),
            "invalid-candidate",
            Names::AnyField,
        ),
        message(
            "a second join",
            r#"{"type":"join","room":"other","name":"Twice"}"#.to_owned(),
            "already-joined",
            Names::Nothing,
        ),
        message("SDP that is no SDP", offer("this is no SDP\r\n"), "invalid-sdp", Names::Line(1)),
        message(
            "SDP broken on line 5",
            offer(&format!("{session}m=audio noport UDP/TLS/RTP/SAVPF 111\r\n")),
            "invalid-sdp",
            Names::Line(5),
        ),
        message(
            "SDP cut in a line",
            offer("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns"),
            "invalid-sdp",
            Names::Line(3),
        ),
        message("empty SDP", offer(""), "invalid-sdp", Names::AnyLine),
    ]
}

/// Sends one bad message and holds the error that comes back against what it has to name.
fn expect_error(socket: &mut WebSocket, bad: &BadMessage) -> Result<()> {
    let what = bad.what;
    socket.send_text(&bad.text).with_context(|| what.to_owned())?;
    let error = socket
        .receive_json(PATIENCE, "an error", |message| message["type"] == "error")
        .with_context(|| format!("{what} got no error"))?;
    let names = match bad.names {
        Names::Line(line) => error["line"] == line,
        Names::AnyLine => error["line"].is_u64(),
        Names::Field(field) => error["field"] == field,
        Names::AnyField => error["field"].as_str().is_some_and(|field| !field.is_empty()),
        Names::Nothing => true,
    };
    let sentence = error["message"].as_str().is_some_and(|sentence| !sentence.is_empty());
    if error["code"] != bad.code || !names || !sentence {
        bail!("{what} got the wrong error, wanted code {} and its place: {error}", bad.code);
    }
    let sent: Option<Value> = serde_json::from_str(&bad.text).ok();
    let id = sent.and_then(|sent| sent.get("id").cloned());
    // A refused offer is told by its id; a message that is no offer at all has none to tell.
    if bad.code == "invalid-sdp" && id.is_some_and(|id| error["id"] != id) {
        bail!("the error about {what} does not carry the offer's id: {error}");
    }
    Ok(())
}

/// A frame far beyond any message: the connection may be closed, and only that connection.
fn drowned(server: &Server) -> Result<()> {
    let mut socket = join(server.address, "bad-input", "Flood")?;
    let huge = "x".repeat(8 << 20);
    // The server may close while the frame is still being written.
    let _ = socket.send_text(&huge);
    let _ = socket.send_binary(&[0; 64]);
    for _ in 0..100 {
        match socket.receive(PATIENCE) {
            Ok(Some(Frame::Close(..) | Frame::End)) | Err(_) => return Ok(()),
            Ok(Some(Frame::Text(text))) if text.contains("\"error\"") => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => bail!("a frame of 8 MiB got neither an error nor a close"),
        }
    }
    Err(anyhow!("a frame of 8 MiB got neither an error nor a close"))
}

fn answers_ping(socket: &mut WebSocket) -> Result<()> {
    socket.send_json(&json!({"type": "ping"}))?;
    socket.receive_json(PATIENCE, "a pong", |message| message["type"] == "pong").map(|_| ())
}

/// Whatever else arrived at the bystander, no error and no closing did.
fn saw_no_error(socket: &mut WebSocket) -> Result<()> {
    while let Some(frame) = socket.receive(Duration::from_millis(300))? {
        let Frame::Text(text) = frame else { bail!("another participant got {frame:?}") };
        let message: Value = serde_json::from_str(&text)?;
        if message["type"] == "error" || message["type"] == "closing" {
            bail!("another participant got {message}");
        }
    }
    Ok(())
}

/// WHIP and WHEP answer bad offers with 4xx and a JSON reason.
fn malformed_http(server: &mut Server) -> Result<String> {
    let broken =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio noport UDP/TLS/RTP/SAVPF 111\r\n";
    let requests = [
        ("/whip/room", "application/sdp", "this is no SDP"),
        ("/whip/room", "application/sdp", broken),
        ("/whip/room", "text/plain", broken),
        ("/whip/room", "application/sdp", ""),
        ("/whep/room", "application/sdp", broken),
        ("/whep/room", "application/json", "{}"),
    ];
    for (path, kind, body) in requests {
        let response = crate::http::request(server.address, "POST", path, Some((kind, body)))?;
        if !(400..500).contains(&response.status) {
            bail!("POST {path} with {kind} {body:?} answered {}: {}", response.status, response.body);
        }
        let reason: Result<Value, _> = serde_json::from_str(&response.body);
        if !reason.is_ok_and(|reason| reason.is_object()) {
            bail!("POST {path} with {kind} {body:?} answered without a JSON reason: {:?}", response.body);
        }
    }
    let missing = crate::http::request(server.address, "DELETE", "/whip/room/no-such-session", None)?;
    if !(400..500).contains(&missing.status) {
        bail!("DELETE of a session that does not exist answered {}", missing.status);
    }
    Ok(format!("{} bad requests got 4xx with a reason", requests.len() + 1))
}
