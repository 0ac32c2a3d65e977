//! The streams of the peer (W3C webrtc-pc §4.4.1.5, "process remote tracks", and §5.7): one `MediaStream` for each id
//! that it announces, as long as a track is in it.

use std::collections::BTreeMap;

use super::{MediaStream, MediaStreamTrack};
use crate::messages::peer_connection::{PeerSnapshot, TransceiverSnapshot};

/// Streams of the peer by their ids. Bounded by what descriptions are: each has a track, each track a
/// section, and each section a few ids.
#[derive(Debug, Default)]
pub(super) struct RemoteStreams {
    streams: BTreeMap<String, MediaStream>,
}

impl RemoteStreams {
    /// The stream with this id, with the track in it.
    pub(super) fn with_track(&mut self, id: &str, track: &MediaStreamTrack) -> MediaStream {
        let new = || MediaStream::with_id(id);
        let stream = self.streams.entry(id.to_owned()).or_insert_with(new);
        stream.add_remote_track(track);
        stream.clone()
    }

    /// Adds and removes tracks as the peer's last description says; forgets what is empty.
    pub(super) fn follow(&mut self, snapshot: &PeerSnapshot) {
        for transceiver in snapshot.transceivers.iter().filter(|transceiver| is_sent(transceiver)) {
            for id in &transceiver.remote_stream_ids {
                if let (Some(track), Some(stream)) = (&transceiver.receiver_track, self.streams.get(id)) {
                    stream.add_remote_track(track);
                }
            }
        }
        self.streams.retain(|id, stream| {
            for track in stream.get_tracks() {
                if !belongs(&snapshot.transceivers, id, &track) {
                    stream.remove_remote_track(&track);
                }
            }
            !stream.get_tracks().is_empty()
        });
    }
}

/// Whether a track is to stay in the stream with this id. One that no receiver has was put into it by the
/// application, or its transceiver is gone: then it has ended.
fn belongs(transceivers: &[TransceiverSnapshot], id: &String, track: &MediaStreamTrack) -> bool {
    let receives = |transceiver: &&TransceiverSnapshot| transceiver.receiver_track.as_ref() == Some(track);
    let mut receivers = transceivers.iter().filter(receives).peekable();
    match receivers.peek() {
        None => track.is_live(),
        Some(_) => {
            receivers.any(|transceiver| is_sent(transceiver) && transceiver.remote_stream_ids.contains(id))
        }
    }
}

/// Whether the peer says that it sends.
fn is_sent(transceiver: &TransceiverSnapshot) -> bool {
    !transceiver.stopped && transceiver.remote_direction.is_some_and(|direction| direction.sends())
}
