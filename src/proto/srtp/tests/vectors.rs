//! Published test vectors: RFC 3711 appendix B, RFC 7714 §16-17, and libsrtp's driver.

use super::super::aead::{Aead, rtcp_associated_data};
use super::super::counter_mode::CounterMode;
use super::super::key_derivation::{SessionKeys, derive_key};
use super::*;
use zeroize::Zeroizing;

#[test]
fn rfc_3711_b2_key_stream_including_counter_carry() {
    let keys = SessionKeys {
        cipher_key: Zeroizing::new(hex("2B7E151628AED2A6ABF7158809CF4F3C")),
        authentication_key: Zeroizing::new(vec![0; 20]),
        salt: Zeroizing::new(hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")),
    };
    let mut cipher = CounterMode::new(&keys).unwrap();
    let mut stream = vec![0u8; 0xff02 * 16];
    cipher.apply(0, 0, &mut stream).unwrap();
    let expected = [
        (0x0000, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (0x0001, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (0x0002, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ];
    for (block, value) in expected {
        assert_eq!(stream[block * 16..][..16], hex(value), "block {block:#x}");
    }
}

#[test]
fn rfc_3711_b3_key_derivation() {
    let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let derived = |label, length| derive_key(&key, &salt, label, length).unwrap().to_vec();
    assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        derived(1, 94),
        hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
             E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
             6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2")
    );
}

const RFC_7714_SALT: &str = "517569642070726f2071756f";
const RFC_7714_RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e20\
                            7061727465732074726573";
const RFC_7714_RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                             deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

fn rfc_7714_cipher(profile: Profile) -> Aead {
    let key: Vec<u8> = (0..profile.key_length() as u8).collect();
    Aead::new(profile, &key, &hex(RFC_7714_SALT)).unwrap()
}

/// The RFC's vectors give session keys, so these go below key derivation.
#[test]
fn rfc_7714_16_rtp_packets() {
    let cases = [
        (
            Profile::AeadAes128Gcm,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de
             3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            Profile::AeadAes256Gcm,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba6
             3799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (profile, protected) in cases {
        let protected = hex(protected);
        let (clear, text) = protected.split_at(12);
        let (text, tag) = text.split_at(text.len() - 16);
        let plain = hex(RFC_7714_RTP);

        let mut seal = rfc_7714_cipher(profile);
        let nonce = seal.rtp_nonce(0x5501_a0b2, 0xf17b);
        assert_eq!(nonce.to_vec(), hex("51753c6580c2726f20718414"));
        let mut buffer = plain[12..].to_vec();
        assert_eq!(seal.seal(&nonce, clear, &mut buffer).unwrap(), tag);
        assert_eq!(buffer, text);

        let mut open = rfc_7714_cipher(profile);
        open.open(&nonce, clear, &mut buffer, tag.try_into().unwrap()).unwrap();
        assert_eq!(buffer, plain[12..]);
    }
}

#[test]
fn rfc_7714_17_rtcp_packets_encrypted_and_only_tagged() {
    let cases = [
        (
            Profile::AeadAes128Gcm,
            true,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b468630
             3ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            Profile::AeadAes256Gcm,
            true,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61d
             e0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
        (
            Profile::AeadAes128Gcm,
            false,
            "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdead
             beefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4",
        ),
        (
            Profile::AeadAes256Gcm,
            false,
            "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdead
             beefdeadbeef91db4afbfeee5a978fab4393ed2615fe000005d4",
        ),
    ];
    for (profile, encrypted, protected) in cases {
        let protected = hex(protected);
        let plain = hex(RFC_7714_RTCP);
        let (message, trailer) = protected.split_at(protected.len() - 20);
        let (tag, index_word) = trailer.split_at(16);
        let clear_length = if encrypted { 8 } else { plain.len() };

        let mut seal = rfc_7714_cipher(profile);
        let nonce = seal.rtcp_nonce(0x4d61_7273, 0x05d4);
        let mut buffer = plain.clone();
        let (clear, text) = buffer.split_at_mut(clear_length);
        let associated = rtcp_associated_data(clear, index_word.try_into().unwrap());
        assert_eq!(seal.seal(&nonce, &associated, text).unwrap(), tag, "{profile:?} {encrypted}");
        assert_eq!(buffer, message);

        let mut open = rfc_7714_cipher(profile);
        let (clear, text) = buffer.split_at_mut(clear_length);
        open.open(
            &nonce,
            &rtcp_associated_data(clear, index_word.try_into().unwrap()),
            text,
            tag.try_into().unwrap(),
        )
        .unwrap();
        assert_eq!(buffer, plain);
    }
}

struct Libsrtp {
    profile: Profile,
    key: &'static str,
    salt: &'static str,
    rtp: &'static str,
    srtp: &'static str,
    srtcp: &'static str,
}

/// Whole packets from master keys, as libsrtp's test driver has them (its SRTCP index starts at 1).
const LIBSRTP: [Libsrtp; 2] = [
    Libsrtp {
        profile: Profile::Aes128CmHmacSha1_80,
        key: "e1f97a0d3e018be0d64fa32c06de4139",
        salt: "0ec675ad498afeebb6960b3aabe6",
        rtp: "800f1234decafbadcafebabeabababababababababababababababab",
        srtp: "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
        srtcp: "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798",
    },
    Libsrtp {
        profile: Profile::AeadAes128Gcm,
        key: "000102030405060708090a0b0c0d0e0f",
        salt: "a0a1a2a3a4a5a6a7a8a9aaab",
        rtp: "800f1234decafbadcafebabeabababababababababababababababab",
        srtp: "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
        srtcp: "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001",
    },
];

#[test]
fn libsrtp_packets_come_out_byte_for_byte() {
    for case in &LIBSRTP {
        let mut outbound = Outbound::new(case.profile, &hex(case.key), &hex(case.salt)).unwrap();
        assert_eq!(protect_rtp(&mut outbound, &hex(case.rtp)).unwrap(), hex(case.srtp), "{:?}", case.profile);
        outbound.set_next_rtcp_index(0xcafe_babe, 1);
        let report = hex("81c8000bcafebabeabababababababababababababababab");
        assert_eq!(protect_rtcp(&mut outbound, &report).unwrap(), hex(case.srtcp), "{:?}", case.profile);
    }
}

#[test]
fn libsrtp_packets_are_accepted() {
    for case in &LIBSRTP {
        let mut inbound = Inbound::new(case.profile, &hex(case.key), &hex(case.salt)).unwrap();
        let mut packet = BytesMut::from(&hex(case.srtp)[..]);
        inbound.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(packet, hex(case.rtp));
        let mut packet = BytesMut::from(&hex(case.srtcp)[..]);
        inbound.unprotect_rtcp(&mut packet).unwrap();
        assert_eq!(packet, hex("81c8000bcafebabeabababababababababababababababab"));
    }
}

/// RFC 8827 §6.5: no MKI, no NULL cipher. What libsrtp makes of them must not pass.
#[test]
fn packets_with_an_mki_or_the_null_cipher_are_refused() {
    let case = &LIBSRTP[0];
    let refused = [
        "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402e1f97a0db78d6acc99ea179b8dbb",
        "800f1234decafbadcafebabeabababababababababababababababab",
    ];
    for packet in refused {
        let mut inbound = Inbound::new(case.profile, &hex(case.key), &hex(case.salt)).unwrap();
        let mut packet = BytesMut::from(&hex(packet)[..]);
        assert!(matches!(inbound.unprotect_rtp(&mut packet), Err(SrtpError::AuthenticationFailed)));
    }
}
