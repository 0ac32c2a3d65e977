//! A TURN server of a run's own: own ports, own files, on an address of this machine.

use std::fs;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Job, Running};
use crate::workspace::Workspace;

const START_PATIENCE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// A running server with the user `user` and the password `secret`; it ends with this value.
pub(super) struct Coturn {
    _process: Running,
    address: IpAddr,
    port: u16,
    tls_port: u16,
}

impl Coturn {
    pub(super) fn start(workspace: &Workspace, program: &Path, address: IpAddr) -> Result<Self> {
        let folder = workspace.target.join("coturn");
        fs::create_dir_all(&folder)?;
        certificate(&folder, address)?;
        let (port, tls_port) = (free_port(address)?, free_port(address)?);
        let at = |name: &str| folder.join(name).display().to_string();
        let configuration = format!(
            "listening-ip={address}\nrelay-ip={address}\nlistening-port={port}\ntls-listening-port={tls_port}\n\
             cert={}\npkey={}\nuserdb={}\npidfile={}\nlog-file={}\nsimple-log\nno-cli\nallow-loopback-peers\n\
             lt-cred-mech\nuser=user:secret\nrealm=example.org\n",
            at("certificate.pem"),
            at("key.pem"),
            at("users.db"),
            at("pid"),
            at("log"),
        );
        fs::write(folder.join("turnserver.conf"), configuration)?;
        let mut command = Command::new(program);
        command.args(["-c", &at("turnserver.conf")]);
        let process =
            Job::new("turnserver", command, DEADLINE).log(workspace.logs().join("coturn.log")).start()?;
        let server = Self { _process: process, address, port, tls_port };
        let limit = Instant::now() + START_PATIENCE;
        while TcpStream::connect((address, port)).is_err() {
            if Instant::now() > limit {
                bail!(
                    "coturn does not listen: {}",
                    fs::read_to_string(folder.join("log")).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Where it is reached over UDP and TCP.
    pub(super) fn plain(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// Where it is reached over TLS.
    pub(super) fn tls(&self) -> String {
        format!("{}:{}", self.address, self.tls_port)
    }
}

/// A port that is free for UDP and TCP at this moment.
fn free_port(address: IpAddr) -> Result<u16> {
    for _ in 0..100 {
        let tcp = TcpListener::bind((address, 0))?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {address} is free for UDP and TCP")
}

/// A certificate for the address that nobody vouches for.
fn certificate(folder: &Path, address: IpAddr) -> Result<()> {
    let names = format!("subjectAltName=IP:{address}");
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=coturn"])
        .args(["-addext", &names, "-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder)
        .output()
        .context("openssl makes the TURN server's certificate")?;
    if !output.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
