//! A minimal SFU on webrtc-rs: one room, after its own example `broadcast`, with a track per viewer and source that
//! every packet is written to as it comes.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rtc::{
    media_stream::MediaStreamTrack,
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp_transceiver::rtp_sender::{
        RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
    },
};
use sfu_http::Role;
use tokio::{runtime::Handle, sync::mpsc};
use webrtc::{
    media_stream::{
        track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
        track_remote::{TrackRemote, TrackRemoteEvent},
    },
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
        RTCConfigurationBuilder, RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription,
        Registry, register_default_interceptors,
    },
    runtime::default_runtime,
};

/// For all tracks of the room to be there when a viewer comes.
const TRACKS_PATIENCE: Duration = Duration::from_secs(10);

/// A track that is published, and the viewers' tracks that carry it.
struct Source {
    remote: Arc<dyn TrackRemote>,
    ssrc: u32,
    codec: RTCRtpCodec,
    video: bool,
    /// Each with its own SSRC.
    viewers: Mutex<Arc<Vec<(u32, Arc<TrackLocalStaticRTP>)>>>,
}

#[derive(Default)]
struct Room {
    sources: Mutex<Vec<Arc<Source>>>,
    /// Kept so that they go on.
    connections: Mutex<Vec<Arc<dyn PeerConnection>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Handler {
    room: Arc<Room>,
    role: Role,
    gathered: mpsc::UnboundedSender<()>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if self.role == Role::Subscriber && state == RTCPeerConnectionState::Connected {
            let sources = lock(&self.room.sources).clone();
            for source in sources.iter().filter(|source| source.video) {
                let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: source.ssrc };
                let _ = source.remote.write_rtcp(vec![Box::new(pli)]).await;
            }
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let Some(ssrc) = track.ssrcs().await.first().copied() else { return };
        let Some(codec) = track.codec(ssrc).await else { return };
        let video = codec.mime_type.starts_with("video");
        let source =
            Arc::new(Source { remote: Arc::clone(&track), ssrc, codec, video, viewers: Mutex::default() });
        lock(&self.room.sources).push(Arc::clone(&source));
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let viewers = Arc::clone(&lock(&source.viewers));
                    for (ssrc, viewer) in viewers.iter() {
                        let mut packet = packet.clone();
                        packet.header.ssrc = *ssrc;
                        // The viewers' sections have none, and packets with one would be refused.
                        packet.header.extension = false;
                        packet.header.extensions.clear();
                        // A viewer that is not connected yet, or has gone.
                        let _ = viewer.write_rtp(packet).await;
                    }
                }
            }
        });
    }
}

fn main() -> Result<()> {
    let media = sfu_http::media_address()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (handle, room) = (runtime.handle().clone(), Arc::<Room>::default());
    sfu_http::serve(move |role, offer| answer(&handle, &room, media, role, offer))
}

fn answer(handle: &Handle, room: &Arc<Room>, media: IpAddr, role: Role, offer: String) -> Result<String> {
    handle.block_on(async {
        let (gathering_ended, mut gathered) = mpsc::unbounded_channel();
        let handler = Handler { room: Arc::clone(room), role, gathered: gathering_ended };
        let mut engine = MediaEngine::default();
        engine.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(RTCConfigurationBuilder::new().build())
                .with_media_engine(engine)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(handler))
                .with_runtime(default_runtime().context("built without a runtime")?)
                .with_udp_addrs(vec![format!("{media}:0")])
                .build()
                .await?,
        );
        if role == Role::Subscriber {
            add_tracks(room, &connection, &offer).await?;
        }
        connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        let answer = connection.create_answer(None).await?;
        connection.set_local_description(answer).await?;
        gathered.recv().await.context("gathering did not end")?;
        let answer = connection.local_description().await.context("no local description")?;
        lock(&room.connections).push(connection);
        Ok(answer.sdp)
    })
}

/// One track for each source, of which there are as many as the offer has sections.
async fn add_tracks(room: &Arc<Room>, connection: &Arc<dyn PeerConnection>, offer: &str) -> Result<()> {
    let wanted = offer.lines().filter(|line| line.starts_with("m=")).count();
    let sources = async {
        loop {
            let sources = lock(&room.sources).clone();
            if sources.len() >= wanted {
                return sources;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let Ok(sources) = tokio::time::timeout(TRACKS_PATIENCE, sources).await else {
        bail!("the room has fewer tracks than the viewer has sections");
    };
    for (number, source) in sources.iter().enumerate() {
        let viewers = lock(&source.viewers).len() as u32;
        let ssrc = 0x4000_0000 + viewers * 1_024 + number as u32;
        let kind = if source.video { RtpCodecKind::Video } else { RtpCodecKind::Audio };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: source.codec.clone(),
            ..Default::default()
        };
        let (stream, track) = (format!("stream-{number}"), format!("track-{number}"));
        let track = MediaStreamTrack::new(stream, track.clone(), track, kind, vec![encoding]);
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await?;
        Arc::make_mut(&mut lock(&source.viewers)).push((ssrc, track));
    }
    Ok(())
}
