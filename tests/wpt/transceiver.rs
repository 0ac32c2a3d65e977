//! Ports of `RTCRtpTransceiver-*.html`, `RTCPeerConnection-addTransceiver`, `-addTrack`, `-removeTrack` and
//! `-onnegotiationneeded`, as far as a session decides: directions, stopping, codec preferences, re-use.

use crate::support::*;
use actix_rtc::proto::{
    jsep::{
        BundlePolicy, Description, Direction::*, JsepError, MediaKind, Session, TransceiverId,
        TransceiverInit,
    },
    rtp::CodecParameters,
};

fn audio(direction: actix_rtc::proto::jsep::Direction) -> (Session, TransceiverId) {
    let mut session = session();
    let id = add(&mut session, MediaKind::Audio, direction);
    (session, id)
}

fn direction(session: &Session, id: TransceiverId) -> actix_rtc::proto::jsep::Direction {
    session.transceiver(id).expect("transceiver").direction()
}

fn current(session: &Session, id: TransceiverId) -> Option<actix_rtc::proto::jsep::Direction> {
    session.transceiver(id).expect("transceiver").current_direction()
}

mod directions {
    use super::*;

    /// RTCRtpTransceiver-direction.html: "setting direction should change transceiver.direction"
    #[test]
    fn setting_direction_should_change_transceiver_direction() {
        let (mut session, id) = audio(Sendrecv);
        session.set_direction(id, Recvonly).expect("direction");
        assert_eq!(direction(&session, id), Recvonly);
        assert_eq!(current(&session, id), None);
    }

    /// RTCRtpTransceiver-direction.html: "setting direction with same direction should have no effect"
    #[test]
    fn setting_direction_with_same_direction_should_have_no_effect() {
        let (mut session, id) = audio(Sendonly);
        session.set_direction(id, Sendonly).expect("direction");
        assert_eq!(direction(&session, id), Sendonly);
    }

    /// RTCRtpTransceiver-direction.html: "setting direction should change transceiver.direction independent of
    /// transceiver.currentDirection"
    #[test]
    fn setting_direction_is_independent_of_current_direction() {
        let (mut session, id) = audio(Recvonly);
        let offer = set_local(&mut session);
        session.set_remote_description(stranger_answers(&offer)).expect("answer");
        assert_eq!(current(&session, id), Some(Inactive));
        session.set_direction(id, Sendrecv).expect("direction");
        assert_eq!(direction(&session, id), Sendrecv);
        assert_eq!(current(&session, id), Some(Inactive));
    }

    /// protocol/transceiver-direction-match.html: "sendrecv transceiver is matched to remote recvonly m-section when
    /// offer has sendonly before recvonly"; balanced would reject the second section of a kind that is not bundled
    /// (RFC 9429 5.3.1), which browsers don't
    #[test]
    fn sendrecv_transceiver_is_matched_to_remote_recvonly_m_section_when_offer_has_sendonly_before_it() {
        let section = |mid: u8, direction: &str| {
            format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na={direction}\r\na=mid:{mid}\r\n\
                 a=rtpmap:111 opus/48000/2\r\na=setup:actpass\r\n"
            )
        };
        let sdp = format!(
            "{PREAMBLE}{FINGERPRINT}{CREDENTIALS}{}{}",
            section(1, "sendonly"),
            section(2, "recvonly")
        );
        let mut session = session_with(|config| config.bundle_policy = BundlePolicy::MaxCompat);
        let id = add_track(&mut session, MediaKind::Audio);
        session.set_remote_description(Description::offer(sdp)).expect("offer");
        set_local(&mut session);
        assert_eq!(session.transceiver(id).and_then(|t| t.mid()), Some("2"));
    }
}

mod adding {
    use super::*;

