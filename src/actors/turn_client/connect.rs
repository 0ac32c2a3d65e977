//! Reaching a TURN server: a UDP socket of its own, or a TCP connection, with TLS where the URL says so.
//!
//! A TLS server must show a certificate for its name from an authority that the system or the configuration
//! trusts (RFC 8656 section 3.1, RFC 8489 section 6.2.3).

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::Pin,
    rc::Rc,
};

use openssl::{
    ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion},
    x509::X509,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_openssl::SslStream;

use crate::{
    actors::network::{Socket, TlsTrust, Wire},
    proto::ice::ServerTransport,
};

/// Where distributions keep the authorities they trust: OpenSSL knows only the place it was built with, and
/// the vendored one was built elsewhere.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What TLS and TCP have in common.
pub(super) trait ByteStream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> ByteStream for T {}

/// A way to a server.
#[allow(private_interfaces, reason = "made here and taken by the client, opaque to all others")]
pub enum Connection {
    /// By datagrams.
    Udp {
        /// Bound for this server alone.
        socket: Rc<Socket>,
        /// Where it listens.
        server: SocketAddr,
    },
    /// By a byte stream.
    Stream(Pin<Box<dyn ByteStream>>),
}

impl Connection {
    /// What the relay is told of it.
    pub fn wire(&self) -> Wire {
        match self {
            Self::Udp { socket, server } => Wire::Udp { socket: Rc::clone(socket), server: *server },
            Self::Stream(_) => Wire::Stream,
        }
    }
}

/// Connects to `server`. `name` is what its certificate must be for. Cancelled by dropping the future; nothing
/// here limits the time it takes.
///
/// # Errors
/// What the system or OpenSSL says.
pub async fn connect(
    transport: ServerTransport,
    server: SocketAddr,
    name: &str,
    trust: &TlsTrust,
) -> io::Result<Connection> {
    match transport {
        ServerTransport::Udp => {
            let any =
                if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = Rc::new(Socket::bind(SocketAddr::new(any, 0))?);
            Ok(Connection::Udp { socket, server })
        }
        ServerTransport::Tcp => Ok(Connection::Stream(Box::pin(connect_tcp(server).await?))),
        ServerTransport::Tls => {
            let trust = trust.clone();
            // Reading a bundle of authorities takes tens of milliseconds: not on a thread that carries media.
            let connector =
                tokio::task::spawn_blocking(move || connector(&trust)).await.map_err(io::Error::other)?;
            let ssl = connector?.configure()?.into_ssl(name)?;
            let mut stream = Box::pin(SslStream::new(ssl, connect_tcp(server).await?)?);
            stream.as_mut().connect().await.map_err(|error| match error.into_io_error() {
                Ok(error) => error,
                Err(error) => io::Error::other(error),
            })?;
            Ok(Connection::Stream(stream))
        }
        ServerTransport::Dtls => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "TURN over DTLS is not supported"))
        }
    }
}

async fn connect_tcp(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    // Each frame is a datagram of a conversation: none may wait for the next.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connector(trust: &TlsTrust) -> Result<SslConnector, openssl::error::ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    if trust.dangerous_accept_any_certificate {
        builder.set_verify(SslVerifyMode::NONE);
        return Ok(builder.build());
    }
    if let Some(bundle) = BUNDLES.into_iter().find(|path| Path::new(path).exists()) {
        builder.set_ca_file(bundle)?;
    }
    for pem in &trust.additional_roots {
        for certificate in X509::stack_from_pem(pem)? {
            builder.cert_store_mut().add_cert(certificate)?;
        }
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_verifies_unless_it_is_told_not_to() {
        let careful = connector(&TlsTrust::default()).unwrap();
        assert_eq!(careful.context().verify_mode(), SslVerifyMode::PEER);
        let careless = TlsTrust { dangerous_accept_any_certificate: true, ..TlsTrust::default() };
        assert_eq!(connector(&careless).unwrap().context().verify_mode(), SslVerifyMode::NONE);
        let broken = TlsTrust {
            additional_roots: vec![b"-----BEGIN CERTIFICATE-----\nx".to_vec()],
            ..TlsTrust::default()
        };
        assert!(connector(&broken).is_err());
    }
}
