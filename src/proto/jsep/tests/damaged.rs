//! Offers and answers with damage that still parses: refused or answered, never a panic, never half applied.

use super::browser::chromium_offer;
use super::*;
use proptest::prelude::*;

/// A text with lines removed, doubled, moved or taken from elsewhere in it, and numbers changed.
fn damage(text: &str, edits: &[(prop::sample::Index, prop::sample::Index, u8)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, from, kind) in edits {
        if lines.len() < 6 {
            break;
        }
        // The first four lines are needed for the rest to be looked at.
        let (at, from) = (4 + at.index(lines.len() - 4), 4 + from.index(lines.len() - 4));
        match kind % 5 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[from].clone()),
            2 => lines.swap(at, from),
            3 => lines[at] = lines[at].replace(['1', '9'], "2"),
            _ => lines[at] = lines[at].replace('0', "1"),
        }
    }
    lines.join("\r\n") + "\r\n"
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..10)
}

proptest! {
    #[test]
    fn damaged_offers_are_refused_or_answered(first in edits(), second in edits()) {
        let mut session = data_session(1);
        for edits in [&first, &second] {
            let offer = damage(&chromium_offer(), edits);
            let before = (session.signaling_state(), session.remote_description(), session.transceivers().len());
            if session.set_remote_description(Description::offer(offer)).is_err() {
                let after = (session.signaling_state(), session.remote_description(), session.transceivers().len());
                prop_assert_eq!(before, after);
                continue;
            }
            let answer = answer(&mut session);
            prop_assert!(answer.sdp.parse::<SessionDescription>().is_ok(), "{}", answer.sdp);
            let candidate = CandidateInit {
                candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
                media_line_index: Some(1),
                ..CandidateInit::default()
            };
            let _ = session.add_remote_candidate(&candidate);
            let _ = session.transport();
        }
        let offer = session.create_offer(OfferOptions::default()).expect("stable");
        session.set_local_description(offer).expect("just created");
    }

    #[test]
    fn damaged_answers_are_refused_or_applied(edits in edits()) {
        let (mut left, mut right) = (data_session(1), data_session(2));
        left.add_transceiver(MediaKind::Audio, init(Direction::Sendrecv)).expect("added");
        left.add_transceiver(MediaKind::Video, sending(Direction::Sendrecv, "s", "t")).expect("added");
        left.add_data_section().expect("open");
        let offer = left.create_offer(OfferOptions::default()).expect("offer");
        left.set_local_description(offer.clone()).expect("local");
        right.set_remote_description(offer).expect("remote");
        let answer = answer(&mut right).sdp;
        if left.set_remote_description(Description::answer(damage(&answer, &edits))).is_err() {
            prop_assert_eq!(left.signaling_state(), SignalingState::HaveLocalOffer);
            left.set_remote_description(Description::answer(answer)).expect("the real one still fits");
        }
        prop_assert_eq!(left.signaling_state(), SignalingState::Stable);
        let _ = left.transport();
        left.create_offer(OfferOptions::default()).expect("stable");
    }
}
