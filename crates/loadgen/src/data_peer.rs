//! What a peer needs for one data channel (RFC 8831): an SCTP association over its DTLS session, one channel of the
//! server's room protocol (SIGNALLING.md), and one message to itself by way of the server, which proves that the
//! channel works. Afterwards it stays idle.

use std::time::Instant;

use actix_rtc::proto::{
    dtls::{Role, Session},
    sctp::{Association, AssociationConfig, ChannelParameters, Event, Message},
};
use anyhow::{anyhow, bail};
use bytes::Bytes;

/// What a room's channel is called, and its subprotocol.
const LABEL: &str = "room";
const PROTOCOL: &str = "room.v1";
/// What is said on it.
const CONTENT: &str = "loadgen";

/// An association with one channel.
pub(crate) struct Channel {
    association: Association,
    /// Who to address: the participant itself.
    participant: String,
    is_proven: bool,
}

impl Channel {
    pub(crate) fn new(participant: String) -> Self {
        let association = Association::new(AssociationConfig::default());
        Self { association, participant, is_proven: false }
    }

    /// Whether the message has come back.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// DTLS is connected.
    pub(crate) fn start(&mut self, now: Instant, role: Role) {
        self.association.start(now, role);
        let parameters =
            ChannelParameters { label: LABEL.into(), protocol: PROTOCOL.into(), ..Default::default() };
        // Refused only after the end; that is told as an event too.
        let _ = self.association.open(parameters);
    }

    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Bytes) {
        self.association.handle_packet(now, packet);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.association.poll_timeout().is_some_and(|due| due <= now) {
            self.association.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }

    /// Acts on what has happened and seals what is to be sent.
    pub(crate) fn drive(&mut self, now: Instant, session: &mut Session) -> anyhow::Result<()> {
        while let Some(event) = self.association.poll_event() {
            match event {
                Event::Open(channel) => {
                    let text = serde_json::json!({"to": self.participant, "data": CONTENT}).to_string();
                    let sent = self.association.send(now, channel, Message::text(text));
                    sent.map_err(|error| anyhow!("{error}"))?;
                }
                Event::Message(_, message) => self.check(&message)?,
                Event::Closed { error, .. } | Event::Ended { error } => bail!("it was closed: {error:?}"),
                _ => {}
            }
        }
        while let Some(packet) = self.association.poll_transmit(now) {
            session.send_application_data(&packet)?;
        }
        Ok(())
    }

    fn check(&mut self, message: &Message) -> anyhow::Result<()> {
        let said: serde_json::Value = serde_json::from_slice(&message.data)?;
        if said["from"] != self.participant.as_str() || said["data"] != CONTENT {
            bail!("the server said {said} instead of what was sent");
        }
        self.is_proven = true;
        Ok(())
    }
}
