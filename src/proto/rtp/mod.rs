//! RTP: header view, header extensions, demultiplexing (RFC 3550, 8285, 9143).

mod codec;

pub use codec::CodecParameters;
