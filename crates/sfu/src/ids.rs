//! Names that clients are given: opaque, unguessable, never used twice.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

macro_rules! random_id {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(Arc<str>);

        impl $name {
            /// 128 random bits in hexadecimal digits: a token in SDP, in a URL and in JSON alike.
            pub(crate) fn random() -> Self {
                Self(format!("{:032x}", rand::random::<u128>()).into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

random_id! {
    /// Somebody in a room.
    ParticipantId
}

random_id! {
    /// A published track. It is also the name of the track in the SDP of those who receive it.
    TrackId
}

random_id! {
    /// A WHIP or WHEP session: whoever knows it may end it.
    SessionId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_tokens_of_128_bits_and_differ() {
        let (one, two) = (TrackId::random(), TrackId::random());
        assert_ne!(one, two);
        assert_eq!(one.as_ref().len(), 32);
        assert!(one.as_ref().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
