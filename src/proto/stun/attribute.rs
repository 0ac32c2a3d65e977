//! Attribute numbers and the encodings shared by parser and builder (RFC 8489 section 14, RFC 8656
//! section 18, RFC 8445 section 16.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::StunError;
use super::header::{MAGIC_COOKIE, TransactionId};

/// The number of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttributeType(pub u16);

macro_rules! attribute_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl AttributeType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The name of the registry, for the attributes this codec knows.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

attribute_types! {
    /// MAPPED-ADDRESS.
    MAPPED_ADDRESS = 0x0001, "MAPPED-ADDRESS";
    /// CHANGE-REQUEST (RFC 5780).
    CHANGE_REQUEST = 0x0003, "CHANGE-REQUEST";
    /// SOURCE-ADDRESS (RFC 3489).
    SOURCE_ADDRESS = 0x0004, "SOURCE-ADDRESS";
    /// CHANGED-ADDRESS (RFC 3489).
    CHANGED_ADDRESS = 0x0005, "CHANGED-ADDRESS";
    /// USERNAME.
    USERNAME = 0x0006, "USERNAME";
    /// MESSAGE-INTEGRITY (HMAC-SHA1).
    MESSAGE_INTEGRITY = 0x0008, "MESSAGE-INTEGRITY";
    /// ERROR-CODE.
    ERROR_CODE = 0x0009, "ERROR-CODE";
    /// UNKNOWN-ATTRIBUTES.
    UNKNOWN_ATTRIBUTES = 0x000A, "UNKNOWN-ATTRIBUTES";
    /// CHANNEL-NUMBER (TURN).
    CHANNEL_NUMBER = 0x000C, "CHANNEL-NUMBER";
    /// LIFETIME (TURN).
    LIFETIME = 0x000D, "LIFETIME";
    /// XOR-PEER-ADDRESS (TURN).
    XOR_PEER_ADDRESS = 0x0012, "XOR-PEER-ADDRESS";
    /// DATA (TURN).
    DATA = 0x0013, "DATA";
    /// REALM.
    REALM = 0x0014, "REALM";
    /// NONCE.
    NONCE = 0x0015, "NONCE";
    /// XOR-RELAYED-ADDRESS (TURN).
    XOR_RELAYED_ADDRESS = 0x0016, "XOR-RELAYED-ADDRESS";
    /// REQUESTED-ADDRESS-FAMILY (TURN).
    REQUESTED_ADDRESS_FAMILY = 0x0017, "REQUESTED-ADDRESS-FAMILY";
    /// EVEN-PORT (TURN).
    EVEN_PORT = 0x0018, "EVEN-PORT";
    /// REQUESTED-TRANSPORT (TURN).
    REQUESTED_TRANSPORT = 0x0019, "REQUESTED-TRANSPORT";
    /// DONT-FRAGMENT (TURN).
    DONT_FRAGMENT = 0x001A, "DONT-FRAGMENT";
    /// MESSAGE-INTEGRITY-SHA256 (RFC 8489). Recognised and skipped; never verified here.
    MESSAGE_INTEGRITY_SHA256 = 0x001C, "MESSAGE-INTEGRITY-SHA256";
    /// PASSWORD-ALGORITHM (RFC 8489).
    PASSWORD_ALGORITHM = 0x001D, "PASSWORD-ALGORITHM";
    /// USERHASH (RFC 8489).
    USERHASH = 0x001E, "USERHASH";
    /// XOR-MAPPED-ADDRESS.
    XOR_MAPPED_ADDRESS = 0x0020, "XOR-MAPPED-ADDRESS";
    /// RESERVATION-TOKEN (TURN).
    RESERVATION_TOKEN = 0x0022, "RESERVATION-TOKEN";
    /// PRIORITY (ICE).
    PRIORITY = 0x0024, "PRIORITY";
    /// USE-CANDIDATE (ICE).
    USE_CANDIDATE = 0x0025, "USE-CANDIDATE";
    /// ADDITIONAL-ADDRESS-FAMILY (TURN).
    ADDITIONAL_ADDRESS_FAMILY = 0x8000, "ADDITIONAL-ADDRESS-FAMILY";
    /// ADDRESS-ERROR-CODE (TURN).
    ADDRESS_ERROR_CODE = 0x8001, "ADDRESS-ERROR-CODE";
    /// PASSWORD-ALGORITHMS (RFC 8489).
    PASSWORD_ALGORITHMS = 0x8002, "PASSWORD-ALGORITHMS";
    /// ALTERNATE-DOMAIN (RFC 8489).
    ALTERNATE_DOMAIN = 0x8003, "ALTERNATE-DOMAIN";
    /// SOFTWARE.
    SOFTWARE = 0x8022, "SOFTWARE";
    /// ALTERNATE-SERVER.
    ALTERNATE_SERVER = 0x8023, "ALTERNATE-SERVER";
    /// FINGERPRINT.
    FINGERPRINT = 0x8028, "FINGERPRINT";
    /// ICE-CONTROLLED.
    ICE_CONTROLLED = 0x8029, "ICE-CONTROLLED";
    /// ICE-CONTROLLING.
    ICE_CONTROLLING = 0x802A, "ICE-CONTROLLING";
    /// RESPONSE-ORIGIN (RFC 5780).
    RESPONSE_ORIGIN = 0x802B, "RESPONSE-ORIGIN";
    /// OTHER-ADDRESS (RFC 5780).
    OTHER_ADDRESS = 0x802C, "OTHER-ADDRESS";
}

