//! `cargo xtask soak`: the property tests with many more seeds than `cargo xtask test` gives them.
//!
//! Which tests those are is read from the sources: whatever asks for `ACTIX_RTC_SEEDS`. Nothing has to be listed,
//! so nothing can be forgotten.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::progress;
use crate::report::Report;
use crate::test::{cargo, run_once};
use crate::workspace::Workspace;

/// How many seeds a test runs is said by this variable.
const SEEDS: &str = "ACTIX_RTC_SEEDS";
/// For each test target.
const DEADLINE: Duration = Duration::from_secs(6 * 60 * 60);
/// The library's own tests, beside those of `tests/`.
const LIBRARY: &str = "the library";

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many seeds each property test runs
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Run only the targets whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool> {
    let mut targets = targets(workspace)?;
    if let Some(only) = &arguments.only {
        targets.retain(|target| target.contains(only.as_str()));
    }
    if targets.is_empty() {
        bail!("no test asks for {SEEDS}");
    }
    let mut report = Report::default();
    for target in targets {
        progress(format!("{target} with {} seeds", arguments.seeds));
        let mut command = cargo(workspace, "test")?;
        command.args(["--package", "actix-rtc", "--no-fail-fast"]);
        match target.as_str() {
            LIBRARY => command.arg("--lib"),
            test => command.args(["--test", test]),
        };
        command.env(SEEDS, arguments.seeds.to_string());
        // Never run again: a failure in a thousand is what is looked for.
        let (row, _) = run_once(workspace, "soak", &target, command, DEADLINE)?;
        report.push(row);
    }
    report.print();
    Ok(!report.any_failed())
}

/// The test targets whose sources ask for the number of seeds.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if mentions(&workspace.root.join("src"))? {
        found.push(LIBRARY.to_owned());
    }
    for entry in std::fs::read_dir(workspace.root.join("tests"))? {
        let path = entry?.path();
        if mentions(&path)? {
            found.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    found.sort();
    Ok(found)
}

fn mentions(path: &Path) -> Result<bool> {
    if !path.is_dir() {
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        return Ok(is_source && std::fs::read_to_string(path)?.contains(SEEDS));
    }
    for entry in std::fs::read_dir(path)? {
        if mentions(&entry?.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_tests_are_found() {
        let found = targets(&Workspace::locate().unwrap()).unwrap();
        for expected in ["sequences", "simulation"] {
            assert!(found.iter().any(|target| target == expected), "{found:?}");
        }
        assert!(!found.iter().any(|target| target == "layers"), "{found:?}");
    }
}
