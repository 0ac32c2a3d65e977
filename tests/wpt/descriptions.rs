//! Ports of `RTCPeerConnection-setLocalDescription*.html`, `-setRemoteDescription*.html`, `-createOffer.html`,
//! `-createAnswer.html` and `-setDescription-transceiver.html`: which description fits which state.

use crate::support::*;
use actix_rtc::proto::jsep::{
    Description, Direction, MediaKind, OfferOptions, SdpType, Session, SignalingState::*,
};

/// The six descriptions of W3C 4.4.1.2 after a complete exchange.
#[track_caller]
fn assert_stable_with(session: &Session, local: &Description, remote: &Description) {
    assert_eq!(session.signaling_state(), Stable);
    assert_similar(session.local_description(), local);
    assert_similar(session.current_local_description(), local);
    assert_similar(session.remote_description(), remote);
    assert_similar(session.current_remote_description(), remote);
    assert_eq!(session.pending_local_description(), None);
    assert_eq!(session.pending_remote_description(), None);
}

#[track_caller]
fn assert_local_offer(session: &Session, offer: &Description) {
    assert_eq!(session.signaling_state(), HaveLocalOffer);
    assert_similar(session.local_description(), offer);
    assert_similar(session.pending_local_description(), offer);
    assert_eq!(session.current_local_description(), None);
}

#[track_caller]
fn assert_remote_offer(session: &Session, offer: &Description) {
    assert_eq!(session.signaling_state(), HaveRemoteOffer);
    assert_similar(session.remote_description(), offer);
    assert_similar(session.pending_remote_description(), offer);
    assert_eq!(session.current_remote_description(), None);
}

/// A session with a remote video offer and the answer it would give.
fn answering() -> (Session, Description, Description) {
    let mut session = session();
    let offer = receive_only_offer(&mut session, MediaKind::Video);
    session.set_remote_description(offer.clone()).expect("remote offer");
    let answer = session.create_answer().expect("answer");
    (session, offer, answer)
}

/// A session with a local video offer and the answer of a stranger.
fn offering() -> (Session, Description, Description) {
    let mut session = session();
    let offer = receive_only_offer(&mut session, MediaKind::Video);
    session.set_local_description(offer.clone()).expect("local offer");
    let answer = stranger_answers(&offer);
    (session, offer, answer)
}

mod set_local_offer {
    use super::*;

    /// RTCPeerConnection-setLocalDescription-offer.html: "setLocalDescription with valid offer should succeed"
    #[test]
    fn set_local_description_with_valid_offer_should_succeed() {
        let mut session = session();
        let offer = receive_only_offer(&mut session, MediaKind::Audio);
        session.set_local_description(offer.clone()).expect("local offer");
        assert_local_offer(&session, &offer);
    }

    /// RTCPeerConnection-setLocalDescription-offer.html: "setLocalDescription with type offer and null sdp should
    /// use lastOffer generated from createOffer"
    #[test]
    fn set_local_description_with_type_offer_and_null_sdp_should_use_last_offer() {
        let mut session = session();
        let offer = receive_only_offer(&mut session, MediaKind::Audio);
        session.set_local_description(Description::offer("")).expect("local offer");
        assert_local_offer(&session, &offer);
    }

    /// RTCPeerConnection-setLocalDescription-offer.html: "setLocalDescription() with offer not created by own
    /// createOffer() should reject with InvalidModificationError"
    #[test]
    fn set_local_description_with_offer_not_created_by_own_create_offer_should_reject() {
        let offer = data_channel_offer(&mut session());
        assert_refused(session().set_local_description(offer), "InvalidModificationError");
    }

    /// RTCPeerConnection-setLocalDescription-offer.html: "Set created offer other than last offer should reject
    /// with InvalidModificationError"
    #[test]
    fn set_created_offer_other_than_last_offer_should_reject_with_invalid_modification_error() {
        let mut session = session();
        let first = receive_only_offer(&mut session, MediaKind::Audio);
        let second = receive_only_offer(&mut session, MediaKind::Video);
        assert_ne!(first, second);
        assert_refused(session.set_local_description(first), "InvalidModificationError");
    }

