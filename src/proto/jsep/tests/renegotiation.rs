//! Later exchanges: directions, recycled sections, rollback, glare, ICE restart.

use super::*;

fn ssrc(session: &Session, mid: &str) -> Option<u32> {
    session.transceiver_by_mid(mid).and_then(|t| t.send_parameters()).map(|parameters| parameters.ssrc())
}

/// A client that receives one video track of a server.
fn subscribed() -> (Session, Session, TransceiverId, TransceiverId) {
    let (mut client, mut server) = (session(1), session(2));
    let ours = client.add_transceiver(MediaKind::Video, init(Direction::Recvonly)).expect("added");
    let offer = client.create_offer(OfferOptions::default()).expect("offer");
    client.set_local_description(offer.clone()).expect("local");
    server.set_remote_description(offer).expect("remote");
    let theirs = server.transceivers()[0].id();
    server.set_direction(theirs, Direction::Sendonly).expect("set");
    server.set_sending_track(theirs, vec!["room".to_owned()], Some("first".to_owned())).expect("set");
    let answer = answer(&mut server);
    client.set_remote_description(answer).expect("answer");
    (client, server, ours, theirs)
}

#[test]
fn a_source_is_stable_while_its_track_flows() {
    let (mut client, mut server, ..) = subscribed();
    let before = ssrc(&server, "0").expect("sends");
    client.add_transceiver(MediaKind::Audio, init(Direction::Recvonly)).expect("added");
    let (offer, answer) = exchange(&mut client, &mut server);
    assert_eq!(offer.media.len(), 2);
    assert_eq!(ssrc(&server, "0"), Some(before));
    assert_eq!(answer.media[0].msids[0].track.as_deref(), Some("first"));
    assert!(!offer.media[0].bundle_only && offer.media[1].bundle_only);
    assert_eq!(answer.origin.session_version, "2");
}

#[test]
fn an_inactive_section_is_reused_for_another_track_with_a_fresh_source() {
    let (mut client, mut server, ours, theirs) = subscribed();
    let before = ssrc(&server, "0").expect("sends");
    client.set_direction(ours, Direction::Inactive).expect("set");
    assert!(client.negotiation_needed());
    exchange(&mut client, &mut server);
    assert!(!client.negotiation_needed());
    assert_eq!(ssrc(&server, "0"), None);
    assert_eq!(server.transceiver(theirs).expect("stays").current_direction(), Some(Direction::Inactive));
    assert!(client.transceiver(ours).expect("stays").remote_track_id().is_none());

    client.set_direction(ours, Direction::Recvonly).expect("set");
    server.set_sending_track(theirs, vec!["room".to_owned()], Some("second".to_owned())).expect("set");
    let (offer, answer) = exchange(&mut client, &mut server);
    assert_eq!((offer.media.len(), answer.media.len()), (1, 1));
    let after = ssrc(&server, "0").expect("sends again");
    assert_ne!(after, before);
    assert_eq!(client.transceiver(ours).expect("stays").remote_track_id(), Some("second"));
    let receive = client.transceiver(ours).and_then(|t| t.receive_parameters()).expect("receives");
    assert_eq!(receive.ssrcs[0].0, after);
}

#[test]
fn the_same_track_keeps_its_source_over_a_pause() {
    let (mut client, mut server, ours, theirs) = subscribed();
    let before = ssrc(&server, "0");
    client.set_direction(ours, Direction::Inactive).expect("set");
    exchange(&mut client, &mut server);
    client.set_direction(ours, Direction::Recvonly).expect("set");
    server.set_sending_track(theirs, vec!["room".to_owned()], Some("first".to_owned())).expect("set");
    exchange(&mut client, &mut server);
    assert_eq!(ssrc(&server, "0"), before);
}

#[test]
fn a_stopped_section_is_rejected_and_then_recycled_with_a_new_tag() {
    let (mut client, mut server, ours, theirs) = subscribed();
    client.stop(ours).expect("stopped");
    assert!(client.transceiver(ours).expect("until the answer").receive_parameters().is_none());
    let (offer, answer) = exchange(&mut client, &mut server);
    assert!(offer.media[0].rejected() && answer.media[0].rejected());
    assert!(offer.bundle().is_empty());
    assert!(client.transceiver(ours).is_none() && server.transceiver(theirs).is_none());
    assert!(!client.negotiation_needed());

    client.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let (offer, answer) = exchange(&mut client, &mut server);
    assert_eq!((offer.media.len(), answer.media.len()), (1, 1));
    assert_eq!(offer.media[0].media_type, crate::proto::sdp::MediaType::Audio);
    assert_eq!(offer.media[0].mid.as_deref(), Some("1"));
    assert!(server.transceiver_by_mid("1").is_some());
}

