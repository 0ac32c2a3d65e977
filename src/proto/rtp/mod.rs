//! RTP: header view, header extensions, codecs, demultiplexing (RFC 3550, 8285, 9143).
//!
//! Everything that reads bytes here is total: the RTP header is parsed before SRTP has authenticated it, so any
//! input must give a value or an error, in bounded time.

mod codec;
mod demultiplexer;
mod extension_map;
mod extensions;
mod frame_packetizer;
mod header;
mod identifier;
mod key_frame;
mod media_lot;
mod packet;
mod padding;
pub mod picture_index;

pub use codec::{CodecFamily, CodecKey, CodecParameters, MediaKind};
pub use demultiplexer::{Demultiplexer, Route, RouteError, Section};
pub use extension_map::{ExtensionKind, ExtensionMap, WrittenExtensions};
pub use extensions::{AbsoluteCaptureTime, AudioLevel, Extensions, LegExtensions};
pub use frame_packetizer::{FramePacketizer, PacketizeError};
pub use header::{ExtensionElements, HeaderBytes, RtpError, RtpHeader};
pub use identifier::{Mid, Rid};
pub use key_frame::starts_key_frame;
pub use media_lot::MediaLot;
pub use packet::{ClockReference, RtpPacket};
