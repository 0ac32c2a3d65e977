//! DTLS records alone: OpenSSL seals one for each packet and opens it again, with the cipher that two of our own
//! agree on. A pre-shared key stands in for the certificates: records don't differ.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read, Write},
    rc::Rc,
};

use anyhow::{Context, bail};
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVersion};

use super::{Floor, Shape};

/// Datagrams between two turns: a full segmented send of the stack.
const BATCH: usize = 52;
const HANDSHAKE_STEPS: usize = 100;
const KEY: [u8; 16] = [7; 16];

type Datagrams = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end's view of two queues of datagrams.
struct Pipe {
    inbound: Datagrams,
    outbound: Datagrams,
    /// Emptied vectors, for the next datagrams.
    spare: Datagrams,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.inbound.borrow_mut().pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        self.spare.borrow_mut().push_back(datagram);
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut datagram = self.spare.borrow_mut().pop_front().unwrap_or_default();
        datagram.clear();
        datagram.extend_from_slice(bytes);
        self.outbound.borrow_mut().push_back(datagram);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Records {
    sender: SslStream<Pipe>,
    receiver: SslStream<Pipe>,
    packet: Vec<u8>,
    opened: Vec<u8>,
    shape: Shape,
}

impl Records {
    pub(super) fn new(shape: Shape) -> anyhow::Result<Self> {
        let mut builder = SslContext::builder(SslMethod::dtls())?;
        builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        builder.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
        builder.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
        builder.set_cipher_list("PSK-AES128-GCM-SHA256")?;
        builder.set_psk_client_callback(|_, _, identity, key| {
            identity[..2].copy_from_slice(b"a\0");
            key[..KEY.len()].copy_from_slice(&KEY);
            Ok(KEY.len())
        });
        builder.set_psk_server_callback(|_, _, key| {
            key[..KEY.len()].copy_from_slice(&KEY);
            Ok(KEY.len())
        });
        let context = builder.build();
        let (there, back, spare) = (Datagrams::default(), Datagrams::default(), Datagrams::default());
        let end = |inbound: &Datagrams, outbound: &Datagrams| -> anyhow::Result<SslStream<Pipe>> {
            let mut ssl = Ssl::new(&context)?;
            ssl.set_mtu(1_500)?;
            let pipe =
                Pipe { inbound: Rc::clone(inbound), outbound: Rc::clone(outbound), spare: Rc::clone(&spare) };
            Ok(SslStream::new(ssl, pipe)?)
        };
        let (mut sender, mut receiver) = (end(&back, &there)?, end(&there, &back)?);
        for _ in 0..HANDSHAKE_STEPS {
            let client = sender.connect();
            let server = receiver.accept();
            if client.is_ok() && server.is_ok() {
                let opened = vec![0; shape.packet_bytes];
                return Ok(Self { sender, receiver, packet: vec![0x5a; shape.packet_bytes], opened, shape });
            }
            for error in [client.err(), server.err()].into_iter().flatten() {
                if error.code() != ErrorCode::WANT_READ && error.code() != ErrorCode::WANT_WRITE {
                    return Err(error).context("the DTLS handshake");
                }
            }
        }
        bail!("the DTLS handshake does not end")
    }
}

impl Floor for Records {
    fn step(&mut self) -> anyhow::Result<u64> {
        for _ in 0..BATCH {
            self.sender.ssl_write(&self.packet)?;
        }
        for _ in 0..BATCH {
            if self.receiver.ssl_read(&mut self.opened)? != self.packet.len() {
                bail!("a record of another length");
            }
        }
        Ok(BATCH as u64 * self.shape.message_bytes)
    }
}
