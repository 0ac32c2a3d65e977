//! The pseudo-random function of TLS 1.2 (RFC 5246 §5), for the keys of the record layer (§6.3).

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use zeroize::Zeroizing;

/// `PRF(secret, label, seed)` of as many bytes as asked for; the seed comes in two halves because it is
/// always two random values.
pub(super) fn expand(
    digest: MessageDigest,
    secret: &[u8],
    label: &[u8],
    seed: [&[u8]; 2],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let key = PKey::hmac(secret)?;
    let hash = |parts: &[&[u8]]| -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut signer = Signer::new(digest, &key)?;
        parts.iter().try_for_each(|part| signer.update(part))?;
        signer.sign_to_vec().map(Zeroizing::new)
    };
    // Room for the last, cut off hash: growing would leave an unwiped copy behind.
    let mut output = Zeroizing::new(Vec::with_capacity(length + digest.size()));
    let mut chain = hash(&[label, seed[0], seed[1]])?;
    while output.len() < length {
        output.extend_from_slice(&hash(&[&chain, label, seed[0], seed[1]])?);
        chain = hash(&[&chain])?;
    }
    output.truncate(length);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    /// The vector for SHA-256 that was posted to the TLS working group's list and is used by many stacks.
    #[test]
    fn published_vector_for_sha_256() {
        let output = expand(
            MessageDigest::sha256(),
            &hex("9bbe436ba940f017b17652849a71db35"),
            b"test label",
            [&hex("a0ba9f936cda311827a6f796"), &hex("ffd5198c")],
            100,
        );
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14\
                        baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e\
                        5a5110fff70187347b66";
        assert_eq!(output.unwrap().as_slice(), hex(expected));
    }
}
