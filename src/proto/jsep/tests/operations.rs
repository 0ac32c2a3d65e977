//! Two sessions under random sequences of operations: they always agree in the end.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Operation {
    Add { left: bool, audio: bool, direction: Direction },
    AddTrack { left: bool, audio: bool },
    Direct { left: bool, which: usize, direction: Direction },
    Track { left: bool, which: usize, number: u8 },
    Stop { left: bool, which: usize },
    Data { left: bool },
    RestartIce { left: bool },
    Exchange { left: bool },
    Provisional { left: bool },
    RollbackLocal { left: bool },
    RollbackRemote { left: bool },
    Glare { left: bool },
    Candidate { left: bool, number: u8 },
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Sendrecv),
        Just(Direction::Sendonly),
        Just(Direction::Recvonly),
        Just(Direction::Inactive)
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let side = any::<bool>;
    prop_oneof![
        3 => (side(), side(), direction()).prop_map(|(left, audio, direction)| Operation::Add { left, audio, direction }),
        1 => (side(), side()).prop_map(|(left, audio)| Operation::AddTrack { left, audio }),
        3 => (side(), 0..6usize, direction())
            .prop_map(|(left, which, direction)| Operation::Direct { left, which, direction }),
        2 => (side(), 0..6usize, any::<u8>()).prop_map(|(left, which, number)| Operation::Track { left, which, number }),
        2 => (side(), 0..6usize).prop_map(|(left, which)| Operation::Stop { left, which }),
        1 => side().prop_map(|left| Operation::Data { left }),
        1 => side().prop_map(|left| Operation::RestartIce { left }),
        5 => side().prop_map(|left| Operation::Exchange { left }),
        1 => side().prop_map(|left| Operation::Provisional { left }),
        1 => side().prop_map(|left| Operation::RollbackLocal { left }),
        1 => side().prop_map(|left| Operation::RollbackRemote { left }),
        1 => side().prop_map(|left| Operation::Glare { left }),
        1 => (side(), any::<u8>()).prop_map(|(left, number)| Operation::Candidate { left, number }),
    ]
}

fn policy() -> impl Strategy<Value = BundlePolicy> {
    prop_oneof![Just(BundlePolicy::Balanced), Just(BundlePolicy::MaxCompat), Just(BundlePolicy::MaxBundle)]
}

fn kind(audio: bool) -> MediaKind {
    if audio { MediaKind::Audio } else { MediaKind::Video }
}

fn apply(left: &mut Session, right: &mut Session, operation: &Operation) {
    let options = OfferOptions::default();
    match *operation {
        Operation::Add { audio, direction, .. } => {
            left.add_transceiver(kind(audio), init(direction)).expect("open");
        }
        Operation::AddTrack { audio, .. } => {
            left.add_track(kind(audio), vec!["s".to_owned()], None).expect("open");
        }
        Operation::Direct { which, direction, .. } => {
            if let Some(id) = left.transceivers().get(which).map(Transceiver::id) {
                let _ = left.set_direction(id, direction);
            }
        }
        Operation::Track { which, number, .. } => {
            if let Some(id) = left.transceivers().get(which).map(Transceiver::id) {
                let _ = left.set_sending_track(id, vec!["s".to_owned()], Some(format!("t{number}")));
            }
        }
        Operation::Stop { which, .. } => {
            if let Some(id) = left.transceivers().get(which).map(Transceiver::id) {
                left.stop(id).expect("open");
            }
        }
        Operation::Data { .. } => left.add_data_section().expect("open"),
        Operation::RestartIce { .. } => left.restart_ice(),
        Operation::Exchange { .. } => {
            exchange(left, right);
            check_agreement(left, right);
        }
        Operation::Provisional { .. } => {
            let offer = left.create_offer(options).expect("offer");
            left.set_local_description(offer.clone()).expect("local");
            right.set_remote_description(offer).expect("remote");
            let pranswer = Description { kind: SdpType::Pranswer, ..right.create_answer().expect("answer") };
            right.set_local_description(pranswer.clone()).expect("pranswer");
            left.set_remote_description(pranswer).expect("pranswer");
            let answer = answer(right);
            left.set_remote_description(answer).expect("answer");
            check_agreement(left, right);
        }
        Operation::RollbackLocal { .. } => {
            let offer = left.create_offer(options).expect("offer");
            left.set_local_description(offer).expect("local");
            left.set_local_description(Description::rollback()).expect("rollback");
        }
        Operation::RollbackRemote { .. } => {
            let offer = left.create_offer(options).expect("offer");
            left.set_local_description(offer.clone()).expect("local");
            right.set_remote_description(offer).expect("remote");
            right.set_remote_description(Description::rollback()).expect("rollback");
            left.set_local_description(Description::rollback()).expect("rollback");
        }
        Operation::Glare { .. } => {
            let theirs = right.create_offer(options).expect("offer");
            right.set_local_description(theirs).expect("local");
            exchange(left, right);
            check_agreement(left, right);
        }
        Operation::Candidate { number, .. } => {
            let line = format!("candidate:{number} 1 udp 1 192.0.2.1 {number} typ host");
            let ids: Vec<_> = left.transports().iter().map(|transport| transport.id).collect();
            for id in ids {
                left.add_local_candidate(id, &line).expect("few");
            }
        }
    }
}

