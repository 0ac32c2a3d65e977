//! DTLS 1.2 sessions and certificates (RFC 6347, RFC 5764).
