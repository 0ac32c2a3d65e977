//! Writing a description as text, lines ended by CRLF (RFC 8866 9).

use super::attributes::*;
use super::description::*;
use crate::proto::rtp::CodecParameters;
use std::fmt::{self, Display, Formatter};

impl Display for SessionDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "v=0\r\no={} {} ", origin.username, origin.session_id)?;
        write!(f, "{} {}\r\n", origin.session_version, origin.address)?;
        write!(f, "s={}\r\n", if self.session_name.is_empty() { "-" } else { &self.session_name })?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        for (kind, value) in &self.bandwidths {
            write!(f, "b={kind}:{value}\r\n")?;
        }
        f.write_str("t=0 0\r\n")?;
        for group in &self.groups {
            write!(f, "a=group:{}", group.semantics)?;
            for mid in &group.mids {
                write!(f, " {mid}")?;
            }
            f.write_str("\r\n")?;
        }
        flag(f, "extmap-allow-mixed", self.extmap_allow_mixed)?;
        if let Some(value) = &self.msid_semantic {
            write!(f, "a=msid-semantic:{value}\r\n")?;
        }
        flag(f, "ice-lite", self.ice_lite)?;
        write_transport(f, &self.transport)?;
        for extension in &self.extensions {
            write_extension(f, extension)?;
        }
        if let Some(direction) = self.direction {
            write!(f, "a={}\r\n", direction.as_str())?;
        }
        self.media.iter().try_for_each(|section| section.fmt(f))
    }
}

impl Display for MediaDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.media_type, self.port, self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        for (kind, value) in &self.bandwidths {
            write!(f, "b={kind}:{value}\r\n")?;
        }
        if let Some(mid) = &self.mid {
            write!(f, "a=mid:{mid}\r\n")?;
        }
        for candidate in &self.candidates {
            write!(f, "a={candidate}\r\n")?;
        }
        write_transport(f, &self.transport)?;
        flag(f, "bundle-only", self.bundle_only)?;
        if let Some(direction) = self.direction {
            write!(f, "a={}\r\n", direction.as_str())?;
        }
        for msid in &self.msids {
            write!(f, "a=msid:{}", msid.stream.as_deref().unwrap_or("-"))?;
            if let Some(track) = &msid.track {
                write!(f, " {track}")?;
            }
            f.write_str("\r\n")?;
        }
        self.write_rtp(f)?;
        if let Some(SctpMap { port, application, streams }) = &self.sctp_map {
            write!(f, "a=sctpmap:{port} {application}")?;
            if let Some(streams) = streams {
                write!(f, " {streams}")?;
            }
            f.write_str("\r\n")?;
        }
        if let Some(port) = self.sctp_port {
            write!(f, "a=sctp-port:{port}\r\n")?;
        }
        if let Some(size) = self.max_message_size {
            write!(f, "a=max-message-size:{size}\r\n")?;
        }
        Ok(())
    }
}

impl MediaDescription {
    fn write_rtp(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(RtcpAddress { port, address }) = &self.rtcp {
            match address {
                Some(address) => write!(f, "a=rtcp:{port} {address}\r\n")?,
                None => write!(f, "a=rtcp:{port}\r\n")?,
            }
        }
        flag(f, "rtcp-mux", self.rtcp_mux)?;
        flag(f, "rtcp-mux-only", self.rtcp_mux_only)?;
        flag(f, "rtcp-rsize", self.rtcp_reduced_size)?;
        flag(f, "extmap-allow-mixed", self.extmap_allow_mixed)?;
        for extension in &self.extensions {
            write_extension(f, extension)?;
        }
        for codec in &self.codecs {
            write_codec(f, codec)?;
        }
        for (name, milliseconds) in [("ptime", self.packet_time), ("maxptime", self.packet_time_max)] {
            if let Some(milliseconds) = milliseconds {
                write!(f, "a={name}:{milliseconds}\r\n")?;
            }
        }
        for group in &self.source_groups {
            write!(f, "a=ssrc-group:{}", group.semantics)?;
            for ssrc in &group.ssrcs {
                write!(f, " {ssrc}")?;
            }
            f.write_str("\r\n")?;
        }
        for source in &self.sources {
            write!(f, "a=ssrc:{} {}", source.ssrc, source.name)?;
            if let Some(value) = &source.value {
                write!(f, ":{value}")?;
            }
            f.write_str("\r\n")?;
        }
        for rid in &self.rids {
            write_rid(f, rid)?;
        }
        match &self.simulcast {
            Some(simulcast) => write_simulcast(f, simulcast),
            None => Ok(()),
        }
    }
}

