//! Username fragment and password (RFC 8445 section 5.3, RFC 8839 section 5.4).

use std::fmt;

use rand::Rng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::error::IceError;

/// The 64 ice-chars: one carries exactly six bits.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Length of a generated ufrag: 48 bits of randomness where RFC 8445 section 5.3 asks for 24, so that
/// ten thousand agents on one port don't collide. RFC 8839 section 5.4: at most 32 are sent.
const UFRAG_LENGTH: usize = 8;

/// Length of a generated password: 144 bits of randomness, at least 128 are required.
const PASSWORD_LENGTH: usize = 24;

/// The short-term credentials of one side for one generation.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Credentials {
    /// The username fragment: 4 to 256 ice-chars.
    pub ufrag: String,
    /// The password: 22 to 256 ice-chars.
    pub password: String,
}

impl Credentials {
    /// Fresh random credentials.
    pub fn generate(random: &mut impl Rng) -> Self {
        Self { ufrag: ice_chars(random, UFRAG_LENGTH), password: ice_chars(random, PASSWORD_LENGTH) }
    }

    /// Credentials as received from signalling; refused if RFC 8839 does not allow them.
    pub fn new(ufrag: impl Into<String>, password: impl Into<String>) -> Result<Self, IceError> {
        let credentials = Self { ufrag: ufrag.into(), password: password.into() };
        credentials.check()?;
        Ok(credentials)
    }

    /// Checks both against the grammar of RFC 8839 section 5.4.
    pub fn check(&self) -> Result<(), IceError> {
        if !is_ice_chars(&self.ufrag, 4) {
            return Err(IceError::InvalidUfrag);
        }
        if !is_ice_chars(&self.password, 22) {
            return Err(IceError::InvalidPassword);
        }
        Ok(())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

fn ice_chars(random: &mut impl Rng, length: usize) -> String {
    (0..length).map(|_| char::from(ICE_CHARS[random.random_range(0..ICE_CHARS.len())])).collect()
}

fn is_ice_chars(text: &str, shortest: usize) -> bool {
    (shortest..=256).contains(&text.len()) && text.bytes().all(is_ice_char)
}

/// Whether a byte is an ice-char (RFC 8839 section 5.1).
pub(super) fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn generated_credentials_are_valid_and_differ() {
        let mut random = StdRng::seed_from_u64(1);
        let (a, b) = (Credentials::generate(&mut random), Credentials::generate(&mut random));
        a.check().unwrap();
        assert_ne!(a.ufrag, b.ufrag);
        assert_ne!(a.password, b.password);
        assert!(a.password.len() * 6 >= 128 && a.ufrag.len() * 6 >= 24 && a.ufrag.len() <= 32);
    }

    #[test]
    fn bounds_and_alphabet_are_those_of_rfc_8839() {
        let password = "p".repeat(22);
        assert!(Credentials::new("abcd", &password).is_ok());
        assert!(Credentials::new("a".repeat(256), "p".repeat(256)).is_ok());
        assert_eq!(Credentials::new("abc", &password).unwrap_err(), IceError::InvalidUfrag);
        assert_eq!(Credentials::new("a".repeat(257), &password).unwrap_err(), IceError::InvalidUfrag);
        assert_eq!(Credentials::new("ab:d", &password).unwrap_err(), IceError::InvalidUfrag);
        assert_eq!(Credentials::new("abcd", "p".repeat(21)).unwrap_err(), IceError::InvalidPassword);
        assert_eq!(Credentials::new("abcd", "p".repeat(257)).unwrap_err(), IceError::InvalidPassword);
        assert_eq!(
            Credentials::new("abcd", "pppppppppppppppppppp p").unwrap_err(),
            IceError::InvalidPassword
        );
    }

    #[test]
    fn debug_output_hides_the_password() {
        let credentials = Credentials::new("abcd", "secretsecretsecretsecret").unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