    /// RTCPeerConnection-setLocalDescription-offer.html: "Creating and setting offer multiple times should
    /// succeed"
    #[test]
    fn creating_and_setting_offer_multiple_times_should_succeed() {
        let mut session = session();
        let first = receive_only_offer(&mut session, MediaKind::Audio);
        session.set_local_description(first.clone()).expect("first");
        let second = receive_only_offer(&mut session, MediaKind::Video);
        session.set_local_description(second.clone()).expect("second");
        assert_ne!(sections(&first.sdp).len(), sections(&second.sdp).len());
        assert_local_offer(&session, &second);
    }

    /// RTCPeerConnection-setLocalDescription-offer.html: "Setting previously generated offer after a call to
    /// createAnswer should work"
    #[test]
    fn setting_previously_generated_offer_after_a_call_to_create_answer_should_work() {
        let (mut pc1, mut pc2) = (session(), session());
        let offer = receive_only_offer(&mut pc1, MediaKind::Audio);
        pc1.set_remote_description(receive_only_offer(&mut pc2, MediaKind::Video)).expect("remote offer");
        pc1.create_answer().expect("answer");
        pc1.set_remote_description(Description::rollback()).expect("rollback");
        pc1.set_local_description(offer).expect("the offer from before");
    }

    /// RTCPeerConnection-setLocalDescription-offer.html: "Negotiation works when there has been a repeated
    /// setLocalDescription(offer)"
    #[test]
    fn negotiation_works_when_there_has_been_a_repeated_set_local_description_offer() {
        let (mut pc1, mut pc2) = (session(), session());
        add(&mut pc1, MediaKind::Audio, Direction::Recvonly);
        set_local(&mut pc1);
        exchange(&mut pc1, &mut pc2);
        for session in [&pc1, &pc2] {
            assert_eq!(session.transceivers().len(), 1);
            assert_eq!(session.transceivers()[0].kind(), MediaKind::Audio);
        }
    }

    /// RTCPeerConnection-setLocalDescription.html: "Calling createOffer() and setLocalDescription() again after
    /// one round of local-offer/remote-answer should succeed"
    #[test]
    fn calling_create_offer_and_set_local_description_again_after_one_round_should_succeed() {
        let mut session = session();
        let first = receive_only_offer(&mut session, MediaKind::Audio);
        session.set_local_description(first.clone()).expect("first");
        session.set_remote_description(stranger_answers(&first)).expect("answer");
        session.add_data_section().expect("data");
        let second = receive_only_offer(&mut session, MediaKind::Video);
        session.set_local_description(second.clone()).expect("second");
        assert_eq!(session.signaling_state(), HaveLocalOffer);
        assert_eq!(sections(&second.sdp).len(), 3);
        assert_similar(session.local_description(), &second);
        assert_similar(session.current_local_description(), &first);
        assert_similar(session.pending_local_description(), &second);
    }

    /// RTCPeerConnection-setLocalDescription.html: "Switching role from answerer to offerer after going back to
    /// stable state should succeed"
    #[test]
    fn switching_role_from_answerer_to_offerer_after_going_back_to_stable_state_should_succeed() {
        let (mut pc1, mut pc2) = (session(), session());
        assert_eq!(pc1.local_description(), None);
        let offer = data_channel_offer(&mut pc1);
        assert_eq!(pc1.local_description(), None);
        pc1.set_local_description(offer.clone()).expect("local offer");
        pc2.set_remote_description(offer.clone()).expect("remote offer");
        let answer = set_local(&mut pc2);
        pc1.set_remote_description(answer.clone()).expect("remote answer");
        assert_stable_with(&pc1, &offer, &answer);

        add_track(&mut pc2, MediaKind::Audio);
        let (reoffer, reanswer) = exchange(&mut pc2, &mut pc1);
        assert_stable_with(&pc1, &reanswer, &reoffer);
    }
}

mod set_local_answer {
    use super::*;

    /// RTCPeerConnection-setLocalDescription-answer.html: "setLocalDescription() with valid answer should succeed"
    #[test]
    fn set_local_description_with_valid_answer_should_succeed() {
        let (mut session, offer, answer) = answering();
        session.set_local_description(answer.clone()).expect("local answer");
        assert_stable_with(&session, &answer, &offer);
    }

