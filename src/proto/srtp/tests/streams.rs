//! Indices over the life of a stream: roll-over, reordering, repetition, the end of the key.

use super::*;

#[test]
fn what_is_protected_comes_out_again_for_every_profile_and_size() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        for size in [0, 1, 15, 16, 17, 100, 1_188] {
            let payload = vec![size as u8; size];
            let plain = rtp(7, size as u16, &payload);
            let mut packet = protect_rtp(&mut outbound, &plain).unwrap();
            assert_eq!(packet.len(), plain.len() + outbound.rtp_overhead());
            assert_eq!(packet[..12], plain[..12]);
            if size >= 15 {
                assert_ne!(packet[12..plain.len()], plain[12..]);
            }
            inbound.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet, plain);

            let plain = rtcp(7, &payload);
            let mut packet = protect_rtcp(&mut outbound, &plain).unwrap();
            assert_eq!(packet.len(), plain.len() + outbound.rtcp_overhead());
            inbound.unprotect_rtcp(&mut packet).unwrap();
            assert_eq!(packet, plain);
        }
    }
}

#[test]
fn csrcs_and_extensions_stay_clear_but_are_authenticated() {
    let mut plain = rtp(9, 1, &[]);
    plain[0] = 0x80 | 0x10 | 2;
    plain.extend([0, 0, 0, 1, 0, 0, 0, 2]);
    plain.extend([0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
    plain.extend(b"payload");
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        let packet = protect_rtp(&mut outbound, &plain).unwrap();
        assert_eq!(packet[..28], plain[..28]);
        let mut changed = packet.clone();
        changed[25] ^= 1;
        assert!(matches!(inbound.unprotect_rtp(&mut changed), Err(SrtpError::AuthenticationFailed)));
        let mut packet = packet;
        inbound.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(packet, plain);
    }
}

#[test]
fn streams_survive_many_roll_overs() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        let mut sequence_number = 65_000u16;
        for _ in 0..500 {
            let plain = rtp(7, sequence_number, b"x");
            let mut packet = protect_rtp(&mut outbound, &plain).unwrap();
            inbound.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet, plain);
            sequence_number = sequence_number.wrapping_add(997);
        }
    }
}

#[test]
fn packets_reordered_across_the_roll_over_are_accepted_once() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        let mut sent: Vec<BytesMut> = (65_500..65_500 + 72u32)
            .map(|sequence| protect_rtp(&mut outbound, &rtp(7, sequence as u16, b"x")).unwrap())
            .collect();
        // Everything up to the roll-over first, then pairs swapped around it.
        for index in (30..70).step_by(2) {
            sent.swap(index, index + 1);
        }
        for packet in &sent {
            inbound.unprotect_rtp(&mut packet.clone()).unwrap();
        }
        for packet in &sent {
            assert!(matches!(inbound.unprotect_rtp(&mut packet.clone()), Err(SrtpError::Replayed)));
        }
    }
}

#[test]
fn sender_may_reorder_but_never_use_an_index_twice() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    for sequence in [100, 103, 101, 65_535u16.wrapping_add(110), 102] {
        protect_rtp(&mut outbound, &rtp(7, sequence, b"x")).unwrap();
    }
    for sequence in [100, 101, 102, 103, 109] {
        assert!(matches!(protect_rtp(&mut outbound, &rtp(7, sequence, b"y")), Err(SrtpError::IndexReused)));
    }
    protect_rtp(&mut outbound, &rtp(7, 3_000, b"x")).unwrap();
    // Whether 200 was used isn't known any more.
    assert!(matches!(protect_rtp(&mut outbound, &rtp(7, 200, b"x")), Err(SrtpError::IndexReused)));
    // Before index zero there is nothing.
    assert!(matches!(protect_rtp(&mut outbound, &rtp(7, 65_000, b"x")), Err(SrtpError::IndexReused)));
}

#[test]
fn same_sequence_number_on_another_ssrc_is_another_index() {
    let (mut outbound, mut inbound) = pair(Profile::AeadAes128Gcm);
    let mut one = protect_rtp(&mut outbound, &rtp(1, 5, b"same text")).unwrap();
    let mut two = protect_rtp(&mut outbound, &rtp(2, 5, b"same text")).unwrap();
    assert_ne!(one[12..], two[12..]);
    inbound.unprotect_rtp(&mut one).unwrap();
    inbound.unprotect_rtp(&mut two).unwrap();
}

