//! What is done with a packet before the crate sees it.
//!
//! The crate discards a whole packet for one chunk it does not know (RFC 9260 §3.2 says otherwise),
//! ends the association for an ERROR, a repeated INIT or an unknown reconfiguration request, and holds
//! any number of tiny chunks. Here such chunks are taken out, answered or cut; everything else passes
//! as it came. A packet is answered or rewritten only if its checksum is right (RFC 9260 §6.8); the
//! crate checks all others.

use std::collections::{HashMap, HashSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    config::{MAX_HELD_CHUNKS, MIN_MEAN_FRAGMENT},
    event::SctpError,
    packet::{
        self, ABORT, Builder, COOKIE_ACK, COOKIE_ECHO, Chunk, Chunks, CommonHeader, DATA, DATA_HEADER, ERROR,
        FORWARD_TSN, FORWARD_TSN_SUPPORTED, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, NO_USER_DATA,
        PROTOCOL_VIOLATION, RECONFIG, SACK, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, STALE_COOKIE,
        SUPPORTED_EXTENSIONS, UNRECOGNIZED_CHUNK,
    },
};

/// RFC 9260 §3.3.2: fixed part of INIT and INIT ACK.
const INIT_FIELDS: usize = 16;
/// RFC 9260 §3.3.2: no receiver may announce less.
const MIN_WINDOW: u32 = 1_500;
/// Parameters of INIT and INIT ACK that mean something here, beside the one above: state cookie,
/// supported extensions. The crate refuses an INIT for some of the others.
const INIT_PARAMETERS: [u16; 2] = [7, SUPPORTED_EXTENSIONS];
/// RFC 9260 §3.3.2.1.4: deprecated, and refused.
const HOST_NAME_ADDRESS: u16 = 11;
/// RFC 6525 §4: outgoing reset request and response are what the crate knows.
const OUTGOING_RESET: u16 = 13;
const RECONFIG_RESPONSE: u16 = 16;
/// RFC 6525 §4.4: "Denied".
const DENIED: u32 = 2;
/// Fragments above what the largest message needs, for retransmissions that are counted twice.
const FRAGMENT_SLACK: u32 = 256;
/// When chunks are dropped for want of room, one in so many passes: its acknowledgement shows how much
/// room there really is.
const PROBE: u32 = 64;
/// What of an unrecognised chunk is sent back.
const REPORTED_BYTES: usize = 256;

/// What INIT or INIT ACK says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InitFacts {
    pub(super) tag: u32,
    pub(super) outbound_streams: u16,
    pub(super) inbound_streams: u16,
}

/// What is to be done with a packet.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// For the crate.
    pub(super) packet: Option<Bytes>,
    /// For the peer.
    pub(super) answer: Option<Bytes>,
    /// It is a valid INIT.
    pub(super) init: Option<InitFacts>,
    /// It has a valid INIT ACK for us.
    pub(super) init_ack: Option<InitFacts>,
    /// It brings a cookie back.
    pub(super) is_cookie: bool,
    /// It says that the cookie that we brought back is too old.
    pub(super) is_stale_cookie: bool,
    /// Everything up to this TSN has arrived at the peer.
    pub(super) acknowledged: Option<u32>,
    /// It ends the association.
    pub(super) is_abort: bool,
    /// The peer shuts the association down.
    pub(super) is_shutdown: bool,
    /// The association must be aborted: the cause to name to the peer, and the error.
    pub(super) violation: Option<(u16, Bytes, SctpError)>,
}

/// The state of the checks.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// In packets to us.
    pub(super) local_tag: u32,
    /// In packets to the peer.
    pub(super) outward: CommonHeader,
    /// The largest message that may come.
    max_message_size: u32,
    /// The peer has not reset these streams yet, although we closed them: what comes on them is
    /// acknowledged and forgotten.
    pub(super) discarding: HashSet<u16>,
    highest_tsn: Option<u32>,
    /// As much waits for slow readers as may: nothing new is let in.
    pub(super) is_full: bool,
    /// Estimate, never too low: chunks that the crate holds.
    held: usize,
    refused: u32,
    /// Fragments that came on a stream since the last end of a message.
    fragments: HashMap<u16, u32>,
}

