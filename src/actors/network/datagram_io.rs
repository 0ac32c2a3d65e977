//! A UDP socket in the reactor of its thread.
//!
//! On Unix the reactor is asked for arrivals alone. Asked for both, Linux says that a socket is writable after every
//! burst that has left it, which wakes the thread once more for nothing. Writability is asked for while the kernel takes
//! no more, by a second descriptor of the same socket.

pub(super) use self::platform::DatagramIo;

#[cfg(unix)]
mod platform {
    use std::{
        cell::RefCell,
        io,
        net::UdpSocket,
        os::fd::{AsFd, AsRawFd, OwnedFd},
        task::{Context, Poll, ready},
    };

    use quinn_udp::UdpSockRef;
    use tokio::io::{Interest, unix::AsyncFd};

    pub(in super::super) struct DatagramIo {
        arrivals: AsyncFd<UdpSocket>,
        /// While the kernel takes no more.
        room: RefCell<Option<AsyncFd<OwnedFd>>>,
    }

    #[allow(
        deprecated,
        reason = "what replaces it is unsafe for the sake of types that change their descriptor; these own theirs"
    )]
    fn register<T: AsFd + AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
        AsyncFd::with_interest(socket, interest)
    }

    impl DatagramIo {
        /// The socket must not block.
        pub(in super::super) fn new(socket: UdpSocket) -> io::Result<Self> {
            Ok(Self { arrivals: register(socket, Interest::READABLE)?, room: RefCell::new(None) })
        }

        pub(in super::super) fn socket(&self) -> UdpSockRef<'_> {
            UdpSockRef::from(self.arrivals.get_ref())
        }

        /// Receives by `receive`, which says how much came, into room for `wanted`; `Pending` registers the waker.
        pub(in super::super) fn poll_receive(
            &self,
            cx: &mut Context<'_>,
            wanted: usize,
            mut receive: impl FnMut(UdpSockRef<'_>) -> io::Result<usize>,
        ) -> Poll<io::Result<usize>> {
            loop {
                let mut ready = ready!(self.arrivals.poll_read_ready(cx))?;
                let Ok(received) = ready.try_io(|_| receive(self.socket())) else { continue };
                // Linux fills what there is to be filled: nothing is left, and what comes from now on is told.
                if cfg!(target_os = "linux") && received.as_ref().is_ok_and(|count| *count < wanted) {
                    ready.clear_ready();
                }
                return Poll::Ready(received);
            }
        }

        /// Ready when the kernel has room again; to be asked when it had none. `Pending` registers the waker.
        pub(in super::super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let mut room = self.room.borrow_mut();
            let waiting = match &mut *room {
                Some(waiting) => waiting,
                none => {
                    let socket = OwnedFd::from(self.arrivals.get_ref().try_clone()?);
                    none.insert(register(socket, Interest::WRITABLE)?)
                }
            };
            let is_writable = ready!(waiting.poll_write_ready(cx)).map(drop);
            *room = None;
            Poll::Ready(is_writable)
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use std::{
        io,
        net::UdpSocket,
        task::{Context, Poll, ready},
    };

    use quinn_udp::UdpSockRef;
    use tokio::io::Interest;

    pub(in super::super) struct DatagramIo(tokio::net::UdpSocket);

    impl DatagramIo {
        /// The socket must not block.
        pub(in super::super) fn new(socket: UdpSocket) -> io::Result<Self> {
            tokio::net::UdpSocket::from_std(socket).map(Self)
        }

        pub(in super::super) fn socket(&self) -> UdpSockRef<'_> {
            UdpSockRef::from(&self.0)
        }

        /// Receives by `receive`; `Pending` registers the waker.
        pub(in super::super) fn poll_receive(
            &self,
            cx: &mut Context<'_>,
            _wanted: usize,
            mut receive: impl FnMut(UdpSockRef<'_>) -> io::Result<usize>,
        ) -> Poll<io::Result<usize>> {
            loop {
                ready!(self.0.poll_recv_ready(cx))?;
                match self.0.try_io(Interest::READABLE, || receive(self.socket())) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    received => return Poll::Ready(received),
                }
            }
        }

        /// Ready when the system has room again; `Pending` registers the waker.
        pub(in super::super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_send_ready(cx)
        }
    }
}
