//! Installs what the tests need where that is allowed, and says exactly what is missing where it is not.
//!
//! Three sources: Debian packages (only as root), npm into `interop/browser/node_modules`, PyPI into
//! `target/venv`. promtool is taken out of Debian's `prometheus` package without installing that package,
//! which would start a service. When everything is there this takes milliseconds and asks no registry.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::namespace::is_root;
use crate::process::Job;
use crate::progress;
use crate::workspace::Workspace;

/// Installing a browser takes half a minute where the registry is near.
const INSTALL_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Either where a thing is, or the reason why it is missing, with the command that would install it.
pub(crate) type Found = Result<PathBuf, String>;

/// What the tests can count on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tools {
    pub(crate) chromium: Found,
    pub(crate) promtool: Found,
    pub(crate) ip: Found,
    /// coturn, which `tests/ice_servers` starts on loopback.
    pub(crate) turnserver: Found,
    /// nftables, whose rules make the NATs of `interop nat`.
    pub(crate) nft: Found,
    /// node, with playwright-core installed beside the browser scripts.
    pub(crate) playwright: Found,
    /// The Python of the virtual environment that holds aiortc.
    pub(crate) aiortc: Found,
}

impl Tools {
    /// Everything that is missing, as sentences.
    fn missing(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("chromium", &self.chromium),
            ("promtool", &self.promtool),
            ("ip", &self.ip),
            ("turnserver", &self.turnserver),
            ("nft", &self.nft),
            ("playwright-core", &self.playwright),
            ("aiortc", &self.aiortc),
        ];
        all.into_iter().filter_map(|(name, found)| Some((name, found.as_ref().err()?.as_str()))).collect()
    }
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// Also what the benches measure beside or with: the Debian packages janus and linux-perf
    #[arg(long)]
    bench: bool,
}

/// The command line `cargo xtask setup`.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let tools = install(workspace);
    let benches = !arguments.bench || install_for_benches(workspace);
    for (name, reason) in tools.missing() {
        println!("MISSING  {name}: {reason}");
    }
    let complete = tools.missing().is_empty();
    if complete {
        println!("everything the tests need is installed");
    }
    Ok(complete && benches)
}

/// Says what is missing; the benches leave it out then.
fn install_for_benches(workspace: &Workspace) -> bool {
    let wanted: Vec<&str> = [("janus", "janus"), ("perf", "linux-perf")]
        .into_iter()
        .filter(|(program, _)| on_path(program).is_none())
        .map(|(_, package)| package)
        .collect();
    if wanted.is_empty() {
        return true;
    }
    match install_packages(workspace, &wanted) {
        Ok(()) => true,
        Err(reason) => {
            println!("MISSING  for benches: {reason}");
            false
        }
    }
}

/// Installs what is missing and can be installed. Never fails as a whole: each tool carries its own reason.
pub(crate) fn install(workspace: &Workspace) -> Tools {
    progress("setup: looking for what the tests need");
    let wanted = wanted_packages();
    let refused = if wanted.is_empty() { None } else { install_packages(workspace, &wanted).err() };
    // What is still missing has the package manager's reason, or apt had no say in it.
    let reason = |package: &str| match &refused {
        Some(refused) => refused.clone(),
        None => format!("not found, although the Debian package {package} should hold it"),
    };
    Tools {
        chromium: chromium().ok_or_else(|| reason("chromium")),
        ip: on_path("ip").ok_or_else(|| reason("iproute2")),
        turnserver: on_path("turnserver").ok_or_else(|| reason("coturn")),
        nft: on_path("nft").ok_or_else(|| reason("nftables")),
        promtool: promtool(workspace),
        playwright: playwright(workspace, &reason),
        aiortc: aiortc(workspace, &reason),
    }
}

