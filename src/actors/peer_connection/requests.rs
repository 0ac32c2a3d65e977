//! The requests of the API: each is one call of the signalling session, after which the children are
//! brought into line.

use actix::prelude::*;

use super::{PeerConnection, publish::StaleDescriptions};
use crate::{
    messages::{
        error::RtcError,
        peer_connection::{
            AddIceCandidate, Configuration, CreateAnswer, CreateOffer, GetConfiguration, PeerConnectionEvent,
            Reply, RequestIceRestart, SetConfiguration, SetLocalDescription, SetRemoteDescription,
        },
    },
    proto::{
        dtls::Certificate,
        jsep::{CandidateInit, Description, OfferOptions, SdpType, SignalingState},
    },
};

impl PeerConnection {
    /// W3C webrtc-pc §4.4.2, `setLocalDescription` without an argument.
    fn implicit_description(&mut self) -> Reply<Description> {
        Ok(match self.session.signaling_state() {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => {
                self.session.create_answer()?
            }
            _ => self.session.create_offer(OfferOptions::default())?,
        })
    }
}

impl Handler<CreateOffer> for PeerConnection {
    type Result = Reply<Description>;

    fn handle(&mut self, message: CreateOffer, _: &mut Self::Context) -> Self::Result {
        Ok(self.session.create_offer(message.0)?)
    }
}

impl Handler<CreateAnswer> for PeerConnection {
    type Result = Reply<Description>;

    fn handle(&mut self, _: CreateAnswer, _: &mut Self::Context) -> Self::Result {
        Ok(self.session.create_answer()?)
    }
}

impl Handler<SetLocalDescription> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetLocalDescription, ctx: &mut Self::Context) -> Self::Result {
        let description = match message.0 {
            Some(description) => description,
            None => self.implicit_description()?,
        };
        let kind = description.kind;
        self.session.set_local_description(description)?;
        match kind {
            // RFC 8445 §6.1.1: who offers controls. It matters when ICE starts and when it restarts; in
            // between the agent keeps its role, whoever offers.
            SdpType::Offer => self.offerer = Some(true),
            SdpType::Answer => self.exchange_ended(),
            SdpType::Pranswer | SdpType::Rollback => {}
        }
        self.stale = StaleDescriptions::BOTH;
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<SetRemoteDescription> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: SetRemoteDescription, ctx: &mut Self::Context) -> Self::Result {
        let kind = message.0.kind;
        let before = self.session.signaling_state();
        self.session.set_remote_description(message.0)?;
        if kind == SdpType::Offer && before == SignalingState::HaveLocalOffer {
            // W3C webrtc-pc §4.4.1.5: our own offer was rolled back first, and that is told.
            self.emit(PeerConnectionEvent::SignalingStateChange(SignalingState::Stable));
        }
        match kind {
            SdpType::Offer => self.offerer = Some(false),
            SdpType::Answer => self.exchange_ended(),
            SdpType::Pranswer | SdpType::Rollback => {}
        }
        self.stale = StaleDescriptions::BOTH;
        self.reconcile(ctx);
        Ok(())
    }
}

impl Handler<AddIceCandidate> for PeerConnection {
    type Result = Reply<()>;

    fn handle(&mut self, message: AddIceCandidate, ctx: &mut Self::Context) -> Self::Result {
        let candidate = message.0.unwrap_or_else(|| CandidateInit {
            candidate: String::new(),
            mid: None,
            media_line_index: None,
            username_fragment: None,
        });
        self.session.add_remote_candidate(&candidate)?;
        self.stale.remote = true;
        self.reconcile_transports(ctx);
        self.publish(ctx);
        Ok(())
    }
}

impl Handler<RequestIceRestart> for PeerConnection {
    type Result = ();

    fn handle(&mut self, _: RequestIceRestart, ctx: &mut Self::Context) {
        self.session.restart_ice();
        self.publish(ctx);
    }
}

impl Handler<GetConfiguration> for PeerConnection {
    type Result = Reply<Configuration>;

    fn handle(&mut self, _: GetConfiguration, _: &mut Self::Context) -> Self::Result {
        Ok(self.configuration.clone())
    }
}

impl Handler<SetConfiguration> for PeerConnection {
    type Result = Reply<()>;

    /// W3C webrtc-pc §4.4.1.6.
    fn handle(&mut self, message: SetConfiguration, ctx: &mut Self::Context) -> Self::Result {
        let SetConfiguration(wanted) = message;
        let known = &self.configuration;
        let is_same = |a: &Certificate, b: &Certificate| a.der() == b.der();
        let same_certificates = wanted.certificates.len() == known.certificates.len()
            && wanted.certificates.iter().zip(&known.certificates).all(|(a, b)| is_same(a, b));
        // None means: as they are.
        if !wanted.certificates.is_empty() && !same_certificates {
            return Err(RtcError::InvalidModificationError("certificates can't be exchanged".to_owned()));
        }
        if wanted.bundle_policy != known.bundle_policy {
            return Err(RtcError::InvalidModificationError("the bundle policy can't be changed".to_owned()));
        }
        let has_described = self.session.local_description().is_some();
        if has_described && wanted.ice_candidate_pool_size != known.ice_candidate_pool_size {
            let sentence = "the candidate pool can't be resized after the first local description";
            return Err(RtcError::InvalidModificationError(sentence.to_owned()));
        }
        let mut config = self.session.config().clone();
        config.always_negotiate_data_channels = wanted.always_negotiate_data_channels;
        self.session.set_configuration(config)?;
        for transport in self.transports.all_mut() {
            transport.set_servers(wanted.ice.clone());
        }
        let certificates = self.configuration.certificates.clone();
        self.configuration = Configuration { certificates, ..wanted };
        self.publish(ctx);
        Ok(())
    }
}
