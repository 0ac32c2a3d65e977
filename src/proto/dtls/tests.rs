//! Two sessions over a network in memory, in virtual time.

mod attacks;
mod foreign;
mod handshake;
mod loss;
mod network;

use std::time::{Duration, Instant};

use super::*;
use crate::proto::srtp::Profile;
use network::Pair;

const MTU: usize = 1200;

/// A certificate per thread and key type: RSA keys take long to find.
fn certificate(key_type: KeyType) -> Certificate {
    use std::sync::OnceLock;
    static ECDSA: OnceLock<Certificate> = OnceLock::new();
    static RSA: OnceLock<Certificate> = OnceLock::new();
    let cell = match key_type {
        KeyType::EcdsaP256 => &ECDSA,
        KeyType::Rsa2048 => &RSA,
    };
    cell.get_or_init(|| Certificate::generate(key_type).unwrap()).clone()
}

fn sha256(certificate: &Certificate) -> Fingerprint {
    certificate.fingerprint(HashAlgorithm::Sha256).unwrap()
}

fn config(role: Role, own: &Certificate, remote: &Certificate) -> SessionConfig {
    SessionConfig {
        certificate: own.clone(),
        role,
        remote_fingerprints: vec![sha256(remote)],
        mtu: MTU,
        srtp_profiles: Profile::PREFERENCE.to_vec(),
    }
}

/// Client and server with ECDSA certificates that trust each other.
fn configs() -> (SessionConfig, SessionConfig) {
    let client = certificate(KeyType::EcdsaP256);
    let server = Certificate::generate(KeyType::EcdsaP256).unwrap();
    (config(Role::Client, &client, &server), config(Role::Server, &server, &client))
}

fn connected_pair() -> Pair {
    let (client, server) = configs();
    let mut pair = Pair::new(client, server);
    pair.run(Duration::from_secs(5));
    pair.assert_connected();
    pair
}
