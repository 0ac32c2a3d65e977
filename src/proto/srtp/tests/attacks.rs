//! Hostile input: replays, forgeries, every short length, floods of SSRCs, repeated nonces.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::stream_table::MAXIMUM_STREAMS;
use super::*;

#[test]
fn replays_are_refused_at_once_and_after_the_window_has_moved_on() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        let first = protect_rtp(&mut outbound, &rtp(7, 10, b"x")).unwrap();
        inbound.unprotect_rtp(&mut first.clone()).unwrap();
        assert!(matches!(inbound.unprotect_rtp(&mut first.clone()), Err(SrtpError::Replayed)));
        for sequence in (11..40_000).step_by(100) {
            let mut packet = protect_rtp(&mut outbound, &rtp(7, sequence, b"x")).unwrap();
            inbound.unprotect_rtp(&mut packet).unwrap();
        }
        assert!(inbound.unprotect_rtp(&mut first.clone()).is_err());
        // A whole roll-over later the same sequence number guesses another index: the tag fails.
        for sequence in [60_000, 10_000, 20_000u16] {
            let mut packet = protect_rtp(&mut outbound, &rtp(7, sequence, b"x")).unwrap();
            inbound.unprotect_rtp(&mut packet).unwrap();
        }
        assert!(inbound.unprotect_rtp(&mut first.clone()).is_err());
    }
}

#[test]
fn rtcp_replays_are_refused() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        let packets: Vec<_> =
            (0..5).map(|_| protect_rtcp(&mut outbound, &rtcp(7, b"body")).unwrap()).collect();
        for packet in packets.iter().rev() {
            inbound.unprotect_rtcp(&mut packet.clone()).unwrap();
        }
        for packet in &packets {
            assert!(matches!(inbound.unprotect_rtcp(&mut packet.clone()), Err(SrtpError::Replayed)));
        }
    }
}

#[test]
fn packets_of_another_session_are_refused() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, _) = pair(profile);
        let (mut key, salt) = key_and_salt(profile);
        key[0] ^= 1;
        let mut other = Inbound::new(profile, &key, &salt).unwrap();
        let mut packet = protect_rtp(&mut outbound, &rtp(7, 1, b"x")).unwrap();
        assert!(matches!(other.unprotect_rtp(&mut packet), Err(SrtpError::AuthenticationFailed)));
    }
}

#[test]
fn forged_jumps_leave_the_roll_over_counter_and_the_window_alone() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, mut inbound) = pair(profile);
        let mut packet = protect_rtp(&mut outbound, &rtp(7, 1_000, b"x")).unwrap();
        inbound.unprotect_rtp(&mut packet).unwrap();
        for sequence in [1_001, 33_767, 33_768, 33_769, 50_000, 65_535] {
            let mut forged = BytesMut::from(&rtp(7, sequence, &[0x55; 60])[..]);
            assert!(inbound.unprotect_rtp(&mut forged).is_err());
        }
        for _ in 0..300 {
            let mut forged = BytesMut::from(&rtp(7, 1_001, &[0x55; 60])[..]);
            assert!(matches!(inbound.unprotect_rtp(&mut forged), Err(SrtpError::AuthenticationFailed)));
        }
        let mut packet = protect_rtp(&mut outbound, &rtp(7, 1_001, b"x")).unwrap();
        inbound.unprotect_rtp(&mut packet).unwrap();
    }
}

#[test]
fn forged_packets_make_no_table_entries() {
    for profile in Profile::PREFERENCE {
        let (_, mut inbound) = pair(profile);
        for ssrc in 0..10_000 {
            let mut forged = BytesMut::from(&rtp(ssrc, 1, &[0; 40])[..]);
            assert!(inbound.unprotect_rtp(&mut forged).is_err());
            let mut forged = BytesMut::from(&rtcp(ssrc, &[0; 40])[..]);
            assert!(inbound.unprotect_rtcp(&mut forged).is_err());
        }
        assert_eq!(inbound.stream_count(), 0);
    }
}

