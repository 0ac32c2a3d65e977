//! Perfect negotiation (W3C webrtc-pc §10.7), and the echo that makes what arrives come back.
//!
//! One task does one thing after the other, so the races that the specification's example guards against by
//! flags can't happen here: while an offer is being made, no description is taken in.

use actix_rtc::{
    MediaKind, RtcError, RtcIceCandidateInit, RtcPeerConnection, RtcRtpReceiver, RtcRtpTransceiver,
    RtcRtpTransceiverDirection as Direction, RtcRtpTransceiverInit, RtcSdpType, RtcSessionDescription,
    RtcSignalingState, TrackOrKind,
};
use actix_rtc_impair::{Impairment, Relay, Side, route_through};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{command::Options, outbox::Outbox};

/// A connection and how it negotiates.
pub(crate) struct Negotiation {
    pub(crate) connection: RtcPeerConnection,
    options: Options,
    /// The peer's last offer lost a collision: its candidates lead nowhere.
    ignoring_offer: bool,
    /// Transceivers that send a copy of what arrives elsewhere, and not an echo.
    copies: Vec<RtcRtpTransceiver>,
    /// Transceivers whose direction the script has set: the echo leaves it alone.
    directed: Vec<RtcRtpTransceiver>,
    /// Stands between us and the script.
    relay: Option<Relay>,
}

/// What the relay does is the same in every run.
const SEED: u64 = 1;

impl Negotiation {
    pub(crate) fn new(connection: RtcPeerConnection, options: Options) -> Result<Self> {
        let relay = options.relayed.then(|| Relay::start(SEED, Impairment::default())).transpose()?;
        Ok(Self {
            connection,
            options,
            ignoring_offer: false,
            copies: Vec::new(),
            directed: Vec::new(),
            relay,
        })
    }

    /// Makes the network as bad as this from now on.
    pub(crate) fn impair(&self, impairment: Impairment) -> Result<()> {
        self.relay.as_ref().context("the connection is not relayed")?.set_impairment(impairment);
        Ok(())
    }

    /// Datagrams that were lost on the way from us, and to us.
    pub(crate) fn lost(&self) -> Value {
        let lost = |relay: &Relay| [Side::A, Side::B].map(|side| relay.counts_from(side).lost);
        json!(self.relay.as_ref().map(lost))
    }

    /// The description as it is for who is at the other side of the relay.
    fn routed(&self, side: Side, description: RtcSessionDescription) -> Result<RtcSessionDescription> {
        let Some(relay) = &self.relay else { return Ok(description) };
        let (sdp, real) = route_through(&description.sdp, relay.address_of(side)).context("no candidate")?;
        relay.set_peer(side, real);
        Ok(RtcSessionDescription { sdp, ..description })
    }

    pub(crate) fn negotiates_by_itself(&self) -> bool {
        self.options.negotiate
    }

    pub(crate) fn trickles(&self) -> bool {
        self.options.trickle && self.relay.is_none()
    }

    /// The answer or the offer that the signalling state asks for, applied and sent.
    pub(crate) async fn describe(&mut self, outbox: &mut Outbox) -> Result<()> {
        self.connection.set_local_description(None).await?;
        if !self.trickles() {
            self.connection.gathering_complete().await?;
        }
        let description = self.connection.local_description().context("no local description")?;
        let description = self.routed(Side::A, description)?;
        outbox.send(json!({ "description": description })).await;
        Ok(())
    }

    pub(crate) async fn take_description(
        &mut self,
        description: RtcSessionDescription,
        outbox: &mut Outbox,
    ) -> Result<()> {
        let is_offer = description.kind == RtcSdpType::Offer;
        let collision = is_offer && self.connection.signaling_state() != RtcSignalingState::Stable;
        self.ignoring_offer = collision && !self.options.polite;
        if self.ignoring_offer {
            outbox.event("offerignored", json!(null)).await;
            return Ok(());
        }
        let description = self.routed(Side::B, description)?;
        self.connection.set_remote_description(description).await?;
        for transceiver in self.connection.get_transceivers().iter().filter(|t| !t.stopped()) {
            self.prefer_codecs(transceiver).await?;
        }
        if self.options.echo {
            self.echo_all().await?;
        }
        if is_offer {
            self.describe(outbox).await?;
        }
        Ok(())
    }

