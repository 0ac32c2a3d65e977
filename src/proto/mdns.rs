//! Names of candidates that hide addresses: multicast DNS (RFC 6762) as far as a resolver and a responder need it.
//!
//! A query asks for the IPv4 and the IPv6 address of one name; of a response only address records are read. A
//! responder reads which names are asked for, and answers with the one address that a name of ours has.
//! Reading is total and bounded: names are at most 255 bytes, compression pointers only lead backwards, and
//! records beyond [`MAX_RECORDS`] are not looked at. Nothing here proves who answered: whoever is on the link
//! may, and ICE's own checks decide whether the address is the peer's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The port of all multicast DNS (RFC 6762 section 3).
pub const PORT: u16 = 5353;

/// The IPv4 group.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// The IPv6 group, on each link.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 0xFB);

/// Records of one response that are looked at: a responder has a handful of addresses.
pub const MAX_RECORDS: usize = 64;

/// Longest name (RFC 1035 section 2.3.4).
const MAX_NAME_LENGTH: usize = 255;

/// Record types and the class (RFC 1035 section 3.2, RFC 3596).
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_NSEC: u16 = 47;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;

/// The cache-flush bit of a record's class (RFC 6762 section 10.2).
const CACHE_FLUSH: u16 = 0x8000;

/// Whether `name` is one that a candidate may have: one label of letters, digits and hyphens, and `.local`.
/// Only these are ever asked for.
pub fn is_candidate_name(name: &str) -> bool {
    let label = name.strip_suffix(".local").or_else(|| name.strip_suffix(".local."));
    label.is_some_and(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// A query for the addresses of a name. `None` if it is not one that a candidate may have.
pub fn query(name: &str) -> Option<Vec<u8>> {
    if !is_candidate_name(name) {
        return None;
    }
    // RFC 6762 section 18: id 0, no flags; two questions.
    let mut bytes = vec![0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0];
    let begin = bytes.len() as u16;
    write_name(name, &mut bytes);
    bytes.extend_from_slice(&TYPE_A.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    bytes.extend_from_slice(&(0xC000 | begin).to_be_bytes());
    bytes.extend_from_slice(&TYPE_AAAA.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    Some(bytes)
}

/// How long others may remember the address of a name (RFC 6762 section 10), in seconds.
pub const TTL: u32 = 120;

/// The names of candidates whose addresses a query asks for, in lower case. Empty if it is no query.
pub fn names_asked(query: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    // What was read before the end of a message that is cut counts.
    let _ = read_questions(query, &mut names);
    names
}

fn read_questions(query: &[u8], names: &mut Vec<String>) -> Option<()> {
    let mut reader = Reader { bytes: query, at: 0 };
    let (_id, flags, questions) = (reader.number()?, reader.number()?, reader.number()?);
    // RFC 6762 section 18: a query (no QR) of opcode 0.
    if flags & 0xF800 != 0 {
        return None;
    }
    reader.take(6)?;
    for _ in 0..usize::from(questions).min(MAX_RECORDS) {
        let name = reader.name()?.to_ascii_lowercase();
        let (kind, class) = (reader.number()?, reader.number()?);
        // The uppermost bit asks for an answer to the asker alone (section 5.4), and need not be obeyed.
        let is_for_address =
            matches!(kind, TYPE_A | TYPE_AAAA | TYPE_ANY) && class & !CACHE_FLUSH == CLASS_IN;
        if is_for_address && is_candidate_name(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    Some(())
}

/// The answer that `name` has this address, and no other: so nobody waits for one of the other family (RFC 6762
/// section 6.1). With a `ttl` of 0 a name is withdrawn (section 10.1). `None` if no candidate may have the name.
pub fn response(name: &str, address: IpAddr, ttl: u32) -> Option<Vec<u8>> {
    if !is_candidate_name(name) {
        return None;
    }
    // Section 18: id 0, an authoritative answer; one answer, one additional record.
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let owner = 0xC000 | bytes.len() as u16;
    write_name(name, &mut bytes);
    let (kind, data, bitmap) = match address {
        IpAddr::V4(ip) => (TYPE_A, ip.octets().to_vec(), &[0, 1, 0x40][..]),
        IpAddr::V6(ip) => (TYPE_AAAA, ip.octets().to_vec(), &[0, 4, 0, 0, 0, 0x08][..]),
    };
    write_record(kind, ttl, &data, &mut bytes);
    bytes.extend_from_slice(&owner.to_be_bytes());
    // RFC 4034 section 4.1: the next name, here the same, and which types there are.
    let data = [&owner.to_be_bytes()[..], bitmap].concat();
    write_record(TYPE_NSEC, ttl, &data, &mut bytes);
    Some(bytes)
}

/// A record, behind its name.
fn write_record(kind: u16, ttl: u32, data: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&(CLASS_IN | CACHE_FLUSH).to_be_bytes());
    bytes.extend_from_slice(&ttl.to_be_bytes());
    bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(data);
}

fn write_name(name: &str, bytes: &mut Vec<u8>) {
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
}

/// The first address of `name` in a response; `None` if there is none, or it is no response.
pub fn address_in(response: &[u8], name: &str) -> Option<IpAddr> {
    let mut reader = Reader { bytes: response, at: 0 };
    let _id = reader.number()?;
    let flags = reader.number()?;
    // RFC 6762 section 18: a response (QR) of opcode 0 and without error.
    if flags & 0xF80F != 0x8000 {
        return None;
    }
    let questions = reader.number()?;
    let records =
        [reader.number()?, reader.number()?, reader.number()?].into_iter().map(usize::from).sum::<usize>();
    for _ in 0..usize::from(questions).min(MAX_RECORDS) {
        reader.name()?;
        reader.take(4)?;
    }
    let wanted = name.trim_end_matches('.');
    for _ in 0..records.min(MAX_RECORDS) {
        let owner = reader.name()?;
        let (kind, class) = (reader.number()?, reader.number()?);
        let is_withdrawn = reader.take(4)? == [0; 4];
        let length = usize::from(reader.number()?);
        let data = reader.take(length)?;
        if is_withdrawn || class & !CACHE_FLUSH != CLASS_IN || !owner.eq_ignore_ascii_case(wanted) {
            continue;
        }
        let address = match kind {
            TYPE_A => <[u8; 4]>::try_from(data).ok().map(|ip| IpAddr::from(Ipv4Addr::from(ip))),
            TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(|ip| IpAddr::from(Ipv6Addr::from(ip))),
            _ => None,
        };
        if address.is_some() {
            return address;
        }
    }
    None
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name, with its labels joined by dots (RFC 1035 section 4.1.4). Labels that are not UTF-8 make a name
    /// nobody asked for.
    fn name(&mut self) -> Option<String> {
        let mut name = Vec::new();
        let mut at = self.at;
        let mut resume = None;
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            match length >> 6 {
                0 if length == 0 => {
                    self.at = resume.unwrap_or(at + 1);
                    return Some(String::from_utf8_lossy(&name).into_owned());
                }
                0 => {
                    if !name.is_empty() {
                        name.push(b'.');
                    }
                    name.extend_from_slice(self.bytes.get(at + 1..at + 1 + length)?);
                    at += 1 + length;
                }
                3 => {
                    let target = ((length & 0x3F) << 8) | usize::from(*self.bytes.get(at + 1)?);
                    resume = resume.or(Some(at + 2));
                    // Only backwards: so it ends.
                    at = Some(target).filter(|target| *target < at)?;
                }
                _ => return None,
            }
            if name.len() > MAX_NAME_LENGTH {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "9b36eaac-bb2e-49bb-bb78-21c41c499900.local";

    /// A response with one record, as browsers write it.
    fn record(name: &str, kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&(CLASS_IN | CACHE_FLUSH).to_be_bytes());
        bytes.extend_from_slice(&120u32.to_be_bytes());
        bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn a_query_asks_for_both_families_of_one_name() {
        let query = query(NAME).unwrap();
        assert_eq!(query[..12], [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
        let mut reader = Reader { bytes: &query, at: 12 };
        assert_eq!(reader.name().unwrap(), NAME);
        assert_eq!((reader.number(), reader.number()), (Some(TYPE_A), Some(CLASS_IN)));
        assert_eq!(reader.name().unwrap(), NAME);
        assert_eq!((reader.number(), reader.number()), (Some(TYPE_AAAA), Some(CLASS_IN)));
        assert_eq!(address_in(&query, NAME), None, "a query answers nothing");
    }

    #[test]
    fn a7_only_names_of_candidates_are_asked_for() {
        let long = format!("{}.local", "a".repeat(64));
        let huge = format!("{}.local", "a.".repeat(200));
        for name in
            ["", "local", ".local", "example.org", "a.b.local", "a b.local", "a\0.local", &long, &huge]
        {
            assert_eq!(query(name), None, "{name:?}");
        }
        assert!(query("printer.local").is_some() && query("printer.local.").is_some());
    }

    #[test]
    fn addresses_of_both_families_are_found_whatever_the_case() {
        let v4 = record(&NAME.to_uppercase(), TYPE_A, &[192, 0, 2, 1]);
        assert_eq!(address_in(&v4, NAME), Some([192, 0, 2, 1].into()));
        let ip: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert_eq!(address_in(&record(NAME, TYPE_AAAA, &ip.octets()), NAME), Some(ip.into()));
    }

    #[test]
    fn other_names_types_lengths_and_packets_are_no_answer() {
        assert_eq!(address_in(&record("other.local", TYPE_A, &[192, 0, 2, 1]), NAME), None);
        assert_eq!(address_in(&record(NAME, 16, &[192, 0, 2, 1]), NAME), None);
        assert_eq!(address_in(&record(NAME, TYPE_A, &[192, 0, 2]), NAME), None);
        let mut failed = record(NAME, TYPE_A, &[192, 0, 2, 1]);
        failed[3] = 3;
        assert_eq!(address_in(&failed, NAME), None);
        let whole = record(NAME, TYPE_A, &[192, 0, 2, 1]);
        for length in 0..whole.len() {
            assert_eq!(address_in(&whole[..length], NAME), None, "{length}");
        }
    }

    #[test]
    fn a7_pointers_that_lead_in_circles_end() {
        let header = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        for pointer in [[0xC0, 12], [0xC0, 14], [0xFF, 0xFF]] {
            let bytes = [&header[..], &pointer[..], &[0; 20][..]].concat();
            assert_eq!(address_in(&bytes, NAME), None);
        }
    }

    #[test]
    fn what_a_responder_answers_a_resolver_reads() {
        assert_eq!(names_asked(&query(NAME).unwrap()), [NAME], "both questions are about one name");
        let asked = query(&NAME.to_uppercase().replace(".LOCAL", ".local")).unwrap();
        assert_eq!(names_asked(&asked), [NAME]);
        for address in ["192.0.2.1", "2001:db8::1"] {
            let address: IpAddr = address.parse().unwrap();
            let answer = response(NAME, address, TTL).unwrap();
            assert_eq!(address_in(&answer, NAME), Some(address));
            assert!(names_asked(&answer).is_empty(), "an answer asks nothing");
        }
        assert_eq!(response("example.org", [192, 0, 2, 1].into(), TTL), None);
    }

    #[test]
    fn a_withdrawn_name_has_no_address() {
        let goodbye = response(NAME, [192, 0, 2, 1].into(), 0).unwrap();
        assert_eq!(address_in(&goodbye, NAME), None, "RFC 6762 section 10.1");
    }

    #[test]
    fn questions_for_other_things_are_not_ours() {
        let mut other = query(NAME).unwrap();
        let length = other.len();
        // The types of both questions: TXT.
        other[12 + NAME.len() + 3] = 16;
        other[length - 3] = 16;
        assert!(names_asked(&other).is_empty());
        let whole = query(NAME).unwrap();
        for length in 0..30 {
            assert!(names_asked(&whole[..length]).is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            address_in(&bytes, NAME);
            names_asked(&bytes);
            if bytes.len() > 4 {
                (bytes[2], bytes[3]) = (0x84, 0);
            }
            address_in(&bytes, NAME);
            if bytes.len() > 4 {
                (bytes[2], bytes[3]) = (0, 0);
            }
            names_asked(&bytes);
        }
    }
}
