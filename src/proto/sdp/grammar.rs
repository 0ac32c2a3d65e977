//! The small grammars that attributes are built from. Everything here is total.

use super::attributes::*;
use super::{REPEATS_MAX, RIDS_MAX};

/// RFC 8866 9 `token`, at most 255 bytes.
pub(super) fn is_token(text: &str) -> bool {
    let token_byte = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(b, b'^' | b'_' | b'`' | b'{' | b'|' | b'}' | b'~')
    };
    (1..=255).contains(&text.len()) && text.bytes().all(token_byte)
}

/// RFC 8839 5.4 `ice-char`, between `min` and 256 bytes.
pub(super) fn is_ice_chars(text: &str, min: usize) -> bool {
    let ice_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    (min..=256).contains(&text.len()) && text.bytes().all(ice_char)
}

/// RFC 8122 5: hash name, space, pairs of hex digits separated by colons.
pub(super) fn fingerprint(value: &str) -> Option<String> {
    let (hash, digest) = value.trim().split_once(' ')?;
    let pairs = digest.trim();
    let well_formed = is_token(hash)
        && pairs.len() <= 3 * 64
        && pairs.split(':').all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()));
    well_formed.then(|| format!("{hash} {pairs}"))
}

/// RFC 8285 8.
pub(super) fn extmap(value: &str) -> Option<ExtensionMapping> {
    let mut words = value.splitn(3, ' ');
    let (id, direction) = match words.next()?.split_once('/') {
        Some((id, direction)) => (id, Some(Direction::from_name(direction)?)),
        None => (value.split(' ').next()?, None),
    };
    let id = id.parse().ok().filter(|id| matches!(id, 1..=255 | 4096..=4351))?;
    let uri = words.next().filter(|uri| !uri.is_empty())?.to_owned();
    let attributes = words.next().map(str::to_owned).filter(|text| !text.is_empty());
    Some(ExtensionMapping { id, direction, uri, attributes })
}

/// `<port> <application> [<streams>]`, as the drafts before RFC 8841 had it.
pub(super) fn sctp_map(value: &str) -> Option<SctpMap> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let application = words.next()?.to_owned();
    let streams = words.next().map(str::parse).transpose().ok()?;
    Some(SctpMap { port, application, streams })
}

/// RFC 3605 2.1: the address may be left out.
pub(super) fn rtcp_address(value: &str) -> Option<RtcpAddress> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let address: Vec<&str> = words.take(4).collect();
    let well_formed = matches!(address.len(), 0 | 3);
    well_formed.then(|| RtcpAddress { port, address: (!address.is_empty()).then(|| address.join(" ")) })
}

/// RFC 8830 2; the stream id `-` means none.
pub(super) fn msid(value: &str) -> Option<Msid> {
    let mut words = value.split_ascii_whitespace();
    let stream = words.next()?;
    let track = words.next().map(str::to_owned);
    Some(Msid { stream: (stream != "-").then(|| stream.to_owned()), track })
}

/// RFC 5576 4.1.
pub(super) fn source(value: &str) -> Option<SourceAttribute> {
    let (ssrc, attribute) = value.split_once(' ')?;
    let (name, value) = match attribute.split_once(':') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (attribute, None),
    };
    let ssrc = ssrc.parse().ok()?;
    (!name.is_empty()).then(|| SourceAttribute { ssrc, name: name.to_owned(), value })
}

/// RFC 5576 4.2.
pub(super) fn source_group(value: &str) -> Option<SourceGroup> {
    let mut words = value.split_ascii_whitespace();
    let semantics = words.next()?.to_owned();
    let ssrcs: Vec<u32> = words.take(REPEATS_MAX).map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some(SourceGroup { semantics, ssrcs })
}

/// RFC 8851 10: letters, digits, `-` and `_`, as the header extension carries them.
fn is_rid(text: &str) -> bool {
    let rid_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=255).contains(&text.len()) && text.bytes().all(rid_byte)
}

/// RFC 8851 10.
pub(super) fn rid(value: &str) -> Option<Rid> {
    let mut words = value.splitn(3, ' ');
    let id = words.next().filter(|id| is_rid(id))?.to_owned();
    let direction = match words.next()? {
        "send" => RidDirection::Send,
        "recv" => RidDirection::Recv,
        _ => return None,
    };
    let mut rid = Rid { id, direction, payload_types: Vec::new(), restrictions: Vec::new() };
    for parameter in words.next().unwrap_or_default().split(';').map(str::trim) {
        match parameter.split_once('=') {
            Some(("pt", list)) => {
                // RFC 8851 5: `pt` may occur once; a second list would be a contradiction.
                let types: Option<Vec<u8>> = list.split(',').map(|word| word.trim().parse().ok()).collect();
                rid.payload_types = types.filter(|list| list.len() <= 128 && rid.payload_types.is_empty())?;
            }
            Some((name, value)) => rid.restrictions.push((name.to_owned(), Some(value.to_owned()))),
            None if parameter.is_empty() => {}
            None => rid.restrictions.push((parameter.to_owned(), None)),
        }
    }
    (rid.restrictions.len() <= 32).then_some(rid)
}

/// RFC 8853 5.1.
pub(super) fn simulcast(value: &str) -> Option<Simulcast> {
    let mut simulcast = Simulcast::default();
    let mut words = value.split_ascii_whitespace();
    while let Some(direction) = words.next() {
        let list = words.next()?;
        let target = match direction {
            "send" => &mut simulcast.send,
            "recv" => &mut simulcast.recv,
            _ => return None,
        };
        if !target.is_empty() {
            return None;
        }
        for alternatives in list.split(';').take(RIDS_MAX) {
            let ids = alternatives.split(',').take(RIDS_MAX).map(|id| {
                let rid = id.strip_prefix('~').unwrap_or(id);
                is_rid(rid).then(|| SimulcastId { rid: rid.to_owned(), paused: rid.len() != id.len() })
            });
            target.push(ids.collect::<Option<_>>()?);
        }
    }
    (!simulcast.send.is_empty() || !simulcast.recv.is_empty()).then_some(simulcast)
}
