//! RFC 5769 vectors, the strictness rules of RFC 8489, and an independent codec as the judge.

use std::net::SocketAddr;

use proptest::prelude::*;
use stun_types::message as oracle;

use super::*;

/// Password of the RFC 5769 short-term vectors.
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 2.1.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5\
    b2d3f249c1b571a280280004e57a3bcf";

/// RFC 5769 2.2.
const SAMPLE_RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";

/// RFC 5769 2.3.
const SAMPLE_RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41\
    80280004c8fb0b4c";

/// RFC 5769 2.4.
const SAMPLE_LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe3\
    82b900000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f7267\
    00000800\
    14f67024656dd64a3e02b8e0712e85c9a28ca89666";

/// RFC 8489 B.1 as printed: its length field is wrong.
const FAULTY_SHA256: &str = "0001009c2112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bda952c6780417da0f\
    24819415569e60b205c46e41407f1704001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39\
    46535476793634734100000000\
    14000b6578616d706c652e6f726700001c0020e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn key(password: &[u8]) -> IntegrityKey {
    IntegrityKey::new(password)
}

fn request() -> MessageBuilder {
    MessageBuilder::new(Class::Request, Method::BINDING, TransactionId([7; 12]))
}

#[test]
fn item_4_reads_the_sample_request_of_rfc_5769() {
    let bytes = bytes(SAMPLE_REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.class(), Class::Request);
    assert_eq!(message.method(), Method::BINDING);
    assert_eq!(message.software(), Some("STUN test client"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.ice_controlling(), None);
    // The vector pads with 0x20: any padding byte is accepted.
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert!(message.has_fingerprint());
    assert!(message.verify_integrity(&key(PASSWORD)));
    assert!(!message.verify_integrity(&key(b"VOkJxbRl1RmTxUk/WvJxBu")));
    assert_eq!(ufrag_of(&bytes), Some("evtj"));
}

#[test]
fn reads_the_sample_responses_of_rfc_5769() {
    for (hex, address) in [
        (SAMPLE_RESPONSE_V4, "192.0.2.1:32853"),
        (SAMPLE_RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let bytes = bytes(hex);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.class(), Class::SuccessResponse);
        assert_eq!(message.xor_mapped_address(), Some(address.parse().unwrap()));
        assert_eq!(message.software(), Some("test vector"));
        assert!(message.verify_integrity(&key(PASSWORD)));
        assert_eq!(ufrag_of(&bytes), None);
    }
}

#[test]
fn reads_the_long_term_sample_of_rfc_5769() {
    let bytes = bytes(SAMPLE_LONG_TERM);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.username(), Some("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}"));
    assert_eq!(message.realm(), Some("example.org"));
    assert_eq!(message.nonce(), Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..]));
    let long_term = openssl::hash::hash(
        openssl::hash::MessageDigest::md5(),
        "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}:example.org:TheMatrIX".as_bytes(),
    )
    .unwrap();
    assert!(message.verify_integrity(&key(&long_term)));
    assert!(!message.has_fingerprint());
}

#[test]
fn item_5_rebuilds_a_sample_bit_for_bit_and_pads_with_zeros() {
    let wanted = bytes(SAMPLE_RESPONSE_V6);
    let transaction = Message::parse(&wanted).unwrap().transaction_id();
    let built = MessageBuilder::new(Class::SuccessResponse, Method::BINDING, transaction)
        .software("test vector")
        .xor_mapped_address("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap());
    // The vector pads SOFTWARE with a space, this codec with zero: the bytes before it agree.
    let built = built.finish_without_fingerprint();
    assert_eq!(built[20..35], wanted[20..35]);
    assert_eq!((built[35], wanted[35]), (0, b' '));
    assert_eq!(built[36..60], wanted[36..60]);
}

#[test]
fn refuses_the_faulty_vector_of_rfc_8489() {
    assert_eq!(Message::parse(&bytes(FAULTY_SHA256)).unwrap_err(), StunError::LengthMismatch);
}

#[test]
fn item_1_refuses_a_damaged_header() {
    let good = bytes(SAMPLE_REQUEST);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Message::parse(&bytes).unwrap_err()
    };
    assert_eq!(changed(&|b| b.truncate(19)), StunError::TooShort);
    assert_eq!(changed(&|b| b[0] |= 0x80), StunError::NotStun);
    assert_eq!(changed(&|b| b[0] |= 0x40), StunError::NotStun);
    assert_eq!(changed(&|b| b[5] ^= 1), StunError::BadCookie);
    assert_eq!(changed(&|b| b.push(0)), StunError::LengthMismatch);
    assert_eq!(changed(&|b| b.truncate(b.len() - 4)), StunError::LengthMismatch);
    assert_eq!(
        changed(&|b| {
            b[3] += 1;
            b.push(0);
        }),
        StunError::LengthMismatch
    );
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = bytes(SAMPLE_REQUEST);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Renaming FINGERPRINT itself makes it an unknown attribute behind the signature.
        let noticed = Message::parse(&bytes).map_or(true, |message| !message.has_fingerprint());
        assert!(noticed, "bit {bit}");
    }
}

