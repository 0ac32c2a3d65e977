//! The actors behind one transceiver: its sender, its receiver, and the track the receiver becomes.

use std::{sync::Arc, time::Duration};

use actix::{WeakAddr, prelude::*};

use super::{
    PeerConnection,
    children::{Child, report_to},
};
use crate::{
    actors::{
        kit::{self, LaneKind, LaneSender},
        lanes::{RtcpCompound, control_lane, media_lane},
        rtp_receiver::RtpReceiver,
        rtp_sender::{RTP_SENDER_POLICY, RtpSender},
        transport::{TransportActors, TransportLanes},
    },
    messages::{
        dtls::{AttachReceiver, AttachSender, DetachReceiver, DetachSender},
        peer_connection::EncodingParameters,
        rtp::{
            ReceivedRtp, ReportTones, SetEncodings, SetJitterBufferTarget, SetRoundTripTime, SharedTones,
            SwapTrack,
        },
        track::MediaStreamTrack,
    },
    proto::{
        jsep::{RtpReceiveParameters, RtpSendParameters, TransceiverId, TransportId},
        receiver::ReceiverParameters,
        rtp::{ExtensionMap, MediaKind},
        sender::SenderParameters,
    },
};

/// What a transceiver is made of.
pub(super) struct TransceiverActors {
    pub(super) id: TransceiverId,
    pub(super) receiver: Option<Receiving>,
    pub(super) sender: Option<Sending>,
    pub(super) sender_track: Option<MediaStreamTrack>,
    /// W3C `[[SendEncodings]]`: never empty.
    pub(super) send_encodings: Vec<EncodingParameters>,
    pub(super) jitter_buffer_target: Option<Duration>,
    /// The state of the tones, also before there is a sender.
    pub(super) tones: SharedTones,
    /// W3C `[[FiredDirection]]`: the application was told that the peer sends.
    pub(super) is_track_announced: bool,
    /// What getters show of the negotiated parameters.
    pub(super) shown_send: Option<Arc<RtpSendParameters>>,
    pub(super) shown_receive: Option<Arc<RtpReceiveParameters>>,
}

/// A receiver, the lanes that lead to it, and what it was told last.
pub(super) struct Receiving {
    pub(super) actor: Addr<RtpReceiver>,
    pub(super) track: MediaStreamTrack,
    rtp: LaneSender<ReceivedRtp>,
    rtcp: LaneSender<RtcpCompound>,
    parameters: Option<RtpReceiveParameters>,
}

/// A sender, the lane that leads to it, and what it was told last.
pub(super) struct Sending {
    pub(super) actor: Addr<RtpSender>,
    rtcp: LaneSender<RtcpCompound>,
    pub(super) parameters: Option<Arc<SenderParameters>>,
    attached: Option<(TransportId, Vec<u32>)>,
}

impl TransceiverActors {
    pub(super) fn new(id: TransceiverId) -> Self {
        Self {
            id,
            receiver: None,
            sender: None,
            sender_track: None,
            send_encodings: vec![EncodingParameters::default()],
            jitter_buffer_target: None,
            tones: SharedTones::default(),
            is_track_announced: false,
            shown_send: None,
            shown_receive: None,
        }
    }

    pub(super) fn receiver_track(&self) -> Option<MediaStreamTrack> {
        self.receiver.as_ref().map(|receiving| receiving.track.clone())
    }

    /// The receiver, started when there is none yet. Its track can be taken at once.
    pub(super) fn receiving(
        &mut self,
        parent: &WeakAddr<PeerConnection>,
        kind: MediaKind,
        track_id: &str,
        cname: &str,
    ) -> &mut Receiving {
        let (id, target) = (self.id, self.jitter_buffer_target);
        self.receiver.get_or_insert_with(|| {
            let receiving = Receiving::start(parent, id, kind, track_id, cname);
            if target.is_some() {
                receiving.actor.do_send(SetJitterBufferTarget(target));
            }
            receiving
        })
    }

    /// The sender, started when there is none yet.
    pub(super) fn sending(&mut self, parent: &WeakAddr<PeerConnection>) -> &mut Sending {
        self.sender.get_or_insert_with(|| {
            let sending = Sending::start(parent, self.id);
            sending.actor.do_send(SwapTrack(self.sender_track.clone()));
            sending.actor.do_send(SetEncodings(self.send_encodings.clone()));
            sending.actor.do_send(ReportTones(self.tones.clone()));
            sending
        })
    }
}

