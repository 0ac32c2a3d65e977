//! Handshakes with plain OpenSSL, which retransmits by the clock and reads whatever comes: what a
//! session does must not count on the other side being one.

use bytes::Bytes;
use openssl::ssl::{
    ErrorCode, ExtensionContext, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

use super::super::datagram_io::DatagramIo;
use super::super::prf;
use super::super::record::{HANDSHAKE, HELLO_VERIFY_REQUEST, records};
use super::network::data;
use super::*;

/// An OpenSSL endpoint with our certificate that accepts every peer certificate.
fn foreign_context(certificate: &Certificate) -> SslContextBuilder {
    let pem = certificate.to_pem().unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(pem.private_key.as_bytes()).unwrap();
    let mut builder = SslContext::builder(SslMethod::dtls()).unwrap();
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    builder.set_certificate(&X509::from_pem(pem.certificate.as_bytes()).unwrap()).unwrap();
    builder.set_private_key(&key).unwrap();
    builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    builder.set_tlsext_use_srtp("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM").unwrap();
    builder.set_options(SslOptions::NO_QUERY_MTU);
    builder
}

fn foreign_stream(context: SslContextBuilder, role: Role) -> SslStream<DatagramIo> {
    let mut ssl = Ssl::new(&context.build()).unwrap();
    match role {
        Role::Client => ssl.set_connect_state(),
        Role::Server => ssl.set_accept_state(),
    }
    ssl.set_mtu(MTU as u32).unwrap();
    let mut stream = SslStream::new(ssl, DatagramIo::new(role, MTU)).unwrap();
    stream.get_mut().pass();
    stream
}

/// Relays until both are done; gives back what the foreign side sent.
fn connect(session: &mut Session, foreign: &mut SslStream<DatagramIo>, now: Instant) -> Vec<Bytes> {
    let mut sent = Vec::new();
    for _ in 0..6 {
        match foreign.do_handshake() {
            Ok(()) => {}
            Err(error) => assert_eq!(error.code(), ErrorCode::WANT_READ, "{error}"),
        }
        while let Some(datagram) = foreign.get_mut().poll_outbound() {
            session.handle_packet(now, &datagram);
            sent.push(datagram);
        }
        while let Some(datagram) = session.poll_transmit() {
            foreign.get_mut().push(datagram);
        }
    }
    assert_eq!(session.state(), State::Connected);
    assert!(foreign.ssl().is_init_finished());
    sent
}

/// Data in both directions, so that the keys are known to agree.
fn exchange(session: &mut Session, foreign: &mut SslStream<DatagramIo>, now: Instant) {
    let mut events = Vec::new();
    session.send_application_data(b"ours").unwrap();
    foreign.get_mut().push(session.poll_transmit().unwrap());
    let mut buffer = [0; 100];
    assert_eq!(foreign.ssl_read(&mut buffer).unwrap(), 4);
    foreign.ssl_write(b"theirs").unwrap();
    session.handle_packet(now, &foreign.get_mut().poll_outbound().unwrap());
    while let Some(event) = session.poll_event() {
        events.push(event);
    }
    assert_eq!(data(&events), ["theirs"]);
}

#[test]
fn plain_openssl_client_connects() {
    for key_type in [KeyType::EcdsaP256, KeyType::Rsa2048] {
        let (own, other) = (certificate(KeyType::EcdsaP256), certificate(key_type));
        let now = Instant::now();
        let mut session = Session::new(now, config(Role::Server, &own, &other)).unwrap();
        let mut foreign = foreign_stream(foreign_context(&other), Role::Client);
        connect(&mut session, &mut foreign, now);
        exchange(&mut session, &mut foreign, now);
        // Our preference decides, not the order of the offer.
        assert_eq!(foreign.ssl().selected_srtp_profile().unwrap().name(), "SRTP_AEAD_AES_128_GCM");
    }
}

#[test]
fn plain_openssl_server_is_connected_to() {
    for key_type in [KeyType::EcdsaP256, KeyType::Rsa2048] {
        let (own, other) = (certificate(KeyType::EcdsaP256), certificate(key_type));
        let now = Instant::now();
        let mut session = Session::new(now, config(Role::Client, &own, &other)).unwrap();
        let mut foreign = foreign_stream(foreign_context(&other), Role::Server);
        connect(&mut session, &mut foreign, now);
        exchange(&mut session, &mut foreign, now);
    }
}

#[test]
fn server_that_asks_for_a_cookie_gets_it() {
    let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let mut context = foreign_context(&other);
    context.set_options(SslOptions::COOKIE_EXCHANGE);
    context.set_cookie_generate_cb(|_, cookie| {
        cookie[..6].copy_from_slice(b"cookie");
        Ok(6)
    });
    context.set_cookie_verify_cb(|_, cookie| cookie == b"cookie");
    let now = Instant::now();
    let mut session = Session::new(now, config(Role::Client, &own, &other)).unwrap();
    let mut foreign = foreign_stream(context, Role::Server);
    let sent = connect(&mut session, &mut foreign, now);
    let first = records(&sent[0]).next().unwrap();
    assert_eq!((first.content_type, first.body[0]), (HANDSHAKE, HELLO_VERIFY_REQUEST));
    exchange(&mut session, &mut foreign, now);
}

/// Post-quantum key shares make the hellos of browsers larger than a datagram.
#[test]
fn hello_larger_than_a_datagram_is_accepted() {
    let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let mut context = foreign_context(&other);
    context
        .add_custom_ext(
            65_000,
            ExtensionContext::CLIENT_HELLO,
            |_, _, _| Ok(Some(vec![0x51; 1_700])),
            |_, _, _, _| Ok(()),
        )
        .unwrap();
    let now = Instant::now();
    let mut session = Session::new(now, config(Role::Server, &own, &other)).unwrap();
    let mut foreign = foreign_stream(context, Role::Client);
    let sent = connect(&mut session, &mut foreign, now);
    assert!(sent[0].len() > 1_000 && records(&sent[1]).next().unwrap().body[0] == 1);
    exchange(&mut session, &mut foreign, now);
}

#[test]
fn peer_without_use_srtp_connects_without_srtp_keys() {
    let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let mut context = foreign_context(&other);
    context.set_tlsext_use_srtp("SRTP_AES128_CM_SHA1_32").unwrap();
    let now = Instant::now();
    let mut session = Session::new(now, config(Role::Server, &own, &other)).unwrap();
    let mut foreign = foreign_stream(context, Role::Client);
    connect(&mut session, &mut foreign, now);
    assert!(matches!(session.poll_event(), Some(Event::Connected { srtp: None })));
}

/// The other hash and key length: our own two ends never agree on it.
#[test]
fn suite_with_aes_256_works_in_both_roles() {
    let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let now = Instant::now();
    for (role, foreign_role) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
        let mut context = foreign_context(&other);
        context.set_cipher_list("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384").unwrap();
        let mut session = Session::new(now, config(role, &own, &other)).unwrap();
        let mut foreign = foreign_stream(context, foreign_role);
        connect(&mut session, &mut foreign, now);
        assert!(session.cipher_suite().unwrap().ends_with("_WITH_AES_256_GCM_SHA384"));
        exchange(&mut session, &mut foreign, now);
    }
}