    /// RTCPeerConnection-setLocalDescription-answer.html: "setLocalDescription() with type answer and null sdp
    /// should use lastAnswer generated from createAnswer"
    #[test]
    fn set_local_description_with_type_answer_and_null_sdp_should_use_last_answer() {
        let (mut session, offer, answer) = answering();
        session.set_local_description(Description::answer("")).expect("local answer");
        assert_stable_with(&session, &answer, &offer);
    }

    /// RTCPeerConnection-setLocalDescription-answer.html: "setLocalDescription() with answer not created by own
    /// createAnswer() should reject with InvalidModificationError"
    #[test]
    fn set_local_description_with_answer_not_created_by_own_create_answer_should_reject() {
        let mut session = session();
        let offer = receive_only_offer(&mut session, MediaKind::Video);
        session.set_remote_description(offer.clone()).expect("remote offer");
        assert_refused(session.set_local_description(stranger_answers(&offer)), "InvalidModificationError");
    }

    /// RTCPeerConnection-setLocalDescription-answer.html: "Calling setLocalDescription(answer) from stable state
    /// should reject with InvalidModificationError"
    #[test]
    fn calling_set_local_description_answer_from_stable_state_should_reject() {
        let mut session = session();
        let offer = offer(&mut session);
        assert_refused(
            session.set_local_description(with(SdpType::Answer, &offer)),
            "InvalidModificationError",
        );
    }

    /// RTCPeerConnection-setLocalDescription-answer.html: "Calling setLocalDescription(answer) from
    /// have-local-offer state should reject with InvalidModificationError"
    #[test]
    fn calling_set_local_description_answer_from_have_local_offer_state_should_reject() {
        let mut session = session();
        let offer = set_local(&mut session);
        assert_refused(session.set_local_description(stranger_answers(&offer)), "InvalidModificationError");
    }

    /// RTCPeerConnection-setLocalDescription-answer.html: "Setting previously generated answer after a call to
    /// createOffer should work"
    #[test]
    fn setting_previously_generated_answer_after_a_call_to_create_offer_should_work() {
        let (mut pc1, mut pc2) = (session(), session());
        let first = receive_only_offer(&mut pc1, MediaKind::Audio);
        pc2.set_remote_description(first.clone()).expect("remote offer");
        let answer = pc2.create_answer().expect("answer");
        pc2.set_remote_description(Description::rollback()).expect("rollback");
        add(&mut pc2, MediaKind::Video, Direction::Recvonly);
        offer(&mut pc2);
        pc2.set_remote_description(first).expect("the same offer");
        pc2.set_local_description(answer).expect("the answer from before");
    }
}

mod pranswer {
    use super::*;

    /// RTCPeerConnection-setLocalDescription-pranswer.html: "setLocalDescription(pranswer) from stable state
    /// should reject with InvalidStateError"
    #[test]
    fn set_local_description_pranswer_from_stable_state_should_reject_with_invalid_state_error() {
        let mut session = session();
        let offer = offer(&mut session);
        assert_refused(session.set_local_description(with(SdpType::Pranswer, &offer)), "InvalidStateError");
    }

    /// RTCPeerConnection-setLocalDescription-pranswer.html: "setLocalDescription(pranswer) should succeed"
    #[test]
    fn set_local_description_pranswer_should_succeed() {
        let (mut session, offer, answer) = answering();
        let pranswer = with(SdpType::Pranswer, &answer);
        session.set_local_description(pranswer.clone()).expect("pranswer");
        assert_eq!(session.signaling_state(), HaveLocalPranswer);
        assert_similar(session.remote_description(), &offer);
        assert_similar(session.pending_remote_description(), &offer);
        assert_eq!(session.current_remote_description(), None);
        assert_similar(session.local_description(), &pranswer);
        assert_similar(session.pending_local_description(), &pranswer);
        assert_eq!(session.current_local_description(), None);
    }

