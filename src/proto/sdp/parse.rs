//! Lines into a description: the session level, and the split into sections.

use super::attributes::*;
use super::description::*;
use super::grammar;
use super::parse_media::SectionParser;
use super::{REPEATS_MAX, SECTIONS_MAX, SdpError, SdpErrorReason, TEXT_BYTES_MAX};
use std::collections::HashSet;
use std::str::FromStr;

/// Most groups and most session-wide extensions.
const SESSION_REPEATS_MAX: usize = 256;

impl FromStr for SessionDescription {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(SdpError { line: 0, reason: SdpErrorReason::TextTooLong });
        }
        let mut parser = Parser::default();
        let mut last = 0;
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            // Blank lines are not legal, but descriptions pasted by people have them.
            if line.trim().is_empty() {
                continue;
            }
            last = index + 1;
            parser.line(line, last).map_err(|reason| SdpError { line: last, reason })?;
        }
        parser.finish().map_err(|reason| SdpError { line: last, reason })
    }
}

/// Result of one attribute: whether it was recognised.
pub(super) type Recognised = Result<bool, SdpErrorReason>;

#[derive(Debug, Default)]
struct Parser {
    description: SessionDescription,
    has_version: bool,
    has_origin: bool,
    has_name: bool,
    has_time: bool,
    section: Option<SectionParser>,
    mids: HashSet<String>,
}

impl Parser {
    fn line(&mut self, line: &str, number: usize) -> Result<(), SdpErrorReason> {
        if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(SdpErrorReason::ControlCharacter);
        }
        let (kind, value) = line.split_once('=').ok_or(SdpErrorReason::NotTypeValue)?;
        if number == 1 && (kind != "v" || value.trim() != "0") {
            return Err(SdpErrorReason::BadVersion);
        }
        match (kind, &mut self.section) {
            ("m", _) => self.begin_section(value)?,
            ("a", Some(section)) => section.attribute(value)?,
            ("a", None) => self.attribute(value)?,
            ("c", Some(section)) => section.media.connection = Some(connection(value)?),
            ("c", None) => self.description.connection = Some(connection(value)?),
            ("b", section) => bandwidth(value, section.as_mut(), &mut self.description.bandwidths)?,
            ("v", None) => self.has_version = true,
            ("o", None) => {
                self.description.origin = origin(value)?;
                self.has_origin = true;
            }
            ("s", None) => {
                // RFC 8866 5.3: a session without a name is written as "-".
                self.description.session_name =
                    Some(value.trim()).filter(|s| !s.is_empty()).unwrap_or("-").to_owned();
                self.has_name = true;
            }
            ("t", None) => self.has_time = true,
            ("i" | "k", _) | ("u" | "e" | "p" | "r" | "z", None) => {}
            // RFC 8866 5: type letters that are not understood reject the whole description.
            _ => return Err(SdpErrorReason::NotTypeValue),
        }
        Ok(())
    }

    fn begin_section(&mut self, value: &str) -> Result<(), SdpErrorReason> {
        self.end_section()?;
        if self.description.media.len() >= SECTIONS_MAX {
            return Err(SdpErrorReason::TooManySections);
        }
        self.section = Some(SectionParser::new(value)?);
        Ok(())
    }

    fn end_section(&mut self) -> Result<(), SdpErrorReason> {
        let Some(section) = self.section.take() else { return Ok(()) };
        let media = section.finish();
        // RFC 5888 4: identification tags are unique.
        if let Some(mid) = &media.mid
            && !self.mids.insert(mid.clone())
        {
            return Err(SdpErrorReason::Repeated("mid"));
        }
        self.description.media.push(media);
        Ok(())
    }

    fn finish(mut self) -> Result<SessionDescription, SdpErrorReason> {
        self.end_section()?;
        let required =
            [('v', self.has_version), ('o', self.has_origin), ('s', self.has_name), ('t', self.has_time)];
        match required.into_iter().find(|(_, present)| !present) {
            Some((letter, _)) => Err(SdpErrorReason::MissingLine(letter)),
            None => {
                // Sections are large, and a description is kept as long as its connection.
                self.description.media.shrink_to_fit();
                Ok(self.description)
            }
        }
    }

    fn attribute(&mut self, text: &str) -> Result<(), SdpErrorReason> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let description = &mut self.description;
        if transport_attribute(&mut description.transport, name, value)? {
            return Ok(());
        }
        match name {
            "group" => {
                if description.groups.len() >= SESSION_REPEATS_MAX {
                    return Err(SdpErrorReason::TooMany("group"));
                }
                description.groups.push(group(value).ok_or(SdpErrorReason::BadAttribute("group"))?);
            }
            "extmap" => {
                if description.extensions.len() >= SESSION_REPEATS_MAX {
                    return Err(SdpErrorReason::TooMany("extmap"));
                }
                let mapping = grammar::extmap(value).ok_or(SdpErrorReason::BadAttribute("extmap"))?;
                description.extensions.push(mapping);
            }
            "extmap-allow-mixed" => description.extmap_allow_mixed = true,
            "ice-lite" => description.ice_lite = true,
            "msid-semantic" => description.msid_semantic = Some(value.trim().to_owned()),
            _ => {
                if let Some(direction) = Direction::from_name(name) {
                    description.direction = Some(direction);
                }
            }
        }
        Ok(())
    }
}

