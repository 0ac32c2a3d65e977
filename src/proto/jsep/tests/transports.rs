//! Which transports there are: the three bundle policies, peers that do not bundle, and what happens to transports in
//! answers, rollbacks and restarts (RFC 9143 7, RFC 9429 4.1.1).

use super::*;

const AUDIO: MediaKind = MediaKind::Audio;
const VIDEO: MediaKind = MediaKind::Video;

/// What a peer makes of an offer when it has never heard of BUNDLE: the group and bundle-only mean nothing to it.
pub(super) fn unaware(description: &Description) -> Description {
    let known = |line: &&str| !line.starts_with("a=group:") && !line.starts_with("a=bundle-only");
    let sdp = description.sdp.split_inclusive("\r\n").filter(known).collect();
    Description { kind: description.kind, sdp }
}

/// Two audio, two video and one data section.
fn full(policy: BundlePolicy) -> Session {
    let mut session = policy_session(1, policy);
    for kind in [AUDIO, AUDIO, VIDEO, VIDEO] {
        session.add_transceiver(kind, init(Direction::Sendrecv)).expect("added");
    }
    session.add_data_section().expect("open");
    session
}

fn mids(session: &Session) -> Vec<Vec<&str>> {
    session.transports().iter().map(|t| t.mids.iter().map(String::as_str).collect()).collect()
}

fn offer(session: &mut Session) -> Description {
    let offer = session.create_offer(OfferOptions::default()).expect("offer");
    session.set_local_description(offer.clone()).expect("local");
    offer
}

/// Exchange with a peer that does not bundle.
fn exchange_unbundled(left: &mut Session, right: &mut Session) -> Description {
    let offer = unaware(&offer(left));
    right.set_remote_description(offer).expect("remote");
    let answer = answer(right);
    assert!(!answer.sdp.contains("a=group"), "no group answers no group");
    left.set_remote_description(answer.clone()).expect("answer");
    answer
}

/// aiortc: bundle policies (balanced).
#[test]
fn balanced_offers_one_transport_for_each_kind() {
    let mut session = full(BundlePolicy::Balanced);
    let offer = parsed(&offer(&mut session));
    let only: Vec<bool> = offer.media.iter().map(|s| s.bundle_only && s.port == 0).collect();
    assert_eq!(only, [false, true, false, true, false]);
    assert_eq!(mids(&session), [vec!["0", "1", "3"], vec!["2"], vec!["4"]]);
    let fragments: std::collections::HashSet<_> =
        session.transports().iter().map(|t| t.local.ufrag.as_str()).collect();
    assert_eq!(fragments.len(), 3, "credentials of its own for each");
    assert_eq!(offer.bundle(), ["0", "1", "2", "3", "4"]);
}

/// aiortc: bundle policies (max-compat).
#[test]
fn max_compat_offers_one_transport_for_each_section() {
    let mut session = full(BundlePolicy::MaxCompat);
    let offer = parsed(&offer(&mut session));
    assert!(offer.media.iter().all(|s| !s.bundle_only && s.port != 0));
    assert_eq!(session.transports().len(), 5);
    for (section, transport) in offer.media.iter().zip(session.transports()) {
        let ufrag = offer.transport_of(section).ice_ufrag;
        assert_eq!(ufrag.as_deref(), Some(transport.local.ufrag.as_str()));
    }
}

/// aiortc: bundle policies (max-bundle).
#[test]
fn max_bundle_offers_one_transport() {
    let mut session = full(BundlePolicy::MaxBundle);
    let offer = parsed(&offer(&mut session));
    let only: Vec<bool> = offer.media.iter().map(|s| s.bundle_only && s.port == 0).collect();
    assert_eq!(only, [false, true, true, true, true]);
    assert_eq!(session.transports().len(), 1);
}

#[test]
fn an_answer_that_bundles_leaves_one_transport() {
    for policy in [BundlePolicy::Balanced, BundlePolicy::MaxCompat, BundlePolicy::MaxBundle] {
        let (mut left, mut right) = (full(policy), policy_session(2, BundlePolicy::Balanced));
        let text = offer(&mut left);
        let first = left.transports()[0].id;
        assert!(left.transports().iter().all(|transport| transport.remote.is_none()));
        right.set_remote_description(text).expect("remote");
        assert_eq!(right.transports().len(), 1, "a bundle needs one");
        let answer = answer(&mut right);
        left.set_remote_description(answer).expect("answer");
        for session in [&left, &right] {
            assert_eq!(mids(session), [["0", "1", "2", "3", "4"]], "{policy:?}");
            let transport = &session.transports()[0];
            assert!(transport.remote.as_ref().is_some_and(|remote| remote.dtls_role.is_some()));
            for transceiver in session.transceivers() {
                let receive = transceiver.receive_parameters().map(|receive| receive.transport);
                assert_eq!(receive.or(Some(transport.id)), Some(transport.id));
            }
            assert_eq!(session.data_parameters().map(|data| data.transport), Some(transport.id));
        }
        assert_eq!(left.transports()[0].id, first, "that of the tagged section survives");
    }
}

