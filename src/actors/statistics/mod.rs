//! Collects what the actors of a connection say of themselves (W3C webrtc-pc §8.5).

use actix::prelude::*;

use crate::{
    actors::{kit, peer_connection::PeerConnection},
    messages::{
        peer_connection::Reply,
        statistics::{GetStatistics, Statistics},
    },
};

impl Handler<GetStatistics> for PeerConnection {
    type Result = Reply<Statistics>;

    fn handle(&mut self, _: GetStatistics, _: &mut Self::Context) -> Self::Result {
        Ok(Statistics { timestamp: kit::wall_clock() })
    }
}