/// Debian packages of which something is missing.
fn wanted_packages() -> Vec<&'static str> {
    let has_venv = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    let checks = [
        (chromium().is_some(), &["chromium"][..]),
        (on_path("ip").is_some(), &["iproute2"]),
        (on_path("turnserver").is_some(), &["coturn"]),
        // Makes the certificate of the TURN server that `interop` starts.
        (on_path("openssl").is_some(), &["openssl"]),
        (on_path("nft").is_some(), &["nftables"]),
        (has_venv.is_ok_and(|output| output.status.success()), &["python3", "python3-venv"]),
        (on_path("node").is_some(), &["nodejs"]),
        (on_path("npm").is_some(), &["npm"]),
    ];
    checks.into_iter().filter(|(present, _)| !present).flat_map(|(_, packages)| packages.to_vec()).collect()
}

/// The error tells a person what to run.
fn install_packages(workspace: &Workspace, packages: &[&str]) -> Result<(), String> {
    let list = packages.join(" ");
    let by_hand = format!("run: apt-get update && apt-get install -y --no-install-recommends {list}");
    if on_path("apt-get").is_none() {
        return Err(format!("no apt-get here; install by other means: {list}"));
    }
    if !is_root() {
        return Err(format!("only root may install Debian packages; {by_hand}"));
    }
    progress(format!("setup: installing Debian packages: {list}"));
    let log = |step: &str| workspace.logs().join(format!("setup-{step}.log"));
    let mut update = apt_get();
    update.arg("update");
    // A stale package list may still do.
    let _ = run_logged("apt-get update", update, log("apt-update"));
    let install = |packages: &[&str]| {
        let mut command = apt_get();
        command.args(["install", "-y", "--no-install-recommends"]).args(packages);
        run_logged("apt-get install", command, log("apt-install"))
    };
    let Err(error) = install(packages) else { return Ok(()) };
    // One that cannot be had must not keep the others away.
    for package in packages {
        let _ = install(&[package]);
    }
    Err(format!("{error}; {by_hand}"))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    // Another installation may be under way.
    command.args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn chromium() -> Option<PathBuf> {
    // Debian's wrapper in /usr/bin adds GPU flags that a headless run does not want.
    let debian = PathBuf::from("/usr/lib/chromium/chromium");
    if debian.is_file() {
        return Some(debian);
    }
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)
}

/// promtool on the path, or out of Debian's package, unpacked under target/tools.
fn promtool(workspace: &Workspace) -> Found {
    let unpacked = workspace.target.join("tools/prometheus/usr/bin/promtool");
    if let Some(found) = on_path("promtool").or_else(|| unpacked.is_file().then(|| unpacked.clone())) {
        return Ok(found);
    }
    let by_hand = "run: apt-get update && apt-get install -y prometheus";
    if on_path("apt-get").is_none() || on_path("dpkg-deb").is_none() {
        return Err(format!("no apt-get and dpkg-deb here; on Debian {by_hand}"));
    }
    progress("setup: taking promtool out of Debian's prometheus package");
    let folder = workspace.target.join("tools");
    unpack_promtool(workspace, &folder).map_err(|error| format!("{error}; {by_hand}"))?;
    if unpacked.is_file() { Ok(unpacked) } else { Err(format!("not in the package; {by_hand}")) }
}

fn unpack_promtool(workspace: &Workspace, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let log = |step: &str| workspace.logs().join(format!("setup-{step}.log"));
    let download = || {
        let mut command = apt_get();
        command.args(["download", "prometheus"]).current_dir(folder);
        run_logged("apt-get download", command, log("apt-download"))
    };
    if download().is_err() {
        // No package list yet, or an old one: only root may fetch a new one.
        if is_root() {
            let mut update = apt_get();
            update.arg("update");
            let _ = run_logged("apt-get update", update, log("apt-update"));
        }
        download()?;
    }
    let packages = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let package = packages.flatten().map(|entry| entry.path()).find(|path| is_package(path));
    let package = package.ok_or("apt-get download left no package")?;
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(&package).arg(folder.join("prometheus"));
    run_logged("dpkg-deb", command, log("dpkg-deb"))?;
    // Only promtool is wanted, and the package is large.
    let _ = std::fs::remove_file(package);
    Ok(())
}

