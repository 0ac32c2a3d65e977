//! A coturn of the test's own: own ports, own files, on loopback.

use std::{
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    x509::{X509, X509NameBuilder, extension::SubjectAlternativeName},
};

/// A running server; it ends with this value.
pub(crate) struct Coturn {
    process: Child,
    directory: PathBuf,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    /// The certificate it shows, for 127.0.0.1.
    pub(crate) certificate: Vec<u8>,
}

impl Coturn {
    /// Starts a server with further lines of configuration. `None`, with a message, where coturn is missing.
    pub(crate) fn start(lines: &[&str]) -> Option<Self> {
        if Command::new("turnserver")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("SKIPPED: no turnserver here (Debian package coturn)");
            return None;
        }
        let (port, tls_port) = (free_port(), free_port());
        let directory = std::env::temp_dir().join(format!("actix-rtc-coturn-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (certificate, key) = certificate();
        std::fs::write(directory.join("certificate.pem"), &certificate).unwrap();
        std::fs::write(directory.join("key.pem"), key).unwrap();
        let at = |name: &str| directory.join(name).display().to_string();
        let configuration = format!(
            "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\ntls-listening-port={tls_port}\n\
             cert={}\npkey={}\nuserdb={}\npidfile={}\nlog-file={}\nsimple-log\nverbose\nno-cli\n\
             allow-loopback-peers\nlt-cred-mech\nuser=user:secret\nrealm=example.org\n{}\n",
            at("certificate.pem"),
            at("key.pem"),
            at("users.db"),
            at("pid"),
            at("log"),
            lines.join("\n"),
        );
        std::fs::write(directory.join("turnserver.conf"), configuration).unwrap();
        let process = Self::spawn(&directory);
        let server = Self { process, directory, port, tls_port, certificate };
        server.wait_until_it_listens();
        Some(server)
    }

    fn spawn(directory: &Path) -> Child {
        Command::new("turnserver")
            .arg("-c")
            .arg(directory.join("turnserver.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Kills it, which makes it forget all allocations, and starts it again at the same ports.
    pub(crate) fn restart(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(self.directory.join("log"));
        self.process = Self::spawn(&self.directory);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&self) {
        let limit = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < limit, "coturn does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A port that is free for UDP and TCP at this moment.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn certificate() -> (Vec<u8>, Vec<u8>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "TURN server of a test").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build().to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap())
}
