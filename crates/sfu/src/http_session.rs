//! WHIP and WHEP sessions: a connection that was made by one HTTP request and is ended by another.
//!
//! Each is a task that owns its [`Participant`]; the table here knows how to end it. A session that does not
//! connect in time, or loses its connection for good, ends by itself: there is nobody to tell.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_rtc::{RtcEvents, RtcPeerConnectionEvent, RtcPeerConnectionState};
use actix_web::web::Data;
use futures_util::{FutureExt, StreamExt};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use crate::{
    app::App,
    config::Limits,
    data,
    ids::SessionId,
    metrics::Counted,
    participant::Participant,
    problem::{Code, Problem},
    queue,
    room::{Publish, RoomEvent},
    rooms::{RoomsError, Seat},
    shutdown::SessionGuard,
};

/// For the end of a session, which takes no more than a few messages.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// How a session was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Whip,
    Whep,
}

impl Protocol {
    /// As in its address.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }
}

/// All sessions by id.
pub(crate) struct HttpSessions {
    limits: Limits,
    table: Arc<Mutex<HashMap<SessionId, Entry>>>,
    pending: Arc<Mutex<Pending>>,
}

struct Entry {
    protocol: Protocol,
    room: String,
    /// Asks the session's task to end; it answers when it has.
    end: oneshot::Sender<oneshot::Sender<()>>,
}

/// Sessions that are not connected yet: they cost as much as others, and a flood of requests makes them.
#[derive(Default)]
struct Pending {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs while one is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpSessions {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, table: Arc::default(), pending: Arc::default() }
    }

    /// Takes one of the places for sessions that are not connected yet.
    ///
    /// # Errors
    /// When all are taken, or all that one address may have.
    pub(crate) fn reserve(&self, address: Option<IpAddr>) -> Result<PendingPlace, Problem> {
        let mut pending = lock(&self.pending);
        if pending.total >= self.limits.pending {
            return Err(Problem::new(Code::Overloaded, "too many sessions are connecting; try again later"));
        }
        if let Some(address) = address {
            let count = pending.by_address.entry(address).or_default();
            if *count >= self.limits.pending_per_address {
                let sentence = "too many sessions from your address are connecting; try again later";
                return Err(Problem::new(Code::RateLimited, sentence));
            }
            *count += 1;
        }
        pending.total += 1;
        Ok(PendingPlace { pending: Arc::clone(&self.pending), address })
    }

    /// Ends a session and waits for that. False when there is none of this protocol, room and id.
    pub(crate) async fn end(&self, protocol: Protocol, room: &str, id: &SessionId) -> bool {
        let entry = {
            let mut table = lock(&self.table);
            let fits = |entry: &Entry| entry.protocol == protocol && entry.room == room;
            if !table.get(id).is_some_and(fits) {
                return false;
            }
            table.remove(id)
        };
        let Some(entry) = entry else { return false };
        let (done, ended) = oneshot::channel();
        if entry.end.send(done).is_ok() {
            // A session that takes longer is ending nevertheless.
            let _ = tokio::time::timeout(END_PATIENCE, ended).await;
        }
        true
    }

    /// Starts the task of a session on the current thread; returns its id.
    pub(crate) fn start(&self, protocol: Protocol, parts: SessionParts) -> SessionId {
        let id = SessionId::random();
        let (end, ended) = oneshot::channel();
        let room = parts.seat.room().to_owned();
        lock(&self.table).insert(id.clone(), Entry { protocol, room, end });
        let listed = Listed { table: Arc::clone(&self.table), id: id.clone() };
        let deadline = Some(Instant::now() + parts.app.config.timeouts.connect);
        let session = HttpSession {
            deadline,
            _counted: parts.app.metrics.http_session(protocol.as_str()),
            listed,
            parts,
        };
        tracing::info!(protocol = protocol.as_str(), room = ?session.parts.seat.room(), "session begins");
        actix_web::rt::spawn(session.run(ended));
        id
    }
}

/// A place for a session that is not connected yet; free again when dropped.
pub(crate) struct PendingPlace {
    pending: Arc<Mutex<Pending>>,
    address: Option<IpAddr>,
}

impl Drop for PendingPlace {
    fn drop(&mut self) {
        let mut pending = lock(&self.pending);
        pending.total -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = pending.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                pending.by_address.remove(&address);
            }
        }
    }
}

/// What a request has brought together before its connection is made.
pub(crate) struct Opening {
    pub(crate) app: Data<App>,
    pub(crate) guard: SessionGuard,
    pub(crate) pending: PendingPlace,
    pub(crate) seat: Seat,
    pub(crate) offer: String,
}

/// Runs the making of a session, and with it the session's task, on the shard where its connection lives: it asks
/// there a dozen things, and each would wake two threads. Ends when the caller stops waiting.
pub(crate) async fn open_on_shard<F, Fut, T>(opening: Opening, open: F) -> Result<T, Problem>
where
    F: FnOnce(Opening) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, Problem>> + 'static,
    T: Send + 'static,
{
    let (_waiting, given_up) = oneshot::channel::<Infallible>();
    let (rooms, shard) = (Arc::clone(&opening.app.rooms), opening.seat.shard());
    let run = move || async move {
        tokio::select! {
            result = open(opening) => result,
            _ = given_up => Err(Problem::new(Code::Internal, "nobody waits for the answer any more")),
        }
    };
    rooms.engine().shards().run_on(shard, run).await.map_err(RoomsError::from)?
}

