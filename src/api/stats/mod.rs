//! Statistics (W3C webrtc-pc §8 and webrtc-stats).

use std::sync::Arc;

use super::handle::Core;
use crate::messages::{
    error::RtcError,
    statistics::{GetStatistics, StatisticsSelector},
};

/// Statistics objects by their ids (W3C webrtc-pc §8.3 `RTCStatsReport`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RtcStatsReport {}

impl RtcStatsReport {
    pub(crate) async fn collect(core: &Arc<Core>, selector: StatisticsSelector) -> Result<Self, RtcError> {
        core.ask(GetStatistics(selector)).await?;
        Ok(Self {})
    }
}
