//! RTCP: a checked view of compounds and builders (RFC 3550, 4585, 5104).