/// Keeps a session in the table until it has ended by itself.
struct Listed {
    table: Arc<Mutex<HashMap<SessionId, Entry>>>,
    id: SessionId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.table).remove(&self.id);
    }
}

/// What a session is made of.
pub(crate) struct SessionParts {
    pub(crate) app: Data<App>,
    pub(crate) guard: SessionGuard,
    pub(crate) pending: Option<PendingPlace>,
    pub(crate) seat: Seat,
    pub(crate) participant: Participant,
    pub(crate) peer_events: RtcEvents,
    pub(crate) room_events: queue::Receiver<RoomEvent>,
}

struct HttpSession {
    parts: SessionParts,
    /// The connection must be (again) connected by then.
    deadline: Option<Instant>,
    _counted: Counted,
    listed: Listed,
}

impl HttpSession {
    async fn run(mut self, mut ended: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut asker = None;
        let reason = loop {
            let deadline = self.deadline;
            let parts = &mut self.parts;
            tokio::select! {
                asked = &mut ended => {
                    asker = asked.ok();
                    break "it was asked to";
                }
                () = parts.guard.closing() => break "the server is shutting down",
                () = expired(deadline) => break "its connection did not come about in time",
                event = parts.peer_events.next() => match event {
                    Some(event) => if let Some(reason) = self.peer_events(event) { break reason },
                    None => break "its connection is gone",
                },
                event = parts.room_events.recv() => match event {
                    Some(RoomEvent::TracksEnded(tracks)) => self.parts.participant.drop_tracks(&tracks).await,
                    Some(_) => {}
                    None => break "it was put out of the room",
                },
            }
        };
        tracing::info!(room = ?self.parts.seat.room(), reason, "session ends");
        let Self { parts: SessionParts { participant, seat, guard, .. }, listed, .. } = self;
        // Before the room is told: whoever hears there that it is over must not find it here.
        drop(listed);
        drop(seat);
        participant.close().await;
        drop(guard);
        if let Some(asker) = asker {
            // Who asked may have stopped waiting.
            let _ = asker.send(());
        }
    }

    /// An event and all that came with it: they come in groups, and waiting anew sets up a timer and two queues.
    /// Returns why the session has to end, if it has to.
    fn peer_events(&mut self, first: RtcPeerConnectionEvent) -> Option<&'static str> {
        let mut next = Some(first);
        while let Some(event) = next {
            if let Some(reason) = self.peer_event(event) {
                return Some(reason);
            }
            next = self.parts.peer_events.next().now_or_never().flatten();
        }
        None
    }

    /// Returns why the session has to end, if it has to.
    fn peer_event(&mut self, event: RtcPeerConnectionEvent) -> Option<&'static str> {
        match event {
            RtcPeerConnectionEvent::ConnectionStateChange(state) => self.state_changed(state),
            RtcPeerConnectionEvent::Failure(reason) => {
                tracing::warn!(reason, "part of a session's connection failed");
                if let Some(tracks) = self.parts.participant.update_published() {
                    let participant = self.parts.seat.participant().clone();
                    self.parts.seat.tell(Publish { participant, tracks });
                }
                None
            }
            RtcPeerConnectionEvent::DataChannel(channel) => {
                let sentence = "data channels need a participant that came over the WebSocket";
                data::refuse(
                    self.parts.app.metrics.data(),
                    &channel,
                    Problem::new(Code::UnknownChannel, sentence),
                );
                None
            }
            _ => None,
        }
    }

    fn state_changed(&mut self, state: RtcPeerConnectionState) -> Option<&'static str> {
        match state {
            RtcPeerConnectionState::Connected => {
                self.deadline = None;
                self.parts.pending = None;
                None
            }
            RtcPeerConnectionState::Disconnected => {
                self.deadline = Some(Instant::now() + self.parts.app.config.timeouts.connect);
                None
            }
            // There is no signalling by which ICE could be restarted.
            RtcPeerConnectionState::Failed => Some("its connection failed"),
            RtcPeerConnectionState::Closed => Some("its peer hung up"),
            RtcPeerConnectionState::New | RtcPeerConnectionState::Connecting => None,
        }
    }
}

/// Completes at the deadline, or never.
pub(crate) async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn sessions(words: &[&'static str]) -> HttpSessions {
        let words = std::iter::once("actix-rtc-sfu").chain(words.iter().copied());
        HttpSessions::new(Config::from_words(words).unwrap().limits)
    }

    #[test]
    fn places_for_connecting_sessions_are_limited_and_come_back() {
        let sessions = sessions(&["--max-pending", "3", "--max-pending-per-address", "2"]);
        let [one, two] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|address| Some(IpAddr::from(address)));
        let first = sessions.reserve(one).ok().unwrap();
        let _second = sessions.reserve(one).ok().unwrap();
        assert_eq!(sessions.reserve(one).err().unwrap().code, Code::RateLimited);
        let _third = sessions.reserve(two).ok().unwrap();
        assert_eq!(sessions.reserve(two).err().unwrap().code, Code::Overloaded);
        drop(first);
        assert!(sessions.reserve(one).is_ok());
        assert_eq!(lock(&sessions.pending).by_address.len(), 2);
    }

    #[actix_web::test]
    async fn a_session_that_is_not_there_can_not_be_ended() {
        assert!(!sessions(&[]).end(Protocol::Whip, "room", &SessionId::random()).await);
    }
}
