//! stub
#![allow(missing_docs, unused_variables)]
use crate::proto::Transmit;
use rand::rngs::StdRng;
use std::{net::SocketAddr, time::Instant};
#[derive(Debug, Clone)]
pub struct Credentials {
    pub ufrag: String,
    pub password: String,
}
impl Credentials {
    pub fn generate(r: &mut StdRng) -> Self {
        Self { ufrag: String::new(), password: String::new() }
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    New,
    Checking,
    Connected,
    Completed,
    Disconnected,
    Failed,
    Closed,
}
#[derive(Debug, Clone, Copy)]
pub enum Role {
    Controlling,
    Controlled,
}
#[derive(Debug, Clone)]
pub struct Candidate;
impl Candidate {
    pub fn host(a: SocketAddr, p: u16) -> Self {
        Self
    }
}
impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl std::str::FromStr for Candidate {
    type Err = IceError;
    fn from_str(s: &str) -> Result<Self, IceError> {
        Ok(Self)
    }
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct IceError;
pub struct AgentConfig {
    pub lite: bool,
}
impl AgentConfig {
    pub fn new(r: Role, c: Credentials) -> Self {
        Self { lite: false }
    }
}
#[derive(Debug)]
pub struct Rejected;
pub struct SelectedPair {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}
pub enum Event {
    StateChanged(State),
    SelectedPairChanged(Option<SelectedPair>),
    RoleChanged(Role),
}
pub struct Agent;
impl Agent {
    pub fn new(n: Instant, c: AgentConfig, r: StdRng) -> Self {
        Self
    }
    pub fn role(&self) -> Role {
        Role::Controlled
    }
    pub fn is_lite(&self) -> bool {
        false
    }
    pub fn local_credentials(&self) -> &Credentials {
        todo!()
    }
    pub fn add_local_candidate(&mut self, n: Instant, c: Candidate) -> Result<Candidate, IceError> {
        Ok(c)
    }
    pub fn end_of_local_candidates(&mut self) {}
    pub fn set_role(&mut self, r: Role) {}
    pub fn set_remote_lite(&mut self, l: bool) {}
    pub fn set_remote_credentials(&mut self, n: Instant, c: Credentials) {}
    pub fn add_remote_candidate(&mut self, n: Instant, c: Candidate) -> Result<(), IceError> {
        Ok(())
    }
    pub fn end_of_remote_candidates(&mut self, n: Instant) {}
    pub fn restart(&mut self, n: Instant, c: Credentials) {}
    pub fn close(&mut self) {}
    pub fn handle_packet(
        &mut self,
        n: Instant,
        l: SocketAddr,
        r: SocketAddr,
        b: &[u8],
    ) -> Result<(), Rejected> {
        Ok(())
    }
    pub fn handle_timeout(&mut self, n: Instant) {}
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
}
