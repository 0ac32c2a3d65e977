//! The calls: how they are chosen, how they are made, and which errors the specification allows for each.

use actix_rtc::{
    MediaKind, RtcDataChannelInit, RtcError, RtcIceCandidateInit, RtcRtpEncodingParameters, RtcRtpSender,
    RtcRtpTransceiver, RtcRtpTransceiverDirection as Direction, RtcRtpTransceiverInit, RtcSdpType,
    RtcSessionDescription, proto::jsep::OfferOptions,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::side::{Side, TRACKS};

const DIRECTIONS: [Direction; 5] =
    [Direction::Sendrecv, Direction::Sendonly, Direction::Recvonly, Direction::Inactive, Direction::Stopped];
const TYPES: [RtcSdpType; 3] = [RtcSdpType::Offer, RtcSdpType::Pranswer, RtcSdpType::Answer];

/// Transceivers are chosen among those there are, modulo their number.
type Choice = usize;

#[derive(Debug, Clone)]
pub(crate) enum Call {
    CreateOffer {
        ice_restart: bool,
    },
    CreateAnswer,
    SetLocal(Local),
    SetRemote(Remote),
    AddTrack(usize),
    RemoveTrack(Choice),
    AddTransceiver {
        kind: MediaKind,
        direction: Direction,
        layers: u8,
    },
    SetDirection(Choice, Direction),
    Stop(Choice),
    ReplaceTrack(Choice, Option<usize>),
    CreateDataChannel {
        negotiated: Option<u16>,
        limits: (Option<u16>, Option<u16>),
    },
    AddCandidate(Candidate),
    RestartIce,
    /// One bit for each codec of the capabilities; none means the default.
    SetCodecPreferences(Choice, u32),
    GetStats(Option<usize>),
}

#[derive(Debug, Clone)]
pub(crate) enum Local {
    /// What the state asks for.
    Implicit,
    Created,
    CreatedAs(RtcSdpType),
    Rollback,
}

#[derive(Debug, Clone)]
pub(crate) enum Remote {
    Latest,
    LatestAs(RtcSdpType),
    /// Any that the peer has signalled, long ago or before already.
    Old(Choice),
    Rollback,
    Garbage,
}

#[derive(Debug, Clone)]
pub(crate) enum Candidate {
    OfThePeer(Choice),
    Unreadable,
    WithoutSection,
    OfAnotherSection,
    Unreachable,
    End,
}

fn random_kind(random: &mut StdRng) -> MediaKind {
    if random.random_bool(0.5) { MediaKind::Audio } else { MediaKind::Video }
}

fn random_choice(random: &mut StdRng) -> Choice {
    random.random_range(0..100)
}

impl Call {
    /// Everything but descriptions.
    pub(crate) fn change(random: &mut StdRng) -> Self {
        let choice = random_choice(random);
        let direction = DIRECTIONS[if random.random_bool(0.05) { 4 } else { random.random_range(0..4) }];
        let some_track = |random: &mut StdRng| random.random_range(0..TRACKS);
        match random.random_range(0..13) {
            0 => Self::AddTrack(some_track(random)),
            1 => Self::RemoveTrack(choice),
            2 => {
                let layers = if random.random_bool(0.2) { random.random_range(1..4) } else { 0 };
                Self::AddTransceiver { kind: random_kind(random), direction, layers }
            }
            3 => Self::SetDirection(choice, direction),
            4 => Self::Stop(choice),
            5 => Self::ReplaceTrack(choice, random.random_bool(0.7).then(|| some_track(random))),
            6 => {
                // Far from the identifiers that the connection chooses: the peer does not open these.
                let negotiated = random.random_bool(0.4).then(|| random.random_range(1_000..1_003));
                let limit = |random: &mut StdRng| random.random_bool(0.2).then_some(3);
                Self::CreateDataChannel { negotiated, limits: (limit(random), limit(random)) }
            }
            7 | 8 => Self::AddCandidate(match random.random_range(0..8) {
                0 => Candidate::Unreadable,
                1 => Candidate::WithoutSection,
                2 => Candidate::OfAnotherSection,
                3 => Candidate::Unreachable,
                4 => Candidate::End,
                _ => Candidate::OfThePeer(choice),
            }),
            9 => Self::RestartIce,
            10 => {
                let all = random.random_bool(0.2);
                Self::SetCodecPreferences(choice, if all { 0 } else { random.random() })
            }
            _ => Self::GetStats(random.random_bool(0.3).then(|| some_track(random))),
        }
    }

    /// A call about descriptions, in whatever state.
    pub(crate) fn describe(random: &mut StdRng) -> Self {
        let kind = *TYPES.choose(random).expect("three");
        match random.random_range(0..16) {
            0 => Self::CreateOffer { ice_restart: random.random_bool(0.2) },
            1 | 2 => Self::CreateAnswer,
            3..=6 => Self::SetLocal(Local::Implicit),
            7 => Self::SetLocal(Local::Created),
            8 => Self::SetLocal(Local::CreatedAs(kind)),
            9 => Self::SetLocal(Local::Rollback),
            10..=12 => Self::SetRemote(Remote::Latest),
            13 => Self::SetRemote(Remote::LatestAs(kind)),
            14 => Self::SetRemote(Remote::Old(random_choice(random))),
            _ => Self::SetRemote(if random.random_bool(0.7) { Remote::Rollback } else { Remote::Garbage }),
        }
    }

    /// The names of the errors that webrtc-pc lists for the method while the connection is open.
    fn errors(&self) -> &'static [&'static str] {
        match self {
            // §4.4.2
            Self::CreateOffer { .. } | Self::CreateAnswer => &["InvalidStateError"],
            // §4.4.1.5; a rollback and the wrong state are InvalidStateError in §4.4.1.5 step 4.
            Self::SetLocal(_) => &["InvalidStateError", "InvalidModificationError"],
            Self::SetRemote(Remote::Garbage) => &["SyntaxError", "InvalidStateError"],
            Self::SetRemote(_) => &["InvalidStateError", "InvalidAccessError", "OperationError"],
            // §4.4.2 `addIceCandidate`
            Self::AddCandidate(_) => &["InvalidStateError", "TypeError", "OperationError"],
            // §5.1
            Self::AddTrack(_) => &["InvalidAccessError"],
            Self::AddTransceiver { direction: Direction::Stopped, .. } => &["TypeError"],
            Self::RemoveTrack(_) | Self::AddTransceiver { .. } => &[],
            // §5.4; §5.2 for the track
            Self::SetDirection(..) => &["InvalidStateError", "TypeError"],
            Self::Stop(_) | Self::RestartIce => &[],
            Self::ReplaceTrack(..) => &["InvalidStateError", "TypeError", "InvalidModificationError"],
            Self::SetCodecPreferences(..) => &["InvalidModificationError"],
            // §6.1
            Self::CreateDataChannel { .. } => &["TypeError", "OperationError"],
            // §8.2
            Self::GetStats(None) => &[],
            Self::GetStats(Some(_)) => &["InvalidAccessError"],
        }
    }

    /// Makes the call; what to write into the protocol, or why it may not end so.
    pub(crate) async fn make(&self, side: &Side, peer: &Side) -> Result<String, String> {
        match self.call(side, peer).await {
            None => Ok(format!("{} {self:?}: nothing to do", side.name)),
            Some(Ok(())) => Ok(format!("{} {self:?}: done", side.name)),
            Some(Err(error)) if self.errors().contains(&error.name()) => {
                Ok(format!("{} {self:?}: {}: {error}", side.name, error.name()))
            }
            Some(Err(error)) => {
                Err(format!("{} {self:?} must not fail with {}: {error}", side.name, error.name()))
            }
        }
    }

    async fn call(&self, side: &Side, peer: &Side) -> Option<Result<(), RtcError>> {
        let connection = &side.connection;
        let transceiver = |choice: &Choice| -> Option<RtcRtpTransceiver> {
            let all = connection.get_transceivers();
            (!all.is_empty()).then(|| all[choice % all.len()].clone())
        };
        Some(match self {
            Self::CreateOffer { ice_restart } => {
                let offer = connection.create_offer(OfferOptions { ice_restart: *ice_restart }).await;
                offer.map(|offer| remember(side, offer))
            }
            Self::CreateAnswer => connection.create_answer().await.map(|answer| remember(side, answer)),
            Self::SetLocal(which) => return set_local(side, which).await,
            Self::SetRemote(which) => return set_remote(side, peer, which).await,
            Self::AddTrack(number) => {
                connection.add_track(&side.tracks[*number], vec!["stream".to_owned()]).await.map(drop)
            }
            Self::RemoveTrack(choice) => {
                let senders: Vec<RtcRtpSender> = connection.get_senders();
                let sender = senders.get(choice % senders.len().max(1))?;
                connection.remove_track(sender).await
            }
            Self::AddTransceiver { kind, direction, layers } => {
                let init = RtcRtpTransceiverInit {
                    direction: *direction,
                    streams: vec!["stream".to_owned()],
                    send_encodings: (0..*layers).map(encoding).collect(),
                };
                connection.add_transceiver(*kind, init).await.map(drop)
            }
            Self::SetDirection(choice, direction) => transceiver(choice)?.set_direction(*direction).await,
            Self::Stop(choice) => transceiver(choice)?.stop().await,
            Self::ReplaceTrack(choice, track) => {
                let track = track.map(|number| side.tracks[number].clone());
                transceiver(choice)?.sender().replace_track(track).await
            }
            Self::CreateDataChannel { negotiated, limits } => {
                let init = RtcDataChannelInit {
                    negotiated: negotiated.is_some(),
                    id: *negotiated,
                    max_packet_life_time: limits.0,
                    max_retransmits: limits.1,
                    ..RtcDataChannelInit::default()
                };
                connection.create_data_channel("random", init).await.map(drop)
            }
            Self::AddCandidate(which) => connection.add_ice_candidate(candidate(peer, which)?).await,
            Self::RestartIce => connection.restart_ice().await,
            Self::SetCodecPreferences(choice, mask) => {
                let transceiver = transceiver(choice)?;
                let codecs = RtcRtpSender::get_capabilities(transceiver.kind()).codecs;
                let chosen = codecs.into_iter().enumerate().filter(|(bit, _)| mask & (1 << (bit % 32)) != 0);
                let chosen: Vec<_> = chosen.map(|(_, codec)| codec).collect();
                transceiver.set_codec_preferences(&chosen).await
            }
            Self::GetStats(track) => {
                connection.get_stats(track.map(|number| &side.tracks[number])).await.map(drop)
            }
        })
    }
}