/// OpenSSL exports its keying material with the same function, so both must agree on it.
#[test]
fn own_key_derivation_agrees_with_the_exporter_of_openssl() {
    for suites in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"] {
        let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
        let mut context = foreign_context(&other);
        context.set_cipher_list(suites).unwrap();
        let now = Instant::now();
        let mut session = Session::new(now, config(Role::Client, &own, &other)).unwrap();
        let mut foreign = foreign_stream(context, Role::Server);
        connect(&mut session, &mut foreign, now);
        let ssl = foreign.ssl();
        let (mut master, mut client, mut server) = ([0; 48], [0; 32], [0; 32]);
        assert_eq!(ssl.session().unwrap().master_key(&mut master), 48);
        ssl.client_random(&mut client);
        ssl.server_random(&mut server);
        let hash = if suites.ends_with("384") { prf::PrfHash::Sha384 } else { prf::PrfHash::Sha256 };
        let mut exported = vec![0; 100];
        ssl.export_keying_material(&mut exported, "EXPORTER-test", None).unwrap();
        let own = prf::expand(hash, &master, b"EXPORTER-test", [&client, &server], 100);
        assert_eq!(*own, exported, "{suites}");
    }
}

#[test]
fn close_notify_is_understood_in_both_directions() {
    let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let now = Instant::now();
    for foreign_closes in [true, false] {
        let mut session = Session::new(now, config(Role::Server, &own, &other)).unwrap();
        let mut foreign = foreign_stream(foreign_context(&other), Role::Client);
        connect(&mut session, &mut foreign, now);
        if foreign_closes {
            foreign.shutdown().unwrap();
            session.handle_packet(now, &foreign.get_mut().poll_outbound().unwrap());
            assert_eq!(session.state(), State::Closed);
        } else {
            session.close();
        }
        foreign.get_mut().push(session.poll_transmit().expect("a close_notify"));
        let error = foreign.ssl_read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ZERO_RETURN);
    }
}

/// OpenSSL's client sends its last flight again with new record numbers when ours was lost.
#[test]
fn plain_openssl_client_that_missed_the_last_flight_gets_it_again() {
    let (own, other) = (certificate(KeyType::EcdsaP256), certificate(KeyType::Rsa2048));
    let now = Instant::now();
    let mut session = Session::new(now, config(Role::Server, &own, &other)).unwrap();
    let mut foreign = foreign_stream(foreign_context(&other), Role::Client);
    let mut lost = 0;
    for _ in 0..200 {
        if let Err(error) = foreign.do_handshake() {
            assert_eq!(error.code(), ErrorCode::WANT_READ, "{error}");
        }
        while let Some(datagram) = foreign.get_mut().poll_outbound() {
            session.handle_packet(now, &datagram);
        }
        while let Some(datagram) = session.poll_transmit() {
            if session.state() == State::Connected && lost < 1 {
                lost += 1;
            } else {
                foreign.get_mut().push(datagram);
            }
        }
        if foreign.ssl().is_init_finished() {
            break;
        }
        // Its timer runs by the clock: a second. It looks at it when it reads.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(lost, 1, "the last flight was never lost");
    assert!(foreign.ssl().is_init_finished());
    exchange(&mut session, &mut foreign, now);
}
