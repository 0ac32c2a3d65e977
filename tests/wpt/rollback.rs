//! Ports of `RTCPeerConnection-setLocalDescription-rollback.html`, `-setRemoteDescription-rollback.html` and
//! `-setDescription-transceiver.html`.

use crate::support::*;
use actix_rtc::proto::jsep::{Description, Direction, MediaKind, SdpType, Session, SignalingState::*};

const JUNK: &str = "!<Invalid SDP Content>;";

fn roll_back_local(session: &mut Session) {
    session.set_local_description(Description::rollback()).expect("rollback");
}

fn roll_back_remote(session: &mut Session) {
    session.set_remote_description(Description::rollback()).expect("rollback");
}

fn mids(session: &Session) -> Vec<Option<&str>> {
    session.transceivers().iter().map(|transceiver| transceiver.mid()).collect()
}

/// Whether a transport carries the section of this transceiver.
fn has_transport(session: &Session, index: usize) -> bool {
    let mid = session.transceivers()[index].mid();
    mid.is_some_and(|mid| {
        session.transports().iter().any(|transport| transport.mids.iter().any(|m| m == mid))
    })
}

/// RTCPeerConnection-setLocalDescription-rollback.html: "setLocalDescription(rollback) from have-local-offer state
/// should reset back to stable state"
#[test]
fn set_local_description_rollback_from_have_local_offer_state_should_reset_back_to_stable_state() {
    let mut session = session();
    set_local(&mut session);
    assert_eq!(session.signaling_state(), HaveLocalOffer);
    assert!(session.pending_local_description().is_some());
    assert_eq!(session.current_local_description(), None);
    roll_back_local(&mut session);
    assert_eq!(session.signaling_state(), Stable);
    assert_eq!(session.local_description(), None);
    assert_eq!(session.pending_local_description(), None);
    assert_eq!(session.current_local_description(), None);
}

/// RTCPeerConnection-setLocalDescription-rollback.html: "setLocalDescription(rollback) from stable state should
/// reject with InvalidStateError"
#[test]
fn set_local_description_rollback_from_stable_state_should_reject_with_invalid_state_error() {
    assert_refused(session().set_local_description(Description::rollback()), "InvalidStateError");
}

/// RTCPeerConnection-setLocalDescription-rollback.html: "setLocalDescription(rollback) after setting answer
/// description should reject with InvalidStateError"
#[test]
fn set_local_description_rollback_after_setting_answer_description_should_reject() {
    let mut session = session();
    let offer = receive_only_offer(&mut session, MediaKind::Audio);
    session.set_remote_description(offer).expect("remote offer");
    set_local(&mut session);
    assert_refused(session.set_local_description(Description::rollback()), "InvalidStateError");
}