#[test]
fn the_answerer_may_offer_next_and_keeps_all_numbers() {
    let (mut left, mut right) = (session(1), session(2));
    right.set_remote_description(Description::offer(browser::chromium_offer())).expect("offer");
    let first = parsed(&answer(&mut right));
    right.add_transceiver(MediaKind::Video, init(Direction::Sendonly)).expect("added");
    let offer = right.create_offer(OfferOptions::default()).expect("offer");
    let second = parsed(&offer);
    // The refused data section is taken for the new one.
    assert_eq!(second.media.len(), 3);
    let payload_types = |section: &crate::proto::sdp::MediaDescription| names(&section.codecs).len();
    assert!(payload_types(&second.media[1]) >= payload_types(&first.media[1]));
    assert_eq!(second.media[1].codecs[..8], first.media[1].codecs[..]);
    assert_eq!(second.media[2].mid.as_deref(), Some("3"));
    assert_eq!(second.bundle(), ["0", "1", "3"]);
    assert!(offer.sdp.contains("a=simulcast:recv q;h;f"));
    // One number means one codec, and one id one extension, in all sections.
    let mut codecs = std::collections::HashMap::new();
    let mut extensions = std::collections::HashMap::new();
    for section in &second.media {
        for codec in &section.codecs {
            let known = codecs.entry(codec.payload_type).or_insert_with(|| codec.parameters.clone());
            assert_eq!(*known, codec.parameters, "payload type {}", codec.payload_type);
        }
        for extension in &section.extensions {
            let known = extensions.entry(extension.id).or_insert_with(|| extension.uri.clone());
            assert_eq!(*known, extension.uri);
        }
    }
    left.set_remote_description(offer).expect("another session takes it");
}

#[test]
fn roles_and_credentials_stay_when_the_other_side_offers() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    let (ice_left, ice_right) = (left.local_ice().clone(), right.local_ice().clone());
    right.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    exchange(&mut right, &mut left);
    assert_eq!(left.transport().expect("known").dtls_role, Some(DtlsRole::Server));
    assert_eq!(right.transport().expect("known").dtls_role, Some(DtlsRole::Client));
    assert_eq!((left.local_ice(), right.local_ice()), (&ice_left, &ice_right));
}

#[test]
fn a_rolled_back_local_offer_leaves_no_trace() {
    let (mut client, mut server, ours, _) = subscribed();
    let before = client.local_description();
    let second = client.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    client.set_direction(ours, Direction::Inactive).expect("set");
    let offer = client.create_offer(OfferOptions { ice_restart: true }).expect("offer");
    let ice = client.local_ice().clone();
    client.set_local_description(offer).expect("local");
    assert_ne!(client.local_ice(), &ice);
    assert_eq!(client.transceiver(second).expect("there").mid(), Some("1"));
    client.set_local_description(Description::rollback()).expect("rollback");
    assert_eq!(client.signaling_state(), SignalingState::Stable);
    assert_eq!(client.local_ice(), &ice);
    assert_eq!(client.local_description(), before);
    assert_eq!(client.transceiver(second).expect("stays").mid(), None);
    assert_eq!(
        client.transceiver(ours).expect("stays").direction(),
        Direction::Inactive,
        "a wish is not undone"
    );
    assert!(client.negotiation_needed());
    exchange(&mut client, &mut server);
    assert_eq!(server.transceivers().len(), 2);
}

#[test]
fn a_rolled_back_remote_offer_takes_its_transceivers_along() {
    let (mut client, mut server, _, theirs) = subscribed();
    let transport = server.transport();
    client.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    client.restart_ice();
    let offer = client.create_offer(OfferOptions::default()).expect("offer");
    client.set_local_description(offer.clone()).expect("local");
    server.set_remote_description(offer).expect("remote");
    assert_eq!(server.transceivers().len(), 2);
    assert_eq!(server.transport(), transport, "a pending offer does not touch the transport");
    server.set_remote_description(Description::rollback()).expect("rollback");
    assert_eq!(server.transceivers().len(), 1);
    assert_eq!(server.transceiver(theirs).expect("stays").current_direction(), Some(Direction::Sendonly));
    assert_eq!(server.signaling_state(), SignalingState::Stable);
    assert_eq!(server.transport(), transport);
}