#[test]
fn item_2_fingerprint_must_be_right_and_last() {
    let mut bytes = request().finish().to_vec();
    assert!(Message::parse(&bytes).unwrap().has_fingerprint());
    bytes.extend_from_slice(&[0x80, 0x22, 0, 0]);
    bytes[3] += 4;
    // The CRC still covers what precedes it except for the changed length, so repair it.
    let crc = crc32fast::hash(&bytes[..20]) ^ 0x5354_554E;
    bytes[24..28].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(Message::parse(&bytes).unwrap_err(), StunError::FingerprintNotLast);
    bytes[24] ^= 1;
    assert_eq!(Message::parse(&bytes).unwrap_err(), StunError::BadFingerprint);
}

#[test]
fn item_3_nothing_after_message_integrity_counts() {
    let bytes = request()
        .username("a:b")
        .integrity(&key(b"secret"))
        .use_candidate()
        .priority(1)
        .attribute(AttributeType(0x7777), b"x")
        // Malformed for its type, and still of no interest.
        .attribute(AttributeType::ICE_CONTROLLING, b"short")
        .finish();
    let message = Message::parse(&bytes).unwrap();
    assert!(message.verify_integrity(&key(b"secret")));
    assert!(message.has_fingerprint());
    assert!(!message.use_candidate());
    assert_eq!(message.priority(), None);
    assert_eq!(message.unknown_required_attributes().count(), 0);
    assert_eq!(message.attributes().count(), 1);
}

#[test]
fn lists_unknown_required_attributes_only() {
    let bytes = request()
        .attribute(AttributeType(0x7001), b"abc")
        .attribute(AttributeType(0xC057), b"1234")
        .attribute(AttributeType(0x0002), b"")
        .priority(5)
        .finish();
    let unknown: Vec<_> = Message::parse(&bytes).unwrap().unknown_required_attributes().collect();
    assert_eq!(unknown, [AttributeType(0x7001), AttributeType(0x0002)]);
}

#[test]
fn malformed_known_attributes_are_named() {
    for (kind, value) in [
        (AttributeType::PRIORITY, &b"x"[..]),
        (AttributeType::USE_CANDIDATE, b"xxxx"),
        (AttributeType::ICE_CONTROLLED, b"1234567"),
        (AttributeType::ICE_CONTROLLING, b"123456789"),
        (AttributeType::USERNAME, &[0xFF, 0xFE]),
        (AttributeType::USERNAME, &[b'a'; 509]),
        (AttributeType::MESSAGE_INTEGRITY, b"12345678901234567890123456789012"),
        (AttributeType::ERROR_CODE, &[0, 0, 4]),
        (AttributeType::ERROR_CODE, &[0, 0, 2, 0]),
        (AttributeType::ERROR_CODE, &[0, 0, 7, 0]),
        (AttributeType::ERROR_CODE, &[0, 0, 4, 100]),
        (AttributeType::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0]),
        (AttributeType::XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4]),
        (AttributeType::XOR_MAPPED_ADDRESS, &[0, 2, 0, 0, 1, 2, 3, 4]),
        (AttributeType::MAPPED_ADDRESS, &[]),
        (AttributeType::UNKNOWN_ATTRIBUTES, &[1]),
    ] {
        let bytes = request().attribute(kind, value).finish();
        assert_eq!(Message::parse(&bytes).unwrap_err(), StunError::MalformedAttribute(kind), "{value:?}");
    }
}

#[test]
fn truncated_attribute_is_named() {
    let mut bytes = request().priority(1).finish_without_fingerprint().to_vec();
    bytes[23] = 5;
    assert_eq!(Message::parse(&bytes).unwrap_err(), StunError::TruncatedAttribute(AttributeType::PRIORITY));
}

#[test]
fn reads_every_error_code_it_writes() {
    for code in 300..700 {
        let bytes = MessageBuilder::new(Class::ErrorResponse, Method::ALLOCATE, TransactionId([0; 12]))
            .error_code(ErrorCode { code, reason: "Because" })
            .finish();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.error_code(), Some(ErrorCode { code, reason: "Because" }));
    }
}

#[test]
fn class_and_method_survive_for_every_number() {
    for number in 0..0x1000 {
        for class in [Class::Request, Class::Indication, Class::SuccessResponse, Class::ErrorResponse] {
            let method = Method::new(number);
            let bytes = MessageBuilder::new(class, method, TransactionId([1; 12])).finish();
            let message = Message::parse(&bytes).unwrap();
            assert_eq!((message.class(), message.method()), (class, method));
            let judged = oracle::Message::from_bytes(&bytes).unwrap();
            assert_eq!(judged.method().value(), number);
        }
    }
}

