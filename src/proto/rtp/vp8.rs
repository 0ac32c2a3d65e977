//! The VP8 payload descriptor (RFC 7741 §4.2).