/// protocols.md 88: transport attributes are told once for a bundle.
#[test]
fn only_sections_with_a_transport_of_their_own_describe_one() {
    let offer = parsed(&offer(&mut full(BundlePolicy::Balanced)));
    let described: Vec<bool> = offer.media.iter().map(|s| s.transport.ice_ufrag.is_some()).collect();
    assert_eq!(described, [false, false, true, false, true], "the first transport is at the session level");
    for section in &offer.media {
        let transport = offer.transport_of(section);
        assert!(transport.ice_pwd.is_some() && transport.setup.is_some());
        assert_eq!(transport.fingerprints, [FINGERPRINT]);
    }
}

#[test]
fn without_bundle_every_policy_keeps_what_it_can() {
    for (policy, rejected, transports) in [
        (BundlePolicy::Balanced, [false, true, false, true, false], 3),
        (BundlePolicy::MaxCompat, [false; 5], 5),
        (BundlePolicy::MaxBundle, [false, true, true, true, true], 1),
    ] {
        let (mut left, mut right) = (full(policy), policy_session(2, BundlePolicy::MaxCompat));
        let answer = parsed(&exchange_unbundled(&mut left, &mut right));
        let found: Vec<bool> = answer.media.iter().map(|section| section.rejected()).collect();
        assert_eq!(found, rejected, "{policy:?}: what had no transport of its own is lost");
        assert_eq!((left.transports().len(), right.transports().len()), (transports, transports));
        for (ours, theirs) in left.transports().iter().zip(right.transports()) {
            assert_eq!(ours.mids, theirs.mids);
            let (remote, mirrored) =
                (ours.remote.as_ref().expect("known"), theirs.remote.as_ref().expect("known"));
            assert_eq!((&remote.ufrag, &mirrored.ufrag), (&theirs.local.ufrag, &ours.local.ufrag));
            assert_ne!(remote.dtls_role, mirrored.dtls_role);
        }
    }
}

/// RFC 9429 5.3.1: what an answerer rejects when the offer does not bundle.
#[test]
fn answerers_apply_their_policy_to_offers_without_bundle() {
    for (policy, rejected) in [
        (BundlePolicy::Balanced, [false, true, false, true, false]),
        (BundlePolicy::MaxCompat, [false; 5]),
        (BundlePolicy::MaxBundle, [false, true, true, true, true]),
    ] {
        let (mut left, mut right) = (full(BundlePolicy::MaxCompat), policy_session(2, policy));
        let answer = parsed(&exchange_unbundled(&mut left, &mut right));
        let found: Vec<bool> = answer.media.iter().map(|section| section.rejected()).collect();
        assert_eq!(found, rejected, "{policy:?}");
    }
}

#[test]
fn sections_without_bundle_keep_their_transports_and_new_ones_join() {
    let (mut left, mut right) =
        (policy_session(1, BundlePolicy::MaxCompat), policy_session(2, BundlePolicy::MaxCompat));
    left.add_transceiver(AUDIO, init(Direction::Sendrecv)).expect("added");
    left.add_transceiver(VIDEO, init(Direction::Sendrecv)).expect("added");
    exchange_unbundled(&mut left, &mut right);
    let before: Vec<_> = left.transports().iter().map(|t| (t.id, t.local.clone())).collect();
    left.add_transceiver(VIDEO, init(Direction::Sendrecv)).expect("added");
    exchange_unbundled(&mut left, &mut right);
    let after: Vec<_> = left.transports().iter().map(|t| (t.id, t.local.clone())).collect();
    assert_eq!((&after[..2], after.len()), (&before[..], 3));
    // The peer has learned to bundle: the others are discarded.
    exchange(&mut left, &mut right);
    assert_eq!((mids(&left), mids(&right)), (vec![vec!["0", "1", "2"]], vec![vec!["0", "1", "2"]]));
    assert_eq!(left.transports()[0].id, before[0].0);
}

#[test]
fn a_new_section_joins_the_bundle_that_was_agreed() {
    for (policy, bundle_only, pending) in [
        (BundlePolicy::Balanced, true, 1),
        (BundlePolicy::MaxCompat, false, 2),
        (BundlePolicy::MaxBundle, true, 1),
    ] {
        let (mut left, mut right) = (policy_session(1, policy), policy_session(2, policy));
        left.add_transceiver(AUDIO, init(Direction::Sendrecv)).expect("added");
        exchange(&mut left, &mut right);
        left.add_transceiver(VIDEO, init(Direction::Sendrecv)).expect("added");
        let text = offer(&mut left);
        assert_eq!(parsed(&text).media[1].bundle_only, bundle_only, "{policy:?}");
        assert_eq!(left.transports().len(), pending);
        right.set_remote_description(text).expect("remote");
        let answer = answer(&mut right);
        left.set_remote_description(answer).expect("answer");
        assert_eq!(mids(&left), [["0", "1"]]);
    }
}

