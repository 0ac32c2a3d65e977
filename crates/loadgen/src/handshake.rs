//! The least that connecting can cost: DTLS handshakes of OpenSSL alone between two threads without sockets. Only the
//! server's thread is measured.
//!
//! It is the handshake of a WebRTC session: DTLS 1.2, a P-256 certificate on either side that the other asks for and
//! verifies to be signed by its key, the suites and groups of the library in its order, the SRTP extension and the
//! export of its keys. What is left out: comparing the fingerprint, which is one hash.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use openssl::{
    asn1::Asn1Time,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion},
    x509::{X509, X509NameBuilder},
};

use crate::floor::{pin, thread_cpu_seconds};

/// How long to shake hands.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds to run
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Handshakes a second, one by one at even distances; as many as possible without
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    per_second: Option<f64>,
    /// Core for the server's thread; taskset must exist
    #[arg(long)]
    server_core: Option<u32>,
    /// Core for the client's thread; taskset must exist
    #[arg(long)]
    client_core: Option<u32>,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| *number > 0.0 && number.is_finite())
        .ok_or_else(|| "not a rate".to_owned())
}

/// Flights as they would be on the network.
const MTU: u32 = 1_200;
/// As in the library.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
const GROUPS: &str = "X25519:P-256:P-384";
const SRTP_PROFILES: &str = "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";

/// One end of a pair of channels: a write is a datagram, a read takes one whole.
#[derive(Debug)]
struct Datagrams {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.from.recv().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Datagrams {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // An end that has what it wanted has gone: nothing is owed to it.
        let _ = self.to.send(buffer.to_vec());
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shakes hands for a while and prints one JSON line.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (server, client) = (context()?, context()?);
    let (connections, incoming) = channel::<Datagrams>();
    let core = options.client_core;
    let clients = std::thread::spawn(move || -> anyhow::Result<()> {
        pin(core);
        for datagrams in incoming {
            let mut ssl = Ssl::new(&client)?;
            ssl.set_mtu(MTU)?;
            ssl.connect(datagrams).map_err(|error| anyhow::anyhow!("client: {error}"))?;
        }
        Ok(())
    });
    pin(options.server_core);
    let (start, cpu_before, mut handshakes) = (Instant::now(), thread_cpu_seconds()?, 0_u32);
    while start.elapsed().as_secs_f64() < options.seconds {
        if let Some(rate) = options.per_second {
            let due = start + Duration::from_secs_f64(f64::from(handshakes) / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let ((to_server, from_client), (to_client, from_server)) = (channel(), channel());
        let connection = Datagrams { to: to_server, from: from_server };
        connections.send(connection).ok().context("the clients have ended")?;
        let mut ssl = Ssl::new(&server)?;
        ssl.set_mtu(MTU)?;
        let stream = ssl.accept(Datagrams { to: to_client, from: from_client });
        let stream = stream.map_err(|error| anyhow::anyhow!("server: {error}"))?;
        let mut keys = [0; 56];
        stream.ssl().export_keying_material(&mut keys, "EXTRACTOR-dtls_srtp", None)?;
        handshakes += 1;
    }
    let cpu = thread_cpu_seconds()? - cpu_before;
    drop(connections);
    clients.join().ok().context("the clients panicked")??;
    let line = serde_json::json!({
        "handshakes": handshakes,
        "cpu_us_per_handshake": cpu * 1e6 / f64::from(handshakes),
        "handshakes_per_core_second": f64::from(handshakes) / cpu,
    });
    println!("{line}");
    Ok(())
}

/// As WebRTC peers have it: a self-signed P-256 certificate on either side, and no authority.
fn context() -> anyhow::Result<SslContext> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let certificate = certificate(&key)?;
    let mut builder = SslContextBuilder::new(SslMethod::dtls())?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_cipher_list(CIPHERS)?;
    builder.set_groups_list(GROUPS)?;
    builder.set_certificate(&certificate)?;
    builder.set_private_key(&key)?;
    builder.set_tlsext_use_srtp(SRTP_PROFILES)?;
    builder.set_options(openssl::ssl::SslOptions::NO_QUERY_MTU | openssl::ssl::SslOptions::NO_TICKET);
    builder.set_session_cache_mode(openssl::ssl::SslSessionCacheMode::OFF);
    builder.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
    Ok(builder.build())
}

fn certificate(key: &PKey<Private>) -> anyhow::Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "WebRTC")?;
    let name = name.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(30)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}
