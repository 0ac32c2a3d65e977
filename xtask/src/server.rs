//! One run of the server under test: started on free ports, found by the address it prints.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::http;
use crate::metrics_text::Scrape;
use crate::process::{Job, Running};
use crate::workspace::{Profile, Workspace};

pub(crate) const BINARY: &str = "actix-rtc-sfu";
/// The server prints its page's address when it is ready to be asked.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// A server that a test forgot must not outlive it for long.
const LIFE_MAX: Duration = Duration::from_secs(15 * 60);

/// What to start.
pub(crate) struct Options<'a> {
    pub(crate) profile: Profile,
    /// Names the log file.
    pub(crate) name: &'a str,
    pub(crate) fault_injection: bool,
    /// Runs before the program: `taskset -c 0`, say.
    pub(crate) prefix: &'a [&'a str],
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    process: Running,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(workspace: &Workspace, options: &Options<'_>) -> Result<Self> {
        Self::start_with(workspace, options, &[])
    }

    /// Starts it with further arguments.
    pub(crate) fn start_with(
        workspace: &Workspace,
        options: &Options<'_>,
        arguments: &[&str],
    ) -> Result<Self> {
        let binary = workspace.binary(BINARY, options.profile);
        let mut words: Vec<&OsStr> = options.prefix.iter().map(OsStr::new).collect();
        words.push(binary.as_os_str());
        let faults = if options.fault_injection { &["--enable-fault-injection"][..] } else { &[] };
        if !binary.is_file() {
            bail!("{} is not built", binary.display());
        }
        Self::launch(workspace, &words, &[faults, arguments].concat(), options.name)
    }

    /// Starts another program that takes `--listen` and prints the address of its page.
    pub(crate) fn start_program(
        workspace: &Workspace,
        program: &Path,
        arguments: &[&str],
        name: &str,
    ) -> Result<Self> {
        if !program.is_file() {
            bail!("{} is not built", program.display());
        }
        Self::launch(workspace, &[program.as_os_str()], arguments, name)
    }

    /// The same behind a prefix: `taskset -c 0`, say.
    pub(crate) fn start_program_behind(
        workspace: &Workspace,
        prefix: &[&str],
        program: &Path,
        arguments: &[&str],
        name: &str,
    ) -> Result<Self> {
        if !program.is_file() {
            bail!("{} is not built", program.display());
        }
        let mut words: Vec<&OsStr> = prefix.iter().map(OsStr::new).collect();
        words.push(program.as_os_str());
        Self::launch(workspace, &words, arguments, name)
    }

    fn launch(workspace: &Workspace, words: &[&OsStr], arguments: &[&str], name: &str) -> Result<Self> {
        let log = workspace.logs().join(format!("{name}.server.log"));
        let (first, rest) = words.split_first().context("no program to start")?;
        let mut command = Command::new(first);
        command.args(rest).args(["--listen", "127.0.0.1:0"]).args(arguments).current_dir(&workspace.target);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        let mut process = Job::new(name, command, LIFE_MAX).log(log).start()?;
        let address = process
            .wait_for_line(START_PATIENCE, "the address of its page", page_address)
            .map_err(|error| {
                // The log says why: a port in use, a missing library.
                anyhow!("{error}\n{}", process.tail(30))
            })?;
        Ok(Self { process, address })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn scrape(&self) -> Result<Scrape> {
        Ok(Scrape::parse(&self.metrics_text()?))
    }

    pub(crate) fn metrics_text(&self) -> Result<String> {
        let response = http::get(self.address, "/metrics")?;
        if response.status != 200 {
            bail!("/metrics answered {}: {}", response.status, response.body);
        }
        Ok(response.body)
    }

    /// The loopback addresses of the server's UDP sockets, as the kernel lists them: media arrives there.
    pub(crate) fn media_addresses(&self) -> Result<Vec<SocketAddr>> {
        let all = udp_sockets(self.id())?.into_iter().map(|socket| reachable(socket.local));
        let addresses: Vec<_> = all.filter(|address| address.ip().is_loopback()).collect();
        if addresses.is_empty() {
            bail!("the server has no UDP socket on loopback");
        }
        Ok(addresses)
    }

    /// Datagrams the kernel threw away because the server's UDP sockets were full.
    pub(crate) fn kernel_drops(&self) -> Result<u64> {
        Ok(udp_sockets(self.id())?.iter().map(|socket| socket.drops).sum())
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.poll()?.is_none())
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// How the server ended; `None` when it still runs after `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        self.process.wait(patience)
    }

    pub(crate) fn tail(&self, count: usize) -> String {
        self.process.tail(count)
    }
}

/// The address in a line that names `http://127.0.0.1:PORT`.
fn page_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// One UDP socket of a process.
struct UdpSocket {
    local: SocketAddr,
    drops: u64,
}

/// Finds a process's UDP sockets: the inodes among its file descriptors, looked up in /proc/PID/net/udp.
fn udp_sockets(id: u32) -> Result<Vec<UdpSocket>> {
    let folder = format!("/proc/{id}/fd");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.clone())?;
    let inodes: Vec<String> = entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
            Some(link)
        })
        .collect();
    let mut sockets = Vec::new();
    for table in ["udp", "udp6"] {
        // Without IPv6 there is no such table.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{id}/net/{table}")) else { continue };
        sockets.extend(text.lines().skip(1).filter_map(|line| socket(line, &inodes)));
    }
    Ok(sockets)
}

/// One line of /proc/net/udp: `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops`.
fn socket(line: &str, inodes: &[String]) -> Option<UdpSocket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if !inodes.iter().any(|inode| Some(&inode.as_str()) == fields.get(9)) {
        return None;
    }
    let local = kernel_address(fields.get(1)?)?;
    Some(UdpSocket { local, drops: fields.get(12)?.parse().ok()? })
}

/// `0100007F:1F90`: 32-bit words in the machine's byte order.
fn kernel_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for at in (0..host.len()).step_by(8) {
        let word = u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some((v4, port).into());
    }
    let v6 = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some((v6, port).into())
}

/// A socket bound to every address is reached over loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Sums the first field of every thread's schedstat: time on a CPU, in nanoseconds.
pub(crate) fn cpu_ns(id: u32) -> Result<u64> {
    let folder = format!("/proc/{id}/task");
    let mut sum = 0_u64;
    for thread in std::fs::read_dir(&folder).with_context(|| folder.clone())?.flatten() {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
        sum += text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_address_is_found_in_a_log_line() {
        let expected = Some("127.0.0.1:8080".parse().unwrap());
        assert_eq!(page_address("INFO sfu: page at http://127.0.0.1:8080/ (ready)"), expected);
        assert_eq!(page_address("http://127.0.0.1:8080"), expected);
        assert_eq!(page_address("see https://example.org or http://localhost:1/"), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernel_table_of_udp_sockets_is_read() {
        let line = "  123: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                    987654 2 0000000000000000 17";
        let found = socket(line, &["987654".to_owned()]).unwrap();
        assert_eq!((found.local, found.drops), ("127.0.0.1:8080".parse().unwrap(), 17));
        assert!(socket(line, &["1".to_owned()]).is_none());
        let v6 = kernel_address("00000000000000000000000001000000:0050").unwrap();
        assert_eq!(v6, "[::1]:80".parse().unwrap());
    }

    #[test]
    fn this_process_has_used_cpu_time_and_its_socket_is_listed() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let own = socket.local_addr().unwrap();
        assert!(udp_sockets(std::process::id()).unwrap().iter().any(|found| found.local == own));
        assert!(cpu_ns(std::process::id()).unwrap() > 0);
    }
}
