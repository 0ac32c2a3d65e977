//! One WebSocket client: a task that handles what comes, one thing after the other, and owns the client's
//! place in its room and its connection.
//!
//! ```text
//!  open ── join ──▶ in a room ── first offer ──▶ with a connection ──▶ end: left, gone, or told to go
//!    └─ nothing else than ping is taken before        └─ `failed`: told, and given time for an ICE restart
//! ```

use actix_http::{body::MessageBody, ws};
use actix_rtc::{RtcPeerConnectionEvent, actors::kit};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use std::time::{Duration, Instant};

use super::{
    call::{Call, CallEvent},
    end::{End, Reason},
    frames::{FrameError, Frames, Message},
    keepalive::{Due, Keepalive},
    messages::{ClientMessage, Offer, ServerMessage},
    outbox::{self, Outbox},
    parse,
};
use crate::{
    app::App,
    http::HttpProblem,
    metrics::Counted,
    problem::{Code, Problem},
    rate_limit::RateLimit,
    room::RoomEvent,
    shutdown::SessionGuard,
};

/// After our close frame, for the client's own.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// `GET /ws`.
pub(crate) async fn open(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let guard = app.lifecycle.begin().map_err(HttpProblem)?;
    let mut response = ws::handshake(request.head())?;
    let frames = Frames::new(payload, app.config.limits.message_bytes);
    let (outbox, written) = outbox::outbox();
    actix_web::rt::spawn(Client::new(app, guard, outbox).run(frames));
    Ok(response.message_body(written.boxed())?.into())
}

/// What a client's task waits for.
enum Wake {
    Frame(Option<Result<Message, FrameError>>),
    Call(CallEvent),
    Timeout,
    Shutdown,
    /// What is written does not reach the client any more.
    Gone,
}

struct Client {
    app: Data<App>,
    guard: SessionGuard,
    outbox: Outbox,
    rate: RateLimit,
    keepalive: Keepalive,
    join_deadline: Instant,
    call: Option<Call>,
    _counted: Counted,
}

impl Client {
    fn new(app: Data<App>, guard: SessionGuard, outbox: Outbox) -> Self {
        let now = kit::now();
        Self {
            rate: RateLimit::new(now, app.config.limits.messages_per_second),
            keepalive: Keepalive::new(now, app.config.timeouts.idle),
            join_deadline: now + app.config.timeouts.join,
            call: None,
            _counted: app.metrics.websocket(),
            outbox,
            guard,
            app,
        }
    }

    async fn run(mut self, mut frames: Frames) {
        // What is rarely done is boxed: else each client holds room for the largest of it, as long as it is there.
        let end = loop {
            let handled = match self.wake(&mut frames).await {
                Wake::Frame(frame) => Box::pin(self.frame(frame)).await,
                Wake::Call(event) => Box::pin(self.call_event(event)).await,
                Wake::Timeout => self.timeout(),
                Wake::Shutdown => Err(Reason::Shutdown.into()),
                Wake::Gone => Err(End::Gone),
            };
            if let Err(end) = handled {
                break end;
            }
        };
        Box::pin(self.finish(end, frames)).await;
    }

    async fn wake(&mut self, frames: &mut Frames) -> Wake {
        let deadline = self.deadline();
        tokio::select! {
            () = self.guard.closing() => Wake::Shutdown,
            () = self.outbox.closed() => Wake::Gone,
            frame = frames.next() => Wake::Frame(frame),
            event = Call::next_event(&mut self.call) => Wake::Call(event),
            () = tokio::time::sleep_until(deadline.into()) => Wake::Timeout,
        }
    }

    fn deadline(&self) -> Instant {
        let own = match &self.call {
            None => Some(self.join_deadline),
            Some(call) => call.deadline(),
        };
        let keepalive = self.keepalive.deadline();
        own.map_or(keepalive, |own| own.min(keepalive))
    }

    fn timeout(&mut self) -> Result<(), End> {
        let now = kit::now();
        match &self.call {
            None if now >= self.join_deadline => {
                self.tell(&Problem::new(Code::TimedOut, "nobody joined within the time for it"))?;
                return Err(Reason::JoinTimeout.into());
            }
            Some(call) if call.deadline().is_some_and(|deadline| now >= deadline) => {
                return Err(Reason::ConnectionFailed.into());
            }
            _ => {}
        }
        match self.keepalive.due(now) {
            Due::Nothing => Ok(()),
            Due::Ping => Ok(self.outbox.ping()?),
            Due::Dead => Err(Reason::Idle.into()),
        }
    }

    async fn frame(&mut self, frame: Option<Result<Message, FrameError>>) -> Result<(), End> {
        let now = kit::now();
        self.keepalive.heard(now);
        let Some(frame) = frame else { return Err(End::Gone) };
        if !self.rate.allow(now) {
            self.tell(&Problem::new(Code::RateLimited, "too many messages in too short a time"))?;
            return Err(Reason::RateLimited.into());
        }
        match frame {
            Ok(Message::Text(text)) => self.text(&text).await,
            Ok(Message::Binary) => self.tell(&not_text()),
            Ok(Message::Ping(payload)) => Ok(self.outbox.pong(payload)?),
            Ok(Message::Pong) => Ok(()),
            Ok(Message::Close) => Err(End::Gone),
            Err(error) => self.broken_frame(error),
        }
    }

