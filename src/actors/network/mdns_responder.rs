//! Own addresses behind `.local` names (draft-ietf-mmusic-mdns-ice-candidates section 3.1): makes the names, and answers
//! who asks for them on the links of this host (RFC 6762).
//!
//! One responder per process, on a thread of its own that lives as long as there are names: sockets that everybody on
//! the link can send to are kept away from those that carry media.
//!
//! Invariants: answers go to the multicast groups alone, never to whoever asked, so nobody can be made to receive them
//! who is not on the link; a name is told as often as [`MAX_ANSWERS`] allows, all names together as [`MAX_ALL_ANSWERS`].

use std::{
    collections::HashMap,
    fmt::Write,
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use super::mdns::{Joined, Links, MAX_MESSAGE_LENGTH, join_v4, join_v6};
use crate::{
    actors::kit,
    proto::mdns::{TTL, names_asked, response},
};

/// Names at one time: those of a thousand peers. Further addresses are not offered.
const MAX_NAMES: usize = 8_192;
/// Answers for one name in a second (RFC 6762 section 6 wants one; but a name is asked for by each of its peers, once).
const MAX_ANSWERS: u32 = 4;
/// Answers for all names in a second.
const MAX_ALL_ANSWERS: u32 = 500;
/// The time in which those are counted.
const WINDOW: Duration = Duration::from_secs(1);

static RESPONDER: Mutex<Responder> =
    Mutex::new(Responder { names: None, goodbyes: Vec::new(), is_running: false, is_changed: false });
static CHANGED: Notify = Notify::const_new();

/// What the thread and the owners of names share.
struct Responder {
    names: Option<HashMap<String, IpAddr>>,
    /// Names that were withdrawn and that others may still remember.
    goodbyes: Vec<(String, IpAddr)>,
    is_running: bool,
    /// There are new names, and perhaps new links.
    is_changed: bool,
}

fn responder() -> MutexGuard<'static, Responder> {
    // Every change of it is complete in one step.
    RESPONDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name of one of our addresses, which is answered for as long as this value lives.
#[derive(Debug)]
pub struct HiddenName {
    name: String,
}

impl HiddenName {
    /// Makes a name, a random UUID, for an address. Whoever asks for it from now on is answered: browsers ask once.
    ///
    /// # Errors
    /// When there are too many names, or no thread can be started.
    pub fn new(address: IpAddr) -> io::Result<Self> {
        let name = uuid();
        let mut responder = responder();
        let names = responder.names.get_or_insert_default();
        if names.len() >= MAX_NAMES {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        names.insert(name.clone(), address);
        responder.is_changed = true;
        if !responder.is_running {
            // Not in the thread, which may begin later than the first question comes.
            let joined = [join_v4(), join_v6()];
            std::thread::Builder::new().name("mdns".to_owned()).spawn(move || run(joined))?;
            responder.is_running = true;
        }
        drop(responder);
        CHANGED.notify_one();
        Ok(Self { name })
    }

    /// The name, with `.local`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for HiddenName {
    fn drop(&mut self) {
        let mut responder = responder();
        let address = responder.names.as_mut().and_then(|names| names.remove(&self.name));
        if let Some(address) = address
            && responder.goodbyes.len() < MAX_NAMES
        {
            responder.goodbyes.push((std::mem::take(&mut self.name), address));
        }
        drop(responder);
        CHANGED.notify_one();
    }
}

/// Version 4 (RFC 9562 section 5.4), as the draft asks.
fn uuid() -> String {
    let mut bytes: [u8; 16] = StdRng::from_os_rng().random();
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let mut name = String::with_capacity(42);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            name.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".local");
    name
}

/// A thread that ends by a panic, or without ever having answered: the next name starts another.
struct Running;

impl Running {
    /// It has ended in order, and said so itself.
    fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        responder().is_running = false;
    }
}

fn run(joined: [io::Result<Joined>; 2]) {
    let running = Running;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(respond(joined));
            running.end();
        }
        Err(error) => tracing::error!(%error, "own names can't be answered for"),
    }
}

/// Answers as long as there are names.
async fn respond(joined: [io::Result<Joined>; 2]) {
    let mut links = Sockets::listen(joined);
    let mut budget = Budget::default();
    let mut buffers = [vec![0; MAX_MESSAGE_LENGTH], vec![0; MAX_MESSAGE_LENGTH]];
    loop {
        let (goodbyes, is_changed) = {
            let mut responder = responder();
            (std::mem::take(&mut responder.goodbyes), std::mem::take(&mut responder.is_changed))
        };
        for (name, address) in goodbyes {
            links.send(&name, address, 0).await;
        }
        {
            let mut responder = responder();
            let is_empty = responder.names.as_ref().is_none_or(HashMap::is_empty);
            if is_empty && responder.goodbyes.is_empty() {
                // While nobody can add a name: it would find the thread running.
                responder.is_running = false;
                return;
            }
        }
        if is_changed {
            // The interfaces may have changed as well. If not, questions may wait in the sockets that there are.
            let present = Sockets::listen([join_v4(), join_v6()]);
            if !present.have_the_links_of(&links) {
                links = present;
            }
        }
        let [v4, v6] = &mut buffers;
        let asked = tokio::select! {
            asked = questions(links.v4.as_ref(), v4) => asked,
            asked = questions(links.v6.as_ref(), v6) => asked,
            () = CHANGED.notified() => Vec::new(),
        };
        let known: Vec<(String, IpAddr)> = {
            let responder = responder();
            let of = |name: String| {
                let address = *responder.names.as_ref()?.get(&name)?;
                Some((name, address))
            };
            asked.into_iter().filter_map(of).collect()
        };
        for (name, address) in known {
            if budget.take(kit::now(), &name) {
                links.send(&name, address, TTL).await;
            }
        }
    }
}

