//! Random datagrams and random sequences of calls: bounds hold, nothing panics, nothing spins.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::*;
use super::hostile::{base, checking_scene, remote, scene};
use super::simulation::{config, transmits};
use crate::proto::stun::{Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

/// One call into an agent, for random sequences of calls.
#[derive(Debug, Clone)]
enum Call {
    Local(u8),
    Remote(u8),
    Credentials(u8),
    Restart,
    EndLocal,
    EndRemote,
    SetRole(bool),
    RemoteLite(bool),
    Request { from: u8, nominate: bool, controlling: bool },
    Answer { from: u8, error: Option<u16> },
    Garbage(Vec<u8>),
    Wait(u16),
    Close,
}

fn any_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => any::<u8>().prop_map(Call::Local),
        6 => any::<u8>().prop_map(Call::Remote),
        3 => (0..3_u8).prop_map(Call::Credentials),
        1 => Just(Call::Restart),
        1 => Just(Call::EndLocal),
        1 => Just(Call::EndRemote),
        1 => any::<bool>().prop_map(Call::SetRole),
        1 => any::<bool>().prop_map(Call::RemoteLite),
        10 => (any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(from, nominate, controlling)| Call::Request { from, nominate, controlling }),
        10 => (any::<u8>(), proptest::option::weighted(0.3, prop_oneof![Just(487), Just(400)]))
            .prop_map(|(from, error)| Call::Answer { from, error }),
        2 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(Call::Garbage),
        12 => any::<u16>().prop_map(Call::Wait),
        1 => Just(Call::Close),
    ]
}

/// Applies calls and checks after each that the agent keeps its bounds and does not spin.
struct Fuzz {
    agent: Agent,
    now: Instant,
    remote: Vec<Credentials>,
    sent: Vec<crate::proto::Transmit>,
    random: StdRng,
}

impl Fuzz {
    fn address(index: u8) -> SocketAddr {
        SocketAddr::new([198, 51, 100, index % 16].into(), 5000 + u16::from(index))
    }

    fn apply(&mut self, call: Call) {
        let now = self.now;
        match call {
            Call::Local(index) => {
                let address = SocketAddr::new([192, 0, 2, index % 4 + 1].into(), 5000);
                let _ = self.agent.add_local_candidate(now, Candidate::host(address, index.into()));
            }
            Call::Remote(index) => {
                let candidate = Candidate::host(Self::address(index), index.into());
                let _ = self.agent.add_remote_candidate(now, candidate);
            }
            Call::Credentials(index) => {
                let _ = self.agent.set_remote_credentials(now, self.remote[usize::from(index)].clone());
            }
            Call::Restart => {
                let _ = self.agent.restart(now, Credentials::generate(&mut self.random));
            }
            Call::EndLocal => self.agent.end_of_local_candidates(),
            Call::EndRemote => self.agent.end_of_remote_candidates(now),
            Call::SetRole(controlling) => {
                self.agent.set_role(if controlling { Role::Controlling } else { Role::Controlled });
            }
            Call::RemoteLite(lite) => self.agent.set_remote_lite(lite),
            Call::Request { from, nominate, controlling } => self.request(from, nominate, controlling),
            Call::Answer { from, error } => self.answer(from, error),
            Call::Garbage(bytes) => {
                let _ = self.agent.handle_packet(now, base(), remote(), &bytes);
            }
            Call::Wait(milliseconds) => {
                self.now += Duration::from_millis(u64::from(milliseconds));
                self.agent.handle_timeout(self.now);
            }
            Call::Close => self.agent.close(),
        }
        self.check();
    }

