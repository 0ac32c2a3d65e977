//! The credentials of one ICE generation, with their keys prepared (RFC 8445 section 9).

use super::credentials::Credentials;
use crate::proto::stun::IntegrityKey;

/// The credentials of one side and the key made from the password.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) credentials: Credentials,
    pub(super) key: IntegrityKey,
}

impl Secret {
    pub(super) fn new(credentials: Credentials) -> Self {
        let key = IntegrityKey::new(credentials.password.as_bytes());
        Self { credentials, key }
    }
}

/// Both sides of a generation; the remote half comes with signalling.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) local: Secret,
    pub(super) remote: Option<Secret>,
}

impl Generation {
    pub(super) fn new(local: Credentials) -> Self {
        Self { local: Secret::new(local), remote: None }
    }

    /// Whether a USERNAME is addressed to this side: `<local ufrag>:<anything>` (RFC 8445 section 7.3).
    pub(super) fn is_addressed_by(&self, username: &str) -> bool {
        username.split_once(':').is_some_and(|(ufrag, _)| ufrag == self.local.credentials.ufrag)
    }

    /// Whether the peer's half of a USERNAME is the one of this generation.
    pub(super) fn comes_from(&self, username: &str) -> bool {
        let remote = self.remote.as_ref().map(|remote| remote.credentials.ufrag.as_str());
        username.split_once(':').is_some_and(|(_, ufrag)| remote == Some(ufrag))
    }

    /// USERNAME of requests to the peer (RFC 8445 section 7.1.2): its ufrag first.
    pub(super) fn outgoing_username(&self) -> Option<String> {
        let remote = &self.remote.as_ref()?.credentials.ufrag;
        Some(format!("{remote}:{}", self.local.credentials.ufrag))
    }
}
