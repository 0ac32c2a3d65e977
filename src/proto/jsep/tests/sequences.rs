//! Random sequences of calls on two sessions whose messages are delayed, lost and repeated: nothing panics, every
//! refusal leaves the state as it was, and the two can always come back to stable and agree.

use super::*;
use rand::Rng;

/// Seeds in a run of the tests; `ACTIX_RTC_SEEDS` asks for another number.
const SEEDS: u64 = 2_000;
/// Calls in one sequence.
const CALLS: usize = 16;

/// One side with what the other side has sent it.
struct Side {
    session: Session,
    inbox: Vec<Description>,
    candidates: Vec<CandidateInit>,
}

impl Side {
    fn new(seed: u64, random: &mut StdRng) -> Self {
        let policy = [BundlePolicy::Balanced, BundlePolicy::MaxCompat, BundlePolicy::MaxBundle];
        let config = SessionConfig {
            bundle_policy: policy[random.random_range(0..3)],
            data_channels: random.random_bool(0.8),
            always_negotiate_data_channels: random.random_bool(0.1),
            ..config(seed)
        };
        let session = Session::new(config, StdRng::seed_from_u64(seed));
        Self { session, inbox: Vec::new(), candidates: Vec::new() }
    }

    fn some_transceiver(&self, random: &mut StdRng) -> Option<TransceiverId> {
        let count = self.session.transceivers().len();
        (count > 0).then(|| self.session.transceivers()[random.random_range(0..count)].id())
    }
}

fn random_kind(random: &mut StdRng) -> MediaKind {
    if random.random_bool(0.5) { MediaKind::Audio } else { MediaKind::Video }
}

fn random_init(random: &mut StdRng) -> TransceiverInit {
    let layers = if random.random_bool(0.3) { random.random_range(1..4) } else { 0 };
    let encoding = |n: usize| SendEncoding { rid: Some(format!("r{n}")) };
    TransceiverInit {
        direction: random_direction(random),
        stream_ids: vec!["s".to_owned()],
        track_id: None,
        send_encodings: (0..layers).map(encoding).collect(),
    }
}

fn random_direction(random: &mut StdRng) -> Direction {
    let all = [Direction::Sendrecv, Direction::Sendonly, Direction::Recvonly, Direction::Inactive];
    all[random.random_range(0..4)]
}

/// A change by the application; refused or not, it may not panic.
fn change(side: &mut Side, random: &mut StdRng) {
    let id = side.some_transceiver(random);
    let session = &mut side.session;
    match (random.random_range(0..10), id) {
        (0, _) => drop(session.add_transceiver(random_kind(random), random_init(random))),
        (1, _) => {
            let track = random.random_bool(0.5).then(|| format!("t{}", random.random_range(0..5)));
            drop(session.add_track(random_kind(random), vec!["s".to_owned()], track));
        }
        (2, Some(id)) => drop(session.remove_track(id)),
        (3, Some(id)) => drop(session.set_direction(id, random_direction(random))),
        (4, Some(id)) => drop(session.stop(id)),
        (5, Some(id)) => {
            let kind = session.transceiver(id).map_or(MediaKind::Audio, Transceiver::kind);
            let known = &session.config().media.of(kind).codecs;
            let chosen = known.iter().filter(|_| random.random_bool(0.4)).cloned().collect();
            drop(session.set_codec_preferences(id, chosen));
        }
        (6, Some(id)) => {
            let track = Some(format!("t{}", random.random_range(0..5)));
            drop(session.set_sending_track(id, vec!["s".to_owned()], track));
        }
        (7, _) => drop(session.add_data_section()),
        (8, _) => session.restart_ice(),
        (_, _) => {
            let count = session.transports().len();
            if count > 0 {
                let id = session.transports()[random.random_range(0..count)].id;
                let number: u8 = random.random();
                let line = format!("candidate:{number} 1 udp 1 192.0.2.1 {number} typ host");
                session.add_local_candidate(id, &line).expect("few");
                let (mid, index) = session.candidate_section(id).unzip();
                side.candidates.push(CandidateInit {
                    candidate: line,
                    mid,
                    media_line_index: index,
                    username_fragment: None,
                });
            }
        }
    }
}

