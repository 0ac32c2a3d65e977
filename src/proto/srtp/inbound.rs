//! What is received: replay check, authentication, decryption in place, and only then state.

use bytes::BytesMut;

use super::aead::{self, rtcp_associated_data};
use super::cipher::PacketCipher;
use super::counter_mode;
use super::header::{RTCP_CLEAR_LENGTH, RTCP_INDEX_LENGTH, RtpFields, rtcp_ssrc, rtp_fields};
use super::key_derivation::{Protocol, derive};
use super::outbound::{ENCRYPTED_BIT, roll_over_counter};
use super::replay::{Freshness, ReplayWindow};
use super::stream_table::StreamTable;
use super::{Profile, SrtpError};

/// Unprotects what is received with one master key.
pub struct Inbound {
    profile: Profile,
    rtp: PacketCipher,
    rtcp: PacketCipher,
    streams: StreamTable,
}

impl Inbound {
    /// Derives the session keys of one direction.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        let rtp = derive(profile, Protocol::Rtp, key, salt)?;
        let rtcp = derive(profile, Protocol::Rtcp, key, salt)?;
        Ok(Self {
            profile,
            rtp: PacketCipher::new(profile, &rtp)?,
            rtcp: PacketCipher::new(profile, &rtcp)?,
            streams: StreamTable::default(),
        })
    }

    /// The negotiated profile.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Checks and decrypts an SRTP packet in place and cuts off its tag.
    ///
    /// After an error the packet's contents are unspecified and no state has changed.
    pub fn unprotect_rtp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let length = packet.len().checked_sub(self.profile.tag_length()).ok_or(SrtpError::TooShort)?;
        let fields = rtp_fields(&packet[..length])?;
        let index = match self.streams.find(fields.ssrc) {
            Some(stream) => {
                // No index can be below zero: the packet would be older than the stream.
                let index = stream.rtp.guess_rtp_index(fields.sequence_number).ok_or(SrtpError::TooOld)?;
                check(&stream.rtp, index)?;
                index
            }
            None => ReplayWindow::new().guess_rtp_index(fields.sequence_number).ok_or(SrtpError::TooOld)?,
        };
        let (message, tag) = packet.split_at_mut(length);
        self.open_rtp(message, tag, fields, index)?;
        self.streams.find_or_add(fields.ssrc)?.rtp.mark(index);
        packet.truncate(length);
        Ok(())
    }

    /// Checks and decrypts an SRTCP packet in place and cuts off its index and tag.
    ///
    /// After an error the packet's contents are unspecified and no state has changed.
    pub fn unprotect_rtcp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let length = packet.len().checked_sub(self.profile.rtcp_overhead()).ok_or(SrtpError::TooShort)?;
        let ssrc = rtcp_ssrc(&packet[..length])?;
        let (message, trailer) = packet.split_at_mut(length);
        // RFC 3711 §3.4 puts the index before the tag, RFC 7714 §9.2 behind it.
        let (index_word, tag) = match self.rtcp {
            PacketCipher::Aead(_) => {
                let (tag, index_word) = trailer.split_at(aead::TAG_LENGTH);
                (index_word, tag)
            }
            PacketCipher::CounterMode(_) => trailer.split_at(RTCP_INDEX_LENGTH),
        };
        let index_word: [u8; RTCP_INDEX_LENGTH] = index_word.try_into().map_err(|_| SrtpError::TooShort)?;
        let index = u32::from_be_bytes(index_word) & !ENCRYPTED_BIT;
        if let Some(stream) = self.streams.find(ssrc)
            && let Some(window) = &stream.rtcp
        {
            check(window, u64::from(index))?;
        }
        self.open_rtcp(message, index_word, tag, ssrc)?;
        let stream = self.streams.find_or_add(ssrc)?;
        stream.rtcp.get_or_insert_with(|| Box::new(ReplayWindow::new())).mark(u64::from(index));
        packet.truncate(length);
        Ok(())
    }

    fn open_rtp(
        &mut self,
        message: &mut [u8],
        tag: &[u8],
        fields: RtpFields,
        index: u64,
    ) -> Result<(), SrtpError> {
        match &mut self.rtp {
            PacketCipher::Aead(aead) => {
                let nonce = aead.rtp_nonce(fields.ssrc, index);
                let (clear, text) = message.split_at_mut(fields.clear_length);
                aead.open(&nonce, clear, text, aead_tag(tag)?)
            }
            PacketCipher::CounterMode(cipher) => {
                cipher.verify(message, &roll_over_counter(index), hmac_tag(tag)?)?;
                cipher.apply(fields.ssrc, index, &mut message[fields.clear_length..])
            }
        }
    }

    fn open_rtcp(
        &mut self,
        message: &mut [u8],
        index_word: [u8; RTCP_INDEX_LENGTH],
        tag: &[u8],
        ssrc: u32,
    ) -> Result<(), SrtpError> {
        // RFC 3711 §3.4: authenticated always, encrypted where the E bit says so.
        let encrypted = u32::from_be_bytes(index_word) & ENCRYPTED_BIT != 0;
        let index = u32::from_be_bytes(index_word) & !ENCRYPTED_BIT;
        match &mut self.rtcp {
            PacketCipher::Aead(aead) => {
                let nonce = aead.rtcp_nonce(ssrc, index);
                // RFC 7714 §9.3: an unencrypted packet is associated data as a whole.
                let clear_length = if encrypted { RTCP_CLEAR_LENGTH } else { message.len() };
                let (clear, text) = message.split_at_mut(clear_length);
                aead.open(&nonce, &rtcp_associated_data(clear, index_word), text, aead_tag(tag)?)
            }
            PacketCipher::CounterMode(cipher) => {
                cipher.verify(message, &index_word, hmac_tag(tag)?)?;
                if encrypted {
                    cipher.apply(ssrc, u64::from(index), &mut message[RTCP_CLEAR_LENGTH..])?;
                }
                Ok(())
            }
        }
    }

    #[cfg(test)]
    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }
}

fn check(window: &ReplayWindow, index: u64) -> Result<(), SrtpError> {
    match window.check(index) {
        Freshness::Fresh => Ok(()),
        Freshness::Seen => Err(SrtpError::Replayed),
        Freshness::TooOld => Err(SrtpError::TooOld),
    }
}

fn aead_tag(bytes: &[u8]) -> Result<&[u8; aead::TAG_LENGTH], SrtpError> {
    bytes.try_into().map_err(|_| SrtpError::TooShort)
}

fn hmac_tag(bytes: &[u8]) -> Result<&[u8; counter_mode::TAG_LENGTH], SrtpError> {
    bytes.try_into().map_err(|_| SrtpError::TooShort)
}
