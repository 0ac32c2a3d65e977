//! The encodings of one sender: each is a stream of its own, and all take from the same track.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};

use crate::{
    actors::kit::{self, DropReason},
    messages::track::{EncodingDemand, MediaLot},
    proto::{
        prefetch::{Reach, prefetch},
        rtp::{Rid, RtpPacket},
        sender::{EncodingParameters, OutgoingPacket, Refused, Sender, SenderParameters, SenderState},
    },
};

/// Encodings of one section: more than any browser sends. The ones after that are not sent.
const ENCODINGS_MAX: usize = 8;

/// Saved states, of encodings that are negotiated and of some that were.
const SAVED_MAX: usize = 2 * ENCODINGS_MAX;

/// When a track is exchanged, its encodings show their first key frames one after another. Those that
/// are slower than this are not waited for.
const TAKEOVER_MAX: Duration = Duration::from_secs(1);

/// One stream.
struct Encoding {
    sender: Sender,
    wanted: EncodingParameters,
}

/// All streams of a sender.
#[derive(Default)]
pub(super) struct Encodings {
    running: Vec<Encoding>,
    /// By SSRC, the newest last: another stream must not continue from it.
    saved: Vec<(u32, SenderState)>,
    wanted: Vec<EncodingParameters>,
    parameters: Option<Arc<SenderParameters>>,
    /// When the first of them took to the next track.
    takeover_began: Option<Instant>,
}

impl Encodings {
    /// What was negotiated. True when the streams are others than before, so that a source must be
    /// opened for them.
    pub(super) fn set_parameters(&mut self, now: Instant, parameters: Option<Arc<SenderParameters>>) -> bool {
        let streams = parameters.as_ref().map(streams_of).unwrap_or_default();
        self.parameters = parameters;
        let known = self.running.iter().map(|encoding| encoding.sender.parameters().ssrc);
        if !streams.is_empty() && known.eq(streams.iter().map(|stream| stream.ssrc)) {
            for (encoding, stream) in self.running.iter_mut().zip(streams) {
                encoding.sender.set_parameters(stream);
            }
            self.apply_wanted();
            return false;
        }
        self.start(now, streams);
        !self.running.is_empty()
    }

    /// After a panic: everything anew, from what was saved. The source of `generation` goes on.
    pub(super) fn rebuild(&mut self, now: Instant, generation: Option<u32>) {
        let streams = self.parameters.as_ref().map(streams_of).unwrap_or_default();
        self.start(now, streams);
        if let Some(generation) = generation {
            self.switch_source(now, generation);
        }
    }

    fn start(&mut self, now: Instant, streams: Vec<Arc<SenderParameters>>) {
        let start = |parameters: Arc<SenderParameters>| {
            let saved = self.saved.iter().find(|(ssrc, _)| *ssrc == parameters.ssrc).map(|(_, state)| *state);
            let sender = Sender::new(now, parameters, saved, StdRng::from_os_rng());
            Encoding { sender, wanted: EncodingParameters::default() }
        };
        self.running = streams.into_iter().map(start).collect();
        self.apply_wanted();
    }

    /// What the application asks for. True when video that was not sent is sent from now on, so that a
    /// key frame is needed.
    pub(super) fn set_wanted(&mut self, wanted: Vec<EncodingParameters>) -> bool {
        for new in wanted.into_iter().take(ENCODINGS_MAX) {
            match self.wanted.iter().position(|known| known.rid == new.rid) {
                Some(at) => self.wanted[at] = new,
                None if self.wanted.len() < ENCODINGS_MAX => self.wanted.push(new),
                None => {}
            }
        }
        let before = self.active();
        self.apply_wanted();
        self.active() > before
    }

    fn active(&self) -> usize {
        self.running.iter().filter(|encoding| encoding.wanted.active).count()
    }

