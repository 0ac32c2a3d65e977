//! One section: its m-line and attributes.

use super::attributes::*;
use super::codec_lines::CodecLines;
use super::description::MediaDescription;
use super::grammar;
use super::parse::{Recognised, transport_attribute};
use super::{CANDIDATES_MAX, REPEATS_MAX, RIDS_MAX, SdpErrorReason};

/// Most formats of an m-line: there are 128 payload types.
const FORMATS_MAX: usize = 128;

/// A section under construction.
#[derive(Debug)]
pub(super) struct SectionParser {
    pub(super) media: MediaDescription,
    codecs: CodecLines,
}

impl SectionParser {
    /// `m=<type> <port>[/<count>] <protocol> <formats>` (RFC 8866 5.14).
    pub(super) fn new(value: &str) -> Result<Self, SdpErrorReason> {
        let malformed = SdpErrorReason::BadMediaLine;
        let mut words = value.split_ascii_whitespace();
        let media_type = words.next().filter(|name| grammar::is_token(name)).ok_or(malformed)?;
        let port = words.next().ok_or(malformed)?;
        let (port, count) = port.split_once('/').unwrap_or((port, "1"));
        let port: u16 = port.parse().map_err(|_| malformed)?;
        count.parse::<u16>().map_err(|_| malformed)?;
        let protocol = words.next().ok_or(malformed)?;
        let mut media = MediaDescription::new(MediaType::from_name(media_type), port, protocol);
        media.formats = words.take(FORMATS_MAX + 1).map(str::to_owned).collect();
        // Sections that are rejected come without formats from some peers.
        if media.formats.len() > FORMATS_MAX || (media.formats.is_empty() && port != 0) {
            return Err(malformed);
        }
        let mut payload_types = Vec::new();
        if media.is_rtp() {
            let parsed: Option<Vec<u8>> = media.formats.iter().map(|format| format.parse().ok()).collect();
            payload_types = parsed.filter(|list| list.iter().all(|&pt| pt < 128)).ok_or(malformed)?;
        }
        Ok(Self { media, codecs: CodecLines::new(&payload_types) })
    }

    pub(super) fn finish(self) -> MediaDescription {
        let mut media = self.media;
        media.codecs = self.codecs.finish(media.media_type == MediaType::Audio);
        media
    }

    pub(super) fn attribute(&mut self, text: &str) -> Result<(), SdpErrorReason> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let _recognised = transport_attribute(&mut self.media.transport, name, value)?
            || self.codec_attribute(name, value)?
            || self.source_attribute(name, value)?
            || self.general_attribute(name, text, value)?;
        Ok(())
    }

    fn codec_attribute(&mut self, name: &str, value: &str) -> Recognised {
        match name {
            "rtpmap" => self.codecs.rtpmap(value)?,
            "fmtp" => self.codecs.fmtp(value)?,
            "rtcp-fb" => self.codecs.feedback(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn source_attribute(&mut self, name: &str, value: &str) -> Recognised {
        let media = &mut self.media;
        match name {
            "msid" => push(&mut media.msids, grammar::msid(value), "msid")?,
            "ssrc" => push(&mut media.sources, grammar::source(value), "ssrc")?,
            "ssrc-group" => push(&mut media.source_groups, grammar::source_group(value), "ssrc-group")?,
            "extmap" => push(&mut media.extensions, grammar::extmap(value), "extmap")?,
            "rid" => self.rid(value)?,
            "simulcast" => self.simulcast(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn general_attribute(&mut self, name: &str, text: &str, value: &str) -> Recognised {
        let media = &mut self.media;
        match name {
            "candidate" => {
                if media.candidates.len() < CANDIDATES_MAX {
                    media.candidates.push(text.trim_end().into());
                }
            }
            "mid" => {
                if media.mid.is_some() {
                    return Err(SdpErrorReason::Repeated("mid"));
                }
                let mid = grammar::is_token(value).then(|| value.to_owned());
                media.mid = Some(mid.ok_or(SdpErrorReason::BadAttribute("mid"))?);
            }
            "rtcp-mux" => media.rtcp_mux = true,
            "rtcp-mux-only" => media.rtcp_mux_only = true,
            "rtcp-rsize" => media.rtcp_reduced_size = true,
            "bundle-only" => media.bundle_only = true,
            "extmap-allow-mixed" => media.extmap_allow_mixed = true,
            "sctp-port" => {
                let port = value.trim().parse();
                media.sctp_port = Some(port.map_err(|_| SdpErrorReason::BadAttribute("sctp-port"))?);
            }
            "sctpmap" => {
                let map = grammar::sctp_map(value);
                media.sctp_map = Some(map.ok_or(SdpErrorReason::BadAttribute("sctpmap"))?);
            }
            "rtcp" => {
                let address = grammar::rtcp_address(value);
                media.rtcp = Some(address.ok_or(SdpErrorReason::BadAttribute("rtcp"))?);
            }
            // Advice only, and some peers write fractions: what is not a whole number says nothing.
            "ptime" => media.packet_time = value.trim().parse().ok(),
            "maxptime" => media.packet_time_max = value.trim().parse().ok(),
            "max-message-size" => {
                let size = value.trim().parse();
                media.max_message_size =
                    Some(size.map_err(|_| SdpErrorReason::BadAttribute("max-message-size"))?);
            }
            _ => match Direction::from_name(name) {
                Some(direction) => media.direction = Some(direction),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// RFC 8851 6: lines that are malformed, or repeat an identifier, are discarded.
    fn rid(&mut self, value: &str) -> Result<(), SdpErrorReason> {
        let rids = &mut self.media.rids;
        if rids.len() >= RIDS_MAX {
            return Err(SdpErrorReason::TooMany("rid"));
        }
        if let Some(rid) = grammar::rid(value).filter(|rid| rids.iter().all(|known| known.id != rid.id)) {
            rids.push(rid);
        }
        Ok(())
    }

    fn simulcast(&mut self, value: &str) -> Result<(), SdpErrorReason> {
        // RFC 8853 5.2: at most one line.
        if self.media.simulcast.is_some() {
            return Err(SdpErrorReason::Repeated("simulcast"));
        }
        // The drafts before the RFC had a space here and another grammar: as good as unknown.
        if value.starts_with(' ') {
            return Ok(());
        }
        let simulcast = grammar::simulcast(value).ok_or(SdpErrorReason::BadAttribute("simulcast"))?;
        self.media.simulcast = Some(simulcast);
        Ok(())
    }
}

fn push<T>(list: &mut Vec<T>, value: Option<T>, name: &'static str) -> Result<(), SdpErrorReason> {
    let value = value.ok_or(SdpErrorReason::BadAttribute(name))?;
    if list.len() >= REPEATS_MAX {
        return Err(SdpErrorReason::TooMany(name));
    }
    list.push(value);
    Ok(())
}