    /// RTCPeerConnection-setLocalDescription-pranswer.html: "setLocalDescription(pranswer) can be applied multiple
    /// times while still in have-local-pranswer"
    #[test]
    fn set_local_description_pranswer_can_be_applied_multiple_times() {
        let (mut session, _, answer) = answering();
        let pranswer = with(SdpType::Pranswer, &answer);
        session.set_local_description(pranswer.clone()).expect("pranswer");
        session.set_local_description(pranswer).expect("pranswer again");
        assert_eq!(session.signaling_state(), HaveLocalPranswer);
    }

    /// RTCPeerConnection-setLocalDescription-pranswer.html: "setLocalDescription(answer) from have-local-pranswer
    /// state should succeed"
    #[test]
    fn set_local_description_answer_from_have_local_pranswer_state_should_succeed() {
        let (mut session, offer, answer) = answering();
        session.set_local_description(with(SdpType::Pranswer, &answer)).expect("pranswer");
        session.set_local_description(answer.clone()).expect("answer");
        assert_stable_with(&session, &answer, &offer);
    }

    /// RTCPeerConnection-setRemoteDescription-pranswer.html: "setRemoteDescription(pranswer) from stable state
    /// should reject with InvalidStateError"
    #[test]
    fn set_remote_description_pranswer_from_stable_state_should_reject_with_invalid_state_error() {
        let mut session = session();
        let offer = offer(&mut session);
        assert_refused(session.set_remote_description(with(SdpType::Pranswer, &offer)), "InvalidStateError");
    }

    /// RTCPeerConnection-setRemoteDescription-pranswer.html: "setRemoteDescription(pranswer) from have-local-offer
    /// state should succeed"
    #[test]
    fn set_remote_description_pranswer_from_have_local_offer_state_should_succeed() {
        let (mut session, offer, answer) = offering();
        let pranswer = with(SdpType::Pranswer, &answer);
        session.set_remote_description(pranswer.clone()).expect("pranswer");
        assert_eq!(session.signaling_state(), HaveRemotePranswer);
        assert_similar(session.local_description(), &offer);
        assert_similar(session.pending_local_description(), &offer);
        assert_eq!(session.current_local_description(), None);
        assert_similar(session.remote_description(), &pranswer);
        assert_similar(session.pending_remote_description(), &pranswer);
        assert_eq!(session.current_remote_description(), None);
    }

    /// RTCPeerConnection-setRemoteDescription-pranswer.html: "setRemoteDescription(pranswer) multiple times should
    /// succeed"
    #[test]
    fn set_remote_description_pranswer_multiple_times_should_succeed() {
        let (mut session, _, answer) = offering();
        let pranswer = with(SdpType::Pranswer, &answer);
        session.set_remote_description(pranswer.clone()).expect("pranswer");
        session.set_remote_description(pranswer).expect("pranswer again");
        assert_eq!(session.signaling_state(), HaveRemotePranswer);
    }

    /// RTCPeerConnection-setRemoteDescription-pranswer.html: "setRemoteDescription(answer) from
    /// have-remote-pranswer state should succeed"
    #[test]
    fn set_remote_description_answer_from_have_remote_pranswer_state_should_succeed() {
        let (mut session, offer, answer) = offering();
        session.set_remote_description(with(SdpType::Pranswer, &answer)).expect("pranswer");
        session.set_remote_description(answer.clone()).expect("answer");
        assert_stable_with(&session, &offer, &answer);
    }
}

mod set_remote {
    use super::*;

    /// RTCPeerConnection-setRemoteDescription-offer.html: "setRemoteDescription with valid offer should succeed"
    #[test]
    fn set_remote_description_with_valid_offer_should_succeed() {
        let offer = data_channel_offer(&mut session());
        let mut pc2 = session();
        pc2.set_remote_description(offer.clone()).expect("remote offer");
        assert_remote_offer(&pc2, &offer);
    }

    /// RTCPeerConnection-setRemoteDescription-offer.html: "setRemoteDescription multiple times should succeed"
    #[test]
    fn set_remote_description_multiple_times_should_succeed() {
        let offer = data_channel_offer(&mut session());
        let mut pc2 = session();
        pc2.set_remote_description(offer.clone()).expect("remote offer");
        pc2.set_remote_description(offer.clone()).expect("remote offer again");
        assert_remote_offer(&pc2, &offer);
    }

