//! What the kernel allows this process, open files and socket buffers, raised as far as it lets itself be moved.

use std::os::fd::AsFd;

use anyhow::bail;
use rustix::{
    net::sockopt,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Files besides the sockets of peers: standard streams, the reactor, /proc, threads that post offers.
const OTHER_FILES: u64 = 128;

/// Makes room for so many sockets.
///
/// # Errors
/// When the limit is lower and can't be raised; says what to do.
pub(crate) fn raise_open_files(sockets: u64) -> anyhow::Result<()> {
    let needed = sockets + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // The hard limit is root's to raise; up to it the soft one is anybody's.
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    let raised = Rlimit { current: Some(needed), maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        bail!(
            "{needed} open files are needed and {} are allowed: run `ulimit -n {needed}` before (as root if the hard \
             limit is lower too: `ulimit -Hn`), raise nofile in /etc/security/limits.conf, or ask for fewer peers",
            limit.current.unwrap_or_default()
        );
    }
    Ok(())
}

/// Asks for socket buffers of so many bytes, beyond net.core.rmem_max and wmem_max where that is allowed (root).
/// Returns what the receive buffer has become; the kernel counts its own overhead in, and doubles what was asked for.
pub(crate) fn enlarge_buffers(socket: impl AsFd, bytes: usize) -> usize {
    // The kernel gives less where it must; the loss that follows is seen and counted.
    if sockopt::set_socket_recv_buffer_size_force(&socket, bytes).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, bytes);
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, bytes).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(&socket, bytes);
    }
    sockopt::socket_recv_buffer_size(&socket).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_high_enough_is_left_alone_and_one_beyond_all_bounds_is_refused_with_advice() {
        let before = getrlimit(Resource::Nofile);
        raise_open_files(0).unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, before.current);
        let error = raise_open_files(u64::MAX >> 2).unwrap_err().to_string();
        assert!(error.contains("ulimit -n"), "{error}");
    }

    #[test]
    fn buffers_become_larger() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = sockopt::socket_recv_buffer_size(&socket).unwrap();
        let size = enlarge_buffers(&socket, 4 * before);
        assert!(size > before, "{size} {before}");
    }
}
