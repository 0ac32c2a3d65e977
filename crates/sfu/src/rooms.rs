//! All rooms by name. A room exists from its first member to its last; a [`Membership`] keeps it.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use actix::Addr;
use actix_rtc::{RtcEngine, actors::kit};
use tokio::sync::OnceCell;

use crate::{
    config::Limits,
    data::DataPort,
    ids::ParticipantId,
    metrics::DataMetrics,
    placement::Placement,
    problem::{Code, Problem},
    room::{Close, Join, JoinError, Leave, ParticipantInfo, Room, RoomLimits},
};

/// Longest name of a room or a person.
pub(crate) const NAME_BYTES_MAX: usize = 256;
/// What fits a tile and a URL.
const NAME_CHARACTERS_MAX: usize = 64;

/// Why a name can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("a room needs a name")]
    Empty,
    #[error("a name has at most {NAME_CHARACTERS_MAX} characters")]
    TooLong,
    #[error("a name must not contain control characters")]
    ControlCharacter,
}

/// Rooms have a name.
pub(crate) fn check_room_name(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Empty);
    }
    check_person_name(name)
}

/// People may leave theirs out.
pub(crate) fn check_person_name(name: &str) -> Result<(), NameError> {
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(NameError::TooLong);
    }
    // They would corrupt logs and confuse whoever reads the name.
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    Ok(())
}