fn is_package(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("prometheus_") && name.ends_with(".deb")
}

/// node with playwright-core; the browser itself is Debian's, never a download of npm's.
fn playwright(workspace: &Workspace, reason: &dyn Fn(&str) -> String) -> Found {
    let node = on_path("node").ok_or_else(|| reason("nodejs"))?;
    let folder = workspace.browser_scripts();
    let manifest = std::fs::read_to_string(folder.join("package.json"))
        .map_err(|error| format!("interop/browser/package.json: {error}"))?;
    let lock = std::fs::read_to_string(folder.join("package-lock.json")).unwrap_or_default();
    let stamp = folder.join("node_modules/.xtask-stamp");
    let wanted = format!("{manifest}{lock}");
    if folder.join("node_modules/playwright-core").is_dir() && holds(&stamp, &wanted) {
        return Ok(node);
    }
    let npm = on_path("npm").ok_or_else(|| reason("npm"))?;
    progress("setup: installing playwright-core from npm");
    let mut command = Command::new(npm);
    command.arg(if lock.is_empty() { "install" } else { "ci" });
    command.args(["--no-audit", "--no-fund", "--ignore-scripts"]);
    command.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").current_dir(&folder);
    let by_hand = "run: cd interop/browser && npm ci --ignore-scripts";
    run_logged("npm", command, workspace.logs().join("setup-npm.log"))
        .and_then(|()| std::fs::write(&stamp, wanted).map_err(|error| error.to_string()))
        .map_err(|error| format!("{error}; {by_hand}"))?;
    Ok(node)
}

/// The virtual environment with aiortc, rebuilt when its list of requirements changes.
fn aiortc(workspace: &Workspace, reason: &dyn Fn(&str) -> String) -> Found {
    let requirements = workspace.aiortc_scripts().join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|error| format!("interop/aiortc/requirements.txt: {error}"))?;
    let venv = workspace.target.join("venv");
    let (python, stamp) = (venv.join("bin/python"), venv.join(".xtask-stamp"));
    // The link is dead when the Python it was made from has gone.
    if python.exists() && holds(&stamp, &wanted) {
        return Ok(python);
    }
    let system_python = on_path("python3").ok_or_else(|| reason("python3"))?;
    progress("setup: installing aiortc from PyPI into target/venv");
    let log = |step: &str| workspace.logs().join(format!("setup-{step}.log"));
    let mut command = Command::new(system_python);
    command.args(["-m", "venv", "--clear"]).arg(&venv);
    run_logged("python3 -m venv", command, log("venv"))
        .map_err(|error| format!("{error}; {}", reason("python3-venv")))?;
    let mut command = Command::new(&python);
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]);
    command.arg(&requirements);
    let by_hand =
        "run: python3 -m venv target/venv && target/venv/bin/pip install -r interop/aiortc/requirements.txt";
    run_logged("pip install", command, log("pip"))
        .and_then(|()| std::fs::write(&stamp, wanted).map_err(|error| error.to_string()))
        .map_err(|error| format!("{error}; {by_hand}"))?;
    Ok(python)
}

fn holds(path: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|content| content == wanted)
}

/// Runs one installation step; its output goes to the log, and is shown when it fails.
fn run_logged(name: &str, command: Command, log: PathBuf) -> Result<(), String> {
    let finished = Job::new(name, command, INSTALL_DEADLINE).log(log).run();
    let finished = finished.map_err(|error| format!("{error:#}"))?;
    if finished.succeeded() {
        return Ok(());
    }
    eprintln!("{}", finished.tail(15));
    Err(finished.ending())
}

/// Finds a program the way the shell does; also where administrators' tools lie.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
