//! Generated descriptions: what is written is read back, and no text makes the parser fall over.

use super::*;
use crate::proto::rtp::CodecParameters;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.!#$%&'*+-]{1,12}"
}

fn rid_name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,8}"
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Sendrecv),
        Just(Direction::Sendonly),
        Just(Direction::Recvonly),
        Just(Direction::Inactive)
    ]
}

fn transport() -> impl Strategy<Value = TransportAttributes> {
    (
        option::of("[a-zA-Z0-9+/]{4,32}"),
        option::of("[a-zA-Z0-9+/]{22,40}"),
        vec(token(), 0..3),
        vec("(sha-1|sha-256) [0-9A-F]{2}(:[0-9a-f]{2}){0,4}", 0..3),
        option::of(prop_oneof![
            Just(Setup::Active),
            Just(Setup::Passive),
            Just(Setup::Actpass),
            Just(Setup::Holdconn)
        ]),
        option::of(token()),
        any::<bool>(),
    )
        .prop_map(|(ice_ufrag, ice_pwd, ice_options, fingerprints, setup, tls_id, end_of_candidates)| {
            TransportAttributes {
                ice_ufrag,
                ice_pwd,
                ice_options,
                fingerprints,
                setup,
                tls_id,
                end_of_candidates,
            }
        })
}

fn extension() -> impl Strategy<Value = ExtensionMapping> {
    (
        prop_oneof![1..=255u16, 4096..=4351u16],
        option::of(direction()),
        "urn:[a-z]{1,8}",
        option::of("[a-z]{1,4}( [a-z]{1,4})?"),
    )
        .prop_map(|(id, direction, uri, attributes)| ExtensionMapping { id, direction, uri, attributes })
}

fn codec(payload_type: u8, audio: bool) -> impl Strategy<Value = CodecParameters> {
    let value = option::of("[a-z0-9/=-]{1,6}");
    let feedback = vec("[a-z]{1,6}( [a-z]{1,4})?", 0..4).prop_map(|mut list| {
        list.sort();
        list.dedup();
        list
    });
    ("[A-Za-z0-9-]{1,10}", any::<u32>(), 1..9u8, vec(("[a-z-]{1,8}", value), 0..4), feedback).prop_map(
        move |(name, clock_rate, channels, parameters, feedback)| CodecParameters {
            payload_type,
            name,
            clock_rate,
            channels: audio.then_some(channels),
            parameters,
            feedback,
        },
    )
}

fn rids() -> impl Strategy<Value = (Vec<Rid>, Option<Simulcast>)> {
    let rid = (any::<bool>(), vec(any::<u8>(), 0..3), vec(("[a-z]{3,6}", option::of("[0-9]{1,4}")), 0..3));
    let streams = || vec(vec((rid_name(), any::<bool>()), 1..3), 0..3);
    (proptest::collection::btree_map(rid_name(), rid, 0..4), streams(), streams()).prop_map(
        |(rids, send, recv)| {
            let rids = rids.into_iter().map(|(id, (send, payload_types, restrictions))| Rid {
                id,
                direction: if send { RidDirection::Send } else { RidDirection::Recv },
                payload_types,
                restrictions,
            });
            let list = |streams: Vec<Vec<(String, bool)>>| {
                let id = |(rid, paused)| SimulcastId { rid, paused };
                streams.into_iter().map(|alternatives| alternatives.into_iter().map(id).collect()).collect()
            };
            let simulcast = Simulcast { send: list(send), recv: list(recv) };
            let said = !simulcast.send.is_empty() || !simulcast.recv.is_empty();
            (rids.collect(), said.then_some(simulcast))
        },
    )
}

fn sources() -> impl Strategy<Value = (Vec<SourceAttribute>, Vec<SourceGroup>, Vec<Msid>)> {
    let source = (any::<u32>(), "[a-z]{1,6}", option::of("[a-zA-Z0-9 :]{0,12}[a-z]"))
        .prop_map(|(ssrc, name, value)| SourceAttribute { ssrc, name, value });
    let group =
        (token(), vec(any::<u32>(), 0..3)).prop_map(|(semantics, ssrcs)| SourceGroup { semantics, ssrcs });
    let msid = (option::of("[a-z0-9]{1,8}"), option::of("[a-z0-9]{1,8}"))
        .prop_map(|(stream, track)| Msid { stream, track });
    (vec(source, 0..4), vec(group, 0..2), vec(msid, 0..3))
}

