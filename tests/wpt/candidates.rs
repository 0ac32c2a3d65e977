//! Ports of `RTCPeerConnection-addIceCandidate.html`: where a candidate goes, and which are refused.

use crate::support::*;
use actix_rtc::proto::jsep::{CandidateInit, Description, Session};

const CANDIDATE_1: &str = "candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host";
const CANDIDATE_2: &str = "candidate:1 2 udp 2113929470 203.0.113.100 10101 typ host";
const INVALID: &str = "(Invalid) candidate \r\n string";
const END: &str = "a=end-of-candidates";

/// With the offer of two sections, `a1` (ufrag `ETEn`) and `v1` (ufrag `BGKk`).
fn offered() -> Session {
    let mut session = session();
    session.set_remote_description(Description::offer(two_section_offer())).expect("offer");
    session
}

/// Whether the line stands in the first and in the second section of the remote description.
fn found(session: &Session, line: &str) -> [bool; 2] {
    let description = session.remote_description().expect("remote description");
    let sections = sections(&description.sdp);
    [0, 1].map(|index| sections[index].lines().any(|found| found == line))
}

fn of_generation(ufrag: &str, init: CandidateInit) -> CandidateInit {
    CandidateInit { username_fragment: Some(ufrag.to_owned()), ..init }
}

/// "Add ICE candidate before setting remote description should reject with InvalidStateError"
#[test]
fn add_ice_candidate_before_setting_remote_description_should_reject_with_invalid_state_error() {
    let init = of_generation("ETEn", candidate(CANDIDATE_1, Some("a1"), Some(0)));
    assert_refused(session().add_remote_candidate(&init), "InvalidStateError");
}

/// `addIceCandidate({"candidate":"","sdpMid":null,"sdpMLineIndex":null})`, "works" and "adds a=end-of-candidates
/// to both m-sections"; `undefined`, `null` and `{}` are the same here
#[test]
fn add_ice_candidate_without_anything_adds_end_of_candidates_to_both_m_sections() {
    let mut session = offered();
    session.add_remote_candidate(&CandidateInit::default()).expect("end");
    assert_eq!(found(&session, END), [true, true]);
}

/// "addIceCandidate({}) in stable should work, and add a=end-of-candidates to both m-sections"
#[test]
fn add_ice_candidate_in_stable_should_work_and_add_end_of_candidates_to_both_m_sections() {
    let mut session = offered();
    set_local(&mut session);
    session.add_remote_candidate(&CandidateInit::default()).expect("end");
    assert_eq!(found(&session, END), [true, true]);
}

/// "addIceCandidate({usernameFragment: usernameFragment1, sdpMid: sdpMid1}) should work, and add
/// a=end-of-candidates to the first m-section"
#[test]
fn end_of_candidates_with_first_username_fragment_and_mid_goes_to_the_first_m_section() {
    let mut session = offered();
    session.add_remote_candidate(&of_generation("ETEn", candidate("", Some("a1"), None))).expect("end");
    assert_eq!(found(&session, END), [true, false]);
}

/// "addIceCandidate({usernameFragment: usernameFragment2, sdpMLineIndex: 1}) should work, and add
/// a=end-of-candidates to the first m-section" (the title says first and means second)
#[test]
fn end_of_candidates_with_second_username_fragment_and_m_line_index_goes_to_the_second_m_section() {
    let mut session = offered();
    session.add_remote_candidate(&of_generation("BGKk", candidate("", None, Some(1)))).expect("end");
    assert_eq!(found(&session, END), [false, true]);
}

/// `addIceCandidate({usernameFragment: "no such ufrag"}) should not work`
#[test]
fn add_ice_candidate_with_no_such_ufrag_should_not_work() {
    let init = of_generation("no such ufrag", CandidateInit::default());
    assert_refused(offered().add_remote_candidate(&init), "OperationError");
}

/// "Add ICE candidate after setting remote description should succeed"
#[test]
fn add_ice_candidate_after_setting_remote_description_should_succeed() {
    let mut session = offered();
    session.add_remote_candidate(&candidate(CANDIDATE_1, Some("a1"), Some(0))).expect("candidate");
    assert_eq!(found(&session, &format!("a={CANDIDATE_1}")), [true, false]);
}

/// "Add candidate with only valid sdpMid should succeed"
#[test]
fn add_candidate_with_only_valid_sdp_mid_should_succeed() {
    offered().add_remote_candidate(&candidate(CANDIDATE_1, Some("a1"), None)).expect("candidate");
}

/// "Add candidate with only valid sdpMLineIndex should succeed"
#[test]
fn add_candidate_with_only_valid_sdp_m_line_index_should_succeed() {
    offered().add_remote_candidate(&candidate(CANDIDATE_1, None, Some(0))).expect("candidate");
}

/// "addIceCandidate with first sdpMid and sdpMLineIndex add candidate to first media stream"
#[test]
fn add_ice_candidate_with_first_sdp_mid_and_index_adds_candidate_to_first_media_stream() {
    let mut session = offered();
    let init = of_generation("ETEn", candidate(CANDIDATE_1, Some("a1"), Some(0)));
    session.add_remote_candidate(&init).expect("candidate");
    assert_eq!(found(&session, &format!("a={CANDIDATE_1}")), [true, false]);
}

