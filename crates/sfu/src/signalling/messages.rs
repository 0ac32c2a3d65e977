//! What is said on the WebSocket, version 1 of SIGNALLING.md. Reading it is the business of `parse`.

use std::collections::BTreeMap;

use actix_rtc::RtcIceCandidateInit;
use serde::Serialize;

use crate::{
    config::DataLimits,
    ids::{ParticipantId, TrackId},
    problem::Problem,
    room::ParticipantInfo,
};

/// From a client.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClientMessage {
    Join {
        room: String,
        name: String,
    },
    Offer(Offer),
    /// `None`: there are no more.
    Candidate(Option<RtcIceCandidateInit>),
    State {
        audio: bool,
        video: bool,
    },
    Leave,
    Ping,
}

/// An SDP offer with what its receiving sections shall carry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) id: u64,
    pub(super) sdp: String,
    /// By `a=mid`.
    pub(super) subscriptions: BTreeMap<String, TrackId>,
}

/// To a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum ServerMessage<'a> {
    #[serde(rename_all = "camelCase")]
    Joined {
        room: &'a str,
        participant: &'a ParticipantId,
        ice_servers: [(); 0],
        participants: Vec<&'a ParticipantInfo>,
        data: DataLine,
    },
    Answer {
        id: u64,
        sdp: &'a str,
    },
    Candidate(CandidateLine<'a>),
    ParticipantJoined {
        participant: &'a ParticipantInfo,
    },
    ParticipantUpdated {
        participant: &'a ParticipantInfo,
    },
    ParticipantLeft {
        participant: &'a ParticipantId,
    },
    Error(&'a Problem),
    Closing {
        reason: &'a str,
    },
    Pong,
}

/// What a client may not exceed on its data channels.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataLine {
    channels: usize,
    message_bytes: usize,
    messages_per_second: u32,
    bytes_per_second: u32,
}

impl From<DataLimits> for DataLine {
    fn from(limits: DataLimits) -> Self {
        let DataLimits { channels, message_bytes, messages_per_second, bytes_per_second } = limits;
        Self { channels, message_bytes, messages_per_second, bytes_per_second }
    }
}

/// A candidate of ours; `candidate: null` alone ends them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CandidateLine<'a> {
    pub(super) candidate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sdp_mid: Option<&'a str>,
    #[serde(rename = "sdpMLineIndex", skip_serializing_if = "Option::is_none")]
    pub(super) sdp_m_line_index: Option<usize>,
}

impl ServerMessage<'_> {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists of them have a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn messages_are_written_as_documented() {
        let id = ParticipantId::from("p1");
        let data = DataLine { channels: 1, message_bytes: 2, messages_per_second: 3, bytes_per_second: 4 };
        let participants = vec![];
        let joined =
            ServerMessage::Joined { room: "demo", participant: &id, ice_servers: [], participants, data };
        let expected = concat!(
            r#"{"type":"joined","room":"demo","participant":"p1","iceServers":[],"participants":[],"#,
            r#""data":{"channels":1,"messageBytes":2,"messagesPerSecond":3,"bytesPerSecond":4}}"#
        );
        assert_eq!(joined.to_json(), expected);
        let end = ServerMessage::Candidate(CandidateLine::default());
        assert_eq!(end.to_json(), r#"{"type":"candidate","candidate":null}"#);
        let line =
            CandidateLine { candidate: Some("candidate:1"), sdp_mid: Some("0"), sdp_m_line_index: Some(0) };
        assert_eq!(
            ServerMessage::Candidate(line).to_json(),
            r#"{"type":"candidate","candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}"#
        );
        assert_eq!(
            ServerMessage::ParticipantLeft { participant: &id }.to_json(),
            r#"{"type":"participant-left","participant":"p1"}"#
        );
        let problem = Problem::new(Code::NotJoined, "join first");
        assert_eq!(
            ServerMessage::Error(&problem).to_json(),
            r#"{"type":"error","code":"not-joined","message":"join first"}"#
        );
        assert_eq!(ServerMessage::Pong.to_json(), r#"{"type":"pong"}"#);
    }
}