#[test]
fn a_rollback_takes_the_transports_of_the_offer_away() {
    let (mut left, mut right) = (full(BundlePolicy::Balanced), policy_session(2, BundlePolicy::Balanced));
    let text = offer(&mut left);
    right.set_remote_description(text).expect("remote");
    assert_eq!((left.transports().len(), right.transports().len()), (3, 1));
    left.set_local_description(Description::rollback()).expect("rollback");
    right.set_remote_description(Description::rollback()).expect("rollback");
    assert!(left.transports().is_empty() && right.transports().is_empty());
    exchange(&mut left, &mut right);
    let settled: Vec<_> = left.transports().to_vec();
    left.add_transceiver(AUDIO, init(Direction::Sendrecv)).expect("added");
    let restart = left.create_offer(OfferOptions { ice_restart: true }).expect("offer");
    left.set_local_description(restart).expect("local");
    assert_ne!(left.transports()[0].local, settled[0].local);
    left.set_local_description(Description::rollback()).expect("rollback");
    assert_eq!(left.transports(), settled);
}

#[test]
fn a_provisional_answer_discards_nothing_yet() {
    let (mut left, mut right) = (full(BundlePolicy::Balanced), policy_session(2, BundlePolicy::Balanced));
    let text = offer(&mut left);
    right.set_remote_description(text).expect("remote");
    let pranswer = Description { kind: SdpType::Pranswer, ..right.create_answer().expect("answer") };
    right.set_local_description(pranswer.clone()).expect("pranswer");
    left.set_remote_description(pranswer).expect("pranswer");
    assert_eq!(mids(&left), [vec!["0", "1", "2", "3", "4"], vec![], vec![]]);
    assert!(left.transports()[0].remote.is_some());
    let answer = answer(&mut right);
    left.set_remote_description(answer).expect("answer");
    assert_eq!(left.transports().len(), 1);
}

#[test]
fn candidates_go_to_the_section_that_carries_their_transport() {
    let mut session = full(BundlePolicy::Balanced);
    offer(&mut session);
    let ids: Vec<_> = session.transports().iter().map(|transport| transport.id).collect();
    for (number, id) in ids.iter().enumerate() {
        let line = format!("candidate:{number} 1 udp 1 192.0.2.1 {number} typ host");
        session.add_local_candidate(*id, &line).expect("added");
        session.end_of_local_candidates(*id).expect("there");
    }
    let sections: Vec<_> = ids.iter().filter_map(|id| session.candidate_section(*id)).collect();
    assert_eq!(sections, [("0".to_owned(), 0), ("2".to_owned(), 2), ("4".to_owned(), 4)]);
    let description = parsed(&session.local_description().expect("there"));
    let counts: Vec<usize> = description.media.iter().map(|section| section.candidates.len()).collect();
    assert_eq!(counts, [1, 0, 1, 0, 1]);
    assert!(description.media[4].transport.end_of_candidates);
    assert_eq!(
        session.add_local_candidate(TransportId(99), "candidate:1"),
        Err(JsepError::UnknownTransport(TransportId(99)))
    );
}

#[test]
fn trickled_candidates_find_their_transport() {
    let (mut left, mut right) = (full(BundlePolicy::MaxCompat), policy_session(2, BundlePolicy::MaxCompat));
    exchange_unbundled(&mut left, &mut right);
    for (index, id) in left.transports().iter().map(|transport| transport.id).enumerate().collect::<Vec<_>>()
    {
        let candidate = CandidateInit {
            candidate: format!("candidate:{index} 1 udp 1 192.0.2.1 9 typ host"),
            media_line_index: Some(index),
            ..CandidateInit::default()
        };
        assert_eq!(left.add_remote_candidate(&candidate), Ok(CandidateUse::Transport(id)));
    }
    left.add_remote_candidate(&CandidateInit::default()).expect("the end of all");
    for transport in left.transports() {
        let remote = transport.remote.as_ref().expect("known");
        assert!(remote.candidates.len() == 1 && remote.end_of_candidates);
    }
}

