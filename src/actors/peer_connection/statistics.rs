//! Asks the actors of a connection for their counters (W3C webrtc-pc §8.5).

use std::{future::Future, time::Duration};

use actix::prelude::*;
use futures_util::future::join_all;

use super::PeerConnection;
use crate::{
    actors::kit,
    messages::{
        peer_connection::Reply,
        rtp::{CollectInbound, CollectOutbound},
        sctp::CollectSctpStatistics,
        statistics::{
            CollectDtls, CollectIce, GetStatistics, Statistics, StatisticsSelector, TransportStatistics,
        },
    },
    proto::{jsep::TransceiverId, receiver::InboundStatistics, sender::OutboundStatistics},
};

/// How long one actor may take. All are on this thread: who does not answer by then is being restarted.
const DEADLINE: Duration = Duration::from_secs(2);

/// Those of one transceiver, if its actor has answered.
type Counters<S> = Option<(TransceiverId, Vec<S>)>;

impl Handler<GetStatistics> for PeerConnection {
    type Result = ResponseFuture<Reply<Statistics>>;

    fn handle(&mut self, message: GetStatistics, _: &mut Self::Context) -> Self::Result {
        let (at, clock, certificate) = (kit::now(), self.clock, self.certificate.clone());
        let transceivers = self.snapshot.lock().transceivers.clone();
        let transports = self.ask_transports();
        let sctp = self.sctp.as_ref().map(|sctp| sctp.address().clone());
        let (senders, receivers) = (self.ask_senders(message.0), self.ask_receivers(message.0));
        Box::pin(async move {
            let sctp = async {
                let sctp = sctp?;
                kit::ask(&sctp, CollectSctpStatistics, DEADLINE).await.ok()
            };
            let (transports, senders, receivers, sctp) =
                tokio::join!(join_all(transports), join_all(senders), join_all(receivers), sctp);
            Ok(Statistics {
                at,
                clock,
                certificate,
                transceivers,
                transports,
                senders: senders.into_iter().flatten().collect(),
                receivers: receivers.into_iter().flatten().collect(),
                sctp,
            })
        })
    }
}

impl PeerConnection {
    fn ask_transports(&self) -> Vec<impl Future<Output = TransportStatistics> + use<>> {
        let asked = self.transports.iter().map(|(id, actors)| {
            let (ice, dtls, state) = (actors.ice().clone(), actors.dtls().clone(), actors.state().clone());
            async move {
                let (ice, dtls) = tokio::join!(
                    kit::ask(&ice, CollectIce, DEADLINE),
                    kit::ask(&dtls, CollectDtls, DEADLINE)
                );
                TransportStatistics { id, state, ice: ice.ok(), dtls: dtls.ok() }
            }
        });
        asked.collect()
    }

    fn ask_senders(
        &self,
        selector: StatisticsSelector,
    ) -> Vec<impl Future<Output = Counters<OutboundStatistics>> + use<>> {
        let selected = self.transceivers.iter().filter(|actors| match selector {
            StatisticsSelector::All => true,
            StatisticsSelector::Sender(id) => id == actors.id,
            StatisticsSelector::Receiver(_) => false,
        });
        let asked = selected.filter_map(|actors| {
            let (id, sender) = (actors.id, actors.sender.as_ref()?.actor.clone());
            Some(async move { Some((id, kit::ask(&sender, CollectOutbound, DEADLINE).await.ok()?)) })
        });
        asked.collect()
    }

    fn ask_receivers(
        &self,
        selector: StatisticsSelector,
    ) -> Vec<impl Future<Output = Counters<InboundStatistics>> + use<>> {
        let selected = self.transceivers.iter().filter(|actors| match selector {
            StatisticsSelector::All => true,
            StatisticsSelector::Receiver(id) => id == actors.id,
            StatisticsSelector::Sender(_) => false,
        });
        let asked = selected.filter_map(|actors| {
            let (id, receiver) = (actors.id, actors.receiver.as_ref()?.actor.clone());
            Some(async move { Some((id, kit::ask(&receiver, CollectInbound, DEADLINE).await.ok()?)) })
        });
        asked.collect()
    }
}
