//! What a script may ask for.

use crate::data::ChannelOptions;
use actix_rtc::{RtcConfiguration, RtcIceCandidateInit, RtcSessionDescription};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One message of the script.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Signalling: a description of its own connection.
    Description(RtcSessionDescription),
    /// Signalling: a candidate; `null` when there are no more.
    Candidate(Option<RtcIceCandidateInit>),
    /// Something to do; the answer carries the same number.
    Command(u64, Command),
}

impl Incoming {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut message: Map<String, Value> = serde_json::from_str(text)?;
        if let Some(description) = message.remove("description") {
            return Ok(Self::Description(serde_json::from_value(description)?));
        }
        if let Some(candidate) = message.remove("candidate") {
            return Ok(Self::Candidate(serde_json::from_value(candidate)?));
        }
        let id = message.remove("id").and_then(|id| id.as_u64()).context("a command has an id")?;
        Ok(Self::Command(id, serde_json::from_value(Value::Object(message))?))
    }
}

/// Something to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Command {
    /// Makes the connection: has to come first, once.
    Configure(Options),
    /// A new transceiver. It sends a copy of what arrives on the section `copy_of`, or echoes its own.
    Add {
        kind: String,
        #[serde(default = "sendrecv")]
        direction: String,
        copy_of: Option<String>,
    },
    /// Changes what a transceiver wants.
    Direct { mid: String, direction: String },
    /// Ends a transceiver for good.
    Stop { mid: String },
    /// The next offer carries new ICE credentials.
    RestartIce,
    /// Makes an offer now, applies and sends it.
    Offer,
    /// Takes our own offer back.
    Rollback,
    /// Opens a data channel.
    Channel(ChannelOptions),
    /// Closes the newest data channel of this label.
    CloseChannel { label: String },
    /// Makes the network between us as bad as this; the connection was made `relayed`.
    Impair {
        /// How many of all datagrams are lost, 0 to 1.
        loss: f64,
        /// One way, in milliseconds.
        delay: u64,
    },
    /// Sends a text on the newest data channel of this label.
    Say { label: String, text: String },
    /// Hangs up.
    Close,
    /// What the connection looks like now.
    State,
}

fn sendrecv() -> String {
    "sendrecv".to_owned()
}

/// How the connection is made and how it behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Gives way when both offer at once (W3C webrtc-pc §10.7).
    pub(crate) polite: bool,
    /// Sends candidates as they come; otherwise descriptions wait for all of them.
    pub(crate) trickle: bool,
    /// Sends back what arrives, on the section it arrived on.
    pub(crate) echo: bool,
    /// Offers whenever `negotiationneeded` fires; otherwise only when told.
    pub(crate) negotiate: bool,
    /// The names of the video codecs to allow; none means all.
    pub(crate) video_codecs: Vec<String>,
    /// Offers `.local` names instead of addresses.
    pub(crate) hide_host_addresses: bool,
    /// Everything goes over a relay that can be made a bad network: no candidates are sent or taken but those in
    /// descriptions.
    pub(crate) relayed: bool,
    /// What the connection is made with: `{"bundlePolicy": "max-compat"}`.
    pub(crate) configuration: RtcConfiguration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            polite: true,
            trickle: true,
            echo: true,
            negotiate: true,
            relayed: false,
            video_codecs: Vec::new(),
            hide_host_addresses: false,
            configuration: RtcConfiguration::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_signalling_are_told_apart() {
        let parsed = |text: &str| Incoming::parse(text).unwrap();
        assert!(matches!(
            parsed(r#"{"id": 1, "do": "configure", "polite": false}"#),
            Incoming::Command(1, Command::Configure(Options { polite: false, trickle: true, .. }))
        ));
        assert!(matches!(parsed(r#"{"candidate": null}"#), Incoming::Candidate(None)));
        assert!(matches!(
            parsed(r#"{"description": {"type": "offer", "sdp": "v=0"}}"#),
            Incoming::Description(_)
        ));
        assert!(Incoming::parse(r#"{"id": 1, "do": "dance"}"#).is_err());
        assert!(Incoming::parse(r#"{"do": "offer"}"#).is_err());
    }
}