/// "addIceCandidate with second sdpMid and sdpMLineIndex should add candidate to second media stream"
#[test]
fn add_ice_candidate_with_second_sdp_mid_and_index_should_add_candidate_to_second_media_stream() {
    let mut session = offered();
    let init = of_generation("BGKk", candidate(CANDIDATE_2, Some("v1"), Some(1)));
    session.add_remote_candidate(&init).expect("candidate");
    assert_eq!(found(&session, &format!("a={CANDIDATE_2}")), [false, true]);
}

/// "Add candidate for media stream 2 with null usernameFragment should succeed"
#[test]
fn add_candidate_for_media_stream_2_with_null_username_fragment_should_succeed() {
    let mut session = offered();
    session.add_remote_candidate(&candidate(CANDIDATE_2, Some("v1"), Some(1))).expect("candidate");
    assert_eq!(found(&session, &format!("a={CANDIDATE_2}")), [false, true]);
}

/// "Adding multiple candidates should add candidates to their corresponding media stream"
#[test]
fn adding_multiple_candidates_should_add_candidates_to_their_corresponding_media_stream() {
    let mut session = offered();
    session.add_remote_candidate(&candidate(CANDIDATE_1, Some("a1"), Some(0))).expect("first");
    let second = of_generation("BGKk", candidate(CANDIDATE_2, Some("v1"), Some(1)));
    session.add_remote_candidate(&second).expect("second");
    assert_eq!(found(&session, &format!("a={CANDIDATE_1}")), [true, false]);
    assert_eq!(found(&session, &format!("a={CANDIDATE_2}")), [false, true]);
}

/// "Add with empty candidate string (end of candidates) should succeed"
#[test]
fn add_with_empty_candidate_string_should_succeed() {
    let mut session = offered();
    session.add_remote_candidate(&candidate(CANDIDATE_1, Some("a1"), Some(0))).expect("candidate");
    session.add_remote_candidate(&candidate("", Some("a1"), Some(0))).expect("end");
    assert_eq!(found(&session, &format!("a={CANDIDATE_1}")), [true, false]);
    assert_eq!(found(&session, END), [true, false]);
}

/// "Add candidate with both sdpMid and sdpMLineIndex manually set to null should reject with TypeError"
#[test]
fn add_candidate_with_neither_sdp_mid_nor_index_should_reject_with_type_error() {
    assert_refused(offered().add_remote_candidate(&candidate(CANDIDATE_1, None, None)), "TypeError");
}

/// "Add candidate with invalid candidate string and both sdpMid and sdpMLineIndex null should reject with
/// TypeError"
#[test]
fn add_candidate_with_invalid_candidate_string_and_no_section_should_reject_with_type_error() {
    assert_refused(offered().add_remote_candidate(&candidate(INVALID, None, None)), "TypeError");
}

/// "Add candidate with invalid sdpMid should reject with OperationError"
#[test]
fn add_candidate_with_invalid_sdp_mid_should_reject_with_operation_error() {
    let init = candidate(CANDIDATE_1, Some("invalid"), Some(0));
    assert_refused(offered().add_remote_candidate(&init), "OperationError");
}

/// "Add candidate with invalid sdpMLineIndex should reject with OperationError"
#[test]
fn add_candidate_with_invalid_sdp_m_line_index_should_reject_with_operation_error() {
    assert_refused(offered().add_remote_candidate(&candidate(CANDIDATE_1, None, Some(2))), "OperationError");
}

/// "Invalid sdpMLineIndex should be ignored if valid sdpMid is provided"
#[test]
fn invalid_sdp_m_line_index_should_be_ignored_if_valid_sdp_mid_is_provided() {
    offered().add_remote_candidate(&candidate(CANDIDATE_1, Some("a1"), Some(2))).expect("candidate");
}

/// "Add candidate with invalid usernameFragment should reject with OperationError"
#[test]
fn add_candidate_with_invalid_username_fragment_should_reject_with_operation_error() {
    let init = of_generation("invalid", candidate(CANDIDATE_1, Some("a1"), Some(0)));
    assert_refused(offered().add_remote_candidate(&init), "OperationError");
}

/// "Add candidate with invalid candidate string should reject with OperationError"
#[test]
fn add_candidate_with_invalid_candidate_string_should_reject_with_operation_error() {
    let init = candidate(INVALID, Some("a1"), Some(0));
    assert_refused(offered().add_remote_candidate(&init), "OperationError");
}

/// "Add candidate with sdpMid belonging to different usernameFragment should reject with OperationError"
#[test]
fn add_candidate_with_sdp_mid_belonging_to_different_username_fragment_should_reject() {
    let init = of_generation("ETEn", candidate(CANDIDATE_2, Some("v1"), Some(1)));
    assert_refused(offered().add_remote_candidate(&init), "OperationError");
}