    /// RTCPeerConnection-setRemoteDescription-offer.html: "setRemoteDescription multiple times with different
    /// offer should succeed"
    #[test]
    fn set_remote_description_multiple_times_with_different_offer_should_succeed() {
        let (mut pc1, mut pc2) = (session(), session());
        let first = data_channel_offer(&mut pc1);
        pc1.set_local_description(first.clone()).expect("local offer");
        let second = receive_only_offer(&mut pc1, MediaKind::Audio);
        assert_ne!(sections(&first.sdp).len(), sections(&second.sdp).len());
        pc2.set_remote_description(first).expect("first");
        pc2.set_remote_description(second.clone()).expect("second");
        assert_remote_offer(&pc2, &second);
    }

    /// RTCPeerConnection-setRemoteDescription-offer.html: "setRemoteDescription(offer) with invalid SDP should
    /// reject with RTCError"
    #[test]
    fn set_remote_description_offer_with_invalid_sdp_should_reject_with_rtc_error() {
        assert_refused(session().set_remote_description(Description::offer("Invalid SDP")), "RTCError");
    }

    /// RTCPeerConnection-setRemoteDescription-offer.html: "setRemoteDescription(offer) from have-local-offer
    /// should roll back and succeed"
    #[test]
    fn set_remote_description_offer_from_have_local_offer_should_roll_back_and_succeed() {
        let (mut pc1, mut pc2) = (session(), session());
        set_local(&mut pc1);
        pc1.set_remote_description(offer(&mut pc2)).expect("remote offer");
        assert_eq!(pc1.signaling_state(), HaveRemoteOffer);
        assert_eq!(pc1.pending_local_description(), None);
    }

    /// RTCPeerConnection-setRemoteDescription-offer.html: "repeated sRD(offer) works"
    #[test]
    fn repeated_srd_offer_works() {
        let (mut pc1, mut pc2) = (session(), session());
        add(&mut pc1, MediaKind::Video, Direction::Sendrecv);
        let offer = offer(&mut pc1);
        for _ in 0..2 {
            pc2.set_remote_description(offer.clone()).expect("remote offer");
            assert_eq!(pc2.transceivers().len(), 1);
        }
        pc1.set_local_description(offer).expect("local offer");
        let answer = set_local(&mut pc2);
        pc1.set_remote_description(answer).expect("remote answer");
    }

    /// RTCPeerConnection-setRemoteDescription-answer.html: "setRemoteDescription() with valid state and answer
    /// should succeed"
    #[test]
    fn set_remote_description_with_valid_state_and_answer_should_succeed() {
        let (mut session, offer, answer) = offering();
        session.set_remote_description(answer.clone()).expect("answer");
        assert_stable_with(&session, &offer, &answer);
    }

    /// RTCPeerConnection-setRemoteDescription-answer.html: "Calling setRemoteDescription(answer) from stable state
    /// should reject with InvalidStateError"
    #[test]
    fn calling_set_remote_description_answer_from_stable_state_should_reject_with_invalid_state_error() {
        let mut session = session();
        let offer = offer(&mut session);
        assert_refused(session.set_remote_description(with(SdpType::Answer, &offer)), "InvalidStateError");
    }

    /// RTCPeerConnection-setRemoteDescription-answer.html: "Calling setRemoteDescription(answer) from
    /// have-remote-offer state should reject with InvalidStateError"
    #[test]
    fn calling_set_remote_description_answer_from_have_remote_offer_state_should_reject() {
        let mut session = session();
        let offer = offer(&mut session);
        session.set_remote_description(offer.clone()).expect("remote offer");
        assert_refused(session.set_remote_description(stranger_answers(&offer)), "InvalidStateError");
    }

    /// RTCPeerConnection-setRemoteDescription.html: "setRemoteDescription() with invalid SDP and stable state should
    /// reject with InvalidStateError"
    #[test]
    fn set_remote_description_with_invalid_sdp_and_stable_state_should_reject_with_invalid_state_error() {
        assert_refused(session().set_remote_description(Description::answer("invalid")), "InvalidStateError");
    }