fn flag(f: &mut Formatter<'_>, name: &str, set: bool) -> fmt::Result {
    if set { write!(f, "a={name}\r\n") } else { Ok(()) }
}

fn write_transport(f: &mut Formatter<'_>, transport: &TransportAttributes) -> fmt::Result {
    flag(f, "end-of-candidates", transport.end_of_candidates)?;
    if let Some(ufrag) = &transport.ice_ufrag {
        write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
    }
    if let Some(password) = &transport.ice_pwd {
        write!(f, "a=ice-pwd:{password}\r\n")?;
    }
    if !transport.ice_options.is_empty() {
        write!(f, "a=ice-options:{}\r\n", transport.ice_options.join(" "))?;
    }
    for fingerprint in &transport.fingerprints {
        write!(f, "a=fingerprint:{fingerprint}\r\n")?;
    }
    if let Some(setup) = transport.setup {
        write!(f, "a=setup:{}\r\n", setup.as_str())?;
    }
    match &transport.tls_id {
        Some(id) => write!(f, "a=tls-id:{id}\r\n"),
        None => Ok(()),
    }
}

fn write_extension(f: &mut Formatter<'_>, extension: &ExtensionMapping) -> fmt::Result {
    write!(f, "a=extmap:{}", extension.id)?;
    if let Some(direction) = extension.direction {
        write!(f, "/{}", direction.as_str())?;
    }
    write!(f, " {}", extension.uri)?;
    if let Some(attributes) = &extension.attributes {
        write!(f, " {attributes}")?;
    }
    f.write_str("\r\n")
}

fn write_codec(f: &mut Formatter<'_>, codec: &CodecParameters) -> fmt::Result {
    let payload_type = codec.payload_type;
    write!(f, "a=rtpmap:{payload_type} {}/{}", codec.name, codec.clock_rate)?;
    // RFC 8866 6.6: one channel is the default and is not written.
    if let Some(channels) = codec.channels.filter(|&channels| channels != 1) {
        write!(f, "/{channels}")?;
    }
    f.write_str("\r\n")?;
    for feedback in &codec.feedback {
        write!(f, "a=rtcp-fb:{payload_type} {feedback}\r\n")?;
    }
    for (index, (name, value)) in codec.parameters.iter().enumerate() {
        match index {
            0 => write!(f, "a=fmtp:{payload_type} {name}")?,
            _ => write!(f, ";{name}")?,
        }
        if let Some(value) = value {
            write!(f, "={value}")?;
        }
    }
    if codec.parameters.is_empty() { Ok(()) } else { f.write_str("\r\n") }
}

fn write_rid(f: &mut Formatter<'_>, rid: &Rid) -> fmt::Result {
    write!(f, "a=rid:{} {}", rid.id, rid.direction.as_str())?;
    let mut separator = ' ';
    if !rid.payload_types.is_empty() {
        let list: Vec<String> = rid.payload_types.iter().map(u8::to_string).collect();
        write!(f, " pt={}", list.join(","))?;
        separator = ';';
    }
    for (name, value) in &rid.restrictions {
        write!(f, "{separator}{name}")?;
        if let Some(value) = value {
            write!(f, "={value}")?;
        }
        separator = ';';
    }
    f.write_str("\r\n")
}

fn write_simulcast(f: &mut Formatter<'_>, simulcast: &Simulcast) -> fmt::Result {
    if simulcast.send.is_empty() && simulcast.recv.is_empty() {
        return Ok(());
    }
    let mut separator = ':';
    f.write_str("a=simulcast")?;
    for (name, streams) in [("send", &simulcast.send), ("recv", &simulcast.recv)] {
        if streams.is_empty() {
            continue;
        }
        let streams: Vec<String> = streams
            .iter()
            .map(|alternatives| {
                let ids: Vec<String> = alternatives
                    .iter()
                    .map(|id| format!("{}{}", if id.paused { "~" } else { "" }, id.rid))
                    .collect();
                ids.join(",")
            })
            .collect();
        write!(f, "{separator}{name} {}", streams.join(";"))?;
        separator = ' ';
    }
    f.write_str("\r\n")
}
