//! Janus from Debian's package: the VideoRoom plugin, the HTTP transport, and nothing else.
//!
//! Janus skips loopback interfaces when it gathers candidates, so the bench runs it in a network of its own that
//! has another one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Job, Running};
use crate::setup::on_path;
use crate::workspace::Workspace;

const HTTP_PORT: u16 = 18_088;
const START_PATIENCE: Duration = Duration::from_secs(20);
const LIFE_MAX: Duration = Duration::from_secs(15 * 60);
/// Where Debian keeps the plugins.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu/janus";

/// A running Janus; dropping it ends it.
pub(super) struct Janus {
    process: Running,
}

/// Why Janus can't be measured, with what would help; `None` if it can.
pub(super) fn missing() -> Option<String> {
    on_path("janus").is_none().then(|| {
        "Janus is not installed; `cargo xtask setup --bench` as root, or: apt-get install -y janus".to_owned()
    })
}

impl Janus {
    pub(super) fn start(workspace: &Workspace, prefix: &[&str]) -> Result<Self> {
        let program = on_path("janus").context("janus is not installed")?;
        let folder = configure(workspace)?;
        let mut words: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
        words.push(program.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("-F").arg(&folder).current_dir(&folder);
        let log = workspace.logs().join("bench-janus.server.log");
        let mut janus = Self { process: Job::new("janus", command, LIFE_MAX).log(log).start()? };
        janus.wait_until_it_listens().map_err(|error| error.context(janus.tail(30)))?;
        Ok(janus)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let until = Instant::now() + START_PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.process.poll()? {
                bail!("janus ended with {status}");
            }
            if std::net::TcpStream::connect(("127.0.0.1", HTTP_PORT)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("janus did not listen on port {HTTP_PORT} within {START_PATIENCE:?}")
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{HTTP_PORT}")
    }

    pub(super) fn tail(&self, count: usize) -> String {
        self.process.tail(count)
    }
}

/// Writes the configuration; returns its folder.
fn configure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("bench/janus");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let general = format!(
        "general: {{\n  configs_folder = \"{}\"\n  plugins_folder = \"{LIBRARIES}/plugins\"\n  \
         transports_folder = \"{LIBRARIES}/transports\"\n  admin_secret = \"bench\"\n  debug_level = 3\n  \
         session_timeout = 600\n  event_loops = 1\n}}\n\
         media: {{\n  ipv6 = false\n  rtp_port_range = \"20000-60000\"\n}}\n\
         nat: {{\n  ignore_mdns = true\n}}\n\
         plugins: {{\n  disable = \"{}\"\n}}\n\
         transports: {{\n  disable = \"{}\"\n}}\n",
        folder.display(),
        others(Path::new(LIBRARIES).join("plugins"), "libjanus_videoroom.so"),
        others(Path::new(LIBRARIES).join("transports"), "libjanus_http.so"),
    );
    let http = format!(
        "general: {{\n  json = \"compact\"\n  base_path = \"/janus\"\n  http = true\n  port = {HTTP_PORT}\n  \
         ip = \"127.0.0.1\"\n  https = false\n}}\nadmin: {{\n  admin_http = false\n}}\n"
    );
    std::fs::write(folder.join("janus.jcfg"), general)?;
    std::fs::write(folder.join("janus.transport.http.jcfg"), http)?;
    // The load generator makes the room: VP8 and Opus, more publishers than any case has.
    std::fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")?;
    Ok(folder)
}

/// All libraries of a folder but one.
fn others(folder: PathBuf, wanted: &str) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".so") && name != wanted).collect();
    names.sort();
    names.join(",")
}