#[test]
fn every_transport_restarts_with_credentials_of_its_own() {
    let (mut left, mut right) = (full(BundlePolicy::MaxCompat), policy_session(2, BundlePolicy::MaxCompat));
    exchange_unbundled(&mut left, &mut right);
    let fragments = |s: &Session| s.transports().iter().map(|t| t.local.ufrag.clone()).collect::<Vec<_>>();
    let before = (fragments(&left), fragments(&right));
    left.restart_ice();
    assert!(left.negotiation_needed());
    exchange_unbundled(&mut left, &mut right);
    assert!(!left.negotiation_needed());
    let after = (fragments(&left), fragments(&right));
    assert!(before.0.iter().zip(&after.0).all(|(a, b)| a != b));
    assert!(before.1.iter().zip(&after.1).all(|(a, b)| a != b));
}

#[test]
fn pooled_credentials_are_taken_first() {
    let ice = |ufrag: &str| IceParameters { ufrag: ufrag.to_owned(), password: "p".repeat(24), lite: false };
    let config = SessionConfig {
        ice_pool: vec![ice("pool1"), ice("pool2")],
        bundle_policy: BundlePolicy::MaxCompat,
        ..config(1)
    };
    let mut session = Session::new(config, StdRng::seed_from_u64(1));
    for _ in 0..3 {
        session.add_transceiver(AUDIO, init(Direction::Sendrecv)).expect("added");
    }
    offer(&mut session);
    let fragments: Vec<_> = session.transports().iter().map(|t| t.local.ufrag.as_str()).collect();
    assert_eq!(fragments[..2], ["pool1", "pool2"]);
    assert_eq!(fragments[2].len(), 8);
}

/// A second offer before the first is answered keeps the transports, so that candidates found are not lost.
#[test]
fn a_replaced_offer_keeps_transports_and_candidates() {
    let mut session = full(BundlePolicy::Balanced);
    offer(&mut session);
    let before = session.transports().to_vec();
    session.add_local_candidate(before[0].id, "candidate:1 1 udp 1 192.0.2.1 9 typ host").expect("added");
    session.add_transceiver(VIDEO, init(Direction::Sendrecv)).expect("added");
    let second = parsed(&offer(&mut session));
    let ids = |list: &[Transport]| list.iter().map(|t| (t.id, t.local.clone())).collect::<Vec<_>>();
    assert_eq!(ids(session.transports()), ids(&before));
    assert_eq!(second.media[0].candidates.len(), 1);
    let (mut left, mut right) = (full(BundlePolicy::Balanced), policy_session(2, BundlePolicy::Balanced));
    right.set_remote_description(offer(&mut left)).expect("remote");
    let planned = ids(right.transports());
    left.add_transceiver(VIDEO, init(Direction::Sendrecv)).expect("added");
    right.set_remote_description(offer(&mut left)).expect("another one");
    assert_eq!(ids(right.transports()), planned);
}

/// A peer may make several groups (RFC 9143 5): each has a transport.
#[test]
fn two_groups_have_two_transports() {
    let mut left = full(BundlePolicy::MaxCompat);
    let mut right = policy_session(2, BundlePolicy::MaxCompat);
    let text = offer(&mut left);
    let groups = "a=group:BUNDLE 0 1\r\na=group:BUNDLE 2 3 4";
    right
        .set_remote_description(Description::offer(text.sdp.replace("a=group:BUNDLE 0 1 2 3 4", groups)))
        .expect("remote");
    let answer = parsed(&answer(&mut right));
    assert_eq!(answer.bundles().collect::<Vec<_>>(), [&["0", "1"][..], &["2", "3", "4"]]);
    assert_eq!(mids(&right), [vec!["0", "1"], vec!["2", "3", "4"]]);
    let again = parsed(&offer(&mut right));
    assert_eq!(again.bundles().count(), 2, "and keeps them");
}

/// An offer that keeps no section, and is taken back, leaves the transport alone: ending its actors would tell
/// the peer goodbye.
#[test]
fn an_offer_without_sections_takes_nothing_away_before_its_answer() {
    let (mut left, mut right) = (session(91), session(92));
    left.add_transceiver(MediaKind::Video, TransceiverInit::default()).expect("transceiver");
    exchange(&mut left, &mut right);
    let ids = |session: &Session| session.transports().iter().map(|t| t.id).collect::<Vec<_>>();
    let (of_left, of_right) = (ids(&left), ids(&right));
    assert_eq!((of_left.len(), of_right.len()), (1, 1));
    let only = left.transceivers()[0].id();
    left.stop(only).expect("stop");
    let offered = offer(&mut left);
    assert_eq!(ids(&left), of_left, "a pending offer of our own");
    right.set_remote_description(offered).expect("remote offer");
    assert_eq!(ids(&right), of_right, "a pending offer of the peer");
    let _ = right.create_answer().expect("answer");
    assert_eq!(ids(&right), of_right, "an answer that was made but not set");
    right.set_remote_description(Description::rollback()).expect("rollback");
    left.set_local_description(Description::rollback()).expect("rollback");
    assert_eq!((ids(&left), ids(&right)), (of_left, of_right));
}