fn encoding(number: u8) -> RtcRtpEncodingParameters {
    RtcRtpEncodingParameters { rid: Some(format!("r{number}")), ..RtcRtpEncodingParameters::default() }
}

fn remember(side: &Side, description: RtcSessionDescription) {
    *side.created.lock().expect("no panic") = Some(description);
}

async fn set_local(side: &Side, which: &Local) -> Option<Result<(), RtcError>> {
    let created = side.created.lock().expect("no panic").clone();
    let description = match which {
        Local::Implicit => None,
        Local::Created => Some(created?),
        Local::CreatedAs(kind) => Some(RtcSessionDescription { kind: *kind, ..created? }),
        Local::Rollback => Some(rollback()),
    };
    let result = side.connection.set_local_description(description).await;
    if result.is_ok() && !matches!(which, Local::Rollback) {
        side.signal();
    }
    Some(result)
}

async fn set_remote(side: &Side, peer: &Side, which: &Remote) -> Option<Result<(), RtcError>> {
    let description = {
        let signalled = &peer.signalled.lock().expect("no panic").descriptions;
        match which {
            Remote::Latest => signalled.last()?.clone(),
            Remote::LatestAs(kind) => RtcSessionDescription { kind: *kind, ..signalled.last()?.clone() },
            Remote::Old(choice) => signalled.get(choice % signalled.len().max(1))?.clone(),
            Remote::Rollback => rollback(),
            Remote::Garbage => RtcSessionDescription::offer("v=0\r\nnonsense\r\n"),
        }
    };
    Some(side.connection.set_remote_description(description).await)
}

pub(crate) fn rollback() -> RtcSessionDescription {
    RtcSessionDescription { kind: RtcSdpType::Rollback, sdp: String::new() }
}

/// The outer `None`: there is none yet; the inner one: the peer has no more.
fn candidate(peer: &Side, which: &Candidate) -> Option<Option<RtcIceCandidateInit>> {
    let made = |line: &str, section: Option<u16>| {
        Some(Some(RtcIceCandidateInit {
            candidate: line.to_owned(),
            sdp_m_line_index: section,
            ..RtcIceCandidateInit::default()
        }))
    };
    // RFC 5737 §3: nobody is there.
    let line = "candidate:7 1 udp 2113929471 192.0.2.7 9 typ host";
    match which {
        Candidate::OfThePeer(choice) => {
            let candidates = &peer.signalled.lock().expect("no panic").candidates;
            candidates.get(choice % candidates.len().max(1)).cloned().map(Some)
        }
        Candidate::Unreadable => made("candidate:1 1 udp nonsense", Some(0)),
        Candidate::WithoutSection => made(line, None),
        Candidate::OfAnotherSection => made(line, Some(99)),
        Candidate::Unreachable => made(line, Some(0)),
        Candidate::End => Some(None),
    }
}