    fn request(&mut self, from: u8, nominate: bool, controlling: bool) {
        let local = self.agent.local_credentials().clone();
        let id = TransactionId::random(&mut self.random);
        let mut message = MessageBuilder::new(Class::Request, Method::BINDING, id)
            .username(&format!("{}:peer", local.ufrag))
            .priority(self.random.random());
        let tie_breaker = self.random.random();
        message = if controlling {
            message.ice_controlling(tie_breaker)
        } else {
            message.ice_controlled(tie_breaker)
        };
        if nominate {
            message = message.use_candidate();
        }
        let message = message.integrity(&IntegrityKey::new(local.password.as_bytes())).finish();
        let to = SocketAddr::new([192, 0, 2, from % 4 + 1].into(), 5000);
        let _ = self.agent.handle_packet(self.now, to, Self::address(from), &message);
    }

    fn answer(&mut self, from: u8, error: Option<u16>) {
        let (Some(remote), false) = (self.agent.remote_credentials().cloned(), self.sent.is_empty()) else {
            return;
        };
        let sent = self.sent.swap_remove(usize::from(from) % self.sent.len());
        let request = Message::parse(&sent.payload).unwrap();
        let (class, id) = match error {
            Some(_) => (Class::ErrorResponse, request.transaction_id()),
            None => (Class::SuccessResponse, request.transaction_id()),
        };
        let mut message = MessageBuilder::new(class, Method::BINDING, id);
        message = match error {
            Some(code) => message.error_code(ErrorCode { code, reason: "" }),
            None => message.xor_mapped_address(sent.local),
        };
        let message = message.integrity(&IntegrityKey::new(remote.password.as_bytes())).finish();
        let source = if from.is_multiple_of(16) { Self::address(from) } else { sent.remote };
        let _ = self.agent.handle_packet(self.now, sent.local, source, &message);
    }

    fn check(&mut self) {
        for sent in transmits(&mut self.agent) {
            if Message::parse(&sent.payload).unwrap().class() == Class::Request {
                self.sent.push(sent);
            }
        }
        while self.agent.poll_event().is_some() {}
        assert!(self.agent.pairs().count() <= 101);
        assert!(self.agent.remote_candidates().len() <= 100 && self.agent.local_candidates().len() <= 64);
        let mut turns = 0;
        while self.agent.poll_timeout().is_some_and(|at| at <= self.now) {
            self.agent.handle_timeout(self.now);
            turns += 1;
            assert!(turns < 50, "spins: {:?}", self.agent);
        }
        let has_pair = self.agent.selected_pair().is_some();
        let is_using =
            matches!(self.agent.state(), State::Connected | State::Completed | State::Disconnected);
        assert_eq!(has_pair, is_using, "{:?}", self.agent);
        if matches!(self.agent.state(), State::Failed | State::Closed) {
            assert_eq!(self.agent.poll_timeout(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut agent, ..) = checking_scene();
        let now = Instant::now();
        let before = format!("{agent:?}");
        let _ = agent.handle_packet(now, base(), remote(), &bytes);
        prop_assert_eq!(format!("{agent:?}"), before);
    }

    #[test]
    fn mutated_checks_never_panic(
        position in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in 0..40_usize,
    ) {
        let (mut agent, mut peer, now) = scene();
        let mut request = peer.request(1, true).to_vec();
        let position = position.index(request.len());
        request[position] = value;
        request.truncate(request.len() - cut);
        let _ = agent.handle_packet(now, base(), remote(), &request);
    }

    #[test]
    fn any_sequence_of_calls_keeps_the_bounds(
        calls in proptest::collection::vec(any_call(), 1..120),
        lite in any::<bool>(),
        seed in 0..1_000_u64,
    ) {
        let mut configuration = config(Role::Controlling, seed, 0);
        configuration.lite = lite && seed % 2 == 0;
        let mut random = StdRng::seed_from_u64(seed);
        let now = Instant::now();
        let mut fuzz = Fuzz {
            agent: Agent::new(now, configuration, StdRng::seed_from_u64(seed)),
            now,
            remote: (0..3).map(|_| Credentials::generate(&mut random)).collect(),
            sent: Vec::new(),
            random,
        };
        for call in calls {
            fuzz.apply(call);
        }
    }
}
