//! What a message of a data channel says besides its content: to whom, and when it is handed on, from whom.
//!
//! ```text
//!  text    to the server  {"to": id?, "id": number?, "data": …}
//!          from it        {"from": id, "to": id?, "data": …}   or   {"error": {…}}
//!  binary  ┌──────────────┬────────────┬──────────────┬─────────┐   to the server: the recipient, none for everybody
//!          │ 0 all, 1 one │ length (1) │ id, in UTF-8 │ content │   from it: the sender
//!          └──────────────┴────────────┴──────────────┴─────────┘
//! ```

use actix_rtc::RtcDataChannelMessage;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    ids::ParticipantId,
    problem::{Code, Problem},
};

/// First byte of a binary message: for everybody.
const TO_ALL: u8 = 0;
/// For one participant.
const TO_ONE: u8 = 1;
/// Longer ones are not given out; the length is written in a byte.
const ID_BYTES_MAX: usize = 64;

/// Why a message can't be handed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvelopeError {
    #[error("the message is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("a text message must be a JSON object with the field \"data\"")]
    NoData,
    #[error("the field \"to\" must be the id of a participant, or be left out")]
    WrongRecipient,
    #[error("the field \"id\" must be a whole number, not negative")]
    WrongId,
    #[error("a binary message must begin with 0 0, or with 1, the length of a participant's id and the id")]
    BadHeader,
}

impl From<EnvelopeError> for Problem {
    fn from(error: EnvelopeError) -> Self {
        let sentence = error.to_string();
        match error {
            EnvelopeError::NotJson(json) => Self::new(Code::InvalidJson, sentence).in_line(json.line()),
            EnvelopeError::NoData => Self::new(Code::InvalidMessage, sentence).in_field("data"),
            EnvelopeError::WrongRecipient => Self::new(Code::InvalidMessage, sentence).in_field("to"),
            EnvelopeError::WrongId => Self::new(Code::InvalidMessage, sentence).in_field("id"),
            EnvelopeError::BadHeader => Self::new(Code::InvalidMessage, sentence),
        }
    }
}

/// A message of a client, read.
#[derive(Debug, PartialEq)]
pub(super) struct Addressed {
    /// `None`: everybody else.
    pub(super) to: Option<ParticipantId>,
    /// The client's own number for the message, to be repeated in an error about it.
    pub(super) id: Option<u64>,
    content: Content,
}

#[derive(Debug, PartialEq)]
enum Content {
    Json(Value),
    Binary(Bytes),
}

impl Addressed {
    pub(super) fn read(message: &RtcDataChannelMessage) -> Result<Self, EnvelopeError> {
        match message {
            RtcDataChannelMessage::Text(text) => Self::read_text(text),
            RtcDataChannelMessage::Binary(bytes) => Self::read_binary(bytes),
        }
    }

    fn read_text(text: &str) -> Result<Self, EnvelopeError> {
        let Value::Object(mut fields) = serde_json::from_str(text)? else {
            return Err(EnvelopeError::NoData);
        };
        let to = match fields.remove("to") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if !id.is_empty() && id.len() <= ID_BYTES_MAX => Some(id.as_str().into()),
            Some(_) => return Err(EnvelopeError::WrongRecipient),
        };
        let id = match fields.remove("id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(id.as_u64().ok_or(EnvelopeError::WrongId)?),
        };
        let data = fields.remove("data").ok_or(EnvelopeError::NoData)?;
        Ok(Self { to, id, content: Content::Json(data) })
    }

    fn read_binary(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        let [kind, length, rest @ ..] = &bytes[..] else { return Err(EnvelopeError::BadHeader) };
        let length = usize::from(*length);
        let id =
            rest.get(..length).and_then(|id| std::str::from_utf8(id).ok()).ok_or(EnvelopeError::BadHeader)?;
        let to = match (*kind, length) {
            (TO_ALL, 0) => None,
            (TO_ONE, 1..=ID_BYTES_MAX) => Some(id.into()),
            _ => return Err(EnvelopeError::BadHeader),
        };
        Ok(Self { to, id: None, content: Content::Binary(bytes.slice(2 + length..)) })
    }

    /// As it is handed on.
    pub(super) fn handed_on(self, from: &ParticipantId) -> RtcDataChannelMessage {
        match (self.content, self.to) {
            (Content::Json(data), None) => json!({"from": from, "data": data}).to_string().into(),
            (Content::Json(data), Some(to)) => {
                json!({"from": from, "to": to, "data": data}).to_string().into()
            }
            (Content::Binary(content), to) => {
                let id = from.as_ref().as_bytes();
                let mut message = BytesMut::with_capacity(2 + id.len() + content.len());
                message.put_u8(if to.is_some() { TO_ONE } else { TO_ALL });
                // Ids are given out by this server and have 32 bytes.
                message.put_u8(u8::try_from(id.len()).unwrap_or(0));
                message.put_slice(id);
                message.put_slice(&content);
                message.freeze().into()
            }
        }
    }
}