    /// RTCPeerConnection-addTransceiver.https.html: "addTransceiver('audio') should return an audio transceiver"
    /// and the same for video
    #[test]
    fn add_transceiver_should_return_a_transceiver_of_its_kind() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let mut session = session();
            let id = session.add_transceiver(kind, TransceiverInit::default()).expect("transceiver");
            let [transceiver] = session.transceivers() else { panic!("one transceiver") };
            assert_eq!(transceiver.id(), id);
            assert_eq!(transceiver.kind(), kind);
            assert_eq!(transceiver.mid(), None);
            assert!(!transceiver.stopped());
            assert_eq!(transceiver.direction(), Sendrecv);
            assert_eq!(transceiver.current_direction(), None);
        }
    }

    /// RTCPeerConnection-addTransceiver.https.html: "addTransceiver() with direction sendonly should have result
    /// transceiver.direction be the same"
    #[test]
    fn add_transceiver_with_direction_sendonly_should_have_the_same_direction() {
        let (session, id) = audio(Sendonly);
        assert_eq!(direction(&session, id), Sendonly);
    }

    /// RTCPeerConnection-addTransceiver.https.html: "addTransceiver() with direction inactive should have result
    /// transceiver.direction be the same"
    #[test]
    fn add_transceiver_with_direction_inactive_should_have_the_same_direction() {
        let (session, id) = audio(Inactive);
        assert_eq!(direction(&session, id), Inactive);
    }

    /// RTCPeerConnection-addTransceiver.https.html: "addTransceiver() with invalid direction should throw
    /// TypeError"; the only one that can be written here is `stopped`
    #[test]
    fn add_transceiver_with_invalid_direction_should_throw_type_error() {
        let init = TransceiverInit { direction: Stopped, ..TransceiverInit::default() };
        assert_refused(session().add_transceiver(MediaKind::Audio, init), "TypeError");
    }

    /// RTCPeerConnection-addTrack.https.html: "addTrack with existing sender with null track, same kind, and
    /// recvonly direction should reuse sender"
    #[test]
    fn add_track_with_existing_sender_with_null_track_and_recvonly_direction_should_reuse_sender() {
        let (mut session, id) = audio(Recvonly);
        assert_eq!(add_track(&mut session, MediaKind::Audio), id);
        assert_eq!(direction(&session, id), Sendrecv);
    }

    /// RTCPeerConnection-addTrack.https.html: "addTrack with existing sender that has not been used to send should
    /// reuse the sender"
    #[test]
    fn add_track_with_existing_sender_that_has_not_been_used_to_send_should_reuse_the_sender() {
        let (mut session, id) = audio(Sendrecv);
        assert_eq!(add_track(&mut session, MediaKind::Audio), id);
    }

    /// RTCPeerConnection-addTrack.https.html: "addTrack with existing sender that has been used to send should
    /// create new sender"
    #[test]
    fn add_track_with_existing_sender_that_has_been_used_to_send_should_create_new_sender() {
        let (mut caller, mut callee) = (session(), session());
        let id = add_track(&mut caller, MediaKind::Audio);
        exchange(&mut caller, &mut callee);
        assert_eq!(current(&caller, id), Some(Sendonly));
        caller.remove_track(id).expect("removed");
        exchange(&mut caller, &mut callee);
        assert_eq!(direction(&caller, id), Recvonly);
        assert_eq!(current(&caller, id), Some(Inactive));
        assert_ne!(add_track(&mut caller, MediaKind::Audio), id);
    }

    /// RTCPeerConnection-addTrack.https.html: "addTrack with existing sender with null track, different kind, and
    /// recvonly direction should create new sender"
    #[test]
    fn add_track_with_existing_sender_of_different_kind_should_create_new_sender() {
        let mut session = session();
        let id = add(&mut session, MediaKind::Video, Recvonly);
        assert_ne!(add_track(&mut session, MediaKind::Audio), id);
        assert_eq!(session.transceivers().len(), 2);
    }

    /// RTCPeerConnection-removeTrack.https.html: "Calling removeTrack with currentDirection sendrecv should set
    /// direction to recvonly"
    #[test]
    fn calling_remove_track_with_current_direction_sendrecv_should_set_direction_to_recvonly() {
        let (mut caller, mut callee) = (session(), session());
        let id = add_track(&mut caller, MediaKind::Audio);
        let offer = set_local(&mut caller);
        callee.set_remote_description(offer).expect("remote offer");
        add_track(&mut callee, MediaKind::Audio);
        let answer = set_local(&mut callee);
        caller.set_remote_description(answer).expect("remote answer");
        assert_eq!(current(&caller, id), Some(Sendrecv));
        caller.remove_track(id).expect("removed");
        assert_eq!(direction(&caller, id), Recvonly);
        assert_eq!(current(&caller, id), Some(Sendrecv));
    }

    /// RTCPeerConnection-removeTrack.https.html: "Calling removeTrack with currentDirection inactive should not
    /// change direction"
    #[test]
    fn calling_remove_track_with_current_direction_inactive_should_not_change_direction() {
        let (mut session, id) = audio(Sendrecv);
        add_track(&mut session, MediaKind::Audio);
        session.set_direction(id, Inactive).expect("direction");
        let offer = set_local(&mut session);
        session.set_remote_description(stranger_answers(&offer)).expect("answer");
        session.remove_track(id).expect("removed");
        assert_eq!(direction(&session, id), Inactive);
        assert_eq!(current(&session, id), Some(Inactive));
    }

    /// protocol/transceiver-mline-recycling.html: "Reuses m-lines in local negotiation"
    #[test]
    fn reuses_m_lines_in_local_negotiation() {
        let (mut pc1, mut pc2) = (session(), session());
        add(&mut pc1, MediaKind::Audio, Sendrecv);
        exchange(&mut pc1, &mut pc2);
        for kind in [MediaKind::Audio, MediaKind::Video, MediaKind::Video] {
            let id = pc1.transceivers()[0].id();
            pc1.stop(id).expect("stopped");
            exchange(&mut pc1, &mut pc2);
            add(&mut pc1, kind, Sendrecv);
            exchange(&mut pc1, &mut pc2);
            let description = pc1.local_description().expect("description");
            let sections = sections(&description.sdp);
            assert_eq!(sections.len(), 1);
            assert!(sections[0].starts_with(&format!("m={kind} 9 ")), "{}", sections[0]);
        }
    }

    /// protocol/transceiver-mline-recycling.html: "Reuses m-lines in remote negotiation"
    #[test]
    fn reuses_m_lines_in_remote_negotiation() {
        let sdp = format!(
            "{PREAMBLE}{FINGERPRINT}m=video 0 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\n\
             a=sendonly\r\na=mid:video\r\na=rtpmap:100 VP8/90000\r\na=setup:actpass\r\n{CREDENTIALS}"
        );
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let mut session = session();
            session.set_remote_description(Description::offer(sdp.clone())).expect("offer");
            set_local(&mut session);
            assert!(session.transceivers().is_empty());
            add(&mut session, kind, Sendrecv);
            let offer = offer(&mut session);
            let sections = sections(&offer.sdp);
            assert_eq!(sections.len(), 1);
            assert!(sections[0].starts_with(&format!("m={kind} 9 ")), "{}", sections[0]);
        }
    }
}