#[test]
fn glare_is_resolved_by_the_side_that_takes_the_others_offer() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    right.add_track(MediaKind::Audio, Vec::new(), None).expect("added");
    let from_left = left.create_offer(OfferOptions::default()).expect("offer");
    let from_right = right.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(from_left.clone()).expect("local");
    right.set_local_description(from_right).expect("local");
    right.set_remote_description(from_left).expect("the polite side yields");
    let answer = answer(&mut right);
    left.set_remote_description(answer).expect("answer");
    assert_eq!(right.transceivers().len(), 1);
    assert!(!left.negotiation_needed() && !right.negotiation_needed());
    assert_eq!(left.transceivers()[0].current_direction(), Some(Direction::Sendrecv));
}

#[test]
fn an_ice_restart_changes_both_sides_credentials_and_forgets_candidates() {
    let (mut client, mut server, ..) = subscribed();
    let line = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host";
    client.add_local_candidate(client.first_transport(), line).expect("added");
    server.add_local_candidate(server.first_transport(), line).expect("added");
    client.restart_ice();
    assert!(client.negotiation_needed());
    let before = (client.local_ice().clone(), server.local_ice().clone());
    let (offer, _) = exchange(&mut client, &mut server);
    assert!(!client.negotiation_needed());
    assert_ne!(client.local_ice().ufrag, before.0.ufrag);
    assert_ne!(client.local_ice().password, before.0.password);
    assert_ne!(server.local_ice().ufrag, before.1.ufrag);
    assert!(offer.media[0].candidates.is_empty());
    assert_eq!(server.transport().expect("known").ufrag, client.local_ice().ufrag);
    assert_eq!(client.transport().expect("known").ufrag, server.local_ice().ufrag);
    assert!(client.transport().expect("known").candidates.is_empty());
}

#[test]
fn credentials_of_an_agent_that_began_anew_are_negotiated() {
    let (mut client, mut server, ..) = subscribed();
    let ice = IceParameters { ufrag: "anew".to_owned(), password: "p".repeat(24), lite: false };
    server.replace_local_ice(server.first_transport(), ice.clone()).expect("there");
    assert!(server.negotiation_needed());
    exchange(&mut server, &mut client);
    assert_eq!(client.transport().expect("known").ufrag, "anew");
    assert_eq!(server.local_ice(), &ice);
    assert!(!server.negotiation_needed());
}

#[test]
fn a_provisional_answer_starts_the_media() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendonly)).expect("added");
    let offer = left.create_offer(OfferOptions::default()).expect("offer");
    left.set_local_description(offer.clone()).expect("local");
    right.set_remote_description(offer).expect("remote");
    let pranswer = Description { kind: SdpType::Pranswer, ..right.create_answer().expect("answer") };
    right.set_local_description(pranswer.clone()).expect("pranswer");
    left.set_remote_description(pranswer).expect("pranswer");
    assert_eq!(left.signaling_state(), SignalingState::HaveRemotePranswer);
    assert_eq!(right.signaling_state(), SignalingState::HaveLocalPranswer);
    assert!(left.transceivers()[0].send_parameters().is_some());
    assert!(right.transport().is_some() && left.transport().is_some());
    let answer = answer(&mut right);
    left.set_remote_description(answer).expect("answer");
    assert_eq!(left.signaling_state(), SignalingState::Stable);
    assert_eq!(right.signaling_state(), SignalingState::Stable);
}

#[test]
fn the_origin_changes_only_with_the_content() {
    let (mut client, mut server, ours, _) = subscribed();
    let first = parsed(&client.local_description().expect("there")).origin;
    let (offer, _) = exchange(&mut client, &mut server);
    let second = offer.origin;
    assert_eq!(first.session_id, second.session_id);
    let (third, _) = exchange(&mut client, &mut server);
    assert_eq!(second, third.origin, "nothing changed");
    client.set_direction(ours, Direction::Inactive).expect("set");
    let (fourth, _) = exchange(&mut client, &mut server);
    let version = |text: &str| text.parse::<u64>().expect("numeric");
    assert_eq!(version(&fourth.origin.session_version), version(&third.origin.session_version) + 1);
}