impl Receiving {
    /// A receiver that waits for its first parameters.
    fn start(
        parent: &WeakAddr<PeerConnection>,
        id: TransceiverId,
        kind: MediaKind,
        track_id: &str,
        cname: &str,
    ) -> Self {
        let (rtp, rtp_receiver) = media_lane(LaneKind::ReceiverRtp);
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::ReceiverRtcp);
        let parameters = ReceiverParameters {
            kind,
            codecs: Vec::new(),
            extensions: ExtensionMap::default(),
            ssrcs: Vec::new(),
            local_ssrc: 1,
            cname: cname.to_owned(),
            reduced_size: false,
        };
        let nowhere = TransportLanes::nowhere();
        let actor = RtpReceiver::new(parameters, rtp_receiver, rtcp_receiver, nowhere.rtcp);
        let (actor, track) = actor.start(track_id, report_to(parent, Child::Receiver(id)));
        Self { actor, track, rtp, rtcp, parameters: None }
    }

    /// The transport it receives through.
    pub(super) fn transport(&self) -> Option<TransportId> {
        self.parameters.as_ref().map(|parameters| parameters.transport)
    }

    /// What is negotiated; answers whether that is news.
    pub(super) fn negotiate(&mut self, parameters: Option<&RtpReceiveParameters>) -> bool {
        if self.parameters.as_ref() == parameters {
            return false;
        }
        self.parameters = parameters.cloned();
        true
    }

    /// Where it was attached: transport and `a=mid`.
    pub(super) fn attached(&self) -> Option<(TransportId, String)> {
        self.parameters.as_ref().map(|parameters| (parameters.transport, parameters.mid.clone()))
    }

    pub(super) fn attach(&self, transport: &TransportActors) {
        let Some(parameters) = &self.parameters else { return };
        self.actor.do_send(transport.lanes().attach_message());
        if let Some(round_trip_time) = transport.round_trip_time() {
            self.actor.do_send(SetRoundTripTime(round_trip_time));
        }
        transport.dtls().do_send(AttachReceiver {
            mid: parameters.mid.clone(),
            payload_types: parameters.codecs.iter().map(|codec| codec.payload_type).collect(),
            ssrcs: parameters.ssrcs.clone(),
            rids: parameters.rids.clone(),
            extensions: parameters.extensions.clone(),
            rtp: Arc::new(self.rtp.clone()),
            rtcp: Arc::new(self.rtcp.clone()),
        });
    }
}

/// Ends what [`Receiving::attach`] began.
pub(super) fn detach_receiver(transport: Option<&TransportActors>, mid: String) {
    // A transport that has vanished has forgotten everything.
    if let Some(transport) = transport {
        transport.dtls().do_send(DetachReceiver { mid });
    }
}

impl Sending {
    fn start(parent: &WeakAddr<PeerConnection>, id: TransceiverId) -> Self {
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::SenderRtcp);
        let nowhere = TransportLanes::nowhere();
        let actor = RtpSender::new(rtcp_receiver, nowhere.rtp, nowhere.rtcp);
        let actor = kit::start(RTP_SENDER_POLICY, report_to(parent, Child::Sender(id)), |_| actor);
        Self { actor, rtcp, parameters: None, attached: None }
    }

    /// Feedback about `ssrcs` comes through this transport, and what is sent leaves through it.
    pub(super) fn attach(&mut self, id: TransportId, transport: &TransportActors, ssrcs: Vec<u32>) {
        self.actor.do_send(transport.lanes().attach_message());
        let rtcp = Arc::new(self.rtcp.clone());
        transport.dtls().do_send(AttachSender { ssrcs: ssrcs.clone(), rtcp });
        self.attached = Some((id, ssrcs));
    }

    pub(super) fn is_attached(&self, id: TransportId, ssrcs: &[u32]) -> bool {
        self.attached.as_ref().is_some_and(|(known, known_ssrcs)| *known == id && known_ssrcs == ssrcs)
    }

    /// Where it was attached; it no longer is.
    pub(super) fn take_attached(&mut self) -> Option<(TransportId, Vec<u32>)> {
        self.attached.take()
    }
}

/// Ends what [`Sending::attach`] began.
pub(super) fn detach_sender(transport: Option<&TransportActors>, ssrcs: Vec<u32>) {
    if let Some(transport) = transport {
        transport.dtls().do_send(DetachSender { ssrcs });
    }
}

/// The negotiated `a=extmap` ids of a section.
pub(super) fn extension_map(negotiated: &[(u8, String)]) -> ExtensionMap {
    ExtensionMap::new(negotiated.iter().map(|(id, uri)| (*id, uri)), false)
}