mod stopping {
    use super::*;

    /// RTCRtpTransceiver-stop.html: "A transceiver added and stopped before the initial offer generation should not
    /// trigger an offer m-section generation"
    #[test]
    fn a_transceiver_added_and_stopped_before_the_initial_offer_should_not_trigger_an_m_section() {
        let (mut session, id) = audio(Sendonly);
        add(&mut session, MediaKind::Video, Sendrecv);
        session.stop(id).expect("stopped");
        let offer = offer(&mut session);
        assert!(!offer.sdp.contains("m=audio"));
        assert!(offer.sdp.contains("m=video"));
    }

    /// RTCRtpTransceiver-stop.html: "During renegotiation, adding and stopping a transceiver should not trigger a
    /// renegotiated offer m-section generation"
    #[test]
    fn during_renegotiation_adding_and_stopping_a_transceiver_should_not_trigger_an_m_section() {
        let (mut pc1, id) = audio(Sendrecv);
        exchange(&mut pc1, &mut session());
        let video = add(&mut pc1, MediaKind::Video, Sendrecv);
        pc1.stop(id).expect("stopped");
        pc1.stop(video).expect("stopped");
        let offer = offer(&mut pc1);
        assert!(offer.sdp.contains("m=audio 0 "));
        assert!(!offer.sdp.contains("m=video"));
    }