#[test]
fn the_first_of_repeated_attributes_counts() {
    let bytes = request().priority(1).priority(2).finish();
    assert_eq!(Message::parse(&bytes).unwrap().priority(), Some(1));
}

#[test]
fn ufrag_is_found_only_before_the_signature_of_a_binding_request() {
    assert_eq!(ufrag_of(&request().priority(1).username("ab:cd:ef").finish()), Some("ab"));
    assert_eq!(ufrag_of(&request().username("abcd").finish()), None);
    assert_eq!(ufrag_of(&request().integrity(&key(b"k")).username("ab:cd").finish()), None);
    let indication = MessageBuilder::new(Class::Indication, Method::BINDING, TransactionId([0; 12]));
    assert_eq!(ufrag_of(&indication.username("ab:cd").finish()), None);
    assert_eq!(ufrag_of(b""), None);
}

#[test]
fn long_keys_are_hashed_first() {
    for length in [0, 1, 63, 64, 65, 300] {
        let password: String = std::iter::repeat_n('p', length).collect();
        let bytes = request().username("a:b").integrity(&key(password.as_bytes())).finish();
        judge_integrity(&bytes, &password);
    }
}

/// An independent implementation must accept what this one signed.
fn judge_integrity(bytes: &[u8], password: &str) {
    let judged = oracle::Message::from_bytes(bytes).expect("the oracle reads it");
    let credentials = oracle::ShortTermCredentials::new(password.to_owned()).into();
    judged.validate_integrity(&credentials).expect("the oracle accepts the signature");
}

#[test]
fn recorded_datagrams_never_panic() {
    let Some(root) = vectors() else { return };
    let mut read = 0;
    for folder in
        ["aioice", "libjuice-stun", "pion-stun", "coturn-fuzz/FuzzStun/FuzzStun_seed_corpus", "pion-gofuzz"]
    {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            let _ = Message::parse(&bytes).map(|message| format!("{message:?}"));
            read += 1;
        }
    }
    assert!(read > 10, "the vectors were not there");
}

/// The folder of recorded datagrams, if this machine has it.
fn vectors() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("ACTIX_RTC_VECTORS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        Into::into,
    );
    folder.is_dir().then_some(folder)
}

/// Calls every getter.
fn read_everything(message: &Message<'_>) {
    let _ = format!("{message:?}");
    let _ = (message.username(), message.realm(), message.software(), message.nonce(), message.data());
    let _ = (message.xor_mapped_address(), message.address(AttributeType::MAPPED_ADDRESS));
    let _ = (message.error_code(), message.priority(), message.lifetime(), message.channel_number());
    let _ = (message.use_candidate(), message.ice_controlling(), message.ice_controlled());
    let _ = (message.unknown_required_attributes().count(), message.verify_integrity(&key(b"k")));
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            read_everything(&message);
        }
        let _ = ufrag_of(&bytes);
    }

    #[test]
    fn random_attributes_behind_a_good_header_never_panic(
        kind in any::<u16>(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = vec![(kind >> 8) as u8 & 0x3F, kind as u8];
        let length = body.len() & !3;
        bytes.extend_from_slice(&(length as u16).to_be_bytes());
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(&body[..length]);
        if let Ok(message) = Message::parse(&bytes) {
            read_everything(&message);
        }
        let _ = ufrag_of(&bytes);
    }

    #[test]
    fn what_is_written_is_read_back_and_the_oracle_agrees(
        id in any::<[u8; 12]>(),
        username in "[a-zA-Z0-9+/:]{0,60}",
        software in "\\PC{0,20}",
        priority in any::<u32>(),
        tie_breaker in any::<u64>(),
        address in any_address(),
        password in "[a-zA-Z0-9+/]{22,80}",
    ) {
        let bytes = MessageBuilder::new(Class::Request, Method::BINDING, TransactionId(id))
            .username(&username)
            .software(&software)
            .priority(priority)
            .ice_controlling(tie_breaker)
            .xor_mapped_address(address)
            .use_candidate()
            .integrity(&key(password.as_bytes()))
            .finish();
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.transaction_id(), TransactionId(id));
        prop_assert_eq!(message.username(), Some(username.as_str()));
        prop_assert_eq!(message.software(), Some(software.as_str()));
        prop_assert_eq!(message.priority(), Some(priority));
        prop_assert_eq!(message.ice_controlling(), Some(tie_breaker));
        prop_assert_eq!(message.xor_mapped_address(), Some(address));
        prop_assert!(message.use_candidate());
        prop_assert!(message.verify_integrity(&key(password.as_bytes())));
        judge_integrity(&bytes, &password);
    }
}
