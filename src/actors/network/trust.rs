//! Which certificates of TURN servers are believed (RFC 8656 section 3.1).

/// Whom a TLS client believes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsTrust {
    /// Certificates (PEM) of authorities to trust besides those of the system.
    pub additional_roots: Vec<Vec<u8>>,
    /// Take any certificate of any server: whoever is on the way can then read who calls whom, and the hash of
    /// the password. Media and data stay encrypted end to end. For tests.
    pub dangerous_accept_any_certificate: bool,
}