    fn stopped_section_of(before: actix_rtc::proto::jsep::Direction) -> String {
        let (mut pc1, id) = audio(Sendrecv);
        exchange(&mut pc1, &mut session());
        pc1.set_direction(id, before).expect("direction");
        pc1.stop(id).expect("stopped");
        offer(&mut pc1).sdp
    }

    /// RTCRtpTransceiver-stop.html: "A stopped sendonly transceiver should generate an inactive m-section in the
    /// offer"
    #[test]
    fn a_stopped_sendonly_transceiver_should_generate_an_inactive_m_section_in_the_offer() {
        assert!(stopped_section_of(Sendonly).contains("a=inactive"));
    }

    /// RTCRtpTransceiver-stop.html: "A stopped inactive transceiver should generate an inactive m-section in the
    /// offer"
    #[test]
    fn a_stopped_inactive_transceiver_should_generate_an_inactive_m_section_in_the_offer() {
        assert!(stopped_section_of(Inactive).contains("a=inactive"));
    }

    /// RTCRtpTransceiver-stop.html: "If a transceiver is stopped locally, setting a locally generated answer should
    /// still work"
    #[test]
    fn if_a_transceiver_is_stopped_locally_setting_a_local_description_should_still_work() {
        let (mut pc1, id) = audio(Sendrecv);
        let mut pc2 = session();
        exchange(&mut pc1, &mut pc2);
        pc1.stop(id).expect("stopped");
        exchange(&mut pc1, &mut pc2);
        set_local(&mut pc1);
    }

    /// RTCRtpTransceiver-stop.html: "If a transceiver is stopped remotely, setting a locally generated answer
    /// should still work"
    #[test]
    fn if_a_transceiver_is_stopped_remotely_setting_a_local_description_should_still_work() {
        let (mut pc1, _) = audio(Sendrecv);
        let mut pc2 = session();
        exchange(&mut pc1, &mut pc2);
        let id = pc2.transceivers()[0].id();
        pc2.stop(id).expect("stopped");
        exchange(&mut pc2, &mut pc1);
        set_local(&mut pc1);
    }

    /// RTCRtpTransceiver-stop.html: "If a transceiver is stopped, transceivers, senders and receivers should
    /// disappear after offer/answer"
    #[test]
    fn if_a_transceiver_is_stopped_it_should_disappear_after_offer_answer() {
        let (mut pc1, id) = audio(Sendrecv);
        let mut pc2 = session();
        exchange(&mut pc1, &mut pc2);
        assert_eq!((pc1.transceivers().len(), pc2.transceivers().len()), (1, 1));
        pc1.stop(id).expect("stopped");
        exchange(&mut pc1, &mut pc2);
        assert_eq!((pc1.transceivers().len(), pc2.transceivers().len()), (0, 0));
    }
}

mod preferences {
    use super::*;

    fn codecs(kind: MediaKind) -> Vec<CodecParameters> {
        session().config().media.of(kind).codecs.clone()
    }

    fn prefer(kind: MediaKind, codecs: Vec<CodecParameters>) -> Result<Session, JsepError> {
        let mut session = session();
        let id = add(&mut session, kind, Sendrecv);
        session.set_codec_preferences(id, codecs).map(|()| session)
    }

    fn first_codec(session: &mut Session) -> String {
        codec_names(sections(&offer(session).sdp)[0]).remove(0)
    }

