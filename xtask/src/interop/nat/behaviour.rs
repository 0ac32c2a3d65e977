//! What NATs do (RFC 4787), and which path two peers behind them are left with (RFC 8445).
//!
//! The expectation is derived, not listed: from how each NAT maps and filters follows who can reach whom.

use serde::Serialize;

/// On what a mapping or a filter depends (RFC 4787 sections 4.1 and 5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dependence {
    /// On the inner address alone.
    EndpointIndependent,
    /// On the outer address and port too.
    AddressAndPort,
}

/// What stands between a peer and the public network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Nat {
    /// Nothing: the peer has a public address.
    None,
    /// One mapping for all, and whoever knows it gets in.
    FullCone,
    /// One mapping for all; in comes only who was written to.
    PortRestricted,
    /// A mapping for each; in comes only who was written to.
    Symmetric,
    /// A firewall that lets TCP out and no UDP.
    NoUdp,
}

/// How packets of a connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Path {
    /// Between two addresses that the peers have themselves.
    Host,
    /// Through mappings, all of which a STUN server has told of.
    ServerReflexive,
    /// Through mappings, one of which only the peer has seen.
    PeerReflexive,
    /// Through a TURN server.
    Relay,
}

impl Nat {
    pub(crate) const ALL: [Self; 5] =
        [Self::None, Self::FullCone, Self::PortRestricted, Self::Symmetric, Self::NoUdp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FullCone => "full cone",
            Self::PortRestricted => "port-restricted",
            Self::Symmetric => "symmetric",
            Self::NoUdp => "no UDP",
        }
    }

    /// Short enough for the name of an interface.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::None => "n",
            Self::FullCone => "f",
            Self::PortRestricted => "p",
            Self::Symmetric => "s",
            Self::NoUdp => "u",
        }
    }

    /// Whether a mapping is good for everybody: then the one that a STUN server saw is the one.
    fn maps_for_all(self) -> bool {
        self.mapping() == Dependence::EndpointIndependent
    }

    fn mapping(self) -> Dependence {
        match self {
            Self::None | Self::FullCone | Self::PortRestricted => Dependence::EndpointIndependent,
            Self::Symmetric | Self::NoUdp => Dependence::AddressAndPort,
        }
    }

    fn filtering(self) -> Dependence {
        match self {
            Self::None | Self::FullCone => Dependence::EndpointIndependent,
            Self::PortRestricted | Self::Symmetric | Self::NoUdp => Dependence::AddressAndPort,
        }
    }

    /// Whether the first check of a peer behind `from` gets to one behind `self`.
    fn is_reached_from(self, from: Self) -> bool {
        if self == Self::NoUdp || from == Self::NoUdp || !self.maps_for_all() {
            return false;
        }
        // Both write to what the other has told of. A filter opens for that, and for nothing else.
        self.filtering() == Dependence::EndpointIndependent || from.maps_for_all()
    }

    /// As what the other side sees a peer behind this.
    fn seen_as(self) -> Path {
        match self {
            Self::None => Path::Host,
            nat if nat.maps_for_all() => Path::ServerReflexive,
            _ => Path::PeerReflexive,
        }
    }
}

impl Path {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relay => "relay",
        }
    }

    pub(crate) fn of_candidate(kind: &str) -> Option<Self> {
        [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relay]
            .into_iter()
            .find(|path| path.name() == kind)
    }

    /// The better of two ends says nothing: a path is as direct as its worse end.
    pub(crate) fn worse(self, other: Self) -> Self {
        if (self as u8) > (other as u8) { self } else { other }
    }
}

/// The path that two peers must end on.
pub(crate) fn expected(left: Nat, right: Nat) -> Path {
    if left.is_reached_from(right) || right.is_reached_from(left) {
        left.seen_as().worse(right.seen_as())
    } else {
        Path::Relay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_that_everybody_knows() {
        let row = |left| Nat::ALL.map(|right| expected(left, right).name());
        assert_eq!(row(Nat::None), ["host", "srflx", "srflx", "prflx", "relay"]);
        assert_eq!(row(Nat::FullCone), ["srflx", "srflx", "srflx", "prflx", "relay"]);
        assert_eq!(row(Nat::PortRestricted), ["srflx", "srflx", "srflx", "relay", "relay"]);
        assert_eq!(row(Nat::Symmetric), ["prflx", "prflx", "relay", "relay", "relay"]);
        assert_eq!(row(Nat::NoUdp), ["relay"; 5]);
    }
}