/// What to do with a chunk.
enum Decision {
    Keep,
    Skip,
    /// Neither this chunk nor those behind it.
    Stop,
    Replace(u8, Bytes),
    /// The whole packet is worth nothing.
    Discard,
}

impl Inbound {
    pub(super) fn new(max_message_size: u32) -> Self {
        Self { max_message_size, ..Self::default() }
    }

    /// Chunks left the crate as a message.
    pub(super) fn read(&mut self, chunks: usize) {
        self.held = self.held.saturating_sub(chunks);
    }

    /// So many bytes of the receive window are taken: chunks have at least one byte.
    pub(super) fn note_used_window(&mut self, bytes: u32) {
        self.held = self.held.min(bytes as usize);
    }

    /// The crate gave up the stream's fragments.
    pub(super) fn forget_stream(&mut self, stream: u16) {
        self.discarding.remove(&stream);
        self.fragments.remove(&stream);
    }

    /// Looks at a packet.
    pub(super) fn check(&mut self, bytes: Bytes) -> Checked {
        let mut checked = Checked::default();
        let Some(header) = CommonHeader::parse(&bytes) else { return checked };
        let mut answer = Builder::new(self.outward);
        let mut rewritten: Option<Builder> = None;
        let mut kept = packet::COMMON_HEADER;
        for chunk in Chunks::of(&bytes) {
            let Ok(chunk) = chunk else { return checked };
            let decision = self.decide(header, &chunk, &bytes, &mut checked, &mut answer);
            let keeps = matches!(decision, Decision::Keep) && chunk.is_well_padded();
            if rewritten.is_none() && !keeps {
                if !packet::checksum_matches(&bytes) {
                    return Checked::default();
                }
                let mut builder = Builder::new(header);
                builder.raw(&bytes[packet::COMMON_HEADER..kept]);
                rewritten = Some(builder);
            }
            kept += chunk.raw.len();
            let Some(builder) = &mut rewritten else { continue };
            match decision {
                Decision::Keep => builder.chunk(chunk.kind, chunk.flags, chunk.value),
                Decision::Replace(flags, value) => builder.chunk(chunk.kind, flags, &value),
                Decision::Skip => {}
                Decision::Stop => break,
                Decision::Discard => return Checked { packet: None, ..checked },
            }
        }
        checked.packet = match rewritten {
            None => Some(bytes),
            Some(builder) => (!builder.is_empty()).then(|| builder.finish()),
        };
        checked.answer = (!answer.is_empty()).then(|| answer.finish());
        checked
    }

