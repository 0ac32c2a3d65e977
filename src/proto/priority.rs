//! How important something is, compared with others of its connection (RFC 8831 §6.4, RFC 8835 §4.1, W3C
//! webrtc-priority §3).

use serde::{Deserialize, Serialize};

/// How much of a congested connection a stream or a data channel gets (W3C `RTCPriorityType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "RFC 8835 §4.1 has four levels")]
pub enum Priority {
    /// Half of low.
    VeryLow,
    /// The W3C default.
    #[default]
    Low,
    /// Twice low.
    Medium,
    /// Four times low.
    High,
}

impl Priority {
    /// The number in DATA_CHANNEL_OPEN (RFC 8831 §6.4): also the weight against other channels.
    pub const fn weight(self) -> u16 {
        match self {
            Self::VeryLow => 128,
            Self::Low => 256,
            Self::Medium => 512,
            Self::High => 1024,
        }
    }

    /// What a number in DATA_CHANNEL_OPEN means: W3C webrtc-priority §4.2, by the nearest below.
    pub const fn from_weight(weight: u16) -> Self {
        match weight {
            0..=128 => Self::VeryLow,
            129..=256 => Self::Low,
            257..=512 => Self::Medium,
            _ => Self::High,
        }
    }
}
