//! Master keys and salts of both directions, as exported from a DTLS handshake (RFC 5764 §4.2).

use std::fmt;

use zeroize::Zeroizing;

use super::{Inbound, Outbound, Profile, SrtpError};

/// Master keys and salts. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct KeyingMaterial {
    local_key: Zeroizing<Vec<u8>>,
    local_salt: Zeroizing<Vec<u8>>,
    remote_key: Zeroizing<Vec<u8>>,
    remote_salt: Zeroizing<Vec<u8>>,
}

impl KeyingMaterial {
    /// The label under which DTLS exports the material.
    pub const EXPORTER_LABEL: &'static str = "EXTRACTOR-dtls_srtp";

    /// How many bytes to export for a profile: two keys and two salts.
    pub fn exported_length(profile: Profile) -> usize {
        2 * (profile.key_length() + profile.salt_length())
    }

    /// Cuts exported bytes: client key, server key, client salt, server salt.
    pub fn from_exported(
        profile: Profile,
        local_is_client: bool,
        exported: &[u8],
    ) -> Result<Self, SrtpError> {
        if exported.len() != Self::exported_length(profile) {
            return Err(SrtpError::WrongKeyLength);
        }
        let (keys, salts) = exported.split_at(2 * profile.key_length());
        let (client_key, server_key) = keys.split_at(profile.key_length());
        let (client_salt, server_salt) = salts.split_at(profile.salt_length());
        let own = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        let client = (own(client_key), own(client_salt));
        let server = (own(server_key), own(server_salt));
        let ((local_key, local_salt), (remote_key, remote_salt)) =
            if local_is_client { (client, server) } else { (server, client) };
        Ok(Self { local_key, local_salt, remote_key, remote_salt })
    }

    /// Master key of what is sent.
    pub fn local_key(&self) -> &[u8] {
        &self.local_key
    }

    /// Master salt of what is sent.
    pub fn local_salt(&self) -> &[u8] {
        &self.local_salt
    }

    /// Master key of what is received.
    pub fn remote_key(&self) -> &[u8] {
        &self.remote_key
    }

    /// Master salt of what is received.
    pub fn remote_salt(&self) -> &[u8] {
        &self.remote_salt
    }

    /// Makes the two contexts. Once only: a second [`Outbound`] of the same keys would start over with
    /// its indices and repeat nonces.
    pub fn into_contexts(self, profile: Profile) -> Result<(Outbound, Inbound), SrtpError> {
        Ok((
            Outbound::new(profile, &self.local_key, &self.local_salt)?,
            Inbound::new(profile, &self.remote_key, &self.remote_salt)?,
        ))
    }
}

impl fmt::Debug for KeyingMaterial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyingMaterial").finish_non_exhaustive()
    }
}
