//! Long-term credentials (RFC 8489 section 9.2): the user's name and password, and the server's challenge.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::proto::stun::{AttributeType, IntegrityKey, Message, MessageBuilder};

/// Longest REALM and NONCE that are taken (RFC 8489 sections 14.9 and 14.10: below 128 characters, which
/// are at most 763 bytes).
const MAX_CHALLENGE_LENGTH: usize = 763;

#[derive(Zeroize, ZeroizeOnDrop)]
struct Account {
    username: String,
    password: String,
}

/// What the server wants to see in requests.
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
    key: IntegrityKey,
}

/// The account and, once the server has challenged, what to sign with.
pub(super) struct LongTermCredentials {
    account: Account,
    challenge: Option<Challenge>,
}

impl fmt::Debug for LongTermCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongTermCredentials")
            .field("username", &self.account.username)
            .finish_non_exhaustive()
    }
}

impl LongTermCredentials {
    pub(super) fn new(username: String, password: String) -> Self {
        Self { account: Account { username, password }, challenge: None }
    }

    /// Whether there is an account at all.
    pub(super) fn exist(&self) -> bool {
        !self.account.username.is_empty()
    }

    pub(super) fn key(&self) -> Option<&IntegrityKey> {
        self.challenge.as_ref().map(|challenge| &challenge.key)
    }

    /// Takes REALM and NONCE of a 401 or 438. False if they are missing, too long, or say nothing new.
    pub(super) fn take_challenge(&mut self, message: &Message<'_>) -> bool {
        let Some(nonce) = message.nonce().filter(|nonce| nonce.len() <= MAX_CHALLENGE_LENGTH) else {
            return false;
        };
        let known = self.challenge.as_ref().map(|challenge| challenge.realm.as_str());
        let Some(realm) = message.realm().or(known).filter(|realm| realm.len() <= MAX_CHALLENGE_LENGTH)
        else {
            return false;
        };
        if self.challenge.as_ref().is_some_and(|known| known.nonce == nonce && known.realm == realm) {
            return false;
        }
        let Account { username, password } = &self.account;
        let Some(key) = IntegrityKey::long_term(username, realm, password) else { return false };
        self.challenge = Some(Challenge { realm: realm.to_owned(), nonce: nonce.to_vec(), key });
        true
    }

    /// Adds what a challenged client adds, MESSAGE-INTEGRITY last.
    pub(super) fn sign(&self, message: MessageBuilder) -> MessageBuilder {
        let Some(Challenge { realm, nonce, key }) = &self.challenge else { return message };
        message
            .username(&self.account.username)
            .attribute(AttributeType::REALM, realm.as_bytes())
            .attribute(AttributeType::NONCE, nonce)
            .integrity(key)
    }
}
