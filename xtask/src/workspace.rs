//! Where things lie in the work tree, and what `cargo metadata` says about its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The work tree and the folders that tasks write to.
#[derive(Clone)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// This program's path, taken at the start: a later build may replace the file.
    pub(crate) xtask: PathBuf,
}

/// Which of cargo's profiles a binary was built with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// What the tests need to know about one package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    /// The integration tests: files and folders of `tests/`.
    pub(crate) tests: Vec<String>,
}

impl Workspace {
    pub(crate) fn locate() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Inside a copied target folder the compiled-in path may be stale: then the current folder counts.
        let compiled = manifest.parent().filter(|root| root.join("xtask/Cargo.toml").is_file());
        let root = match compiled {
            Some(root) => root.to_path_buf(),
            None => std::env::current_dir().context("no current folder")?,
        };
        if !root.join("Cargo.toml").is_file() {
            bail!("{} holds no Cargo.toml: run this at the root of the workspace", root.display());
        }
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        let xtask = std::env::current_exe().context("the path of this program")?;
        Ok(Self { root, target, xtask })
    }

    /// `cargo` with the given arguments, at the root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.root);
        command
    }

    pub(crate) fn binary(&self, name: &str, profile: Profile) -> PathBuf {
        self.target.join(profile.folder()).join(name)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.target.join("test-logs")
    }

    /// Where screenshots and the pages' own results are kept.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.target.join("test-artifacts")
    }

    pub(crate) fn browser_scripts(&self) -> PathBuf {
        self.root.join("interop/browser")
    }

    pub(crate) fn aiortc_scripts(&self) -> PathBuf {
        self.root.join("interop/aiortc")
    }

    pub(crate) fn aioice_scripts(&self) -> PathBuf {
        self.root.join("interop/aioice")
    }

    /// The packages of this workspace, read without resolving dependencies.
    pub(crate) fn packages(&self) -> Result<Vec<Package>> {
        let output = self
            .cargo(&["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo metadata did not start")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        let packages = metadata["packages"].as_array().context("cargo metadata listed no packages")?;
        Ok(packages.iter().map(package).collect())
    }
}

fn package(value: &Value) -> Package {
    let targets = value["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_test =
        |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "test"));
    Package {
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        features: value["features"].as_object().map(|f| f.keys().cloned().collect()).unwrap_or_default(),
        tests: targets
            .iter()
            .filter(is_test)
            .filter_map(|target| target["name"].as_str().map(str::to_owned))
            .collect(),
    }
}