/// Creates and applies a description in any state, and sends it when it was applied.
fn describe(side: &mut Side, peer: &mut Side, random: &mut StdRng) {
    let session = &mut side.session;
    let description = match random.random_range(0..5) {
        0 | 1 => session.create_offer(OfferOptions { ice_restart: random.random_bool(0.1) }),
        2 => session.create_answer(),
        3 => session.create_answer().map(|answer| Description { kind: SdpType::Pranswer, ..answer }),
        _ => Ok(Description::rollback()),
    };
    let Ok(description) = description else { return };
    let before = outline(session);
    match session.set_local_description(description.clone()) {
        Ok(()) if description.kind != SdpType::Rollback => peer.inbox.push(description),
        Ok(()) => {}
        Err(_) => assert_eq!(outline(session), before),
    }
}

/// Takes a message of the peer: the next, any, or one again; some lose their group on the way.
fn receive(side: &mut Side, random: &mut StdRng) {
    if let Some(candidate) = side.candidates.pop() {
        let _ = side.session.add_remote_candidate(&candidate);
    }
    if random.random_bool(0.1) {
        let _ = side.session.set_remote_description(Description::rollback());
    }
    if side.inbox.is_empty() {
        return;
    }
    let index = if random.random_bool(0.8) { 0 } else { random.random_range(0..side.inbox.len()) };
    let repeated = random.random_bool(0.1);
    let mut description = if repeated { side.inbox[index].clone() } else { side.inbox.remove(index) };
    if random.random_bool(0.1) {
        description = transports::unaware(&description);
    }
    let before = outline(&side.session);
    if side.session.set_remote_description(description).is_err() {
        assert_eq!(outline(&side.session), before, "a refusal changes nothing");
    }
}

/// A whole exchange without losses, with changes in the middle of it. After losses the two may have different
/// sections, and refuse.
fn converse(left: &mut Side, right: &mut Side, random: &mut StdRng) {
    settle(left);
    settle(right);
    let plain = random.random_bool(0.4);
    let carry =
        |description: Description| if plain { transports::unaware(&description) } else { description };
    let Ok(offer) = left.session.create_offer(OfferOptions { ice_restart: random.random_bool(0.1) }) else {
        return;
    };
    left.session.set_local_description(offer.clone()).expect("just created");
    if right.session.set_remote_description(carry(offer)).is_err() {
        return settle(left);
    }
    change(left, random);
    change(right, random);
    if random.random_bool(0.2) {
        let answer = right.session.create_answer().expect("an offer waits");
        let pranswer = Description { kind: SdpType::Pranswer, ..answer };
        right.session.set_local_description(pranswer.clone()).expect("just created");
        let _ = left.session.set_remote_description(carry(pranswer));
        change(right, random);
    }
    let answer = right.session.create_answer().expect("an offer waits");
    right.session.set_local_description(answer.clone()).expect("just created");
    if left.session.set_remote_description(carry(answer)).is_err() {
        settle(left);
    }
}

/// What a refused call must not change.
fn outline(
    session: &Session,
) -> (SignalingState, Option<Description>, Option<Description>, Vec<Transport>, usize) {
    let (local, remote) = (session.local_description(), session.remote_description());
    (session.signaling_state(), local, remote, session.transports().to_vec(), session.transceivers().len())
}

/// What holds at all times.
fn check(session: &Session) {
    for transceiver in session.transceivers() {
        let placed = |id| session.transports().iter().any(|transport| transport.id == id);
        if let Some(send) = transceiver.send_parameters() {
            assert!(!send.encodings.is_empty());
            assert!(placed(send.transport), "a sender has a transport");
        }
        assert!(transceiver.receive_parameters().is_none_or(|receive| placed(receive.transport)));
    }
    assert!(
        session
            .data_parameters()
            .is_none_or(|data| session.transports().iter().any(|t| t.id == data.transport))
    );
    let mut sources: Vec<u32> = session
        .transceivers()
        .iter()
        .filter_map(Transceiver::send_parameters)
        .flat_map(|send| &send.encodings)
        .flat_map(|encoding| std::iter::once(encoding.ssrc).chain(encoding.rtx_ssrc))
        .collect();
    let count = sources.len();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), count, "no source is used twice");
    if session.signaling_state() == SignalingState::Stable {
        assert!(
            session.pending_local_description().is_none() && session.pending_remote_description().is_none()
        );
    }
}

