//! What is sent: encryption in place, each index once.

use super::aead::{self, rtcp_associated_data};
use super::cipher::PacketCipher;
use super::counter_mode;
use super::header::{RTCP_CLEAR_LENGTH, RTCP_INDEX_LENGTH, RtpFields, rtcp_ssrc, rtp_fields};
use super::key_derivation::{Protocol, derive};
use super::replay::Freshness;
use super::stream_table::StreamTable;
use super::{Profile, SrtpError};

/// Set in the SRTCP index word when the packet is encrypted; all of ours are (RFC 8827 §6.5).
pub(super) const ENCRYPTED_BIT: u32 = 1 << 31;

/// Protects what is sent with one master key.
pub struct Outbound {
    profile: Profile,
    rtp: PacketCipher,
    rtcp: PacketCipher,
    streams: StreamTable,
}

impl Outbound {
    /// Derives the session keys of one direction. Never make two of the same key: see
    /// [`KeyingMaterial::into_contexts`](super::KeyingMaterial::into_contexts).
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

    /// RTP is to be protected soon: see [`prefetch`](crate::proto::prefetch).
    pub(crate) fn prefetch(&self) {
        self.streams.prefetch();
    }

    /// The negotiated profile.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// How much longer a protected RTP packet is.
    pub fn rtp_overhead(&self) -> usize {
        self.profile.rtp_overhead()
    }

    /// How much longer a protected RTCP packet is.
    pub fn rtcp_overhead(&self) -> usize {
        self.profile.rtcp_overhead()
    }

    /// Encrypts the RTP packet in `buffer[..length]` in place and returns its protected length.
    ///
    /// `buffer` must have [`rtp_overhead`](Self::rtp_overhead) bytes of room behind the packet. Packets may
    /// come in any order within the last 1,024 of an SSRC, each sequence number once per roll-over.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let fields = self.rtp_fields(buffer, length)?;
        let window = &mut self.streams.find_or_add(fields.ssrc)?.rtp;
        let Some(index) = window.guess_rtp_index(fields.sequence_number) else {
            // RFC 3711 §9.2: behind the last index there is nothing; before index zero neither.
            return Err(if window.is_used_up() { SrtpError::IndexExhausted } else { SrtpError::IndexReused });
        };
        match window.check(index) {
            Freshness::Fresh => {}
            // Too old to know whether it was used: refused like a used one.
            Freshness::Seen | Freshness::TooOld => return Err(SrtpError::IndexReused),
        }
        // Marked first: after a failure half-way the nonce counts as used.
        window.mark(index);
        self.seal_rtp(buffer, length, fields, index)
    }

    /// Encrypts a packet again whose plaintext is byte for byte what was sent at this index before.
    ///
    /// The same nonce with the same plaintext and header gives the same ciphertext, which tells an
    /// observer nothing new. It is the caller's promise that nothing differs, header extensions included;
    /// what differs must go through RTX or [`protect_rtp`](Self::protect_rtp) at a new sequence number.
    pub fn protect_rtp_again(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let fields = self.rtp_fields(buffer, length)?;
        let window = &self.streams.find(fields.ssrc).ok_or(SrtpError::IndexUnused)?.rtp;
        let index = window.guess_rtp_index(fields.sequence_number).ok_or(SrtpError::IndexUnused)?;
        match window.check(index) {
            Freshness::Seen => self.seal_rtp(buffer, length, fields, index),
            Freshness::TooOld => Err(SrtpError::TooOld),
            Freshness::Fresh => Err(SrtpError::IndexUnused),
        }
    }

    /// Encrypts the compound RTCP packet in `buffer[..length]` in place and returns its protected length.
    ///
    /// `buffer` must have [`rtcp_overhead`](Self::rtcp_overhead) bytes of room behind the packet.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..length).ok_or(SrtpError::BufferTooSmall)?;
        let ssrc = rtcp_ssrc(packet)?;
        let protected_length = length + self.rtcp_overhead();
        let buffer = buffer.get_mut(..protected_length).ok_or(SrtpError::BufferTooSmall)?;
        let stream = self.streams.find_or_add(ssrc)?;
        let index = stream.next_rtcp_index;
        if index & ENCRYPTED_BIT != 0 {
            return Err(SrtpError::IndexExhausted);
        }
        stream.next_rtcp_index += 1;
        let index_word = (index | ENCRYPTED_BIT).to_be_bytes();
        let (packet, trailer) = buffer.split_at_mut(length);
        match &mut self.rtcp {
            PacketCipher::Aead(aead) => {
                let nonce = aead.rtcp_nonce(ssrc, index);
                let (clear, text) = packet.split_at_mut(RTCP_CLEAR_LENGTH);
                let tag = aead.seal(&nonce, &rtcp_associated_data(clear, index_word), text)?;
                trailer[..aead::TAG_LENGTH].copy_from_slice(&tag);
                trailer[aead::TAG_LENGTH..].copy_from_slice(&index_word);
            }
            PacketCipher::CounterMode(cipher) => {
                cipher.apply(ssrc, u64::from(index), &mut packet[RTCP_CLEAR_LENGTH..])?;
                trailer[..RTCP_INDEX_LENGTH].copy_from_slice(&index_word);
                let tag = cipher.tag(packet, &index_word);
                trailer[RTCP_INDEX_LENGTH..].copy_from_slice(&tag);
            }
        }
        Ok(protected_length)
    }

    fn rtp_fields(&self, buffer: &[u8], length: usize) -> Result<RtpFields, SrtpError> {
        let packet = buffer.get(..length).ok_or(SrtpError::BufferTooSmall)?;
        if buffer.len() - length < self.rtp_overhead() {
            return Err(SrtpError::BufferTooSmall);
        }
        rtp_fields(packet)
    }

    fn seal_rtp(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        fields: RtpFields,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let (packet, trailer) = buffer.split_at_mut(length);
        match &mut self.rtp {
            PacketCipher::Aead(aead) => {
                let nonce = aead.rtp_nonce(fields.ssrc, index);
                let (clear, text) = packet.split_at_mut(fields.clear_length);
                let tag = aead.seal(&nonce, clear, text)?;
                trailer[..aead::TAG_LENGTH].copy_from_slice(&tag);
            }
            PacketCipher::CounterMode(cipher) => {
                cipher.apply(fields.ssrc, index, &mut packet[fields.clear_length..])?;
                let tag = cipher.tag(packet, &roll_over_counter(index));
                trailer[..counter_mode::TAG_LENGTH].copy_from_slice(&tag);
            }
        }
        Ok(length + self.profile.tag_length())
    }

    #[cfg(test)]
    pub(super) fn set_next_rtcp_index(&mut self, ssrc: u32, index: u32) {
        self.streams.find_or_add(ssrc).expect("room in tests").next_rtcp_index = index;
    }

    #[cfg(test)]
    pub(super) fn set_highest_rtp_index(&mut self, ssrc: u32, index: u64) {
        self.streams.find_or_add(ssrc).expect("room in tests").rtp.mark(index);
    }
}

/// The roll-over counter of an index, as it is hashed behind an RTP packet (RFC 3711 §4.2).
pub(super) fn roll_over_counter(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}
