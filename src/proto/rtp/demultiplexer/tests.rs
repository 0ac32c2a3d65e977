//! Tests of demultiplexing by MID, RID, SSRC and payload type.

use super::*;

fn mid(value: &str) -> Mid {
    Mid::new(value).expect("legal")
}

fn rid(value: &str) -> Rid {
    Rid::new(value).expect("legal")
}

fn section(index: usize, name: &str, payload_types: &[u8]) -> Section {
    Section { index, mid: Some(mid(name)), payload_types: payload_types.to_vec(), ..Section::default() }
}

fn named(name: &str) -> Extensions {
    Extensions { mid: Some(mid(name)), ..Extensions::default() }
}

fn demultiplexer() -> Demultiplexer {
    let mut demultiplexer = Demultiplexer::new();
    let sections = vec![
        section(0, "a", &[111]),
        Section { rids: vec![rid("q"), rid("h")], ..section(1, "v", &[96, 97]) },
        section(2, "w", &[96, 97, 98]),
        Section { ssrcs: vec![(5, Some(6))], ..section(3, "x", &[96]) },
    ];
    demultiplexer.set_sections(sections, ExtensionMap::default());
    demultiplexer
}

fn to(section: usize) -> Result<Route, RouteError> {
    Ok(Route { section, rid: None, repaired: false })
}

#[test]
fn a_mid_is_learned_for_its_source() {
    let mut demultiplexer = demultiplexer();
    let none = Extensions::default();
    assert_eq!(demultiplexer.route(1, 96, &none), Err(RouteError::Unknown), "96 is in three sections");
    assert_eq!(demultiplexer.route(1, 96, &named("w")), to(2));
    assert_eq!(demultiplexer.route(1, 96, &none), to(2));
    assert_eq!(demultiplexer.route(1, 127, &none), to(2), "the source decides, not the payload type");
    assert_eq!(demultiplexer.route(1, 96, &named("x")), to(3), "a later MID moves the source");
    assert_eq!(demultiplexer.route(1, 96, &none), to(3));
}

#[test]
fn a_payload_type_of_one_section_is_enough() {
    let mut demultiplexer = demultiplexer();
    assert_eq!(demultiplexer.route(1, 111, &Extensions::default()), to(0));
    assert_eq!(demultiplexer.route(2, 98, &Extensions::default()), to(2));
    assert_eq!(demultiplexer.route(3, 99, &Extensions::default()), Err(RouteError::Unknown));
    assert_eq!(demultiplexer.route(3, 255, &Extensions::default()), Err(RouteError::Unknown));
}

#[test]
fn signalled_sources_are_known_at_once() {
    let mut demultiplexer = demultiplexer();
    assert_eq!(demultiplexer.route(5, 96, &Extensions::default()), to(3));
    let repair = demultiplexer.route(6, 97, &Extensions::default());
    assert_eq!(repair, Ok(Route { section: 3, rid: None, repaired: true }));
}

#[test]
fn unknown_names_leave_no_trace() {
    let mut demultiplexer = demultiplexer();
    let before = demultiplexer.sources.len();
    assert_eq!(demultiplexer.route(9, 111, &named("zz")), Err(RouteError::UnknownMid));
    let unknown_rid = Extensions { rid: Some(rid("f")), ..named("v") };
    assert_eq!(demultiplexer.route(9, 96, &unknown_rid), Err(RouteError::UnknownRid));
    let illegal = Extensions { unknown_name: true, ..Extensions::default() };
    assert_eq!(demultiplexer.route(9, 111, &illegal), Err(RouteError::UnknownMid));
    assert_eq!(demultiplexer.sources.len(), before);
}

#[test]
fn encodings_and_their_repair_streams_are_remembered() {
    let mut demultiplexer = demultiplexer();
    let first = Extensions { rid: Some(rid("q")), ..named("v") };
    let repair = Extensions { repaired_rid: Some(rid("q")), ..named("v") };
    let none = Extensions::default();
    let expected = Ok(Route { section: 1, rid: Some(rid("q")), repaired: false });
    assert_eq!(demultiplexer.route(1, 96, &first), expected);
    assert_eq!(demultiplexer.route(1, 96, &none), expected);
    let expected = Ok(Route { section: 1, rid: Some(rid("q")), repaired: true });
    assert_eq!(demultiplexer.route(2, 97, &repair), expected);
    assert_eq!(demultiplexer.route(2, 97, &none), expected);
    // The encoding goes on under a new source.
    let expected = Ok(Route { section: 1, rid: Some(rid("q")), repaired: false });
    assert_eq!(demultiplexer.route(3, 96, &first), expected);
}

#[test]
fn a_flood_of_sources_keeps_the_table_small_and_the_talkers_known() {
    let mut demultiplexer = demultiplexer();
    for ssrc in 1000..101_000u32 {
        let ssrc = ssrc.wrapping_mul(2_654_435_761);
        assert!(demultiplexer.route(ssrc, 111, &Extensions::default()).is_ok());
        assert_eq!(demultiplexer.route(5, 96, &Extensions::default()), to(3));
    }
    assert_eq!(demultiplexer.sources.len(), SOURCES_MAX);
    assert!(demultiplexer.sources.is_sorted_by_key(|source| source.ssrc));
}

#[test]
fn renegotiation_keeps_what_was_learned_for_sections_that_stay() {
    let mut demultiplexer = demultiplexer();
    assert_eq!(demultiplexer.route(1, 96, &named("w")), to(2));
    assert_eq!(demultiplexer.route(2, 96, &named("v")), to(1));
    demultiplexer.set_sections(vec![section(2, "w", &[96])], ExtensionMap::default());
    assert_eq!(demultiplexer.route(1, 96, &Extensions::default()), to(2));
    assert_eq!(demultiplexer.route(2, 97, &Extensions::default()), Err(RouteError::Unknown));
    assert_eq!(demultiplexer.route(2, 96, &Extensions::default()), to(2), "now unique");
}

#[test]
fn header_bytes_are_routed_by_the_negotiated_ids() {
    let mut demultiplexer = demultiplexer();
    let extensions = ExtensionMap::new([(4, "urn:ietf:params:rtp-hdrext:sdes:mid")], false);
    demultiplexer.set_sections(vec![section(7, "v", &[96]), section(8, "w", &[96])], extensions);
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 77, 0xbe, 0xde, 0, 1, 0x40, b'w', 0, 0];
    assert_eq!(demultiplexer.route_packet(&packet), to(8));
    packet[17] = b'z';
    assert_eq!(demultiplexer.route_packet(&packet), Err(RouteError::UnknownMid));
    assert_eq!(demultiplexer.route_packet(&packet[..11]), Err(RouteError::Malformed(RtpError::Truncated)));
}
