//! The 20-byte header: class, method, transaction id (RFC 8489 section 5).

use std::fmt;

use rand::RngCore;

/// Length of the STUN header.
pub const HEADER_LENGTH: usize = 20;

/// The value of bytes 4 to 7 of every message (RFC 8489 section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// The class of a message: the two bits C1 and C0 of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Never answered (RFC 8489 section 6.3.2).
    Indication,
    /// The request was carried out.
    SuccessResponse,
    /// The request was refused; ERROR-CODE says why.
    ErrorResponse,
}

impl Class {
    fn bits(self) -> u16 {
        match self {
            Self::Request => 0x000,
            Self::Indication => 0x010,
            Self::SuccessResponse => 0x100,
            Self::ErrorResponse => 0x110,
        }
    }
}

/// The method of a message: twelve bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// Binding (RFC 8489), the method of every connectivity check.
    pub const BINDING: Self = Self(0x001);
    /// Shared Secret (RFC 3489), reserved since.
    pub const SHARED_SECRET: Self = Self(0x002);
    /// Allocate (TURN, RFC 8656).
    pub const ALLOCATE: Self = Self(0x003);
    /// Refresh (TURN).
    pub const REFRESH: Self = Self(0x004);
    /// Send (TURN, an indication).
    pub const SEND: Self = Self(0x006);
    /// Data (TURN, an indication).
    pub const DATA: Self = Self(0x007);
    /// CreatePermission (TURN).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// ChannelBind (TURN).
    pub const CHANNEL_BIND: Self = Self(0x009);

    /// A method by number; only the low twelve bits count.
    pub const fn new(number: u16) -> Self {
        Self(number & 0x0FFF)
    }

    /// The method's number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BINDING => f.write_str("Binding"),
            Self::SHARED_SECRET => f.write_str("SharedSecret"),
            Self::ALLOCATE => f.write_str("Allocate"),
            Self::REFRESH => f.write_str("Refresh"),
            Self::SEND => f.write_str("Send"),
            Self::DATA => f.write_str("Data"),
            Self::CREATE_PERMISSION => f.write_str("CreatePermission"),
            Self::CHANNEL_BIND => f.write_str("ChannelBind"),
            Self(number) => write!(f, "Method({number:#05x})"),
        }
    }
}

/// Joins class and method into the type field. The class bits sit between the method's bits:
///
/// ```text
///  0 0 M11 M10 M9 M8 M7 C1 M6 M5 M4 C0 M3 M2 M1 M0
/// ```
pub(super) fn message_type(class: Class, method: Method) -> u16 {
    let m = method.number();
    (m & 0x000F) | ((m & 0x0070) << 1) | ((m & 0x0F80) << 2) | class.bits()
}

/// Splits a type field whose two top bits are zero.
pub(super) fn split_message_type(value: u16) -> (Class, Method) {
    let class = match value & 0x0110 {
        0x000 => Class::Request,
        0x010 => Class::Indication,
        0x100 => Class::SuccessResponse,
        _ => Class::ErrorResponse,
    };
    let method = (value & 0x000F) | ((value & 0x00E0) >> 1) | ((value & 0x3E00) >> 2);
    (class, Method(method))
}

/// The 96-bit id that ties a response to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// A fresh, uniformly random id, as each new transaction needs (RFC 8489 section 5).
    pub fn random(random: &mut impl RngCore) -> Self {
        let mut id = [0; 12];
        random.fill_bytes(&mut id);
        Self(id)
    }
}