    /// RTCPeerConnection-setRemoteDescription.html: "Calling setRemoteDescription() again after one round of
    /// remote-offer/local-answer should succeed"
    #[test]
    fn calling_set_remote_description_again_after_one_round_should_succeed() {
        let (mut pc, mut pc2) = (session(), session());
        add(&mut pc2, MediaKind::Audio, Direction::Recvonly);
        let (first, _) = exchange(&mut pc2, &mut pc);
        let second = receive_only_offer(&mut pc2, MediaKind::Video);
        pc2.set_local_description(second.clone()).expect("local offer");
        pc.set_remote_description(second.clone()).expect("remote offer");
        assert_similar(pc.remote_description(), &second);
        assert_similar(pc.current_remote_description(), &first);
        assert_similar(pc.pending_remote_description(), &second);
    }

    /// RTCPeerConnection-setRemoteDescription.html: "Switching role from offerer to answerer after going back to
    /// stable state should succeed"
    #[test]
    fn switching_role_from_offerer_to_answerer_after_going_back_to_stable_state_should_succeed() {
        let (mut pc, mut pc2) = (session(), session());
        add(&mut pc, MediaKind::Audio, Direction::Recvonly);
        let (_, answer) = exchange(&mut pc, &mut pc2);
        let offer = set_local(&mut pc2);
        pc.set_remote_description(offer.clone()).expect("remote offer");
        assert_similar(pc.remote_description(), &offer);
        assert_similar(pc.pending_remote_description(), &offer);
        assert_similar(pc.current_remote_description(), &answer);
    }
}

mod create {
    use super::*;

    /// RTCPeerConnection-createOffer.html: "createOffer() with no argument from newly created RTCPeerConnection
    /// should succeed"
    #[test]
    fn create_offer_with_no_argument_from_newly_created_rtc_peer_connection_should_succeed() {
        let offer = session().create_offer(OfferOptions::default()).expect("offer");
        assert_eq!(offer.kind, SdpType::Offer);
        assert!(sections(&offer.sdp).is_empty());
    }

    /// RTCPeerConnection-createOffer.html: "createOffer() and then setLocalDescription() should succeed"
    #[test]
    fn create_offer_and_then_set_local_description_should_succeed() {
        let mut session = session();
        let offer = offer(&mut session);
        session.set_local_description(offer.clone()).expect("local offer");
        assert_local_offer(&session, &offer);
    }

    /// RTCPeerConnection-createOffer.html: "createOffer() after connection is closed should reject with
    /// InvalidStateError"
    #[test]
    fn create_offer_after_connection_is_closed_should_reject_with_invalid_state_error() {
        let mut session = session();
        session.close();
        assert_refused(session.create_offer(OfferOptions::default()), "InvalidStateError");
    }

    /// RTCPeerConnection-createOffer.html: "createOffer() should fail when signaling state is not stable or
    /// have-local-offer"
    #[test]
    fn create_offer_should_fail_when_signaling_state_is_not_stable_or_have_local_offer() {
        let (mut session, _, _) = answering();
        assert_eq!(session.signaling_state(), HaveRemoteOffer);
        assert_refused(session.create_offer(OfferOptions::default()), "InvalidStateError");
    }

    /// RTCPeerConnection-createAnswer.html: "createAnswer() with null remoteDescription should reject with
    /// InvalidStateError"
    #[test]
    fn create_answer_with_null_remote_description_should_reject_with_invalid_state_error() {
        assert_refused(session().create_answer(), "InvalidStateError");
    }

    /// RTCPeerConnection-createAnswer.html: "createAnswer() after setting remote description should succeed"
    #[test]
    fn create_answer_after_setting_remote_description_should_succeed() {
        let (_, _, answer) = answering();
        assert_eq!(answer.kind, SdpType::Answer);
        assert_eq!(sections(&answer.sdp).len(), 1);
    }

    /// RTCPeerConnection-createAnswer.html: "createAnswer() when connection is closed reject with
    /// InvalidStateError"
    #[test]
    fn create_answer_when_connection_is_closed_rejects_with_invalid_state_error() {
        let (mut session, _, _) = answering();
        session.close();
        assert_refused(session.create_answer(), "InvalidStateError");
    }
}
