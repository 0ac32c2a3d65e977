//! Datagrams alone: sent with segmentation offload, received with receive offload, over loopback.

use std::{
    io::IoSliceMut,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::Context;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::{Floor, Shape};

/// What a DTLS 1.2 record of AES-GCM adds to a packet.
const RECORD_BYTES: usize = 37;
/// The largest payload of an IPv4 datagram.
const LARGEST_SEND: usize = 65_507;
const RECEIVE_BUFFER: usize = 65_536;
/// A datagram that does not come has been lost by the kernel.
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) struct Loopback {
    sender: (UdpSocket, UdpSocketState),
    receiver: (UdpSocket, UdpSocketState),
    destination: SocketAddr,
    lot: Vec<u8>,
    datagram_bytes: usize,
    buffer: Vec<u8>,
    shape: Shape,
}

impl Loopback {
    pub(super) fn new(shape: Shape) -> anyhow::Result<Self> {
        let bind = || -> anyhow::Result<(UdpSocket, UdpSocketState)> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
            // The state makes it non-blocking: here it is to wait.
            socket.set_nonblocking(false)?;
            Ok((socket, state))
        };
        let (sender, receiver) = (bind()?, bind()?);
        let datagram_bytes = shape.packet_bytes + RECORD_BYTES;
        let count = sender.1.max_gso_segments().min(LARGEST_SEND / datagram_bytes).max(1);
        Ok(Self {
            destination: receiver.0.local_addr()?,
            sender,
            receiver,
            lot: vec![0x5a; count * datagram_bytes],
            datagram_bytes,
            buffer: vec![0; RECEIVE_BUFFER],
            shape,
        })
    }
}

impl Floor for Loopback {
    fn step(&mut self) -> anyhow::Result<u64> {
        let transmit = Transmit {
            destination: self.destination,
            ecn: None,
            contents: &self.lot,
            segment_size: Some(self.datagram_bytes),
            src_ip: None,
        };
        self.sender.1.try_send(UdpSockRef::from(&self.sender.0), &transmit)?;
        let mut received = 0;
        while received < self.lot.len() {
            // One at a time: a call that blocks would wait until all its buffers are filled.
            let mut metas = [RecvMeta::default()];
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            self.receiver
                .1
                .recv(UdpSockRef::from(&self.receiver.0), &mut slices, &mut metas)
                .context("the kernel lost a datagram")?;
            received += metas[0].len;
        }
        Ok((self.lot.len() / self.datagram_bytes) as u64 * self.shape.message_bytes)
    }
}
