//! What the application does with transceivers between exchanges.

use super::codecs::same_capability;
use super::error::{Action, JsepError};
use super::session::Session;
use super::transceiver::{Link, Source, Transceiver};
use super::types::*;
use crate::proto::rtp::CodecParameters;
use crate::proto::sdp::SECTIONS_MAX;
use rand::Rng;
use std::collections::HashSet;

/// Most simulcast layers of a sender: browsers take three. Surplus ones are left out (W3C 5.1).
pub(super) const ENCODINGS_MAX: usize = 8;

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
        let rids = checked_rids(kind, init.send_encodings)?;
        if self.transceivers.len() >= SECTIONS_MAX {
            return Err(JsepError::TooManyTransceivers);
        }
        let id = self.new_transceiver(kind, init.direction);
        let sources = self.fresh_sources(rids);
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.stream_ids = unique(init.stream_ids);
            transceiver.has_track = init.track_id.is_some();
            if let Some(track_id) = init.track_id {
                transceiver.track_id = track_id;
            }
            if !sources.is_empty() {
                transceiver.sources = sources;
            }
        }
        self.avoid_remote_sources();
        Ok(id)
    }

    /// Finds or makes a transceiver that sends this track (W3C `addTrack`): one of this kind that has never sent
    /// is taken, else a new one with both directions is made. A track that is sent already is refused.
    pub fn add_track(
        &mut self,
        kind: MediaKind,
        stream_ids: Vec<String>,
        track_id: Option<String>,
    ) -> Result<TransceiverId, JsepError> {
        self.check_open()?;
        let sends = |t: &&Transceiver| t.has_track && track_id.as_ref() == Some(&t.track_id);
        if let Some(transceiver) = self.transceivers.iter().find(sends) {
            return Err(JsepError::TrackInUse(transceiver.id));
        }
        let reusable = |t: &&mut Transceiver| t.kind == kind && !t.stopped() && !t.has_track && !t.has_sent;
        let id = match self.transceivers.iter_mut().find(reusable).map(|transceiver| transceiver.id) {
            Some(id) => {
                self.set_sending_track(id, stream_ids, track_id)?;
                id
            }
            None => {
                let init = TransceiverInit { stream_ids, track_id, ..TransceiverInit::default() };
                self.add_transceiver(kind, init)?
            }
        };
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.direction = Direction::of(true, transceiver.direction.receives());
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

    /// Notes whether a sender has a track (W3C `replaceTrack`): nothing to negotiate, but `add_track` takes only
    /// senders without one.
    pub fn set_has_track(&mut self, id: TransceiverId, has_track: bool) -> Result<(), JsepError> {
        self.usable(id)?.has_track = has_track;
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
        transceiver.stream_ids = unique(stream_ids);
        transceiver.has_track |= track_id.is_some();
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
    ///
    /// A codec is named as W3C capabilities name it: name, clock rate, channels and `a=fmtp` parameters count, payload
    /// type and feedback do not, and any entry for retransmission stands for all of them.
    pub fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<CodecParameters>,
    ) -> Result<(), JsepError> {
        let kind = self.usable(id)?.kind;
        let known = &self.config.media.of(kind).codecs;
        let mut preferences: Vec<CodecParameters> = Vec::new();
        for codec in &codecs {
            let named: Vec<_> = known.iter().filter(|known| same_capability(known, codec)).collect();
            if named.is_empty() {
                return Err(JsepError::InvalidCodecPreferences);
            }
            for codec in named {
                if !preferences.contains(codec) {
                    preferences.push(codec.clone());
                }
            }
        }
        if !preferences.is_empty() && preferences.iter().all(CodecParameters::is_auxiliary) {
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
        let created = [self.created_offer.as_ref(), self.created_answer.as_ref()];
        let in_created = |id| created.iter().flatten().any(|created| created.sections.contains(&Some(id)));
        self.transceivers.retain(|t| !t.stopped() || t.link.section.is_some() || in_created(t.id));
    }

    /// A transceiver without a section, a stream or a track.
    pub(super) fn new_transceiver(&mut self, kind: MediaKind, direction: Direction) -> TransceiverId {
        let id = TransceiverId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let sources = self.fresh_sources(vec![None]);
        let track_id = self.random_media_id();
        self.transceivers.push(Transceiver {
            id,
            kind,
            direction,
            stream_ids: Vec::new(),
            track_id,
            has_track: false,
            has_sent: false,
            sources,
            preferences: None,
            added_by_track: false,
            created_by_offer: false,
            link: Link::default(),
            stable: None,
        });
        id
    }

    pub(super) fn renew_sources(&mut self, id: TransceiverId) {
        let Some(transceiver) = self.transceiver(id) else { return };
        let rids = |sources: &[Source]| sources.iter().map(|source| source.rid.clone()).collect();
        let (own, proposed) = (rids(&transceiver.sources), rids(&transceiver.link.proposed));
        let (sources, proposed) = (self.fresh_sources(own), self.fresh_sources(proposed));
        if let Some(transceiver) = self.transceiver_mut(id) {
            transceiver.sources = sources;
            transceiver.link.proposed = proposed;
        }
    }

    /// Sources with these rids and with numbers that no transceiver has.
    pub(super) fn fresh_sources(&mut self, rids: Vec<Option<String>>) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::with_capacity(rids.len());
        for rid in rids {
            let ssrc = self.fresh_ssrc(&sources);
            let mut source = Source { rid, ssrc, rtx_ssrc: ssrc };
            while source.rtx_ssrc == ssrc {
                source.rtx_ssrc = self.fresh_ssrc(&sources);
            }
            sources.push(source);
        }
        sources
    }

    /// An SSRC that no transceiver has. Zero is avoided: too many peers mean "none".
    fn fresh_ssrc(&mut self, others: &[Source]) -> u32 {
        loop {
            let ssrc = self.random.random_range(1..=u32::MAX);
            let taken = self.transceivers.iter().any(|t| t.has_ssrc(ssrc))
                || others.iter().any(|source| source.ssrc == ssrc || source.rtx_ssrc == ssrc);
            if !taken {
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
            let mut ours = t.sources.iter().chain(&t.link.proposed);
            t.link.send.is_none()
                && ours.any(|source| sources.contains(&source.ssrc) || sources.contains(&source.rtx_ssrc))
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

/// The rids of a new transceiver, checked as W3C `addTransceiver` says.
fn checked_rids(kind: MediaKind, encodings: Vec<SendEncoding>) -> Result<Vec<Option<String>>, JsepError> {
    let mut rids: Vec<Option<String>> = encodings.into_iter().map(|encoding| encoding.rid).collect();
    if rids.iter().flatten().any(|rid| !is_rid(rid)) {
        return Err(JsepError::MalformedRid);
    }
    let named: HashSet<&String> = rids.iter().flatten().collect();
    let count = rids.iter().flatten().count();
    if named.len() != count {
        return Err(JsepError::RidsRepeated);
    }
    if rids.len() > 1 && count != rids.len() {
        return Err(JsepError::RidsMissing);
    }
    rids.truncate(match kind {
        // W3C 5.1: several encodings are for video.
        MediaKind::Audio => 1,
        MediaKind::Video => ENCODINGS_MAX,
    });
    // W3C 5.1: a lone encoding needs no name.
    if let [only] = &mut rids[..] {
        *only = None;
    }
    Ok(rids)
}

/// RFC 8852 3.3: letters and digits, as many as a one-byte header extension holds.
fn is_rid(rid: &str) -> bool {
    (1..=16).contains(&rid.len()) && rid.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// W3C 5.1, 5.2: the streams of a track are a set.
fn unique(mut stream_ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    stream_ids.retain(|id| seen.insert(id.clone()));
    stream_ids
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
