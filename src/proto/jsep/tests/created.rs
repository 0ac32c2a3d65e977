//! What stays of the descriptions created: offers and answers that are applied later, again, or not at all.

use super::*;

fn restart() -> OfferOptions {
    OfferOptions { ice_restart: true }
}

/// WPT setLocalDescription-offer: an offer from before a remote offer that was rolled back. The transport that it
/// brings has another name than the one that went with the rollback.
#[test]
fn an_offer_outlives_a_remote_offer_that_is_rolled_back() {
    let (mut left, mut right) = (data_session(1), data_session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    right.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let before = left.create_offer(OfferOptions::default()).expect("offer");
    let theirs = right.create_offer(OfferOptions::default()).expect("offer");
    left.set_remote_description(theirs).expect("remote");
    left.create_answer().expect("answer");
    let planned = left.first_transport();
    left.set_remote_description(Description::rollback()).expect("rollback");
    assert!(left.transports().is_empty());
    left.set_local_description(before.clone()).expect("the offer from before");
    assert_ne!(left.first_transport(), planned, "names are not used twice");
    assert!(before.sdp.contains(&left.local_ice().ufrag));
    right.set_remote_description(before).expect("remote");
    let answer = answer(&mut right);
    left.set_remote_description(answer).expect("answer");
    assert_eq!(left.transports()[0].mids, ["0"]);
    assert!(left.transport().is_some_and(|remote| remote.dtls_role.is_some()));
}

#[test]
fn an_answer_outlives_a_rollback_but_fits_only_its_offer() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    right.set_remote_description(offer.clone()).expect("remote");
    let before = right.create_answer().expect("answer");
    right.set_remote_description(Description::rollback()).expect("rollback");
    let error = right.set_local_description(before.clone()).expect_err("nothing to answer");
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    let another = Description::offer(browser::chromium_offer());
    right.set_remote_description(another).expect("another offer");
    let error = right.set_local_description(before.clone()).expect_err("it answers another offer");
    assert_eq!(error.kind(), ErrorKind::InvalidModification);
    right.set_remote_description(offer).expect("the same offer");
    right.set_local_description(before.clone()).expect("the answer from before");
    assert!(before.sdp.contains(&right.local_ice().ufrag));
    left.set_remote_description(before.clone()).expect("answer");
    assert_eq!(right.transports().len(), 1);
    assert!(right.transports()[0].remote.is_some());
    let error = right.set_local_description(before).expect_err("the exchange is over");
    assert_eq!(error.kind(), ErrorKind::InvalidModification);
}

#[test]
fn an_empty_text_stands_for_the_offer_created_last_while_that_is_accurate() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    let before = left.local_ice().clone();
    let created = left.create_offer(restart()).expect("offer");
    left.set_local_description(Description::offer("")).expect("local");
    assert_ne!(*left.local_ice(), before, "the offer created last restarts ICE");
    assert_eq!(left.pending_local_description(), Some(created.clone()));
    left.set_local_description(Description::rollback()).expect("rollback");
    left.set_local_description(Description::offer("")).expect("local");
    assert_eq!(left.pending_local_description(), Some(created), "it still says what is wanted");
    left.set_local_description(Description::rollback()).expect("rollback");
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    left.set_local_description(Description::offer("")).expect("local");
    let pending = parsed(&left.pending_local_description().expect("pending"));
    assert_eq!(pending.media.len(), 2, "a section was missing in the offer created last");
}

/// WPT setLocalDescription-pranswer.
#[test]
fn a_provisional_answer_may_come_twice_and_become_final() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    right.set_remote_description(offer).expect("remote");
    let answer = right.create_answer().expect("answer");
    for kind in [SdpType::Pranswer, SdpType::Pranswer, SdpType::Answer] {
        right.set_local_description(Description { kind, ..answer.clone() }).expect("the same text");
    }
    assert_eq!(right.signaling_state(), SignalingState::Stable);
    assert_eq!(right.current_local_description(), Some(answer));
}