#[test]
fn authentic_flood_of_ssrcs_stops_at_the_cap_and_old_streams_go_on() {
    let profile = Profile::AeadAes128Gcm;
    let (_, mut inbound) = pair(profile);
    let (key, salt) = key_and_salt(profile);
    let mut last = Ok(());
    for ssrc in 0..MAXIMUM_STREAMS as u32 + 10 {
        let mut outbound = Outbound::new(profile, &key, &salt).unwrap();
        let mut packet = protect_rtp(&mut outbound, &rtp(ssrc, 1, b"x")).unwrap();
        last = inbound.unprotect_rtp(&mut packet);
    }
    assert!(matches!(last, Err(SrtpError::TooManyStreams)));
    assert_eq!(inbound.stream_count(), MAXIMUM_STREAMS);
    let mut outbound = Outbound::new(profile, &key, &salt).unwrap();
    let mut packet = protect_rtp(&mut outbound, &rtp(0, 2, b"x")).unwrap();
    inbound.unprotect_rtp(&mut packet).unwrap();
}

#[test]
fn every_length_up_to_64_is_survived_in_both_directions() {
    for profile in Profile::PREFERENCE {
        for length in 0..=64usize {
            for first in [0x00, 0x80, 0x8f, 0x90, 0x9f, 0xbf, 0xff] {
                let (mut outbound, mut inbound) = pair(profile);
                let bytes: Vec<u8> = (0..length).map(|i| if i == 0 { first } else { i as u8 }).collect();
                assert!(inbound.unprotect_rtp(&mut BytesMut::from(&bytes[..])).is_err());
                assert!(inbound.unprotect_rtcp(&mut BytesMut::from(&bytes[..])).is_err());
                let _ = protect_rtp(&mut outbound, &bytes);
                let _ = protect_rtcp(&mut outbound, &bytes);
            }
        }
    }
}

#[test]
fn buffers_without_room_are_refused_before_an_index_is_used() {
    for profile in Profile::PREFERENCE {
        let (mut outbound, _) = pair(profile);
        let plain = rtp(7, 1, b"payload");
        let mut short = plain.clone();
        assert!(matches!(outbound.protect_rtp(&mut short, plain.len()), Err(SrtpError::BufferTooSmall)));
        assert!(matches!(outbound.protect_rtp(&mut short, 10_000), Err(SrtpError::BufferTooSmall)));
        assert!(matches!(outbound.protect_rtcp(&mut short, plain.len()), Err(SrtpError::BufferTooSmall)));
        protect_rtp(&mut outbound, &plain).unwrap();
    }
}

#[test]
fn no_aead_nonce_repeats_over_two_to_the_twenty_packets() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    // The ciphertext of zeros is the key stream, which depends on key and nonce only.
    let mut key_streams = HashSet::new();
    let mut buffer = [0u8; 12 + 16 + 16];
    for packet in 0..1u32 << 20 {
        buffer[..12].copy_from_slice(&rtp(packet % 3, (packet / 3) as u16, &[]));
        buffer[12..28].fill(0);
        outbound.protect_rtp(&mut buffer, 28).unwrap();
        let key_stream: [u8; 16] = buffer[12..28].try_into().unwrap();
        assert!(key_streams.insert(key_stream), "nonce of packet {packet} was used before");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_never_pass(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for profile in Profile::PREFERENCE {
            let (mut outbound, mut inbound) = pair(profile);
            prop_assert!(inbound.unprotect_rtp(&mut BytesMut::from(&bytes[..])).is_err());
            prop_assert!(inbound.unprotect_rtcp(&mut BytesMut::from(&bytes[..])).is_err());
            let _ = protect_rtp(&mut outbound, &bytes);
            let _ = protect_rtcp(&mut outbound, &bytes);
        }
    }

    #[test]
    fn any_changed_bit_is_noticed(position in 0usize..(12 + 20 + 10) * 8) {
        for profile in Profile::PREFERENCE {
            let (mut outbound, mut inbound) = pair(profile);
            let mut packet = protect_rtp(&mut outbound, &rtp(7, 1, &[3; 20])).unwrap();
            packet[position / 8] ^= 1 << (position % 8);
            prop_assert!(inbound.unprotect_rtp(&mut packet).is_err());
            let mut packet = protect_rtcp(&mut outbound, &rtcp(7, &[3; 20])).unwrap();
            packet[position / 8] ^= 1 << (position % 8);
            prop_assert!(inbound.unprotect_rtcp(&mut packet).is_err());
        }
    }
}