impl Operation {
    fn left(&self) -> bool {
        match *self {
            Self::Add { left, .. }
            | Self::AddTrack { left, .. }
            | Self::Direct { left, .. }
            | Self::Track { left, .. }
            | Self::Stop { left, .. }
            | Self::Data { left }
            | Self::RestartIce { left }
            | Self::Exchange { left }
            | Self::Provisional { left }
            | Self::RollbackLocal { left }
            | Self::RollbackRemote { left }
            | Self::Glare { left }
            | Self::Candidate { left, .. } => left,
        }
    }
}

/// What must hold after every complete exchange.
fn check_agreement(a: &Session, b: &Session) {
    for session in [a, b] {
        assert_eq!(session.signaling_state(), SignalingState::Stable);
        assert!(
            session.pending_local_description().is_none() && session.pending_remote_description().is_none()
        );
    }
    for (ours, theirs) in [(a, b), (b, a)] {
        for transceiver in ours.transceivers().iter().filter(|t| t.mid().is_some()) {
            let mid = transceiver.mid().expect("filtered");
            let other = theirs.transceiver_by_mid(mid).unwrap_or_else(|| panic!("no counterpart of {mid}"));
            assert_eq!(transceiver.kind(), other.kind());
            assert_eq!(transceiver.media_line_index(), other.media_line_index());
            let mirrored = other.current_direction().expect("negotiated").reversed();
            assert_eq!(transceiver.current_direction(), Some(mirrored), "mid {mid}");
            if let Some(send) = transceiver.send_parameters() {
                assert!(transceiver.current_direction().expect("negotiated").sends());
                // A transceiver that is being stopped no longer receives, whatever was negotiated.
                if let Some(receive) = other.receive_parameters() {
                    assert_eq!(receive.ssrcs, [(send.ssrc(), send.rtx_ssrc())]);
                    assert_eq!(names(&receive.codecs), names(&send.codecs));
                    assert_eq!(receive.extensions, send.extensions);
                }
                assert_eq!(other.remote_track_id(), Some(send.track_id.as_str()));
            }
        }
        assert_eq!(ours.transports().len(), theirs.transports().len());
        for transport in ours.transports() {
            let same = |other: &&Transport| other.mids == transport.mids;
            let other =
                theirs.transports().iter().find(same).expect("the sections share a transport there too");
            let (remote, mirrored) =
                (transport.remote.as_ref().expect("known"), other.remote.as_ref().expect("known"));
            assert_eq!((&remote.ufrag, &remote.password), (&other.local.ufrag, &other.local.password));
            assert_ne!(remote.dtls_role, mirrored.dtls_role);
        }
        for transceiver in ours.transceivers() {
            let carried = |id| {
                ours.transports()
                    .iter()
                    .any(|t| t.id == id && t.mids.iter().any(|m| Some(m.as_str()) == transceiver.mid()))
            };
            assert!(transceiver.send_parameters().is_none_or(|send| carried(send.transport)));
            assert!(transceiver.receive_parameters().is_none_or(|receive| carried(receive.transport)));
        }
        assert_eq!(ours.data_parameters().is_some(), theirs.data_parameters().is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_end_in_agreement(
        seed in any::<u32>(),
        policies in (policy(), policy()),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut left = policy_session(u64::from(seed), policies.0);
        let mut right = policy_session(u64::from(seed) + 1, policies.1);
        for operation in &operations {
            match operation.left() {
                true => apply(&mut left, &mut right, operation),
                false => apply(&mut right, &mut left, operation),
            }
        }
        // Talking until nobody needs to talk any more takes few rounds.
        let mut rounds = 0;
        while left.negotiation_needed() || right.negotiation_needed() {
            rounds += 1;
            prop_assert!(rounds <= 6, "negotiation does not settle");
            if left.negotiation_needed() {
                exchange(&mut left, &mut right);
            } else {
                exchange(&mut right, &mut left);
            }
            check_agreement(&left, &right);
        }
        // A stopped one without a section is negotiated no more, but stays while an offer that names it, created and
        // rolled back, could still be applied: until the next answer.
        let ended = |t: &Transceiver| t.stopped() && t.media_line_index().is_some();
        for session in [&left, &right] {
            prop_assert!(!session.transceivers().iter().any(ended));
        }
        exchange(&mut left, &mut right);
        for session in [&left, &right] {
            prop_assert!(session.transceivers().iter().all(|t| !t.stopped()));
        }
    }
}