/// What a client is told on a channel.
pub(super) fn error(problem: &Problem) -> String {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a Problem,
    }
    serde_json::to_string(&Error { error: problem }).expect("strings and numbers have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<Addressed, EnvelopeError> {
        Addressed::read(&text.into())
    }

    fn binary(bytes: &[u8]) -> Result<Addressed, EnvelopeError> {
        Addressed::read(&bytes.into())
    }

    #[test]
    fn a_text_message_is_handed_on_with_its_sender() {
        let ann = ParticipantId::from("ann");
        let message = text(r#"{"data":{"text":"Grüße 👋"},"id":4,"more":1}"#).unwrap();
        assert_eq!((&message.to, message.id), (&None, Some(4)));
        assert_eq!(message.handed_on(&ann), r#"{"data":{"text":"Grüße 👋"},"from":"ann"}"#.into());
        let message = text(r#"{"to":"ben","data":null}"#).unwrap();
        assert_eq!(message.to, Some("ben".into()));
        assert_eq!(message.handed_on(&ann), r#"{"data":null,"from":"ann","to":"ben"}"#.into());
    }

    #[test]
    fn a_binary_message_is_handed_on_with_its_sender() {
        let ann = ParticipantId::from("ann");
        let message = binary(b"\x01\x03bencontent").unwrap();
        assert_eq!(message.to, Some("ben".into()));
        assert_eq!(message.handed_on(&ann), b"\x01\x03anncontent"[..].into());
        let message = binary(b"\x00\x00").unwrap();
        assert_eq!(message.handed_on(&ann), b"\x00\x03ann"[..].into());
    }

    #[test]
    fn what_is_wrong_with_a_text_message_is_named() {
        for (broken, code, field) in [
            ("", Code::InvalidJson, None),
            ("hello", Code::InvalidJson, None),
            ("[1]", Code::InvalidMessage, Some("data")),
            (r#"{"to":"ben"}"#, Code::InvalidMessage, Some("data")),
            (r#"{"to":7,"data":1}"#, Code::InvalidMessage, Some("to")),
            (r#"{"to":"","data":1}"#, Code::InvalidMessage, Some("to")),
            (r#"{"id":-1,"data":1}"#, Code::InvalidMessage, Some("id")),
        ] {
            let problem = Problem::from(text(broken).unwrap_err());
            assert_eq!((problem.code, problem.field), (code, field), "{broken}");
        }
        let deep = format!("{{\"data\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(matches!(text(&deep), Err(EnvelopeError::NotJson(_))));
    }

    #[test]
    fn a_broken_header_is_refused() {
        let too_long = [&[1, 65][..], &[b'a'; 65]].concat();
        for broken in [
            &b""[..],
            b"\x00",
            b"\x00\x01a",
            b"\x01\x00",
            b"\x01\x03be",
            b"\x02\x00",
            b"\x01\x01\xff",
            &too_long,
        ] {
            assert!(matches!(binary(broken), Err(EnvelopeError::BadHeader)), "{broken:?}");
        }
    }
}