    fn decide(
        &mut self,
        header: CommonHeader,
        chunk: &Chunk<'_>,
        bytes: &[u8],
        checked: &mut Checked,
        answer: &mut Builder,
    ) -> Decision {
        let is_ours = header.verification_tag == self.local_tag && self.local_tag != 0;
        match chunk.kind {
            DATA if is_ours => self.decide_data(chunk, bytes, checked),
            INIT => decide_init(header, chunk, bytes, checked),
            INIT_ACK if is_ours => decide_init_ack(chunk, bytes, checked),
            // Without its causes: the crate ignores an ABORT if it can't read them.
            ABORT if is_ours || self.is_reflected(header, chunk) => {
                checked.is_abort = packet::checksum_matches(bytes);
                Decision::Replace(0, Bytes::new())
            }
            // RFC 9260 §3.3.10: an ERROR alone ends nothing. We never send HEARTBEAT.
            ERROR | HEARTBEAT_ACK => {
                let is_stale = chunk.kind == ERROR
                    && packet::parameters(chunk.value).any(|(cause, _)| cause == STALE_COOKIE);
                checked.is_stale_cookie |= is_stale && is_ours && packet::checksum_matches(bytes);
                Decision::Skip
            }
            SACK if is_ours => {
                let tsn = chunk.value.first_chunk::<4>();
                checked.acknowledged = tsn.map(|tsn| u32::from_be_bytes(*tsn));
                Decision::Keep
            }
            COOKIE_ECHO if is_ours => {
                checked.is_cookie = packet::checksum_matches(bytes);
                Decision::Keep
            }
            SHUTDOWN if is_ours => {
                checked.is_shutdown = packet::checksum_matches(bytes);
                Decision::Keep
            }
            RECONFIG if is_ours => self.decide_reconfig(chunk, answer),
            DATA | INIT_ACK | SACK | HEARTBEAT | ABORT | SHUTDOWN | SHUTDOWN_ACK | COOKIE_ECHO
            | COOKIE_ACK | SHUTDOWN_COMPLETE | RECONFIG | FORWARD_TSN => Decision::Keep,
            unknown => {
                // RFC 9260 §3.2: the second bit says "report", the first "skip".
                if unknown & 0x40 != 0 && is_ours {
                    let reported = &chunk.raw[..chunk.raw.len().min(REPORTED_BYTES)];
                    answer.error(ERROR, UNRECOGNIZED_CHUNK, reported);
                }
                if unknown & 0x80 != 0 { Decision::Skip } else { Decision::Stop }
            }
        }
    }

    /// RFC 9260 §8.5.1: the sender of an ABORT that knows no association of ours reflects our tag.
    fn is_reflected(&self, header: CommonHeader, chunk: &Chunk<'_>) -> bool {
        let peer = self.outward.verification_tag;
        chunk.flags & 1 != 0 && peer != 0 && header.verification_tag == peer
    }

    fn decide_data(&mut self, chunk: &Chunk<'_>, bytes: &[u8], checked: &mut Checked) -> Decision {
        let Some(data) = chunk.data() else { return Decision::Discard };
        if data.length == 0 {
            // RFC 9260 §6.2: DATA without user data is answered by ABORT.
            if packet::checksum_matches(bytes) {
                let tsn = Bytes::copy_from_slice(&data.tsn.to_be_bytes());
                checked.violation =
                    Some((NO_USER_DATA, tsn, SctpError::ProtocolViolation("DATA without user data")));
            }
            return Decision::Discard;
        }
        let is_new = self.highest_tsn.is_none_or(|highest| packet::is_after(data.tsn, highest));
        if is_new && self.is_full {
            // The peer is told when there is room again, and asks until then.
            return Decision::Skip;
        }
        if is_new && self.held >= MAX_HELD_CHUNKS {
            self.refused = self.refused.wrapping_add(1);
            // What is lost here is sent again when there is room. Never with a gap before it: what fills
            // a gap has to be let in.
            let is_next = self.highest_tsn.is_some_and(|highest| data.tsn == highest.wrapping_add(1));
            if !is_next || !self.refused.is_multiple_of(PROBE) {
                return Decision::Skip;
            }
        }
        if is_new {
            self.highest_tsn = Some(data.tsn);
        }
        self.held += 1;
        if data.ends {
            self.fragments.remove(&data.stream);
        } else {
            let fragments = self.fragments.entry(data.stream).or_insert(0);
            *fragments += 1;
            if *fragments > self.max_message_size / MIN_MEAN_FRAGMENT + FRAGMENT_SLACK
                && packet::checksum_matches(bytes)
            {
                let error = SctpError::ProtocolViolation("a message in too many fragments");
                checked.violation = Some((PROTOCOL_VIOLATION, Bytes::new(), error));
                return Decision::Discard;
            }
        }
        if data.length > 1 && self.discarding.contains(&data.stream) {
            // One byte stays: it can't be less, and the TSN must be acknowledged.
            return Decision::Replace(chunk.flags, Bytes::copy_from_slice(&chunk.value[..DATA_HEADER - 3]));
        }
        Decision::Keep
    }

