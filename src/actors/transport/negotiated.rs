//! What the actors of a transport are told of the negotiation: only what has changed since the last time.

use std::sync::Arc;

use super::TransportActors;
use crate::{
    messages::{
        dtls::{DtlsTransportState, StartDtls},
        ice::{
            AddRemoteCandidate, EndOfRemoteCandidates, Gather, IceServers, RestartIce, SetIceServers,
            SetRemoteIce,
        },
        peer_connection::RtcIceGatheringState,
    },
    proto::{
        dtls, ice,
        jsep::{DtlsRole, IceParameters, RemoteTransport},
    },
};

impl TransportActors {
    /// Who is asked for candidates from the next gathering on.
    pub fn set_servers(&mut self, servers: IceServers) {
        if self.config.servers != servers {
            self.config.servers = servers.clone();
            self.ice.do_send(SetIceServers(servers));
        }
    }

    /// Begins to gather, once.
    pub fn gather(&mut self) {
        if self.state.gathering_state == RtcIceGatheringState::New {
            self.state_mut().gathering_state = RtcIceGatheringState::Gathering;
            self.ice.do_send(Gather);
        }
    }

    /// Our ICE credentials: others than before are an ICE restart (RFC 8445 §9), which gathers anew.
    pub fn set_local(&mut self, local: &IceParameters) {
        if self.told.local_ufrag == local.ufrag {
            return;
        }
        let before = std::mem::replace(&mut self.told.local_ufrag, local.ufrag.clone());
        if self.told.local_ufrag_before.as_ref() == Some(&local.ufrag) {
            // A restart was rolled back: the peer is still the one of before, and the agent needs it again.
            self.told.forget_remote();
        }
        self.told.local_ufrag_before = Some(before);
        self.config.local = local.clone();
        self.state_mut().local_parameters = Some(local.clone());
        self.state_mut().local_candidates.clear();
        // A lost agent is replaced when the peer is told, see below.
        if self.is_agent_lost {
            return;
        }
        // W3C webrtc-pc §5.6: candidates of the new credentials are gathered from now on.
        self.state_mut().gathering_state = RtcIceGatheringState::Gathering;
        let credentials = ice::Credentials { ufrag: local.ufrag.clone(), password: local.password.clone() };
        self.ice.do_send(RestartIce(credentials));
    }

    /// The local description that is in force has the transport with this fragment. Gathering begins with
    /// the first one; with another one than that under which an agent was lost, a new agent begins.
    pub fn set_described(&mut self, ufrag: &str) {
        if self.told.described_ufrag != ufrag {
            self.told.described_ufrag = ufrag.to_owned();
            if self.is_agent_lost {
                self.replace_agent();
            }
        }
        self.gather();
    }

    /// The peer's end of the transport, with our ICE role for when it begins or restarts; in between an
    /// agent keeps its role, whoever offers (RFC 8445 §6.1.1).
    pub fn set_remote(&mut self, remote: &RemoteTransport, role: ice::Role) {
        if self.is_agent_lost {
            return;
        }
        if self.told.remote_ufrag != remote.ufrag {
            self.told.remote_ufrag.clone_from(&remote.ufrag);
            self.told.remote_candidates.clear();
            self.told.remote_ended = false;
            self.state_mut().remote_candidates = Arc::default();
            self.state_mut().remote_parameters = Some(IceParameters {
                ufrag: remote.ufrag.clone(),
                password: remote.password.clone(),
                lite: remote.lite,
            });
            self.ice.do_send(SetRemoteIce {
                credentials: ice::Credentials {
                    ufrag: remote.ufrag.clone(),
                    password: remote.password.clone(),
                },
                lite: remote.lite,
                role,
            });
        }
        self.set_remote_candidates(&remote.candidates);
        if remote.end_of_candidates && !std::mem::replace(&mut self.told.remote_ended, true) {
            self.ice.do_send(EndOfRemoteCandidates);
        }
        if let Some(role) = remote.dtls_role {
            // Fingerprints of unknown algorithms can't be checked; the others must match.
            let fingerprints = remote.fingerprints.iter().filter_map(|f| f.parse().ok()).collect();
            self.start_dtls(role, fingerprints);
        }
    }

    fn set_remote_candidates(&mut self, candidates: &[Arc<str>]) {
        if self.told.remote_candidates == candidates {
            return;
        }
        for line in candidates {
            if self.told.remote_candidates.contains(line) {
                continue;
            }
            // RFC 8839 §5.1: a candidate that can't be understood is skipped, not fatal.
            if let Ok(candidate) = line.parse::<ice::Candidate>() {
                Arc::make_mut(&mut self.state_mut().remote_candidates).push(candidate.clone());
                self.ice.do_send(AddRemoteCandidate(candidate));
            }
        }
        // Replaced, not added to: what a peer drops from its descriptions must not pile up here.
        let is_first = self.told.remote_candidates.is_empty();
        self.told.remote_candidates = candidates.to_vec();
        if is_first {
            return;
        }
        Arc::make_mut(&mut self.state_mut().remote_candidates).retain(|known| {
            candidates.iter().any(|line| line.parse::<ice::Candidate>().is_ok_and(|c| c == *known))
        });
    }

    /// Begins the handshake as soon as there is a path, once.
    pub fn start_dtls(&mut self, role: DtlsRole, fingerprints: Vec<dtls::Fingerprint>) {
        if self.state.dtls_state != DtlsTransportState::New {
            return;
        }
        self.state_mut().dtls_state = DtlsTransportState::Connecting;
        let role = match role {
            DtlsRole::Client => dtls::Role::Client,
            DtlsRole::Server => dtls::Role::Server,
        };
        self.dtls_role = Some(role);
        self.dtls.do_send(StartDtls { role, fingerprints });
    }
}
