//! stub
#![allow(missing_docs, unused_variables)]
use crate::proto::srtp::{KeyingMaterial, Profile};
use bytes::Bytes;
use std::time::Instant;
#[derive(Debug, Clone)]
pub struct Certificate;
impl Certificate {
    pub fn generate(k: KeyType) -> Result<Self, DtlsError> {
        Ok(Self)
    }
    pub fn fingerprint(&self, a: HashAlgorithm) -> Fingerprint {
        Fingerprint
    }
}
#[derive(Debug, Clone, Copy)]
pub enum KeyType {
    EcdsaP256,
    Rsa2048,
}
pub enum HashAlgorithm {
    Sha256,
}
#[derive(Debug, Clone)]
pub struct Fingerprint;
impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl std::str::FromStr for Fingerprint {
    type Err = DtlsError;
    fn from_str(s: &str) -> Result<Self, DtlsError> {
        Ok(Self)
    }
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct DtlsError;
#[derive(Debug, Clone, Copy)]
pub enum Role {
    Client,
    Server,
}
pub struct SessionConfig {
    pub remote_fingerprints: Vec<Fingerprint>,
}
impl SessionConfig {
    pub fn new(c: Certificate, role: Role) -> Self {
        Self { remote_fingerprints: vec![] }
    }
}
pub struct Session;
pub enum Event {
    Connected { srtp: Option<(Profile, KeyingMaterial)> },
    ApplicationData(Bytes),
    Closed,
    Failed(DtlsError),
}
impl Session {
    pub fn new(now: Instant, c: SessionConfig) -> Result<Self, DtlsError> {
        Ok(Self)
    }
    pub fn handle_packet(&mut self, now: Instant, b: &[u8]) {}
    pub fn handle_timeout(&mut self, n: Instant) {}
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        None
    }
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
    pub fn close(&mut self) {}
}
