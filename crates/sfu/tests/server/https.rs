//! The same over TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use actix_rtc::{KeyType, RtcCertificate};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

use crate::server::TestServer;

/// Files that live as long as the process: a server reads them at its start only.
fn pem_files() -> [&'static str; 2] {
    let pem = RtcCertificate::generate(KeyType::EcdsaP256).unwrap().to_pem().unwrap();
    let folder = std::env::temp_dir().join(format!("actix-rtc-sfu-https-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    [("certificate.pem", pem.certificate.as_str()), ("key.pem", pem.private_key.as_str())].map(
        |(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            &*Box::leak(path.display().to_string().into_boxed_str())
        },
    )
}

#[test]
fn the_page_is_served_over_https() {
    let [certificate, key] = pem_files();
    let flags = Box::leak(Box::new(["--certificate", certificate, "--key", key]));
    let server = TestServer::with(flags);
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    let mut options = connector.build().configure().unwrap();
    options.set_verify_hostname(false);
    let mut stream = options.connect("localhost", TcpStream::connect(server.address).unwrap()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