/// Why there is no way into a room.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomsError {
    #[error("the server has {0} rooms, and takes no more")]
    TooManyRooms(usize),
    #[error(transparent)]
    Refused(#[from] JoinError),
    #[error("the room could not be opened: {0}")]
    Engine(#[from] kit::ShardError),
    #[error("the room does not answer: {0}")]
    Gone(#[from] kit::AskError),
}

impl From<RoomsError> for Problem {
    fn from(error: RoomsError) -> Self {
        let code = match error {
            RoomsError::TooManyRooms(_) => Code::TooManyRooms,
            RoomsError::Refused(_) => Code::RoomFull,
            RoomsError::Engine(_) | RoomsError::Gone(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// The rooms of a server.
pub(crate) struct Rooms {
    engine: RtcEngine,
    limits: Limits,
    placement: Placement,
    metrics: DataMetrics,
    table: Mutex<HashMap<String, Arc<Entry>>>,
}

struct Entry {
    /// The shard of the `Room`.
    home: usize,
    /// Started by the first who comes; others wait for that.
    room: OnceCell<Addr<Room>>,
    /// On each shard. Changed only while the table is locked.
    members: Mutex<Vec<usize>>,
}

impl Rooms {
    pub(crate) fn new(
        engine: RtcEngine,
        limits: Limits,
        placement: Placement,
        metrics: DataMetrics,
    ) -> Arc<Self> {
        Arc::new(Self { engine, limits, placement, metrics, table: Mutex::default() })
    }

    /// The way into a room, which is opened if need be.
    pub(crate) async fn enter(self: &Arc<Self>, name: &str) -> Result<Membership, RoomsError> {
        let membership = {
            let mut table = self.lock();
            let count = table.len();
            let entry = match table.get(name) {
                Some(entry) => entry,
                None if count >= self.limits.rooms => return Err(RoomsError::TooManyRooms(count)),
                None => {
                    let shards = self.engine.shards();
                    let (home, members) = (shards.least_loaded(), Mutex::new(vec![0; shards.len()]));
                    let new = || Arc::new(Entry { home, room: OnceCell::new(), members });
                    table.entry(name.to_owned()).or_insert_with(new)
                }
            };
            Membership::new(self, name, entry)
        };
        membership.open().await?;
        Ok(membership)
    }

    /// The way into a room that exists.
    pub(crate) async fn enter_existing(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Option<Membership>, RoomsError> {
        let membership = self.lock().get(name).map(|entry| Membership::new(self, name, entry));
        if let Some(membership) = &membership {
            membership.open().await?;
        }
        Ok(membership)
    }

    pub(crate) fn engine(&self) -> &RtcEngine {
        &self.engine
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        // No code that can panic runs while it is locked.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a room; one of the same name that came later stays.
    fn forget(&self, name: &str, entry: &Arc<Entry>) {
        let mut table = self.lock();
        if table.get(name).is_some_and(|present| Arc::ptr_eq(present, entry)) {
            table.remove(name);
        }
    }
}

/// A place in a room: keeps it open, and closes it if it was the last.
pub(crate) struct Membership {
    rooms: Arc<Rooms>,
    name: String,
    entry: Arc<Entry>,
    /// Where this member lives.
    shard: usize,
}

impl Membership {
    /// Call with the table locked, so that the room can't end in between.
    fn new(rooms: &Arc<Rooms>, name: &str, entry: &Arc<Entry>) -> Self {
        let mut members = entry.members.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = rooms.placement.of_member(entry.home, &members, &rooms.engine.shards().loads());
        members[shard] += 1;
        drop(members);
        Self { rooms: Arc::clone(rooms), name: name.to_owned(), entry: Arc::clone(entry), shard }
    }

    async fn open(&self) -> Result<(), RoomsError> {
        self.entry.room.get_or_try_init(|| self.start()).await.map(|_| ())
    }

    async fn start(&self) -> Result<Addr<Room>, RoomsError> {
        let limits = &self.rooms.limits;
        let room_limits = RoomLimits { participants: limits.participants, viewers: limits.viewers };
        let metrics = self.rooms.metrics.clone();
        let rooms: Weak<Rooms> = Arc::downgrade(&self.rooms);
        let (name, entry) = (self.name.clone(), Arc::downgrade(&self.entry));
        // A room that was lost must not be entered again; its members notice by the end of their events.
        let down = move || {
            if let (Some(rooms), Some(entry)) = (rooms.upgrade(), entry.upgrade()) {
                rooms.forget(&name, &entry);
            }
        };
        let shards = self.rooms.engine.shards();
        Ok(shards
            .run_on(self.entry.home, move || async move { Room::start(room_limits, metrics, down) })
            .await?)
    }

    /// Sends the room a message and awaits the answer.
    pub(crate) async fn ask<M>(&self, message: M) -> Result<M::Result, RoomsError>
    where
        M: actix::Message + Send + Unpin + 'static,
        M::Result: Send,
        Room: actix::Handler<M>,
    {
        let Some(room) = self.entry.room.get() else { return Err(kit::AskError::Closed.into()) };
        Ok(kit::ask(room, message, kit::DEFAULT_DEADLINE).await?)
    }

    /// Tells the room something.
    pub(crate) fn tell<M>(&self, message: M)
    where
        M: actix::Message + Send + Unpin + 'static,
        M::Result: Send,
        Room: actix::Handler<M>,
    {
        if let Some(room) = self.entry.room.get() {
            kit::tell(room, message);
        }
    }

    /// Where this member's connection lives.
    pub(crate) fn shard(&self) -> usize {
        self.shard
    }

    pub(crate) fn room(&self) -> &str {
        &self.name
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let last = {
            let mut table = self.rooms.lock();
            let mut members = self.entry.members.lock().unwrap_or_else(PoisonError::into_inner);
            members[self.shard] -= 1;
            let is_empty = members.iter().all(|count| *count == 0);
            if is_empty && table.get(&self.name).is_some_and(|entry| Arc::ptr_eq(entry, &self.entry)) {
                table.remove(&self.name);
            }
            is_empty
        };
        if last {
            self.tell(Close);
        }
    }
}

/// A member's place: whoever holds it is in the room, or about to be; who drops it has left.
pub(crate) struct Seat {
    membership: Membership,
    participant: ParticipantId,
}

impl Seat {
    pub(crate) fn new(membership: Membership, participant: ParticipantId) -> Self {
        Self { membership, participant }
    }

    pub(crate) fn participant(&self) -> &ParticipantId {
        &self.participant
    }

    /// Starts what reads the member's data channels, on the room's shard.
    pub(crate) async fn open_data_port(&self) -> Result<Addr<DataPort>, RoomsError> {
        let Some(room) = self.entry.room.get().cloned() else { return Err(kit::AskError::Closed.into()) };
        let rooms = &self.rooms;
        let (limits, metrics) = (rooms.limits.data, rooms.metrics.clone());
        let participant = self.participant.clone();
        let start = move || async move { DataPort::start(participant, room, limits, metrics) };
        Ok(rooms.engine.shards().run_on(self.entry.home, start).await?)
    }

    /// Comes in; answers who is there.
    pub(crate) async fn join(&self, join: Join) -> Result<Vec<Arc<ParticipantInfo>>, RoomsError> {
        Ok(self.ask(join).await??)
    }
}

impl Deref for Seat {
    type Target = Membership;

    fn deref(&self) -> &Membership {
        &self.membership
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Behind a join that is still under way; a room that does not know it is not disturbed.
        self.membership.tell(Leave(self.participant.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rooms_and_people() {
        assert_eq!(check_room_name("  "), Err(NameError::Empty));
        assert_eq!(check_room_name("../../etc/passwd"), Ok(()));
        assert_eq!(check_person_name(""), Ok(()));
        assert_eq!(check_person_name(&"ä".repeat(64)), Ok(()));
        assert_eq!(check_person_name(&"a".repeat(65)), Err(NameError::TooLong));
        assert_eq!(check_person_name("a\nb"), Err(NameError::ControlCharacter));
    }
}