/// RTCPeerConnection-setLocalDescription-rollback.html: "setLocalDescription(rollback) should ignore invalid sdp
/// content and succeed"
#[test]
fn set_local_description_rollback_should_ignore_invalid_sdp_content_and_succeed() {
    let mut session = session();
    set_local(&mut session);
    let junk = Description { kind: SdpType::Rollback, sdp: JUNK.to_owned() };
    session.set_local_description(junk).expect("rollback");
    assert_eq!(session.signaling_state(), Stable);
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "setRemoteDescription(rollback) in have-remote-offer state
/// should revert to stable state"
#[test]
fn set_remote_description_rollback_in_have_remote_offer_state_should_revert_to_stable_state() {
    let mut session = session();
    let offer = data_channel_offer(&mut session);
    session.set_remote_description(offer).expect("remote offer");
    assert_eq!(session.signaling_state(), HaveRemoteOffer);
    assert!(session.pending_remote_description().is_some());
    roll_back_remote(&mut session);
    assert_eq!(session.signaling_state(), Stable);
    assert_eq!(session.remote_description(), None);
    assert_eq!(session.pending_remote_description(), None);
    assert_eq!(session.current_remote_description(), None);
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "setRemoteDescription(rollback) from stable state should
/// reject with InvalidStateError"
#[test]
fn set_remote_description_rollback_from_stable_state_should_reject_with_invalid_state_error() {
    assert_refused(session().set_remote_description(Description::rollback()), "InvalidStateError");
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "setRemoteDescription(rollback) should ignore invalid sdp
/// content and succeed"
#[test]
fn set_remote_description_rollback_should_ignore_invalid_sdp_content_and_succeed() {
    let mut session = session();
    let offer = receive_only_offer(&mut session, MediaKind::Audio);
    session.set_remote_description(offer).expect("remote offer");
    let junk = Description { kind: SdpType::Rollback, sdp: JUNK.to_owned() };
    session.set_remote_description(junk).expect("rollback");
    assert_eq!(session.signaling_state(), Stable);
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "local offer created before setRemoteDescription(remote
/// offer) then rollback should still be usable"
#[test]
fn local_offer_created_before_remote_offer_then_rollback_should_still_be_usable() {
    let (mut pc1, mut pc2) = (session(), session());
    let first = receive_only_offer(&mut pc1, MediaKind::Audio);
    pc1.set_remote_description(receive_only_offer(&mut pc2, MediaKind::Audio)).expect("remote offer");
    roll_back_remote(&mut pc1);
    pc1.set_local_description(first).expect("the offer from before");
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "local offer created before setRemoteDescription(remote
/// offer) with different transceiver level assignments then rollback should still be usable"
#[test]
fn local_offer_with_different_level_assignments_then_rollback_should_still_be_usable() {
    let (mut pc1, mut pc2) = (session(), session());
    let id = add_track(&mut pc1, MediaKind::Video);
    let first = offer(&mut pc1);
    add(&mut pc2, MediaKind::Audio, Direction::Recvonly);
    pc1.set_remote_description(receive_only_offer(&mut pc2, MediaKind::Video)).expect("remote offer");
    assert_eq!(pc1.transceiver(id).expect("it stays").media_line_index(), Some(1));
    roll_back_remote(&mut pc1);
    pc1.set_local_description(first).expect("the offer from before");
    assert_eq!(pc1.transceiver(id).expect("it stays").media_line_index(), Some(0));
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer should remove a transceiver"
#[test]
fn rollback_of_a_remote_offer_should_remove_a_transceiver() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    assert_eq!(pc2.transceivers().len(), 1);
    roll_back_remote(&mut pc2);
    assert!(pc2.transceivers().is_empty());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer should remove touched
/// transceiver"
#[test]
fn rollback_of_a_remote_offer_should_remove_touched_transceiver() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    let id = pc2.transceivers()[0].id();
    pc2.set_sending_track(id, vec!["stream".to_owned()], Some("another".to_owned())).expect("replaced");
    roll_back_remote(&mut pc2);
    assert!(pc2.transceivers().is_empty());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer should keep a transceiver"
#[test]
fn rollback_of_a_remote_offer_should_keep_a_transceiver() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    add_track(&mut pc2, MediaKind::Video);
    assert_eq!(pc2.transceivers().len(), 1);
    roll_back_remote(&mut pc2);
    assert_eq!(mids(&pc2), [None]);
    assert!(pc2.transports().is_empty());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer should keep a transceiver
/// created by addtrack"
#[test]
fn rollback_of_a_remote_offer_should_keep_a_transceiver_created_by_addtrack() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    add_track(&mut pc2, MediaKind::Video);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    assert_eq!(pc2.transceivers().len(), 1);
    roll_back_remote(&mut pc2);
    assert_eq!(mids(&pc2), [None]);
    assert!(pc2.transports().is_empty());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer should keep a transceiver
/// without tracks"
#[test]
fn rollback_of_a_remote_offer_should_keep_a_transceiver_without_tracks() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Video);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    let id = add_track(&mut pc2, MediaKind::Video);
    pc2.remove_track(id).expect("removed");
    roll_back_remote(&mut pc2);
    assert_eq!(pc2.transceivers().len(), 1);
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "explicit rollback of local offer should remove
/// transceivers and transport"
#[test]
fn explicit_rollback_of_local_offer_should_remove_transceivers_and_transport() {
    let mut session = session();
    add_track(&mut session, MediaKind::Video);
    let offer = set_local(&mut session);
    assert!(has_transport(&session, 0));
    roll_back_local(&mut session);
    assert_eq!(mids(&session), [None]);
    assert!(session.transports().is_empty());
    session.set_local_description(offer).expect("the same offer");
    assert_eq!(session.transceivers().len(), 1);
    assert!(has_transport(&session, 0));
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "when using addTransceiver, implicit rollback of a local
/// offer should visit stable state, but not fire negotiationneeded until we settle in stable"
#[test]
fn with_add_transceiver_negotiation_is_needed_again_after_an_implicit_rollback() {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Audio, Direction::Sendrecv);
    add(&mut pc2, MediaKind::Audio, Direction::Sendrecv);
    set_local(&mut pc1);
    pc1.set_remote_description(offer(&mut pc2)).expect("remote offer");
    assert!(!pc1.negotiation_needed());
    set_local(&mut pc1);
    assert_eq!(pc1.signaling_state(), Stable);
    assert_eq!(pc1.transceivers().len(), 2);
    assert!(pc1.negotiation_needed());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "when using addTrack, implicit rollback of a local offer
/// should visit stable state, but not fire negotiationneeded"
#[test]
fn with_add_track_negotiation_is_not_needed_after_an_implicit_rollback() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Audio);
    add_track(&mut pc2, MediaKind::Audio);
    set_local(&mut pc1);
    pc1.set_remote_description(offer(&mut pc2)).expect("remote offer");
    set_local(&mut pc1);
    assert_eq!(pc1.transceivers().len(), 1);
    assert!(!pc1.negotiation_needed());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer to negotiated stable state
/// should enable applying of a local offer"
#[test]
fn rollback_of_a_remote_offer_to_negotiated_stable_state_should_enable_applying_of_a_local_offer() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Audio);
    exchange(&mut pc1, &mut pc2);
    add_track(&mut pc1, MediaKind::Video);
    let remote = set_local(&mut pc1);
    add_track(&mut pc2, MediaKind::Video);
    let local = offer(&mut pc2);
    pc2.set_remote_description(remote).expect("remote offer");
    roll_back_remote(&mut pc2);
    assert_eq!(pc2.transceivers().len(), 2);
    pc2.set_local_description(local).expect("the offer from before");
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a local offer to negotiated stable state
/// should enable applying of a remote offer"
#[test]
fn rollback_of_a_local_offer_to_negotiated_stable_state_should_enable_applying_of_a_remote_offer() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Audio);
    exchange(&mut pc1, &mut pc2);
    add_track(&mut pc2, MediaKind::Video);
    set_local(&mut pc2);
    assert_eq!(pc2.transceivers().len(), 2);
    assert!(has_transport(&pc2, 1));
    roll_back_local(&mut pc2);
    assert_eq!(pc2.transceivers().len(), 2);
    assert!(has_transport(&pc2, 0));
    assert!(!has_transport(&pc2, 1));
    add_track(&mut pc1, MediaKind::Video);
    let remote = set_local(&mut pc1);
    pc2.set_remote_description(remote).expect("remote offer");
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback a local offer with audio direction change to
/// negotiated stable state and then add video receiver"
#[test]
fn rollback_of_a_local_offer_with_direction_change_keeps_the_direction() {
    let (mut pc1, mut pc2) = (session(), session());
    add_track(&mut pc1, MediaKind::Audio);
    exchange(&mut pc1, &mut pc2);
    assert_eq!(pc2.transceivers()[0].direction(), Direction::Recvonly);
    add_track(&mut pc2, MediaKind::Audio);
    assert_eq!(pc2.transceivers()[0].direction(), Direction::Sendrecv);
    set_local(&mut pc2);
    roll_back_local(&mut pc2);
    assert_eq!(pc2.transceivers().len(), 1);
    assert_eq!(pc2.transceivers()[0].direction(), Direction::Sendrecv);
    assert!(has_transport(&pc2, 0));
    add_track(&mut pc1, MediaKind::Video);
    let remote = set_local(&mut pc1);
    pc2.set_remote_description(remote).expect("remote offer");
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "two transceivers with same mids"
#[test]
fn two_transceivers_with_same_mids() {
    let (mut pc1, mut pc2) = (session(), session());
    let first = add(&mut pc1, MediaKind::Video, Direction::Sendonly);
    add(&mut pc2, MediaKind::Video, Direction::Sendonly);
    set_local(&mut pc1);
    let mid = pc1.transceiver(first).and_then(|t| t.mid()).expect("a mid").to_owned();
    let remote = set_local(&mut pc2);
    assert_eq!(mids(&pc2), [Some(mid.as_str())], "both sides number alike");
    pc1.set_remote_description(remote).expect("remote offer");
    assert_eq!(mids(&pc1), [None, Some(mid.as_str())]);
    set_local(&mut pc1);
    set_local(&mut pc1);
    assert_ne!(pc1.transceiver(first).and_then(|t| t.mid()), Some(mid.as_str()));
    assert!(pc1.transceiver(first).and_then(|t| t.mid()).is_some());
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "rollback of a remote offer with stream changes"
#[test]
fn rollback_of_a_remote_offer_with_stream_changes() {
    let (mut pc1, mut pc2) = (session(), session());
    let id = pc1.add_track(MediaKind::Audio, vec!["one".to_owned()], None).expect("track");
    exchange(&mut pc1, &mut pc2);
    assert_eq!(pc2.transceivers()[0].remote_stream_ids(), ["one"]);
    pc1.set_sending_track(id, vec!["two".to_owned()], None).expect("streams");
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    assert_eq!(pc2.transceivers()[0].remote_stream_ids(), ["two"]);
    roll_back_remote(&mut pc2);
    assert_eq!(pc2.transceivers()[0].remote_stream_ids(), ["one"]);
}

/// RTCPeerConnection-setRemoteDescription-rollback.html: "Implicit rollback with only a datachannel works"
#[test]
fn implicit_rollback_with_only_a_datachannel_works() {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Video, Direction::Sendrecv);
    pc2.add_data_section().expect("data");
    set_local(&mut pc2);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    assert_eq!(pc2.signaling_state(), HaveRemoteOffer);
    set_local(&mut pc2);
    let offer = set_local(&mut pc2);
    assert!(sections(&offer.sdp)[1].starts_with("m=application "));
}

/// RTCPeerConnection-setDescription-transceiver.html: "setLocalDescription(offer) with m= section should assign mid
/// to corresponding transceiver"
#[test]
fn set_local_description_offer_with_m_section_should_assign_mid_to_corresponding_transceiver() {
    let mut session = session();
    add(&mut session, MediaKind::Audio, Direction::Sendrecv);
    assert_eq!(mids(&session), [None]);
    let offer = offer(&mut session);
    assert_eq!(mids(&session), [None]);
    session.set_local_description(offer.clone()).expect("local offer");
    let mid = mids(&session)[0].expect("a mid");
    assert_eq!(lines(&offer.sdp, "a=mid:"), [mid]);
}

/// RTCPeerConnection-setDescription-transceiver.html: "setRemoteDescription(offer) with m= section and no existing
/// transceiver should create corresponding transceiver"
#[test]
fn set_remote_description_offer_without_existing_transceiver_should_create_corresponding_transceiver() {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Audio, Direction::Sendrecv);
    let offer = set_local(&mut pc1);
    pc2.set_remote_description(offer.clone()).expect("remote offer");
    assert_eq!(mids(&pc1), mids(&pc2));
    assert_eq!(lines(&offer.sdp, "a=mid:"), [mids(&pc2)[0].expect("a mid")]);
}

/// RTCPeerConnection-setDescription-transceiver.html: "setLocalDescription(rollback) should unset transceiver.mid"
#[test]
fn set_local_description_rollback_should_unset_transceiver_mid() {
    let mut session = session();
    add(&mut session, MediaKind::Audio, Direction::Sendrecv);
    set_local(&mut session);
    assert!(mids(&session)[0].is_some());
    roll_back_local(&mut session);
    assert_eq!(mids(&session), [None]);
}

/// RTCPeerConnection-setDescription-transceiver.html: "setLocalDescription(rollback) should only unset transceiver
/// mids associated with current round"
#[test]
fn set_local_description_rollback_should_only_unset_transceiver_mids_associated_with_current_round() {
    let mut session = session();
    add(&mut session, MediaKind::Audio, Direction::Sendrecv);
    let offer = set_local(&mut session);
    session.set_remote_description(stranger_answers(&offer)).expect("answer");
    add(&mut session, MediaKind::Video, Direction::Sendrecv);
    assert!(mids(&session)[0].is_some() && mids(&session)[1].is_none());
    set_local(&mut session);
    assert!(mids(&session)[0].is_some() && mids(&session)[1].is_some());
    roll_back_local(&mut session);
    assert!(mids(&session)[0].is_some() && mids(&session)[1].is_none());
}

/// RTCPeerConnection-setDescription-transceiver.html: "setRemoteDescription(rollback) should remove newly created
/// transceiver from transceiver list"
#[test]
fn set_remote_description_rollback_should_remove_newly_created_transceiver_from_transceiver_list() {
    let (mut pc1, mut pc2) = (session(), session());
    add(&mut pc1, MediaKind::Audio, Direction::Sendrecv);
    pc2.set_remote_description(offer(&mut pc1)).expect("remote offer");
    let id = pc2.transceivers()[0].id();
    roll_back_remote(&mut pc2);
    assert!(pc2.transceiver(id).is_none());
}

/// RTCPeerConnection-setDescription-transceiver.html: "setRemoteDescription should set transceiver inactive if its
/// corresponding m section is rejected"; a transceiver that is being stopped does not reject the section in an answer
/// (webrtc-pc 5.4, `stop`), it lets nothing through
#[test]
fn set_remote_description_should_set_transceiver_inactive_if_the_peer_stops_its_section() {
    let (mut pc1, mut pc2) = (session(), session());
    let id = add(&mut pc1, MediaKind::Audio, Direction::Sendrecv);
    let offer = set_local(&mut pc1);
    pc2.set_remote_description(offer).expect("remote offer");
    let other = pc2.transceivers()[0].id();
    pc2.stop(other).expect("stopped");
    let answer = pc2.create_answer().expect("answer");
    pc1.set_remote_description(answer).expect("remote answer");
    let current = pc1.transceiver(id).expect("it stays").current_direction();
    assert_eq!(current, Some(Direction::Inactive));
}