    fn named(codecs: &[CodecParameters], name: &str) -> usize {
        codecs.iter().position(|codec| codec.name == name).expect("known codec")
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() on audio transceiver with codecs returned
    /// from RTCRtpSender.getCapabilities('audio') should succeed" and the same for video
    #[test]
    fn set_codec_preferences_with_codecs_of_the_capabilities_should_succeed() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            prefer(kind, codecs(kind)).expect("preferences");
        }
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with both sender receiver codecs combined
    /// should succeed"
    #[test]
    fn set_codec_preferences_with_both_sender_receiver_codecs_combined_should_succeed() {
        let twice = [codecs(MediaKind::Audio), codecs(MediaKind::Audio)].concat();
        let mut session = prefer(MediaKind::Audio, twice).expect("preferences");
        let names = codec_names(sections(&offer(&mut session).sdp)[0]);
        assert_eq!(names.iter().filter(|name| *name == "opus").count(), 1);
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences([]) should succeed"
    #[test]
    fn set_codec_preferences_to_nothing_should_succeed() {
        let mut session = prefer(MediaKind::Audio, Vec::new()).expect("preferences");
        assert!(codec_names(sections(&offer(&mut session).sdp)[0]).len() > 1);
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with only VP8 should succeed" and the same
    /// for H264
    #[test]
    fn set_codec_preferences_with_only_one_codec_should_succeed() {
        for name in ["VP8", "H264"] {
            let known = codecs(MediaKind::Video);
            let only = known[named(&known, name)].clone();
            let mut session = prefer(MediaKind::Video, vec![only]).expect("preferences");
            assert_eq!(codec_names(sections(&offer(&mut session).sdp)[0]), [name]);
        }
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() should allow setting H264 as first codec"
    /// and the same for VP8
    #[test]
    fn set_codec_preferences_should_allow_setting_each_as_first_codec() {
        for name in ["H264", "VP8"] {
            let mut order = codecs(MediaKind::Video);
            let first = order.remove(named(&order, name));
            order.insert(0, first);
            let mut session = prefer(MediaKind::Video, order).expect("preferences");
            assert_eq!(first_codec(&mut session), name);
            assert!(lines(&offer(&mut session).sdp, "a=rtpmap:")[0].contains(name));
        }
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() modifies the order of audio codecs in
    /// createOffer"
    #[test]
    fn set_codec_preferences_modifies_the_order_of_audio_codecs_in_create_offer() {
        let mut order = codecs(MediaKind::Audio);
        let first = order.remove(named(&order, "PCMU"));
        order.insert(0, first);
        let mut session = prefer(MediaKind::Audio, order).expect("preferences");
        assert_eq!(first_codec(&mut session), "PCMU");
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() on audio transceiver with codecs returned
    /// from getCapabilities('video') should throw InvalidModificationError"
    #[test]
    fn set_codec_preferences_with_codecs_of_another_kind_should_throw_invalid_modification_error() {
        assert_refused(prefer(MediaKind::Audio, codecs(MediaKind::Video)), "InvalidModificationError");
    }

    fn modified(change: impl FnOnce(&mut CodecParameters)) {
        let mut codec = codecs(MediaKind::Audio).remove(0);
        change(&mut codec);
        assert_refused(prefer(MediaKind::Audio, vec![codec]), "InvalidModificationError");
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with user defined codec should throw
    /// InvalidModificationError"
    #[test]
    fn set_codec_preferences_with_user_defined_codec_should_throw_invalid_modification_error() {
        modified(|codec| "piepiper".clone_into(&mut codec.name));
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with user defined codec together with
    /// codecs returned from getCapabilities() should throw InvalidModificationError"
    #[test]
    fn set_codec_preferences_with_user_defined_codec_together_with_known_ones_should_throw() {
        let mut list = codecs(MediaKind::Audio);
        let mut own = list[0].clone();
        "piepiper".clone_into(&mut own.name);
        list.push(own);
        assert_refused(prefer(MediaKind::Audio, list), "InvalidModificationError");
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with modified codec clock rate should throw
    /// InvalidModificationError"
    #[test]
    fn set_codec_preferences_with_modified_codec_clock_rate_should_throw_invalid_modification_error() {
        modified(|codec| codec.clock_rate /= 2);
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with modified codec channel count should
    /// throw InvalidModificationError"
    #[test]
    fn set_codec_preferences_with_modified_codec_channel_count_should_throw_invalid_modification_error() {
        modified(|codec| codec.channels = Some(codec.channels.unwrap_or(2) + 11));
    }

    /// RTCRtpTransceiver-setCodecPreferences.html: "setCodecPreferences() with modified codec parameters should throw
    /// InvalidModificationError"
    #[test]
    fn set_codec_preferences_with_modified_codec_parameters_should_throw_invalid_modification_error() {
        modified(|codec| codec.parameters = vec![("modifiedparameter".to_owned(), Some("1".to_owned()))]);
    }
}
