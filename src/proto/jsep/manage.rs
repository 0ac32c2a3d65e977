//! What the application does with transceivers between exchanges.

use super::codecs::is_rtx;
use super::error::{Action, JsepError};
use super::session::Session;
use super::transceiver::{Link, Transceiver};
use super::types::*;
use crate::proto::rtp::CodecParameters;
use crate::proto::sdp::SECTIONS_MAX;
use rand::Rng;
use std::collections::HashSet;

impl Session {
    /// Adds a transceiver that waits for a section (W3C `addTransceiver`).
    pub fn add_transceiver(
        &mut self,
        kind: MediaKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, JsepError> {
        self.check_open()?;
        if init.direction == Direction::Stopped {
            return Err(JsepError::DirectionStopped);
        }
        check_media_ids(&init.stream_ids, init.track_id.as_deref())?;
        if self.transceivers.len() >= SECTIONS_MAX {
            return Err(JsepError::TooManyTransceivers);
        }
        let id = self.new_transceiver(kind, init.direction);
        let track_id = init.track_id.unwrap_or_else(|| self.random_media_id());
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.stream_ids = init.stream_ids;
            transceiver.track_id = track_id;
        }
        self.avoid_remote_sources();
        Ok(id)
    }

    /// Finds or makes a transceiver that sends this track (W3C `addTrack`): one of this kind that has never sent
    /// is taken, else a new one with both directions is made.
    pub fn add_track(
        &mut self,
        kind: MediaKind,
        stream_ids: Vec<String>,
        track_id: Option<String>,
    ) -> Result<TransceiverId, JsepError> {
        self.check_open()?;
        let reusable = |t: &&mut Transceiver| t.kind == kind && !t.stopped() && !t.has_track && !t.has_sent;
        if let Some(transceiver) = self.transceivers.iter_mut().find(reusable) {
            let (id, receives) = (transceiver.id, transceiver.direction.receives());
            self.set_sending_track(id, stream_ids, track_id)?;
            if let Some(transceiver) = self.transceiver_mut(id) {
                transceiver.direction = Direction::of(true, receives);
                transceiver.added_by_track = true;
                transceiver.has_track = true;
            }
            return Ok(id);
        }
        let init = TransceiverInit { stream_ids, track_id, ..TransceiverInit::default() };
        let id = self.add_transceiver(kind, init)?;
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.added_by_track = true;
            transceiver.has_track = true;
        }
        Ok(id)
    }

    /// Takes the track off a sender (W3C `removeTrack`): it stops sending with the next exchange. Without a track
    /// there is nothing to do.
    pub fn remove_track(&mut self, id: TransceiverId) -> Result<(), JsepError> {
        self.check_open()?;
        let transceiver = self.transceiver_mut(id).ok_or(JsepError::UnknownTransceiver(id))?;
        if !transceiver.stopped() && std::mem::take(&mut transceiver.has_track) {
            transceiver.direction = Direction::of(false, transceiver.direction.receives());
        }
        Ok(())
    }

    /// Says which way media shall flow; in force after the next exchange.
    pub fn set_direction(&mut self, id: TransceiverId, direction: Direction) -> Result<(), JsepError> {
        if direction == Direction::Stopped {
            return Err(JsepError::DirectionStopped);
        }
        self.usable(id)?.direction = direction;
        Ok(())
    }

    /// Names what is sent: `a=msid` of the next description; without a `track_id` the one it has stays. A fresh
    /// SSRC is chosen when the track is another one and nothing is being sent, so that a receiver never sees two
    /// tracks as one stream.
    pub fn set_sending_track(
        &mut self,
        id: TransceiverId,
        stream_ids: Vec<String>,
        track_id: Option<String>,
    ) -> Result<(), JsepError> {
        check_media_ids(&stream_ids, track_id.as_deref())?;
        let transceiver = self.usable(id)?;
        transceiver.stream_ids = stream_ids;
        transceiver.has_track = true;
        let Some(track_id) = track_id.filter(|track_id| *track_id != transceiver.track_id) else {
            return Ok(());
        };
        transceiver.track_id = track_id;
        let sending = transceiver.link.send.is_some();
        if !sending && transceiver.has_sent {
            self.renew_sources(id);
            self.avoid_remote_sources();
        }
        Ok(())
    }

    /// Ends sending and receiving at once; the section is rejected in the next exchange (W3C `stop`).
    pub fn stop(&mut self, id: TransceiverId) -> Result<(), JsepError> {
        self.check_open()?;
        let transceiver = self.transceiver_mut(id).ok_or(JsepError::UnknownTransceiver(id))?;
        transceiver.end();
        self.remove_ended();
        Ok(())
    }

    /// Chooses and orders codecs (W3C `setCodecPreferences`); an empty list returns to the capabilities.
    pub fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<CodecParameters>,
    ) -> Result<(), JsepError> {
        let kind = self.usable(id)?.kind;
        let known = &self.config.media.of(kind).codecs;
        let mut preferences: Vec<CodecParameters> = Vec::new();
        for codec in codecs {
            if !known.contains(&codec) {
                return Err(JsepError::InvalidCodecPreferences);
            }
            if !preferences.contains(&codec) {
                preferences.push(codec);
            }
        }
        if !preferences.is_empty() && preferences.iter().all(is_rtx) {
            return Err(JsepError::InvalidCodecPreferences);
        }
        self.usable(id)?.preferences = (!preferences.is_empty()).then_some(preferences);
        Ok(())
    }

    /// Asks for a data channel section in the next offer (W3C: the first `createDataChannel` does that).
    pub fn add_data_section(&mut self) -> Result<(), JsepError> {
        self.check_open()?;
        self.data_wanted = true;
        Ok(())
    }

    pub(super) fn check_open(&self) -> Result<(), JsepError> {
        match self.state {
            SignalingState::Closed => {
                Err(JsepError::InvalidState { action: Action::ChangeTransceivers, state: self.state })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn transceiver_mut(&mut self, id: TransceiverId) -> Option<&mut Transceiver> {
        self.transceivers.iter_mut().find(|transceiver| transceiver.id == id)
    }

    fn usable(&mut self, id: TransceiverId) -> Result<&mut Transceiver, JsepError> {
        self.check_open()?;
        let transceiver = self.transceiver_mut(id).ok_or(JsepError::UnknownTransceiver(id))?;
        if transceiver.stopped() { Err(JsepError::Stopped(id)) } else { Ok(transceiver) }
    }

    /// Stopped transceivers without a section leave at once: there is nothing to negotiate.
    pub(super) fn remove_ended(&mut self) {
        let created = self.created.as_ref();
        let in_created = |id| created.is_some_and(|created| created.sections.contains(&Some(id)));
        self.transceivers.retain(|t| !t.stopped() || t.link.section.is_some() || in_created(t.id));
    }

    /// A transceiver without a section, a stream or a track.
    pub(super) fn new_transceiver(&mut self, kind: MediaKind, direction: Direction) -> TransceiverId {
        let id = TransceiverId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let (ssrc, rtx_ssrc) = (self.fresh_ssrc(), self.fresh_ssrc());
        let track_id = self.random_media_id();
        self.transceivers.push(Transceiver {
            id,
            kind,
            direction,
            stream_ids: Vec::new(),
            track_id,
            has_track: false,
            has_sent: false,
            ssrc,
            rtx_ssrc,
            preferences: None,
            added_by_track: false,
            created_by_offer: false,
            link: Link::default(),
            stable: None,
        });
        id
    }

    pub(super) fn renew_sources(&mut self, id: TransceiverId) {
        let (ssrc, rtx_ssrc) = (self.fresh_ssrc(), self.fresh_ssrc());
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.ssrc = ssrc;
            transceiver.rtx_ssrc = rtx_ssrc;
        }
    }

    /// An SSRC that no transceiver has. Zero is avoided: too many peers mean "none".
    fn fresh_ssrc(&mut self) -> u32 {
        loop {
            let ssrc = self.random.random_range(1..=u32::MAX);
            if !self.transceivers.iter().any(|t| t.ssrc == ssrc || t.rtx_ssrc == ssrc) {
                return ssrc;
            }
        }
    }

    /// RFC 3550 8.2: a source that the peer announces is not used here, unless it already flows.
    pub(super) fn avoid_remote_sources(&mut self) {
        let Some(remote) = self.slots.remote() else { return };
        let sources: HashSet<u32> =
            remote.sdp.media.iter().flat_map(|section| &section.sources).map(|source| source.ssrc).collect();
        let colliding = |t: &&Transceiver| {
            t.link.send.is_none() && (sources.contains(&t.ssrc) || sources.contains(&t.rtx_ssrc))
        };
        while let Some(id) = self.transceivers.iter().find(colliding).map(|t| t.id) {
            self.renew_sources(id);
        }
    }

    /// 128 random bits for a track that the application did not name.
    fn random_media_id(&mut self) -> String {
        format!("{:032x}", self.random.random::<u128>())
    }
}

/// RFC 8830 2: ids are 1 to 64 token characters.
fn check_media_ids(stream_ids: &[String], track_id: Option<&str>) -> Result<(), JsepError> {
    let valid = |id: &str| {
        let token = |b: u8| b.is_ascii_graphic() && !br#""(),/:;<=>?@[\]"#.contains(&b);
        (1..=64).contains(&id.len()) && id.bytes().all(token)
    };
    // More streams than sections make no sense, and each is a line.
    let bounded = stream_ids.len() <= 64;
    match bounded && stream_ids.iter().map(String::as_str).chain(track_id).all(valid) {
        true => Ok(()),
        false => Err(JsepError::MalformedMediaId),
    }
}
