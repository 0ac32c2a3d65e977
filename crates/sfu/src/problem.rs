//! What a client is told about its mistake or our failure: the same object on the WebSocket and over HTTP.
//!
//! Every module has its own error type with named causes; this is what they become at the border.

use actix_web::http::StatusCode;
use serde::{Serialize, Serializer};

use crate::ids::ParticipantId;

/// What kind of problem; the names are part of the protocol (SIGNALLING.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidJson,
    InvalidMessage,
    InvalidSdp,
    InvalidCandidate,
    NotJoined,
    AlreadyJoined,
    RoomFull,
    TooManyRooms,
    TooLarge,
    RateLimited,
    Overloaded,
    ShuttingDown,
    ConnectionFailed,
    UnsupportedType,
    NothingPublished,
    NoPublisher,
    TooFewSections,
    NoSuchSession,
    UnknownChannel,
    ChannelInUse,
    TooManyChannels,
    NoSuchParticipant,
    NotListening,
    NotDelivered,
    Slow,
    #[cfg(feature = "fault-injection")]
    NoSuchActor,
    NotFound,
    MethodNotAllowed,
    TimedOut,
    Internal,
}

impl Code {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid-json",
            Self::InvalidMessage => "invalid-message",
            Self::InvalidSdp => "invalid-sdp",
            Self::InvalidCandidate => "invalid-candidate",
            Self::NotJoined => "not-joined",
            Self::AlreadyJoined => "already-joined",
            Self::RoomFull => "room-full",
            Self::TooManyRooms => "too-many-rooms",
            Self::TooLarge => "too-large",
            Self::RateLimited => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting-down",
            Self::ConnectionFailed => "connection-failed",
            Self::UnsupportedType => "unsupported-type",
            Self::NothingPublished => "nothing-published",
            Self::NoPublisher => "no-publisher",
            Self::TooFewSections => "too-few-sections",
            Self::NoSuchSession => "no-such-session",
            Self::UnknownChannel => "unknown-channel",
            Self::ChannelInUse => "channel-in-use",
            Self::TooManyChannels => "too-many-channels",
            Self::NoSuchParticipant => "no-such-participant",
            Self::NotListening => "not-listening",
            Self::NotDelivered => "not-delivered",
            Self::Slow => "slow",
            #[cfg(feature = "fault-injection")]
            Self::NoSuchActor => "no-such-actor",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::TimedOut => "timed-out",
            Self::Internal => "internal",
        }
    }

    /// The status of an HTTP answer with this problem.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson
            | Self::InvalidMessage
            | Self::InvalidSdp
            | Self::InvalidCandidate
            | Self::NotJoined
            | Self::AlreadyJoined
            // Of data channels: never said over HTTP.
            | Self::UnknownChannel
            | Self::ChannelInUse
            | Self::TooManyChannels
            | Self::NoSuchParticipant
            | Self::NotListening
            | Self::NotDelivered
            | Self::Slow => StatusCode::BAD_REQUEST,
            Self::NoPublisher | Self::NoSuchSession | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            #[cfg(feature = "fault-injection")]
            Self::NoSuchActor => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NothingPublished | Self::TooFewSections => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::RoomFull | Self::TooManyRooms | Self::Overloaded | Self::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::ConnectionFailed | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A problem with the place where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Problem {
    /// For programs.
    pub(crate) code: Code,
    /// A sentence for people.
    pub(crate) message: String,
    /// Line of the text that was sent, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// The field of the message that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<&'static str>,
    /// The offer, or the data channel message, that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    /// Where it is, if it is about a data channel.
    #[serde(flatten)]
    data: Option<Box<DataPlace>>,
}

/// The place of a problem with data channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct DataPlace {
    /// The label of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// Whom the message was for that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<ParticipantId>,
    /// How many messages were refused for this, when it is told for several at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl Problem {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), line: None, field: None, id: None, data: None }
    }

    /// In a line of the text that was sent; what concerns the text as a whole is said to be in its first line.
    pub(crate) fn in_line(mut self, line: usize) -> Self {
        self.line = Some(line.max(1));
        self
    }

    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    pub(crate) fn on_channel(mut self, label: &str) -> Self {
        self.data_place().channel = Some(label.to_owned());
        self
    }

    pub(crate) fn addressed_to(mut self, to: Option<ParticipantId>) -> Self {
        self.data_place().to = to;
        self
    }

    pub(crate) fn counting(mut self, count: u64) -> Self {
        self.data_place().count = Some(count);
        self
    }

    fn data_place(&mut self) -> &mut DataPlace {
        self.data.get_or_insert_default()
    }

    pub(crate) fn with_id(mut self, id: Option<u64>) -> Self {
        self.id = id;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_written() {
        let problem = Problem::new(Code::InvalidSdp, "no").in_line(0).with_id(Some(3));
        let expected = r#"{"code":"invalid-sdp","message":"no","line":1,"id":3}"#;
        assert_eq!(serde_json::to_string(&problem).unwrap(), expected);
        let problem = Problem::new(Code::RateLimited, "no").on_channel("room").counting(2);
        let expected = r#"{"code":"rate-limited","message":"no","channel":"room","count":2}"#;
        assert_eq!(serde_json::to_string(&problem).unwrap(), expected);
    }
}
