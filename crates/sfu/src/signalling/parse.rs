//! Reads client messages, and says where a mistake is: the line of broken JSON, the field of a wrong message.
//!
//! By hand rather than by `derive(Deserialize)`, whose errors don't name the field of a tagged message.

use std::collections::BTreeMap;

use actix_rtc::RtcIceCandidateInit;
use serde_json::{Map, Value};

use super::messages::{ClientMessage, Offer};
use crate::{
    ids::TrackId,
    problem::{Code, Problem},
    rooms,
};

/// Subscriptions in one offer: more than an offer may have sections makes no sense.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// A candidate of a browser has about 150 bytes, with a long host name 400.
const CANDIDATE_BYTES_MAX: usize = 1_024;
/// RFC 5888 leaves it open; browsers take what fits the MID header extension.
const MID_BYTES_MAX: usize = 256;

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("the message is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("a message must be a JSON object")]
    NotAnObject,
    #[error("there is no message of type {0:?}")]
    UnknownType(String),
    #[error("the field \"{0}\" is missing")]
    Missing(&'static str),
    #[error("the field \"{field}\" must be {expected}")]
    WrongKind { field: &'static str, expected: &'static str },
    #[error("the field \"{field}\" is longer than {most} bytes")]
    TooLong { field: &'static str, most: usize },
    #[error("the field \"{field}\": {reason}")]
    BadName { field: &'static str, reason: rooms::NameError },
}

impl MessageError {
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::NotJson(_) => None,
            Self::NotAnObject | Self::UnknownType(_) => Some("type"),
            Self::Missing(field)
            | Self::WrongKind { field, .. }
            | Self::TooLong { field, .. }
            | Self::BadName { field, .. } => Some(field),
        }
    }
}

impl From<MessageError> for Problem {
    fn from(error: MessageError) -> Self {
        let sentence = error.to_string();
        match (&error, error.field()) {
            (MessageError::NotJson(json), _) => Self::new(Code::InvalidJson, sentence).in_line(json.line()),
            (_, Some(field)) => Self::new(Code::InvalidMessage, sentence).in_field(field),
            (_, None) => Self::new(Code::InvalidMessage, sentence),
        }
    }
}

/// Reads a text frame; an error about an offer names the offer.
pub(super) fn client_message(text: &str, sdp_bytes_max: usize) -> Result<ClientMessage, Problem> {
    let value: Value = serde_json::from_str(text).map_err(MessageError::from)?;
    let Value::Object(fields) = value else { return Err(MessageError::NotAnObject.into()) };
    let id = fields.get("id").and_then(Value::as_u64);
    typed(fields, sdp_bytes_max).map_err(|error| Problem::from(error).with_id(id))
}

fn typed(fields: Map<String, Value>, sdp_bytes_max: usize) -> Result<ClientMessage, MessageError> {
    let mut fields = Fields(fields);
    let kind = fields.text("type", 64)?;
    Ok(match kind.as_str() {
        "join" => ClientMessage::Join {
            room: fields.name("room", rooms::check_room_name)?,
            name: fields.name("name", rooms::check_person_name)?,
        },
        "offer" => ClientMessage::Offer(Offer {
            id: fields.number("id")?,
            sdp: fields.text("sdp", sdp_bytes_max)?,
            subscriptions: fields.subscriptions()?,
        }),
        "candidate" => ClientMessage::Candidate(fields.candidate()?),
        "state" => ClientMessage::State { audio: fields.truth("audio")?, video: fields.truth("video")? },
        "leave" => ClientMessage::Leave,
        "ping" => ClientMessage::Ping,
        _ => return Err(MessageError::UnknownType(kind)),
    })
}

/// The fields of a message that were not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, field: &'static str) -> Result<Value, MessageError> {
        self.0.remove(field).ok_or(MessageError::Missing(field))
    }

    fn text(&mut self, field: &'static str, most: usize) -> Result<String, MessageError> {
        match self.take(field)? {
            Value::String(text) if text.len() <= most => Ok(text),
            Value::String(_) => Err(MessageError::TooLong { field, most }),
            _ => Err(MessageError::WrongKind { field, expected: "a string" }),
        }
    }

    fn name(
        &mut self,
        field: &'static str,
        check: fn(&str) -> Result<(), rooms::NameError>,
    ) -> Result<String, MessageError> {
        let name = self.text(field, rooms::NAME_BYTES_MAX)?;
        check(&name).map_err(|reason| MessageError::BadName { field, reason })?;
        Ok(name)
    }

    fn number(&mut self, field: &'static str) -> Result<u64, MessageError> {
        let expected = "a whole number, not negative";
        self.take(field)?.as_u64().ok_or(MessageError::WrongKind { field, expected })
    }

    fn truth(&mut self, field: &'static str) -> Result<bool, MessageError> {
        self.take(field)?.as_bool().ok_or(MessageError::WrongKind { field, expected: "true or false" })
    }

    /// A map from mid to track; none is the same as an empty one.
    fn subscriptions(&mut self) -> Result<BTreeMap<String, TrackId>, MessageError> {
        const FIELD: &str = "subscriptions";
        let wrong = MessageError::WrongKind { field: FIELD, expected: "an object of mids and track ids" };
        let map = match self.0.remove(FIELD) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(wrong),
        };
        if map.len() > SUBSCRIPTIONS_MAX {
            return Err(MessageError::WrongKind { field: FIELD, expected: "of at most 1000 entries" });
        }
        map.into_iter()
            .map(|(mid, track)| match track {
                Value::String(track) => Ok((mid, TrackId::from(track.as_str()))),
                _ => {
                    Err(MessageError::WrongKind { field: FIELD, expected: "an object of mids and track ids" })
                }
            })
            .collect()
    }

    fn candidate(&mut self) -> Result<Option<RtcIceCandidateInit>, MessageError> {
        let candidate = match self.take("candidate")? {
            Value::Null => return Ok(None),
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) if text.len() <= CANDIDATE_BYTES_MAX => text,
            Value::String(_) => {
                return Err(MessageError::TooLong { field: "candidate", most: CANDIDATE_BYTES_MAX });
            }
            _ => return Err(MessageError::WrongKind { field: "candidate", expected: "a string or null" }),
        };
        Ok(Some(RtcIceCandidateInit {
            candidate,
            sdp_mid: self.optional_text("sdpMid")?,
            sdp_m_line_index: self.optional_index("sdpMLineIndex")?,
            username_fragment: self.optional_text("usernameFragment")?,
        }))
    }

    fn optional_text(&mut self, field: &'static str) -> Result<Option<String>, MessageError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.text(field, MID_BYTES_MAX).map(Some),
        }
    }

    fn optional_index(&mut self, field: &'static str) -> Result<Option<u16>, MessageError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let index = value.as_u64().and_then(|index| u16::try_from(index).ok());
                let wrong = MessageError::WrongKind { field, expected: "a number from 0 to 65535" };
                index.map(Some).ok_or(wrong)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClientMessage, Problem> {
        client_message(text, 1_000)
    }

    #[test]
    fn documented_messages_are_understood() {
        let join = ClientMessage::Join { room: "demo".into(), name: "Ben".into() };
        assert_eq!(parse(r#"{"type":"join","room":"demo","name":"Ben"}"#), Ok(join));
        let offer = parse(r#"{"type":"offer","id":1,"sdp":"v=0","subscriptions":{"2":"t1"}}"#);
        let subscriptions = BTreeMap::from([("2".to_owned(), TrackId::from("t1"))]);
        assert_eq!(offer, Ok(ClientMessage::Offer(Offer { id: 1, sdp: "v=0".into(), subscriptions })));
        assert_eq!(parse(r#"{"type":"candidate","candidate":null}"#), Ok(ClientMessage::Candidate(None)));
        let Ok(ClientMessage::Candidate(Some(candidate))) =
            parse(r#"{"type":"candidate","candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}"#)
        else {
            panic!("not a candidate")
        };
        assert_eq!((candidate.sdp_mid.as_deref(), candidate.sdp_m_line_index), (Some("0"), Some(0)));
        let state = ClientMessage::State { audio: true, video: false };
        assert_eq!(parse(r#"{"type":"state","audio":true,"video":false,"new":1}"#), Ok(state));
        assert_eq!(parse(r#"{"type":"ping"}"#), Ok(ClientMessage::Ping));
    }

    #[test]
    fn broken_json_is_named_by_its_line() {
        for (text, line) in [("", 1), ("hello", 1), ("{\"type\":\n \"ping\",,}", 2)] {
            let problem = parse(text).unwrap_err();
            assert_eq!((problem.code, problem.line), (Code::InvalidJson, Some(line)), "{text:?}");
        }
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(parse(&deep).unwrap_err().code, Code::InvalidJson);
    }

    #[test]
    fn a_wrong_message_is_named_by_its_field_and_its_offer() {
        for (text, field) in [
            ("[1]", "type"),
            (r#"{"room":"a"}"#, "type"),
            (r#"{"type":"dance"}"#, "type"),
            (r#"{"type":5}"#, "type"),
            (r#"{"type":"join","name":"a"}"#, "room"),
            (r#"{"type":"join","room":"","name":"a"}"#, "room"),
            (r#"{"type":"join","room":"a","name":"a\u0007"}"#, "name"),
            (r#"{"type":"offer","sdp":"v=0"}"#, "id"),
            (r#"{"type":"offer","id":-1,"sdp":"v=0"}"#, "id"),
            (r#"{"type":"offer","id":7}"#, "sdp"),
            (r#"{"type":"offer","id":7,"sdp":5}"#, "sdp"),
            (r#"{"type":"offer","id":7,"sdp":"v=0","subscriptions":[]}"#, "subscriptions"),
            (r#"{"type":"offer","id":7,"sdp":"v=0","subscriptions":{"0":1}}"#, "subscriptions"),
            (r#"{"type":"candidate"}"#, "candidate"),
            (r#"{"type":"candidate","candidate":1}"#, "candidate"),
            (r#"{"type":"candidate","candidate":"c","sdpMLineIndex":-1}"#, "sdpMLineIndex"),
            (r#"{"type":"state","audio":1,"video":true}"#, "audio"),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!((problem.code, problem.field), (Code::InvalidMessage, Some(field)), "{text}");
            assert_eq!(problem.id, text.contains(r#""id":7"#).then_some(7), "{text}");
        }
    }

    #[test]
    fn an_offer_beyond_the_limit_is_refused() {
        let text = format!(r#"{{"type":"offer","id":1,"sdp":"{}"}}"#, "x".repeat(1_001));
        assert_eq!(parse(&text).unwrap_err().field, Some("sdp"));
    }
}
