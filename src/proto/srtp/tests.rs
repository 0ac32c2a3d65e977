//! SRTP against the vectors of the RFCs and of libsrtp, and against hostile input.

mod attacks;
mod streams;
mod vectors;

use bytes::BytesMut;

use super::{Inbound, Outbound, Profile, SrtpError};

/// A key and a salt of the profile's lengths.
fn key_and_salt(profile: Profile) -> (Vec<u8>, Vec<u8>) {
    let key = (0..profile.key_length()).map(|i| i as u8 ^ 0x5a).collect();
    let salt = (0..profile.salt_length()).map(|i| i as u8 ^ 0xa5).collect();
    (key, salt)
}

fn pair(profile: Profile) -> (Outbound, Inbound) {
    let (key, salt) = key_and_salt(profile);
    (
        Outbound::new(profile, &key, &salt).expect("keys fit the profile"),
        Inbound::new(profile, &key, &salt).expect("keys fit the profile"),
    )
}

fn rtp(ssrc: u32, sequence_number: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend(1234u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn rtcp(ssrc: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, ((4 + body.len()) / 4) as u8];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(body);
    packet
}

fn protect_rtp(outbound: &mut Outbound, packet: &[u8]) -> Result<BytesMut, SrtpError> {
    let mut buffer = BytesMut::from(packet);
    buffer.resize(packet.len() + outbound.rtp_overhead(), 0);
    let length = outbound.protect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn protect_rtcp(outbound: &mut Outbound, packet: &[u8]) -> Result<BytesMut, SrtpError> {
    let mut buffer = BytesMut::from(packet);
    buffer.resize(packet.len() + outbound.rtcp_overhead(), 0);
    let length = outbound.protect_rtcp(&mut buffer, packet.len())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