    /// RFC 6525 §5.2.1: requests that are not supported are denied.
    fn decide_reconfig(&self, chunk: &Chunk<'_>, answer: &mut Builder) -> Decision {
        let is_known = |kind: u16| kind == OUTGOING_RESET || kind == RECONFIG_RESPONSE;
        let mut known = BytesMut::new();
        let mut changed = false;
        for (kind, value) in packet::parameters(chunk.value) {
            if is_known(kind) {
                known.resize(known.len().next_multiple_of(4), 0);
                known.put_u16(kind);
                known.put_u16((value.len() + 4) as u16);
                known.put_slice(value);
                continue;
            }
            changed = true;
            if let Some(sequence) = value.first_chunk::<4>() {
                let mut response = BytesMut::new();
                response.put_u16(RECONFIG_RESPONSE);
                response.put_u16(12);
                response.put_slice(sequence);
                response.put_u32(DENIED);
                answer.chunk(RECONFIG, 0, &response);
            }
        }
        match (changed, known.is_empty()) {
            (_, true) => Decision::Skip,
            (false, _) => Decision::Keep,
            (true, _) => Decision::Replace(chunk.flags, known.freeze()),
        }
    }
}

/// RFC 9260 §3.3.2, §8.5: alone, without a verification tag, with values that can be worked with.
fn decide_init(header: CommonHeader, chunk: &Chunk<'_>, bytes: &[u8], checked: &mut Checked) -> Decision {
    let is_alone = chunk.raw.len() == bytes.len() - packet::COMMON_HEADER;
    let ports = header.source_port != 0 && header.destination_port != 0;
    if !is_alone || header.verification_tag != 0 || !ports || !packet::checksum_matches(bytes) {
        return Decision::Discard;
    }
    let Some((facts, value)) = init(chunk) else { return Decision::Discard };
    checked.init = Some(facts);
    Decision::Replace(0, value)
}

fn decide_init_ack(chunk: &Chunk<'_>, bytes: &[u8], checked: &mut Checked) -> Decision {
    if chunk.raw.len() != bytes.len() - packet::COMMON_HEADER || !packet::checksum_matches(bytes) {
        return Decision::Discard;
    }
    let Some((facts, value)) = init(chunk) else { return Decision::Discard };
    checked.init_ack = Some(facts);
    Decision::Replace(0, value)
}

/// The facts of INIT or INIT ACK, and its value without parameters that mean nothing here. `None`: it
/// must be discarded.
fn init(chunk: &Chunk<'_>) -> Option<(InitFacts, Bytes)> {
    let fields = chunk.value.first_chunk::<INIT_FIELDS>()?;
    let facts = InitFacts {
        tag: u32::from_be_bytes([fields[0], fields[1], fields[2], fields[3]]),
        outbound_streams: u16::from_be_bytes([fields[8], fields[9]]),
        inbound_streams: u16::from_be_bytes([fields[10], fields[11]]),
    };
    let window = u32::from_be_bytes([fields[4], fields[5], fields[6], fields[7]]);
    if facts.tag == 0 || facts.outbound_streams == 0 || facts.inbound_streams == 0 || window < MIN_WINDOW {
        return None;
    }
    let mut value = BytesMut::from(&fields[..]);
    let mut append = |kind: u16, parameter: &[u8]| {
        value.resize(value.len().next_multiple_of(4), 0);
        value.put_u16(kind);
        value.put_u16((parameter.len() + 4) as u16);
        value.put_slice(parameter);
    };
    for (kind, parameter) in packet::parameters(&chunk.value[INIT_FIELDS..]) {
        if kind == HOST_NAME_ADDRESS {
            return None;
        }
        if kind == FORWARD_TSN_SUPPORTED {
            // RFC 3758 §3.1. The crate looks for it in a list of extensions only (RFC 5061).
            append(SUPPORTED_EXTENSIONS, &[FORWARD_TSN]);
        } else if INIT_PARAMETERS.contains(&kind) {
            append(kind, parameter);
        }
    }
    Some((facts, value.freeze()))
}