#[test]
fn repetition_is_byte_identical_and_needs_a_first_time() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, _) = pair(profile);
        let again = |outbound: &mut Outbound, plain: &[u8]| {
            let mut buffer = plain.to_vec();
            buffer.resize(plain.len() + outbound.rtp_overhead(), 0);
            outbound.protect_rtp_again(&mut buffer, plain.len()).map(|_| buffer)
        };
        let plain = rtp(7, 65_534, b"payload");
        assert!(matches!(again(&mut outbound, &plain), Err(SrtpError::IndexUnused)));
        let first = protect_rtp(&mut outbound, &plain).unwrap();
        for sequence in [65_535, 0, 1] {
            protect_rtp(&mut outbound, &rtp(7, sequence, b"payload")).unwrap();
        }
        assert_eq!(again(&mut outbound, &plain).unwrap(), first);
        assert!(matches!(again(&mut outbound, &rtp(7, 2, b"payload")), Err(SrtpError::IndexUnused)));
        protect_rtp(&mut outbound, &rtp(7, 5_000, b"payload")).unwrap();
        assert!(matches!(again(&mut outbound, &plain), Err(SrtpError::TooOld)));
    }
}

#[test]
fn sending_stops_at_the_last_rtp_index() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    outbound.set_highest_rtp_index(7, (1 << 48) - 2);
    protect_rtp(&mut outbound, &rtp(7, 65_535, b"last")).unwrap();
    assert!(matches!(protect_rtp(&mut outbound, &rtp(7, 0, b"x")), Err(SrtpError::IndexExhausted)));
}

#[test]
fn sending_stops_at_the_last_rtcp_index() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    outbound.set_next_rtcp_index(7, (1 << 31) - 1);
    protect_rtcp(&mut outbound, &rtcp(7, b"last")).unwrap();
    assert!(matches!(protect_rtcp(&mut outbound, &rtcp(7, b"more")), Err(SrtpError::IndexExhausted)));
}

#[test]
fn rtcp_index_counts_up_by_one_per_ssrc() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    for expected in 0..5u32 {
        let packet = protect_rtcp(&mut outbound, &rtcp(7, b"body")).unwrap();
        assert_eq!(packet[packet.len() - 4..], (expected | 1 << 31).to_be_bytes());
    }
    let packet = protect_rtcp(&mut outbound, &rtcp(8, b"body")).unwrap();
    assert_eq!(packet[packet.len() - 4..], (1u32 << 31).to_be_bytes());
}

#[test]
fn wrong_key_lengths_are_refused() {
    for profile in Profile::PREFERENCE {
        let (key, salt) = key_and_salt(profile);
        assert!(matches!(Outbound::new(profile, &key[1..], &salt), Err(SrtpError::WrongKeyLength)));
        assert!(matches!(Inbound::new(profile, &key, &salt[1..]), Err(SrtpError::WrongKeyLength)));
    }
}

#[test]
fn exported_bytes_are_cut_in_the_order_of_rfc_5764() {
    use super::super::KeyingMaterial;
    for profile in Profile::PREFERENCE {
        let exported: Vec<u8> = (0..KeyingMaterial::exported_length(profile) as u8).collect();
        let client = KeyingMaterial::from_exported(profile, true, &exported).unwrap();
        let server = KeyingMaterial::from_exported(profile, false, &exported).unwrap();
        let (key, salt) = (profile.key_length(), profile.salt_length());
        assert_eq!(client.local_key(), &exported[..key]);
        assert_eq!(client.remote_key(), &exported[key..2 * key]);
        assert_eq!(client.local_salt(), &exported[2 * key..2 * key + salt]);
        assert_eq!(client.remote_salt(), &exported[2 * key + salt..]);
        assert_eq!(client.local_key(), server.remote_key());
        assert_eq!(client.remote_salt(), server.local_salt());
        assert!(KeyingMaterial::from_exported(profile, true, &exported[1..]).is_err());
        assert_eq!(format!("{client:?}"), "KeyingMaterial { .. }");
        let (mut outbound, _) = client.into_contexts(profile).unwrap();
        let (_, mut inbound) = server.into_contexts(profile).unwrap();
        let mut packet = protect_rtp(&mut outbound, &rtp(1, 1, b"x")).unwrap();
        inbound.unprotect_rtp(&mut packet).unwrap();
    }
}
