//! MID and RID: short names that travel in every packet, so they live inline and are `Copy`.
//!
//! RFC 9143 §15.1 and RFC 8852 §3.3 ask for short values; the
//! one-byte form of header extensions holds 16 bytes, and browsers stop there. A longer one is refused here, which the
//! demultiplexer treats as an unknown name.

use std::fmt;

/// The longest MID or RID that is understood, in bytes.
const LENGTH_MAX: usize = 16;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            length: u8,
            bytes: [u8; LENGTH_MAX],
        }

        impl $name {
            /// The value, unless it is empty, longer than 16 bytes or has a character its RFC does not allow.
            pub fn new(value: impl AsRef<[u8]>) -> Option<Self> {
                let value = value.as_ref();
                let allowed: fn(u8) -> bool = $allowed;
                if value.is_empty() || value.len() > LENGTH_MAX || !value.iter().copied().all(allowed) {
                    return None;
                }
                let mut bytes = [0; LENGTH_MAX];
                bytes[..value.len()].copy_from_slice(value);
                Some(Self { length: value.len() as u8, bytes })
            }

            /// The bytes, as they are written into a header extension.
            pub fn as_bytes(&self) -> &[u8] {
                &self.bytes[..usize::from(self.length)]
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

identifier!(
    /// A media section's name: `a=mid` (RFC 5888), the `sdes:mid` header extension (RFC 9143).
    Mid,
    // RFC 5888 §4: the value is a token; the wider set of visible ASCII does no harm.
    |byte| byte.is_ascii_graphic()
);

identifier!(
    /// An encoding's name: `a=rid` (RFC 8851), the `rtp-stream-id` header extension (RFC 8852).
    Rid,
    // RFC 8851 §4 as corrected: alphanumeric, and `-`/`_`, which deployed senders use.
    |byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_the_grammar_allows() {
        assert_eq!(Mid::new("audio-0").map(|mid| mid.to_string()).as_deref(), Some("audio-0"));
        assert_eq!(Rid::new("h").map(|rid| rid.to_string()).as_deref(), Some("h"));
        assert_eq!(Rid::new([b'a'; 16]).map(|rid| rid.as_bytes().len()), Some(16));
    }

    #[test]
    fn refuses_empty_long_and_foreign() {
        for value in ["", "a b", "a\0", "\u{e4}", &"a".repeat(17)] {
            assert_eq!(Rid::new(value), None, "{value:?}");
            assert_eq!(Mid::new(value), None, "{value:?}");
        }
        assert_eq!(Rid::new("a.b"), None);
    }
}
