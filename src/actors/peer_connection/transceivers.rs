//! The actors behind one transceiver: its sender, its receiver, and the track the receiver becomes.

use std::{sync::Arc, time::Duration};

use actix::{WeakAddr, prelude::*};

use super::{
    PeerConnection,
    children::{Child, Children, report_to},
};
use crate::{
    actors::{
        kit::{self, LaneKind, LaneSender},
        lanes::{RtcpCompound, control_lane, media_lane},
        rtp_receiver::RtpReceiver,
        rtp_sender::{RTP_SENDER_POLICY, RtpSender},
    },
    messages::{
        dtls::{AttachReceiver, AttachSender},
        peer_connection::EncodingParameters,
        rtp::ReceivedRtp,
        track::MediaStreamTrack,
    },
    proto::{
        jsep::{RtpReceiveParameters, TransceiverId},
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
    /// What the sender was told last, to tell it only what changes.
    pub(super) sending_ssrcs: Vec<u32>,
    pub(super) receiving_mid: Option<String>,
    pub(super) send_parameters: Option<SenderParameters>,
    pub(super) receive_parameters: Option<RtpReceiveParameters>,
}

/// A receiver and the lanes that lead to it.
pub(super) struct Receiving {
    pub(super) actor: Addr<RtpReceiver>,
    pub(super) track: MediaStreamTrack,
    rtp: LaneSender<ReceivedRtp>,
    rtcp: LaneSender<RtcpCompound>,
}

/// A sender and the lane that leads to it.
pub(super) struct Sending {
    pub(super) actor: Addr<RtpSender>,
    rtcp: LaneSender<RtcpCompound>,
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
            sending_ssrcs: Vec::new(),
            receiving_mid: None,
            send_parameters: None,
            receive_parameters: None,
        }
    }

    pub(super) fn receiver_track(&self) -> Option<MediaStreamTrack> {
        self.receiver.as_ref().map(|receiving| receiving.track.clone())
    }
}

impl Receiving {
    /// A receiver that waits for its first parameters; its track can be taken at once.
    pub(super) fn start(
        parent: &WeakAddr<PeerConnection>,
        id: TransceiverId,
        kind: MediaKind,
        track_id: &str,
        children: &Children,
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
        let actor = RtpReceiver::new(parameters, rtp_receiver, rtcp_receiver, children.outbound_rtcp.clone());
        let (actor, track) = actor.start(track_id, report_to(parent, Child::Receiver(id)));
        Self { actor, track, rtp, rtcp }
    }

    pub(super) fn attach_message(&self, parameters: &RtpReceiveParameters) -> AttachReceiver {
        AttachReceiver {
            mid: parameters.mid.clone(),
            payload_types: parameters.codecs.iter().map(|codec| codec.payload_type).collect(),
            ssrcs: parameters.ssrcs.clone(),
            rids: parameters.rids.clone(),
            extensions: parameters.extensions.clone(),
            rtp: Arc::new(self.rtp.clone()),
            rtcp: Arc::new(self.rtcp.clone()),
        }
    }
}

impl Sending {
    pub(super) fn start(parent: &WeakAddr<PeerConnection>, id: TransceiverId, children: &Children) -> Self {
        let (rtcp, rtcp_receiver) = control_lane(LaneKind::SenderRtcp);
        let actor =
            RtpSender::new(rtcp_receiver, children.outbound_rtp.clone(), children.outbound_rtcp.clone());
        let actor = kit::start(RTP_SENDER_POLICY, report_to(parent, Child::Sender(id)), |_| actor);
        Self { actor, rtcp }
    }

    pub(super) fn attach_message(&self, ssrcs: Vec<u32>) -> AttachSender {
        AttachSender { ssrcs, rtcp: Arc::new(self.rtcp.clone()) }
    }
}

/// The negotiated `a=extmap` ids of a section.
pub(super) fn extension_map(negotiated: &[(u8, String)]) -> ExtensionMap {
    ExtensionMap::new(negotiated.iter().map(|(id, uri)| (*id, uri)), false)
}
