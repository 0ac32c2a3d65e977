//! Scenarios of two sessions, and of one session with descriptions of real peers.

mod browser;
mod created;
mod damaged;
mod exchange;
mod h264;
mod operations;
mod protocols;
mod refusals;
mod renegotiation;
mod sequences;
mod simulcast;
mod transports;
mod w3c;

use super::*;
use crate::proto::sdp::SessionDescription;
use rand::SeedableRng;
use rand::rngs::StdRng;

const FINGERPRINT: &str = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                           10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

/// One transport, no data channels.
fn config(seed: u64) -> SessionConfig {
    let ice = IceParameters {
        ufrag: format!("user{seed}"),
        password: format!("password{seed}password{seed}password"),
        lite: false,
    };
    SessionConfig {
        ice_pool: vec![ice],
        data_channels: false,
        bundle_policy: BundlePolicy::MaxBundle,
        ..SessionConfig::new(vec![FINGERPRINT.to_owned()], format!("cname{seed}"))
    }
}

fn session(seed: u64) -> Session {
    Session::new(config(seed), StdRng::seed_from_u64(seed))
}

fn data_session(seed: u64) -> Session {
    Session::new(SessionConfig { data_channels: true, ..config(seed) }, StdRng::seed_from_u64(seed))
}

fn policy_session(seed: u64, bundle_policy: BundlePolicy) -> Session {
    let config = SessionConfig { bundle_policy, data_channels: true, ..config(seed) };
    Session::new(config, StdRng::seed_from_u64(seed))
}

/// For tests of sessions with one transport.
impl Session {
    fn transport(&self) -> Option<RemoteTransport> {
        self.transports().first()?.remote.clone()
    }

    fn local_ice(&self) -> &IceParameters {
        &self.transports().first().expect("a transport").local
    }

    fn first_transport(&self) -> TransportId {
        self.transports().first().expect("a transport").id
    }
}

impl RtpSendParameters {
    fn ssrc(&self) -> u32 {
        self.encodings.first().expect("one at least").ssrc
    }

    fn rtx_ssrc(&self) -> Option<u32> {
        self.encodings.first().expect("one at least").rtx_ssrc
    }
}

fn init(direction: Direction) -> TransceiverInit {
    TransceiverInit { direction, ..TransceiverInit::default() }
}

fn sending(direction: Direction, stream: &str, track: &str) -> TransceiverInit {
    let (stream_ids, track_id) = (vec![stream.to_owned()], Some(track.to_owned()));
    TransceiverInit { direction, stream_ids, track_id, ..TransceiverInit::default() }
}

/// Offer from one, answer from the other.
fn exchange(offerer: &mut Session, answerer: &mut Session) -> (SessionDescription, SessionDescription) {
    let offer = offerer.create_offer(OfferOptions::default()).expect("offer");
    offerer.set_local_description(offer.clone()).expect("local offer");
    answerer.set_remote_description(offer.clone()).expect("remote offer");
    let answer = answer(answerer);
    offerer.set_remote_description(answer.clone()).expect("remote answer");
    (parsed(&offer), parsed(&answer))
}

fn answer(answerer: &mut Session) -> Description {
    let answer = answerer.create_answer().expect("answer");
    answerer.set_local_description(answer.clone()).expect("local answer");
    answer
}

fn parsed(description: &Description) -> SessionDescription {
    description.sdp.parse().expect("own descriptions parse")
}

fn names(codecs: &[crate::proto::rtp::CodecParameters]) -> Vec<(u8, &str)> {
    codecs.iter().map(|codec| (codec.payload_type, codec.name.as_str())).collect()
}

/// Shared test data, when this checkout has it beside it (or beside the vectors that the environment names).
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let vectors = std::env::var_os("ACTIX_RTC_VECTORS").map(std::path::PathBuf::from);
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = vectors.unwrap_or_else(|| manifest.join("../shared/vectors")).join("..").join(path);
    path.exists().then_some(path)
}
