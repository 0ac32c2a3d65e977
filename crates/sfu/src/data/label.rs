//! Which data channels there are: by their label, with a mode that fits it.

use std::{fmt, sync::Arc};

use actix_rtc::RtcDataChannel;

/// The subprotocol of every channel: the version of the envelope.
pub(crate) const PROTOCOL: &str = "room.v1";
const RELIABLE: &str = "room";
const LOSSY: &str = "room-lossy";
/// A topic is a name, not content.
const TOPIC_BYTES_MAX: usize = 64;

/// Why a channel is not one of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelError {
    #[error(
        "there is no channel of this label: it must be \"room\" or \"room-lossy\", alone or with \"/\" and a topic of \
         1 to {TOPIC_BYTES_MAX} visible ASCII characters"
    )]
    Label,
    #[error("the protocol of the channel must be {PROTOCOL:?}")]
    Protocol,
    #[error("a channel \"room\" must be ordered and without limits of time or retransmissions")]
    NotReliable,
    #[error("a channel \"room-lossy\" must have maxRetransmits or maxPacketLifeTime")]
    NotLossy,
}

/// The name of a channel: participants with a channel of the same name hear each other on it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChannelName {
    label: Arc<str>,
    lossy: bool,
}

impl ChannelName {
    /// The name of a channel that a client has opened.
    ///
    /// # Errors
    /// When its label, protocol or mode is none of a room's.
    pub(crate) fn of(channel: &RtcDataChannel) -> Result<Self, LabelError> {
        let name = Self::parse(channel.label())?;
        if channel.protocol() != PROTOCOL {
            return Err(LabelError::Protocol);
        }
        let is_limited = channel.max_retransmits().is_some() || channel.max_packet_life_time().is_some();
        match (name.lossy, is_limited) {
            (true, false) => Err(LabelError::NotLossy),
            (false, true) => Err(LabelError::NotReliable),
            (false, false) if !channel.ordered() => Err(LabelError::NotReliable),
            _ => Ok(name),
        }
    }

    pub(crate) fn parse(label: &str) -> Result<Self, LabelError> {
        let (base, topic) = label.split_once('/').map_or((label, None), |(base, topic)| (base, Some(topic)));
        let is_topic = |topic: &str| {
            (1..=TOPIC_BYTES_MAX).contains(&topic.len()) && topic.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let lossy = match base {
            RELIABLE => false,
            LOSSY => true,
            _ => return Err(LabelError::Label),
        };
        if !topic.is_none_or(is_topic) {
            return Err(LabelError::Label);
        }
        Ok(Self { label: label.into(), lossy })
    }

    /// Whether messages may be lost.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.label
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.label, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_whether_messages_may_be_lost() {
        assert!(!ChannelName::parse("room").unwrap().is_lossy());
        assert!(!ChannelName::parse("room/files").unwrap().is_lossy());
        assert!(ChannelName::parse("room-lossy").unwrap().is_lossy());
        assert!(ChannelName::parse("room-lossy/a/b").unwrap().is_lossy());
    }

    #[test]
    fn other_labels_are_none() {
        let long = format!("room/{}", "x".repeat(65));
        for label in ["", "Room", "rooms", "room/", "room/a b", "room/ä", "room\n", "room-lossy2", &long] {
            assert_eq!(ChannelName::parse(label), Err(LabelError::Label), "{label:?}");
        }
    }
}