    pub(crate) async fn take_candidate(&mut self, candidate: Option<RtcIceCandidateInit>) -> Result<()> {
        if self.relay.is_some() {
            return Ok(());
        }
        match self.connection.add_ice_candidate(candidate).await {
            Err(_) if self.ignoring_offer => Ok(()),
            result => Ok(result?),
        }
    }

    /// A new transceiver; see [`crate::command::Command::Add`].
    pub(crate) async fn add(&mut self, kind: &str, direction: &str, copy_of: Option<String>) -> Result<()> {
        let kind = match kind {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            other => bail!("there is no kind {other}"),
        };
        let direction = parse_direction(direction)?;
        let init =
            RtcRtpTransceiverInit { direction, streams: vec!["interop".to_owned()], ..Default::default() };
        let source = match &copy_of {
            Some(mid) => self.by_mid(mid)?.receiver().track().context("nothing arrives there")?.into(),
            None => TrackOrKind::Kind(kind),
        };
        let transceiver = self.connection.add_transceiver(source, init).await?;
        self.prefer_codecs(&transceiver).await?;
        if copy_of.is_some() {
            self.copies.push(transceiver);
        }
        Ok(())
    }

    /// Changes what the transceiver of a section wants, from now on.
    pub(crate) async fn direct(&mut self, mid: &str, direction: &str) -> Result<()> {
        let transceiver = self.by_mid(mid)?;
        transceiver.set_direction(parse_direction(direction)?).await?;
        if !self.directed.contains(&transceiver) {
            self.directed.push(transceiver);
        }
        Ok(())
    }

    async fn prefer_codecs(&self, transceiver: &RtcRtpTransceiver) -> Result<()> {
        let wanted = &self.options.video_codecs;
        if wanted.is_empty() || transceiver.kind() != MediaKind::Video {
            return Ok(());
        }
        let mut codecs = RtcRtpReceiver::get_capabilities(MediaKind::Video).codecs;
        codecs.retain(|codec| codec.name() == "rtx" || wanted.iter().any(|name| name == codec.name()));
        Ok(transceiver.set_codec_preferences(&codecs).await?)
    }

    pub(crate) fn by_mid(&self, mid: &str) -> Result<RtcRtpTransceiver> {
        let found = self.connection.get_transceivers().into_iter().find(|t| t.mid().as_deref() == Some(mid));
        found.with_context(|| format!("no transceiver has the mid {mid}"))
    }

    /// Sends what arrives on each section back on it, and stops where nothing arrives any more.
    async fn echo_all(&self) -> Result<(), RtcError> {
        for transceiver in self.connection.get_transceivers() {
            if self.copies.contains(&transceiver) || transceiver.stopped() {
                continue;
            }
            let arrives =
                matches!(transceiver.remote_direction(), Some(Direction::Sendrecv | Direction::Sendonly));
            let track = transceiver.receiver().track().filter(|_| arrives);
            let direction = if arrives { Direction::Sendrecv } else { Direction::Recvonly };
            if transceiver.direction() != direction && !self.directed.contains(&transceiver) {
                transceiver.set_direction(direction).await?;
            }
            if transceiver.sender().track().map(|t| t.id().to_owned())
                != track.as_ref().map(|t| t.id().to_owned())
            {
                transceiver.sender().send_track(track, vec!["echo".to_owned()]).await?;
            }
        }
        Ok(())
    }
}

fn parse_direction(text: &str) -> Result<Direction> {
    Ok(match text {
        "sendrecv" => Direction::Sendrecv,
        "sendonly" => Direction::Sendonly,
        "recvonly" => Direction::Recvonly,
        "inactive" => Direction::Inactive,
        other => bail!("there is no direction {other}"),
    })
}