impl AttributeType {
    /// Whether a receiver that does not know the attribute must refuse the message
    /// (RFC 8489 section 14).
    pub fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether the value has a shape its definition allows. Types this codec does not know always have.
    pub(super) fn allows(self, value: &[u8]) -> bool {
        match self {
            Self::CHANGE_REQUEST
            | Self::CHANNEL_NUMBER
            | Self::LIFETIME
            | Self::REQUESTED_ADDRESS_FAMILY
            | Self::ADDITIONAL_ADDRESS_FAMILY
            | Self::REQUESTED_TRANSPORT
            | Self::PRIORITY
            | Self::FINGERPRINT => value.len() == 4,
            Self::ICE_CONTROLLED | Self::ICE_CONTROLLING | Self::RESERVATION_TOKEN => value.len() == 8,
            Self::USE_CANDIDATE | Self::DONT_FRAGMENT => value.is_empty(),
            Self::EVEN_PORT => value.len() == 1,
            Self::MESSAGE_INTEGRITY => value.len() == 20,
            Self::USERHASH => value.len() == 32,
            // RFC 8489 section 14.3: at most 508 bytes of UTF-8.
            Self::USERNAME => value.len() <= 508 && std::str::from_utf8(value).is_ok(),
            Self::UNKNOWN_ATTRIBUTES => value.len().is_multiple_of(2),
            Self::ERROR_CODE => ErrorCode::decode(value).is_some(),
            Self::MAPPED_ADDRESS
            | Self::SOURCE_ADDRESS
            | Self::CHANGED_ADDRESS
            | Self::XOR_PEER_ADDRESS
            | Self::XOR_RELAYED_ADDRESS
            | Self::XOR_MAPPED_ADDRESS
            | Self::ALTERNATE_SERVER
            | Self::RESPONSE_ORIGIN
            | Self::OTHER_ADDRESS => matches!((value.len(), value.get(1)), (8, Some(1)) | (20, Some(2))),
            _ => true,
        }
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// ERROR-CODE: a number from 300 to 699 and a sentence for people (RFC 8489 section 14.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// The number.
    pub code: u16,
    /// The reason phrase; empty if it was not UTF-8.
    pub reason: &'a str,
}

impl ErrorCode<'static> {
    /// 300: use the server named in ALTERNATE-SERVER.
    pub const TRY_ALTERNATE: Self = Self { code: 300, reason: "Try Alternate" };
    /// 400: the request was malformed.
    pub const BAD_REQUEST: Self = Self { code: 400, reason: "Bad Request" };
    /// 401: the credentials are missing or wrong.
    pub const UNAUTHENTICATED: Self = Self { code: 401, reason: "Unauthenticated" };
    /// 420: the request has required attributes the server does not know.
    pub const UNKNOWN_ATTRIBUTE: Self = Self { code: 420, reason: "Unknown Attribute" };
    /// 438: the nonce is no longer valid.
    pub const STALE_NONCE: Self = Self { code: 438, reason: "Stale Nonce" };
    /// 487: both agents claim the same role (RFC 8445 section 16.2).
    pub const ROLE_CONFLICT: Self = Self { code: 487, reason: "Role Conflict" };
}

impl<'a> ErrorCode<'a> {
    pub(super) fn decode(value: &'a [u8]) -> Option<Self> {
        let [_, _, class, number, reason @ ..] = value else { return None };
        // RFC 8489 section 14.8: the class is 3 to 6 in the low three bits, the number 0 to 99.
        let class = u16::from(class & 0x07);
        if !(3..=6).contains(&class) || *number > 99 {
            return None;
        }
        Some(Self {
            code: class * 100 + u16::from(*number),
            reason: std::str::from_utf8(reason).unwrap_or_default(),
        })
    }
}

/// Reads the value of an address attribute that is not XORed.
pub(super) fn decode_address(value: &[u8]) -> Option<SocketAddr> {
    let [_, family, port_high, port_low, address @ ..] = value else { return None };
    let port = u16::from_be_bytes([*port_high, *port_low]);
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes the value of an address attribute that is not XORed; returns it with its length.
pub(super) fn encode_address(address: SocketAddr) -> ([u8; 20], usize) {
    let mut value = [0; 20];
    value[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            value[1] = 1;
            value[4..8].copy_from_slice(&ip.octets());
            (value, 8)
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value[4..20].copy_from_slice(&ip.octets());
            (value, 20)
        }
    }
}

/// Applies the XOR of RFC 8489 section 14.2: it is its own inverse.
pub(super) fn xor_address(address: SocketAddr, transaction: TransactionId) -> SocketAddr {
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) ^ MAGIC_COOKIE).into(),
        IpAddr::V6(ip) => {
            let mut mask = [0; 16];
            mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            mask[4..].copy_from_slice(&transaction.0);
            Ipv6Addr::from(u128::from(ip) ^ u128::from_be_bytes(mask)).into()
        }
    };
    SocketAddr::new(ip, port)
}

/// Checks one attribute's value; the error names the attribute.
pub(super) fn check(kind: AttributeType, value: &[u8]) -> Result<(), StunError> {
    if kind.allows(value) { Ok(()) } else { Err(StunError::MalformedAttribute(kind)) }
}
