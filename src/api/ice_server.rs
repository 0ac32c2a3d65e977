//! The servers and certificates of a configuration, checked (W3C webrtc-pc §4.4.1.6, "set a configuration").

use super::{RtcIceServer, RtcIceTransportPolicy};
use crate::{
    messages::{
        error::RtcError,
        ice::{IceServer, IceServers, IceTransportPolicy},
    },
    proto::ice::{ServerKind, ServerTransport, ServerUrl},
};

/// URLs of one configuration: more than any application has, few enough to ask them all.
const URLS_MAX: usize = 64;
/// RFC 8489 §14.3: a user name has at most 508 bytes, and W3C asks for an `InvalidAccessError` beyond.
const USERNAME_LENGTH_MAX: usize = 508;

/// The servers as the agents know them, one for each URL.
///
/// # Errors
/// [`RtcError::SyntaxError`] for a URL that can't be read or a server without URLs,
/// [`RtcError::InvalidAccessError`] for a TURN server without credentials or with a user name that is
/// too long, [`RtcError::NotSupportedError`] for TURN over DTLS and for more URLs than are asked.
pub(super) fn checked(
    servers: &[RtcIceServer],
    policy: RtcIceTransportPolicy,
) -> Result<IceServers, RtcError> {
    let mut checked = Vec::new();
    for server in servers {
        if server.urls.is_empty() {
            return Err(syntax("an ICE server has no URL".to_owned()));
        }
        for url in &server.urls {
            checked.push(checked_server(server, url)?);
        }
    }
    if checked.len() > URLS_MAX {
        let sentence = format!("{} URLs of ICE servers are more than {URLS_MAX}", checked.len());
        return Err(RtcError::NotSupportedError(sentence));
    }
    let policy = match policy {
        RtcIceTransportPolicy::All => IceTransportPolicy::All,
        RtcIceTransportPolicy::Relay => IceTransportPolicy::Relay,
    };
    Ok(IceServers { servers: checked, policy })
}

fn checked_server(server: &RtcIceServer, url: &str) -> Result<IceServer, RtcError> {
    let parsed: ServerUrl = url.parse().map_err(|error| syntax(format!("{url:?}: {error}")))?;
    if parsed.transport == ServerTransport::Dtls {
        return Err(RtcError::NotSupportedError(format!("{url:?}: TURN over DTLS is not spoken here")));
    }
    if parsed.kind == ServerKind::Turn {
        let invalid = |what: &str| Err(RtcError::InvalidAccessError(format!("{url:?}: {what}")));
        match (&server.username, &server.credential) {
            (Some(username), _) if username.len() > USERNAME_LENGTH_MAX => {
                return invalid("the user name is longer than 508 bytes");
            }
            (Some(_), Some(_)) => {}
            _ => return invalid("a TURN server needs a user name and a credential"),
        }
    }
    Ok(IceServer {
        url: url.to_owned(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    })
}

fn syntax(reason: String) -> RtcError {
    RtcError::SyntaxError { line: 0, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(server: RtcIceServer) -> &'static str {
        checked(&[server], RtcIceTransportPolicy::All).unwrap_err().name()
    }

    #[test]
    fn each_url_becomes_a_server_with_the_credentials() {
        let server = RtcIceServer {
            urls: vec!["stun:a.example".to_owned(), "turns:a.example?transport=tcp".to_owned()],
            username: Some("u".to_owned()),
            credential: Some("p".to_owned()),
        };
        let checked = checked(&[server], RtcIceTransportPolicy::Relay).unwrap();
        assert_eq!(checked.policy, IceTransportPolicy::Relay);
        assert_eq!(checked.servers.len(), 2);
        assert!(checked.servers.iter().all(|server| server.credential.as_deref() == Some("p")));
    }

    #[test]
    fn urls_that_can_not_be_read_are_syntax_errors() {
        for url in [
            "",
            "a.example",
            "http://a.example",
            "stun://a.example",
            "stun:",
            "stun:a.example?transport=udp",
            "turn:a.example:99999",
            "turn:a.example?transport=x",
        ] {
            assert_eq!(error_of(RtcIceServer::with_password(url, "u", "p")), "SyntaxError", "{url}");
        }
        assert_eq!(error_of(RtcIceServer::default()), "SyntaxError", "a server needs a URL");
    }

    #[test]
    fn turn_needs_credentials() {
        assert_eq!(error_of(RtcIceServer::new("turn:a.example")), "InvalidAccessError");
        let half = RtcIceServer { username: Some("u".to_owned()), ..RtcIceServer::new("turns:a.example") };
        assert_eq!(error_of(half), "InvalidAccessError");
        let long = RtcIceServer::with_password("turn:a.example", "u".repeat(509), "p");
        assert_eq!(error_of(long), "InvalidAccessError");
        let longest = RtcIceServer::with_password("turn:a.example", "u".repeat(508), "");
        assert!(checked(&[longest], RtcIceTransportPolicy::All).is_ok(), "an empty password is one");
        assert!(checked(&[RtcIceServer::new("stun:a.example")], RtcIceTransportPolicy::All).is_ok());
    }

    #[test]
    fn what_is_not_spoken_is_said() {
        let dtls = RtcIceServer::with_password("turns:a.example?transport=udp", "u", "p");
        assert_eq!(error_of(dtls), "NotSupportedError");
        let many = RtcIceServer { urls: vec!["stun:a.example".to_owned(); 65], ..RtcIceServer::default() };
        assert_eq!(error_of(many), "NotSupportedError");
    }
}