/// Attributes that are allowed for the session and for a section.
pub(super) fn transport_attribute(
    transport: &mut TransportAttributes,
    name: &str,
    value: &str,
) -> Recognised {
    match name {
        "ice-ufrag" => {
            // RFC 8839 5.4: 4 to 256 ice-chars; a password has at least 22.
            let valid = grammar::is_ice_chars(value, 4).then(|| value.to_owned());
            transport.ice_ufrag = Some(valid.ok_or(SdpErrorReason::BadAttribute("ice-ufrag"))?);
        }
        "ice-pwd" => {
            let valid = grammar::is_ice_chars(value, 22).then(|| value.to_owned());
            transport.ice_pwd = Some(valid.ok_or(SdpErrorReason::BadAttribute("ice-pwd"))?);
        }
        "ice-options" => {
            let words = value.split_ascii_whitespace().take(SESSION_REPEATS_MAX);
            transport.ice_options = words.map(str::to_owned).collect();
        }
        "fingerprint" => {
            if transport.fingerprints.len() >= SESSION_REPEATS_MAX {
                return Err(SdpErrorReason::TooMany("fingerprint"));
            }
            let fingerprint = grammar::fingerprint(value);
            transport.fingerprints.push(fingerprint.ok_or(SdpErrorReason::BadAttribute("fingerprint"))?);
        }
        "setup" => {
            let setup = Setup::from_name(value.trim());
            transport.setup = Some(setup.ok_or(SdpErrorReason::BadAttribute("setup"))?);
        }
        "tls-id" => transport.tls_id = Some(value.trim().to_owned()),
        "end-of-candidates" => transport.end_of_candidates = true,
        _ => return Ok(false),
    }
    Ok(true)
}

fn group(value: &str) -> Option<Group> {
    let mut words = value.split_ascii_whitespace();
    let semantics = words.next()?.to_owned();
    let mids: Vec<String> = words.map(str::to_owned).collect();
    let well_formed = mids.len() <= REPEATS_MAX && mids.iter().all(|mid| grammar::is_token(mid));
    well_formed.then_some(Group { semantics, mids })
}

fn origin(value: &str) -> Result<Origin, SdpErrorReason> {
    let words: Vec<&str> = value.split_ascii_whitespace().take(7).collect();
    let [username, session_id, session_version, network, family, address] = words[..] else {
        return Err(SdpErrorReason::BadOrigin);
    };
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !numeric(session_id) || !numeric(session_version) {
        return Err(SdpErrorReason::BadOrigin);
    }
    Ok(Origin {
        username: username.to_owned(),
        session_id: session_id.to_owned(),
        session_version: session_version.to_owned(),
        address: format!("{network} {family} {address}"),
    })
}

fn connection(value: &str) -> Result<String, SdpErrorReason> {
    let words: Vec<&str> = value.split_ascii_whitespace().take(4).collect();
    if words.len() == 3 { Ok(words.join(" ")) } else { Err(SdpErrorReason::BadConnection) }
}

/// `b=` of a section or of the session.
fn bandwidth(
    value: &str,
    section: Option<&mut SectionParser>,
    session: &mut Vec<(String, u64)>,
) -> Result<(), SdpErrorReason> {
    let (kind, value) = value.split_once(':').ok_or(SdpErrorReason::BadBandwidth)?;
    let value = value.trim().parse().map_err(|_| SdpErrorReason::BadBandwidth)?;
    let list = section.map_or(session, |section| &mut section.media.bandwidths);
    if list.len() >= SESSION_REPEATS_MAX {
        return Err(SdpErrorReason::TooMany("bandwidth"));
    }
    list.push((kind.to_owned(), value));
    Ok(())
}