/// The way back: roll back what can be, answer the rest. A provisional answer of the peer needs its final one; when the
/// offer that it answers is gone on the other side, the provisional answer itself will do.
fn settle(side: &mut Side) {
    let session = &mut side.session;
    let pending = session.pending_remote_description();
    match (session.signaling_state(), pending) {
        (SignalingState::HaveLocalOffer, _) => session.set_local_description(Description::rollback()),
        (SignalingState::HaveRemoteOffer, _) => session.set_remote_description(Description::rollback()),
        (SignalingState::HaveLocalPranswer, _) => session.set_local_description(Description::answer("")),
        (SignalingState::HaveRemotePranswer, Some(pranswer)) => {
            session.set_remote_description(Description::answer(pranswer.sdp))
        }
        _ => Ok(()),
    }
    .expect("there is a way back to stable");
    assert_eq!(session.signaling_state(), SignalingState::Stable);
    check(session);
    for description in [session.local_description(), session.remote_description()].into_iter().flatten() {
        parsed(&description);
    }
}

/// How far the sequences get, so that they don't become tests of nothing.
#[derive(Debug, Default)]
struct Reached {
    states: std::collections::HashSet<SignalingState>,
    /// Sessions that have exchanged media parameters, by their number of transports.
    transports: [usize; 4],
    layers: usize,
    data: usize,
}

impl Reached {
    fn note(&mut self, session: &Session) {
        self.states.insert(session.signaling_state());
        let negotiated = session
            .transports()
            .iter()
            .filter(|transport| transport.remote.as_ref().is_some_and(|remote| remote.dtls_role.is_some()));
        self.transports[negotiated.count().min(3)] += 1;
        let layered = |t: &Transceiver| t.send_parameters().is_some_and(|send| send.encodings.len() > 1);
        self.layers += usize::from(session.transceivers().iter().any(layered));
        self.data += usize::from(session.data_parameters().is_some());
    }
}

fn run(seed: u64, reached: &mut Reached) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut left = Side::new(2 * seed, &mut random);
    let mut right = Side::new(2 * seed + 1, &mut random);
    for _ in 0..CALLS {
        if random.random_bool(0.5) {
            std::mem::swap(&mut left, &mut right);
        }
        match random.random_range(0..10) {
            0..4 => change(&mut left, &mut random),
            4 => describe(&mut left, &mut right, &mut random),
            5 => receive(&mut left, &mut random),
            _ => converse(&mut left, &mut right, &mut random),
        }
        check(&left.session);
        reached.note(&left.session);
    }
    settle(&mut left);
    settle(&mut right);
    // From any stable state an offer can be made and applied, whatever the peer has missed.
    for side in [&mut left, &mut right] {
        let offer = side.session.create_offer(OfferOptions::default()).expect("stable");
        side.session.set_local_description(offer).expect("just created");
        check(&side.session);
        side.session.set_local_description(Description::rollback()).expect("rollback");
        check(&side.session);
        side.session.close();
        assert!(side.session.create_offer(OfferOptions::default()).is_err());
    }
}

#[test]
fn random_calls_with_lost_and_repeated_messages_never_panic_and_lead_back_to_stable() {
    let mut reached = Reached::default();
    let seeds = std::env::var("ACTIX_RTC_SEEDS").ok().and_then(|number| number.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut reached)));
        if let Err(panic) = outcome {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{reached:?}");
    assert_eq!(reached.states.len(), 5, "every state but closed");
    assert!(reached.transports.iter().all(|&times| times > 100), "none, one, two and more transports");
    assert!(reached.layers > 100 && reached.data > 100, "simulcast and data channels");
}
