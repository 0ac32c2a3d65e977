//! RTCP: a checked view of compounds and builders (RFC 3550 §6, RFC 4585 §6, RFC 5104 §4, RFC 5506).
//!
//! Compounds are split here, every length is checked before use, and an unknown or malformed sub-packet never
//! hides the others.

mod build;
mod clock;
mod compound;
mod feedback;
mod report;

pub use build::{CompoundBuilder, NACK_ENTRIES_MAX, REPORT_BLOCKS_MAX, ReportBlock};
pub use clock::{ClockAnchor, NtpTime};
pub use compound::{Compound, RtcpPacket};
pub use feedback::{
    FullIntraRequest, FullIntraRequestEntry, MaximumBitrateEntry, Nack, PictureLossIndication,
    ReceiverEstimatedMaximumBitrate, TemporaryMaximumBitrateRequest,
};
pub use report::{Goodbye, ReceiverReport, ReportBlocks, SenderReport, SourceDescription};

#[cfg(test)]
mod tests;