    fn apply_wanted(&mut self) {
        let is_only = self.running.len() == 1;
        for encoding in &mut self.running {
            let rid = encoding.sender.parameters().rid;
            // The only encoding may have a name for one side and none for the other.
            let matches = |wanted: &&EncodingParameters| wanted.rid == rid || is_only && wanted.rid.is_none();
            if let Some(wanted) = self.wanted.iter().find(matches) {
                encoding.wanted = *wanted;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether the first encoding is sent: the one that tones belong to (W3C webrtc-pc §7.3).
    pub(super) fn is_first_active(&self) -> bool {
        self.running.first().is_some_and(|encoding| encoding.wanted.active)
    }

    pub(super) fn first_mut(&mut self) -> Option<&mut Sender> {
        self.running.first_mut().map(|encoding| &mut encoding.sender)
    }

    pub(super) fn senders(&self) -> impl Iterator<Item = &Sender> {
        self.running.iter().map(|encoding| &encoding.sender)
    }

    pub(super) fn senders_mut(&mut self) -> impl Iterator<Item = &mut Sender> {
        self.running.iter_mut().map(|encoding| &mut encoding.sender)
    }

    /// A lot is to be forwarded soon.
    pub(super) fn prefetch(&self, reach: Reach) {
        match reach {
            Reach::Itself => {}
            Reach::Referred => {
                self.running.first().into_iter().for_each(prefetch);
                self.saved.first().into_iter().for_each(prefetch);
            }
            Reach::Beyond => self.senders().take(1).for_each(Sender::prefetch),
        }
    }

    pub(super) fn switch_source(&mut self, now: Instant, generation: u32) {
        self.takeover_began = None;
        self.senders_mut().for_each(|sender| sender.switch_source(now, generation));
    }

    /// Gives a lot to the encodings it belongs to.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        lot: &Arc<MediaLot>,
        generation: u32,
        out: &mut Vec<OutgoingPacket>,
    ) {
        let is_only = self.running.len() == 1;
        for (index, encoding) in self.running.iter_mut().enumerate() {
            let named = encoding.sender.parameters().rid;
            let packets = lot.packets.iter().enumerate();
            let packets = packets.filter(|(_, packet)| belongs(packet, named, index, is_only));
            if !encoding.wanted.active {
                encoding.sender.withhold(packets.count());
                continue;
            }
            let before = encoding.sender.refused();
            for (at, _) in packets {
                out.extend(encoding.sender.forward(now, lot, at, generation));
            }
            count_refused(before, encoding.sender.refused());
        }
    }

    /// Nothing of this lot is sent: its track is disabled.
    pub(super) fn withhold(&mut self, lot: &MediaLot) {
        let is_only = self.running.len() == 1;
        for (index, encoding) in self.running.iter_mut().enumerate() {
            let named = encoding.sender.parameters().rid;
            let packets = lot.packets.iter().filter(|packet| belongs(packet, named, index, is_only));
            encoding.sender.withhold(packets.count());
        }
    }

    /// Whether the source of `generation` flows, so that the one before it is not needed any more.
    pub(super) fn has_taken_over(&mut self, now: Instant, generation: u32) -> bool {
        let mut active = self.running.iter().filter(|encoding| encoding.wanted.active);
        let flows = |encoding: &Encoding| encoding.sender.generation() == Some(generation);
        if active.clone().all(flows) {
            return true;
        }
        active.any(flows) && now >= *self.takeover_began.get_or_insert(now) + TAKEOVER_MAX
    }

    /// To be called before packets leave.
    pub(super) fn save(&mut self) {
        for encoding in &self.running {
            let (ssrc, state) = (encoding.sender.parameters().ssrc, encoding.sender.state());
            match self.saved.iter_mut().find(|(known, _)| *known == ssrc) {
                Some((_, known)) => *known = state,
                None => {
                    if self.saved.len() == SAVED_MAX {
                        self.saved.remove(0);
                    }
                    // Most senders have one stream, and a state is large.
                    self.saved.reserve_exact(1);
                    self.saved.push((ssrc, state));
                }
            }
        }
    }

    /// What the source of the media should know; empty when there is nothing in particular.
    pub(super) fn demand(&self) -> Vec<EncodingDemand> {
        let announced = self.parameters.as_ref().and_then(|parameters| parameters.bitrate_max);
        let demands = self.running.iter().map(|encoding| {
            let estimated = encoding.sender.statistics().available_bitrate;
            let limit = announced.into_iter().chain(estimated).min();
            let wanted = EncodingParameters { rid: encoding.sender.parameters().rid, ..encoding.wanted };
            EncodingDemand::new(&wanted, limit)
        });
        demands
            .filter(|demand| *demand != EncodingDemand { rid: demand.rid, ..EncodingDemand::default() })
            .collect()
    }
}

/// One set of parameters for each stream.
fn streams_of(parameters: &Arc<SenderParameters>) -> Vec<Arc<SenderParameters>> {
    if parameters.encodings.is_empty() {
        return vec![Arc::clone(parameters)];
    }
    let stream = |encoding: &crate::proto::sender::EncodingStream| {
        Arc::new(SenderParameters {
            ssrc: encoding.ssrc,
            rtx_ssrc: encoding.rtx_ssrc,
            rid: Some(encoding.rid),
            encodings: Vec::new(),
            ..SenderParameters::clone(parameters)
        })
    };
    parameters.encodings.iter().take(ENCODINGS_MAX).map(stream).collect()
}

/// Whether an encoding sends this packet. What has no name goes out as the first; the only encoding
/// sends everything, unless both have names that differ.
fn belongs(packet: &RtpPacket, named: Option<Rid>, index: usize, is_only: bool) -> bool {
    match (packet.rid, named) {
        (Some(of), Some(named)) => of == named,
        (None, _) => index == 0,
        (Some(_), None) => is_only,
    }
}

/// Counts what a sender refused, by reason.
fn count_refused(before: Refused, after: Refused) {
    let refused = after.packets_dropped - before.packets_dropped;
    if refused == 0 {
        return;
    }
    let without_codec = after.packets_without_codec - before.packets_without_codec;
    let replaced = after.packets_of_replaced_source - before.packets_of_replaced_source;
    let statistics = kit::statistics();
    statistics.drop(DropReason::NoCodec, without_codec);
    statistics.drop(DropReason::StaleGeneration, replaced);
    // The rest waits for a key frame, or came too late to be placed before one.
    statistics.drop(DropReason::AwaitingKeyFrame, refused - without_codec - replaced);
}
