//! Which protocol a datagram belongs to, by its first bytes (RFC 7983, RFC 5761).