fn media() -> impl Strategy<Value = MediaDescription> {
    let codecs =
        (any::<bool>(), proptest::collection::btree_set(0..128u8, 1..5)).prop_flat_map(|(audio, numbers)| {
            let codecs: Vec<_> = numbers.into_iter().map(|number| codec(number, audio)).collect();
            (Just(audio), codecs)
        });
    let basics =
        (any::<u16>(), option::of(Just("IN IP6 ::1".to_owned())), vec(("[A-Z]{2,4}", any::<u64>()), 0..2));
    let candidates = vec("candidate:[0-9]{1,3} 1 udp [0-9]{1,9} 192\\.0\\.2\\.[0-9] 9 typ host", 0..3);
    (
        basics,
        codecs,
        option::of(direction()),
        transport(),
        candidates,
        any::<[bool; 5]>(),
        vec(extension(), 0..4),
        sources(),
        rids(),
    )
        .prop_map(
            |(
                (port, connection, bandwidths),
                (audio, codecs),
                direction,
                transport,
                candidates,
                flags,
                extensions,
                (sources, source_groups, msids),
                (rids, simulcast),
            )| {
                let media_type = if audio { MediaType::Audio } else { MediaType::Video };
                let [rtcp_mux, rtcp_mux_only, rtcp_reduced_size, bundle_only, extmap_allow_mixed] = flags;
                MediaDescription {
                    formats: codecs.iter().map(|codec| codec.payload_type.to_string()).collect(),
                    connection,
                    bandwidths,
                    direction,
                    transport,
                    candidates: candidates.into_iter().map(Into::into).collect(),
                    rtcp_mux,
                    rtcp_mux_only,
                    rtcp_reduced_size,
                    bundle_only,
                    extmap_allow_mixed,
                    codecs,
                    extensions,
                    msids,
                    sources,
                    source_groups,
                    rids,
                    simulcast,
                    sctp_port: (port % 3 == 0).then_some(port),
                    max_message_size: (port % 5 == 0).then_some(u64::from(port)),
                    sctp_map: (port % 7 == 0).then(|| SctpMap {
                        port,
                        application: "webrtc-datachannel".to_owned(),
                        streams: (port % 2 == 0).then_some(port),
                    }),
                    rtcp: (port % 11 == 0).then(|| RtcpAddress {
                        port,
                        address: (port % 2 == 0).then(|| "IN IP4 0.0.0.0".to_owned()),
                    }),
                    packet_time: (port % 13 == 0).then_some(u32::from(port)),
                    packet_time_max: (port % 17 == 0).then_some(u32::from(port)),
                    ..MediaDescription::new(media_type, port, "UDP/TLS/RTP/SAVPF")
                }
            },
        )
}

fn description() -> impl Strategy<Value = SessionDescription> {
    let groups = vec((token(), vec(token(), 0..4)), 0..3);
    (
        any::<(u64, u64, bool, bool)>(),
        groups,
        option::of(token()),
        transport(),
        vec(extension(), 0..2),
        vec(media(), 0..4),
    )
        .prop_map(
            |(
                (id, version, extmap_allow_mixed, ice_lite),
                groups,
                semantic,
                transport,
                extensions,
                mut media,
            )| {
                for (index, section) in media.iter_mut().enumerate() {
                    section.mid = (section.port % 4 != 0).then(|| index.to_string());
                }
                SessionDescription {
                    origin: Origin {
                        session_id: id.to_string(),
                        session_version: version.to_string(),
                        ..Origin::default()
                    },
                    session_name: "-".to_owned(),
                    connection: None,
                    groups: groups.into_iter().map(|(semantics, mids)| Group { semantics, mids }).collect(),
                    extmap_allow_mixed,
                    msid_semantic: semantic,
                    ice_lite,
                    transport,
                    extensions,
                    bandwidths: (id % 3 == 0).then(|| ("AS".to_owned(), version)).into_iter().collect(),
                    direction: None,
                    media,
                }
            },
        )
}

/// A real description with bytes changed, lines cut, doubled and swapped.
fn mutated() -> impl Strategy<Value = String> {
    let edits = vec((any::<prop::sample::Index>(), 0..5u8, "[ -~\r\n\\x00é]{0,6}"), 1..12);
    edits.prop_map(|edits| {
        let mut lines: Vec<String> = corpora::SAMPLE.lines().map(str::to_owned).collect();
        for (place, kind, text) in edits {
            if lines.is_empty() {
                break;
            }
            let index = place.index(lines.len());
            match kind {
                0 => drop(lines.remove(index)),
                1 => lines.insert(index, lines[index].clone()),
                2 => lines.swap(0, index),
                3 => lines[index].push_str(&text),
                _ => {
                    let at = place.index(lines[index].len() + 1);
                    let at = (0..=at).rev().find(|&at| lines[index].is_char_boundary(at)).unwrap_or(0);
                    lines[index].truncate(at);
                    lines[index].push_str(&text);
                }
            }
        }
        lines.join("\r\n")
    })
}

fn check_stable(text: &str) -> Result<(), TestCaseError> {
    if let Ok(description) = text.parse::<SessionDescription>() {
        let written = description.to_string();
        prop_assert_eq!(written.parse(), Ok(description), "{}", written);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(description in description()) {
        let text = description.to_string();
        prop_assert_eq!(text.parse(), Ok(description), "{}", text);
    }

    #[test]
    fn damaged_descriptions_are_refused_or_understood(text in mutated()) {
        check_stable(&text)?;
    }

    #[test]
    fn any_text_is_refused_or_understood(text in any::<String>(), tail in "([a-z]=[ -~]{0,30}\r?\n){0,20}") {
        check_stable(&text)?;
        check_stable(&format!("{HEAD}{tail}"))?;
    }
}