    fn broken_frame(&mut self, error: FrameError) -> Result<(), End> {
        match error {
            FrameError::Lost => Err(End::Gone),
            FrameError::NotText => self.tell(&not_text()),
            FrameError::TooLarge => {
                let most = self.app.config.limits.message_bytes;
                self.tell(&Problem::new(Code::TooLarge, format!("a message has at most {most} bytes")))?;
                Err(Reason::TooLarge.into())
            }
            FrameError::Protocol(error) => {
                tracing::debug!(%error, "a client broke the WebSocket protocol");
                Err(Reason::Protocol.into())
            }
        }
    }

    async fn text(&mut self, text: &str) -> Result<(), End> {
        match parse::client_message(text, self.app.config.limits.sdp_bytes) {
            Ok(message) => self.message(message).await,
            Err(problem) => self.tell(&problem),
        }
    }

    async fn message(&mut self, message: ClientMessage) -> Result<(), End> {
        match (message, &mut self.call) {
            (ClientMessage::Ping, _) => self.say(&ServerMessage::Pong),
            (ClientMessage::Join { room, name }, None) => self.join(&room, name).await,
            (ClientMessage::Join { .. }, Some(_)) => {
                self.tell(&Problem::new(Code::AlreadyJoined, "this WebSocket has joined a room already"))
            }
            (_, None) => self.tell(&Problem::new(Code::NotJoined, "the first message must be join")),
            (ClientMessage::Offer(offer), Some(_)) => self.offer(offer).await,
            (ClientMessage::Candidate(candidate), Some(call)) => match call.add_candidate(candidate).await {
                Ok(()) => Ok(()),
                Err(problem) => self.tell(&problem),
            },
            (ClientMessage::State { audio, video }, Some(call)) => {
                call.set_state(audio, video);
                Ok(())
            }
            (ClientMessage::Leave, Some(_)) => Err(Reason::Left.into()),
        }
    }

    async fn join(&mut self, room: &str, name: String) -> Result<(), End> {
        match Call::join(&self.app, room, name).await {
            Ok((call, participants)) => {
                tracing::info!(participant = %call.participant(), ?room, "joined");
                let joined = ServerMessage::Joined {
                    room,
                    participant: call.participant(),
                    ice_servers: [],
                    participants: participants.iter().map(AsRef::as_ref).collect(),
                    data: self.app.config.limits.data.into(),
                };
                self.say(&joined)?;
                self.call = Some(call);
                Ok(())
            }
            Err(problem) => {
                self.tell(&problem)?;
                Err(Reason::Refused.into())
            }
        }
    }

    async fn offer(&mut self, offer: Offer) -> Result<(), End> {
        let Some(call) = &mut self.call else { return Ok(()) };
        let id = offer.id;
        let answered = call.negotiate(&self.app, offer).await;
        self.app.metrics.offer(answered.is_ok());
        match answered {
            Ok(sdp) => {
                call.publish();
                self.say(&ServerMessage::Answer { id, sdp: &sdp })
            }
            Err(problem) => self.tell(&problem.with_id(Some(id))),
        }
    }

    async fn call_event(&mut self, event: CallEvent) -> Result<(), End> {
        let Some(call) = &mut self.call else { return Ok(()) };
        match event {
            CallEvent::Room(Some(RoomEvent::DataChannelEnded(problem))) => self.tell(&problem),
            CallEvent::Room(Some(event)) => {
                let said = call.room_event(event).await;
                said.map_or(Ok(()), |text| Ok(self.outbox.text(text)?))
            }
            CallEvent::Room(None) => Err(Reason::Slow.into()),
            CallEvent::Peer(Some(RtcPeerConnectionEvent::DataChannel(channel))) => {
                call.accept_channel(&self.app, channel).await;
                Ok(())
            }
            CallEvent::Peer(Some(event)) => {
                let timeout = self.app.config.timeouts.connect;
                match call.peer_event(event, timeout) {
                    Ok(said) => said.map_or(Ok(()), |text| Ok(self.outbox.text(text)?)),
                    Err(failed) => {
                        let end = failed.end;
                        self.tell(&failed.problem)?;
                        end.map_or(Ok(()), |reason| Err(reason.into()))
                    }
                }
            }
            CallEvent::Peer(None) => {
                self.tell(&Problem::new(Code::Internal, "the connection was lost by a fault of the server"))?;
                Err(Reason::Internal.into())
            }
        }
    }

    fn say(&self, message: &ServerMessage<'_>) -> Result<(), End> {
        Ok(self.outbox.text(message.to_json())?)
    }

    fn tell(&self, problem: &Problem) -> Result<(), End> {
        self.app.metrics.problem(problem.code);
        self.say(&ServerMessage::Error(problem))
    }

    /// The others learn of it first, then the peer, then the WebSocket is closed.
    async fn finish(mut self, end: End, mut frames: Frames) {
        let reason = match end {
            End::Gone => Reason::Gone,
            End::Told(reason) => reason,
        };
        if reason.is_announced() {
            // A client that is too slow for this will see the close frame, or nothing.
            let _ = self.say(&ServerMessage::Closing { reason: reason.as_str() });
        }
        if let Some(call) = self.call.take() {
            tracing::info!(participant = %call.participant(), reason = reason.as_str(), "left");
            call.end().await;
        }
        self.outbox.close(reason.close_reason()).await;
        let drain = async { while let Some(Ok(_)) = frames.next().await {} };
        // Until the client has answered the close frame, so that it is not lost with unread data.
        let _ = tokio::time::timeout(DRAIN_PATIENCE, drain).await;
        drop(self.guard);
    }
}

fn not_text() -> Problem {
    Problem::new(Code::InvalidJson, "a message must be text in UTF-8").in_line(1)
}