/// The names that the next message asks for; for ever without a socket.
async fn questions(links: Option<&Links>, buffer: &mut [u8]) -> Vec<String> {
    let Some(links) = links else { return std::future::pending().await };
    match links.socket.recv_from(buffer).await {
        Ok((length, _)) => names_asked(&buffer[..length]),
        // Errors of a socket here are those of earlier sends.
        Err(_) => Vec::new(),
    }
}

/// Both families; either may be missing on a host.
struct Sockets {
    v4: Option<Links>,
    v6: Option<Links>,
}

impl Sockets {
    fn listen(joined: [io::Result<Joined>; 2]) -> Self {
        let [v4, v6] = joined.map(|joined| joined.and_then(Joined::listen));
        if let (Err(error), Err(_)) = (&v4, &v6) {
            tracing::warn!(%error, "no socket for multicast DNS: own names can't be answered for");
        }
        Self { v4: v4.ok(), v6: v6.ok() }
    }

    fn have_the_links_of(&self, other: &Self) -> bool {
        let same = |one: &Option<Links>, other: &Option<Links>| match (one, other) {
            (Some(one), Some(other)) => one.are_those_of(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same(&self.v4, &other.v4) && same(&self.v6, &other.v6)
    }

    async fn send(&self, name: &str, address: IpAddr, ttl: u32) {
        let Some(message) = response(name, address, ttl) else { return };
        for links in [&self.v4, &self.v6].into_iter().flatten() {
            links.send(&message).await;
        }
    }
}

/// What may still be answered in this window.
#[derive(Default)]
struct Budget {
    since: Option<Instant>,
    all: u32,
    by_name: HashMap<String, u32>,
}

impl Budget {
    fn take(&mut self, now: Instant, name: &str) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        let answers = self.by_name.entry(name.to_owned()).or_default();
        if *answers >= MAX_ANSWERS || self.all >= MAX_ALL_ANSWERS {
            return false;
        }
        *answers += 1;
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actors::network::{mdns::answer, resolve},
        proto::mdns::{is_candidate_name, query},
    };

    #[test]
    fn names_are_random_uuids() {
        let (one, other) = (uuid(), uuid());
        assert_ne!(one, other);
        assert!(is_candidate_name(&one));
        assert_eq!(one.len(), 42);
        assert_eq!(one.as_bytes()[14], b'4');
    }

    #[test]
    fn a7_a_flood_of_questions_is_not_a_flood_of_answers() {
        let mut budget = Budget::default();
        let now = Instant::now();
        let answered = (0..1_000).filter(|_| budget.take(now, "one")).count();
        assert_eq!(answered, MAX_ANSWERS as usize);
        let others = (0..1_000).filter(|n| budget.take(now, &n.to_string())).count();
        assert_eq!(answered + others, MAX_ALL_ANSWERS as usize);
        assert!(budget.take(now + WINDOW, "one"));
    }

    /// The question is there before the thread that answers it has begun, and is not repeated.
    #[test]
    fn a_name_is_answered_from_the_moment_it_is_known() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let asker = [join_v4(), join_v6()].map(|joined| joined.and_then(Joined::listen).ok());
            let [v4, v6] = asker;
            let address: IpAddr = "192.0.2.79".parse().unwrap();
            let hidden = HiddenName::new(address).unwrap();
            let question = query(hidden.name()).unwrap();
            for links in [&v4, &v6].into_iter().flatten() {
                links.send(&question).await;
            }
            let heard = async {
                tokio::select! {
                    heard = answer(v4.as_ref(), hidden.name()) => heard,
                    heard = answer(v6.as_ref(), hidden.name()) => heard,
                }
            };
            assert_eq!(tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap(), address);
        });
    }

    /// Over the multicast of this host's links; both families, told by whichever group works here.
    #[test]
    fn a_name_is_resolved_until_it_is_withdrawn() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for address in ["192.0.2.77", "2001:db8::77"] {
                let address: IpAddr = address.parse().unwrap();
                let hidden = HiddenName::new(address).unwrap();
                let name = hidden.name().to_owned();
                assert_eq!(resolve(&name).await.unwrap(), address);
                drop(hidden);
                // The answer over the slower family may still be on its way, and is taken for one to the next question.
                let mut outcomes = Vec::new();
                while outcomes.len() < 5 && outcomes.last() != Some(&io::ErrorKind::TimedOut) {
                    outcomes.extend(resolve(&name).await.err().map(|error| error.kind()));
                }
                assert_eq!(outcomes, [io::ErrorKind::TimedOut]);
            }
        });
    }
}