#[test]
fn a_track_changed_after_the_description_was_created_keeps_the_announced_source() {
    let (mut client, mut server, ours, theirs) = subscribed();
    client.set_direction(ours, Direction::Inactive).expect("set");
    exchange(&mut client, &mut server);
    client.set_direction(ours, Direction::Recvonly).expect("set");
    let offer = client.create_offer(OfferOptions::default()).expect("offer");
    client.set_local_description(offer.clone()).expect("local");
    server.set_remote_description(offer).expect("remote");
    let answer = server.create_answer().expect("answer");
    server.set_sending_track(theirs, vec!["room".to_owned()], Some("late".to_owned())).expect("set");
    server.set_local_description(answer.clone()).expect("as created");
    client.set_remote_description(answer).expect("answer");
    let announced = ssrc(&server, "0");
    assert!(server.negotiation_needed(), "the new name is not announced yet");
    exchange(&mut client, &mut server);
    assert_eq!(ssrc(&server, "0"), announced);
    assert_eq!(client.transceiver(ours).expect("stays").remote_track_id(), Some("late"));
}

#[test]
fn a_recycled_first_section_stands_for_the_transport() {
    let (mut left, mut right) = (session(1), session(2));
    let first = left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    exchange(&mut left, &mut right);
    left.stop(first).expect("stopped");
    let (offer, _) = exchange(&mut left, &mut right);
    assert_eq!(offer.bundle(), ["1"]);
    left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
    let (offer, answer) = exchange(&mut left, &mut right);
    // Browsers answer with groups in the order of the m-lines; offers in another order trip them.
    assert_eq!((offer.bundle(), answer.bundle()), (&["2".to_owned(), "1".to_owned()][..], offer.bundle()));
    assert!(offer.media.iter().all(|section| !section.bundle_only && section.port != 0));
}

/// Two ends of a DTLS association have different roles, whatever becomes of the sections that it began with.
#[test]
fn sections_that_replace_all_others_have_a_transport_with_one_client_and_one_server() {
    for offers_first in [true, false] {
        let (mut left, mut right) = (session(1), session(2));
        let (offerer, answerer) =
            if offers_first { (&mut left, &mut right) } else { (&mut right, &mut left) };
        offerer.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
        exchange(offerer, answerer);
        let first = left.transceiver_by_mid("0").expect("negotiated").id();
        let before = left.transports()[0].id;
        left.stop(first).expect("stopped");
        left.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
        exchange(&mut left, &mut right);
        let (ours, theirs) = (&left.transports()[0], &right.transports()[0]);
        let role = |transport: &Transport| transport.remote.as_ref().and_then(|remote| remote.dtls_role);
        assert_ne!(ours.id, before, "the old one has lost its sections");
        assert_ne!(role(ours), role(theirs));
        assert_eq!(theirs.remote.as_ref().map(|remote| &remote.ufrag), Some(&ours.local.ufrag));
    }
}

/// Other implementations may keep a transport whose sections are all new, as we did.
#[test]
fn an_offer_of_new_sections_with_the_credentials_of_before_goes_on_with_the_transport() {
    let (mut left, mut right) = (session(1), session(2));
    left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
    let (offer, _) = exchange(&mut left, &mut right);
    let before = right.transports()[0].clone();
    let added = {
        let mut other = session(1);
        other.add_transceiver(MediaKind::Video, init(Direction::Sendrecv)).expect("added");
        other.create_offer(OfferOptions::default()).expect("offer")
    };
    let mut next = parsed(&added);
    let credentials = offer.transport_of(&offer.media[0]);
    next.media[0].mid = Some("7".to_owned());
    next.media[0].transport.ice_ufrag.clone_from(&credentials.ice_ufrag);
    next.media[0].transport.ice_pwd.clone_from(&credentials.ice_pwd);
    let mut rejected = offer.media[0].clone();
    rejected.port = 0;
    rejected.bundle_only = false;
    next.media.insert(0, rejected);
    next.groups[0].mids = vec!["7".to_owned()];
    right.set_remote_description(Description { kind: SdpType::Offer, sdp: next.to_string() }).expect("offer");
    answer(&mut right);
    let after = &right.transports()[0];
    assert_eq!((after.id, &after.local), (before.id, &before.local));
    assert_eq!(after.remote.as_ref().map(|r| r.dtls_role), before.remote.as_ref().map(|r| r.dtls_role));
}
