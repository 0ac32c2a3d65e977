//! RFC 8832 messages: round trips, byte lengths, and whatever a peer may send instead.

use proptest::prelude::*;

use super::*;

fn open(label: &str, protocol: &str) -> Open {
    Open {
        ordered: true,
        reliability: Reliability::Reliable,
        priority: 256,
        label: label.to_owned(),
        protocol: protocol.to_owned(),
    }
}

/// The example of every browser: `createDataChannel("chat")`.
#[test]
fn an_open_message_has_the_layout_of_rfc_8832_5_1() {
    let bytes = Message::Open(open("chat", "")).serialise().expect("short enough");
    assert_eq!(&bytes[..], b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat");
    assert_eq!(Message::parse(&bytes), Ok(Message::Open(open("chat", ""))));
}

/// protocols.md 111: maxRetransmits and maxPacketLifeTime are carried in DCEP.
#[test]
fn channel_type_and_parameter_carry_order_and_limits_111() {
    for (ordered, reliability, channel_type, parameter) in [
        (true, Reliability::Reliable, 0x00, 0),
        (false, Reliability::Reliable, 0x80, 0),
        (true, Reliability::MaxRetransmits(7), 0x01, 7),
        (false, Reliability::MaxRetransmits(0), 0x81, 0),
        (true, Reliability::MaxLifetime(500), 0x02, 500),
        (false, Reliability::MaxLifetime(65_535), 0x82, 65_535),
    ] {
        let message = Message::Open(Open { ordered, reliability, ..open("l", "p") });
        let bytes = message.serialise().expect("short enough");
        assert_eq!(bytes[1], channel_type);
        assert_eq!(u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]), parameter);
        assert_eq!(Message::parse(&bytes), Ok(message));
    }
}

#[test]
fn lengths_count_bytes_of_utf_8_and_not_characters() {
    let message = Message::Open(open("日本語", "é"));
    let bytes = message.serialise().expect("short enough");
    assert_eq!(&bytes[8..12], &[0, 9, 0, 2]);
    assert_eq!(Message::parse(&bytes), Ok(message));
}

/// protocols.md A43.
#[test]
fn malformed_messages_are_named_errors_a43() {
    assert_eq!(Message::parse(b""), Err(DcepError::TooShort));
    assert_eq!(Message::parse(b"\x03"), Err(DcepError::TooShort));
    assert_eq!(Message::parse(b"\x01"), Err(DcepError::UnknownMessage(1)));
    assert_eq!(
        Message::parse(b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x05\x00\x00chat"),
        Err(DcepError::TooShort)
    );
    assert_eq!(
        Message::parse(b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x03\x00\x00chat"),
        Err(DcepError::TooLong)
    );
    assert_eq!(
        Message::parse(b"\x03\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        Err(DcepError::UnknownChannelType(3))
    );
    assert_eq!(
        Message::parse(b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x02\x00\x00\xc3\x28"),
        Err(DcepError::NotUtf8)
    );
}

#[test]
fn a_label_of_65_536_bytes_cannot_be_written() {
    let message = Message::Open(open(&"x".repeat(65_536), ""));
    assert_eq!(message.serialise(), Err(DcepError::TooLong));
    let longest = Message::Open(open(&"x".repeat(65_535), &"y".repeat(65_535)));
    let bytes = longest.serialise().expect("fits");
    assert_eq!(Message::parse(&bytes), Ok(longest));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        ordered: bool, priority: u16, limit: u32, mode in 0..3u8, label in ".{0,40}", protocol in ".{0,40}",
    ) {
        let reliability = match mode {
            0 => Reliability::Reliable,
            1 => Reliability::MaxRetransmits(limit),
            _ => Reliability::MaxLifetime(limit),
        };
        let message = Message::Open(Open { ordered, reliability, priority, label, protocol });
        prop_assert_eq!(Message::parse(&message.serialise().expect("short")), Ok(message));
    }

    #[test]
    fn parsing_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Message::parse(&bytes);
        let mut opening = vec![3];
        opening.extend(&bytes);
        let _ = Message::parse(&opening);
    }
}
