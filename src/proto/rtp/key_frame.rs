//! Is this packet the first one of a key frame?

use super::CodecFamily;

/// True if decoding can start with this payload. Total: looks only at bytes that are there.
pub fn starts_key_frame(family: CodecFamily, payload: &[u8]) -> bool {
    let _ = (family, payload);
    false
}
