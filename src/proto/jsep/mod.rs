//! The offer/answer state machine (RFC 8829, RFC 9429).
