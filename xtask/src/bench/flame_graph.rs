//! Where a process spends its time, as a picture: perf samples its stacks, inferno folds and draws them.
//!
//! Sampling costs some CPU time of the process itself, so a run that draws measures nothing.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options as FoldOptions};
use inferno::flamegraph::color::{MultiPalette, Palette};
use inferno::flamegraph::{self, Options};

use crate::process::{Job, Running};
use crate::setup::on_path;
use crate::workspace::Workspace;

/// Samples per second: a prime, so that nothing periodic is always or never hit.
const FREQUENCY_HZ: &str = "1499";
/// How stacks are walked: release builds keep no frame pointers. As many bytes of each stack are kept; a poll of an
/// actor is some 20 frames deep.
const CALL_GRAPH: &str = "dwarf,16384";
/// Frames narrower than this part of the whole, in percent, are left out: nobody reads them, and they are most of
/// the file.
const WIDTH_MIN_PERCENT: f64 = 0.25;
/// What lies below these frames, how a thread starts and runs its tasks, is left out; the first that a stack has counts.
const ROOTS: [&str; 2] = ["kit::guard::Guard", "Runtime::block_on"];
/// For perf to write down what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is being sampled.
pub(super) struct Recording {
    perf: Running,
    data: PathBuf,
}

impl Recording {
    /// Samples the process `id` for so long.
    pub(super) fn start(workspace: &Workspace, id: u32, period: Duration) -> Result<Self> {
        let perf = on_path("perf").context("perf is not installed (Debian package linux-perf)")?;
        let data = workspace.logs().join("flame-graph.perf");
        std::fs::create_dir_all(workspace.logs())?;
        let mut command = Command::new(perf);
        // The software clock, as virtual machines have no other.
        command.args(["record", "--event", "cpu-clock", "--freq", FREQUENCY_HZ, "--call-graph", CALL_GRAPH]);
        command.args(["--pid", &id.to_string(), "--output"]).arg(&data);
        command.args(["--", "sleep", &period.as_secs_f64().to_string()]);
        let perf = Job::new("perf record", command, period + PATIENCE).start()?;
        Ok(Self { perf, data })
    }

    /// Waits for the end of the period, then draws what was sampled to the file `svg`.
    pub(super) fn draw(self, svg: &Path, title: &str) -> Result<()> {
        let finished = self.perf.finish()?;
        if !finished.succeeded() {
            bail!("{}\n{}", finished.ending(), finished.tail(20));
        }
        let folded = fold(&self.data)?;
        draw(&folded, svg, title)
    }
}

/// One line for each different stack, with its number of samples.
fn fold(data: &Path) -> Result<Vec<u8>> {
    let perf = on_path("perf").context("perf is not installed")?;
    let mut command = Command::new(perf);
    // Inlined functions are looked up one by one, which takes minutes.
    command.args(["script", "--no-inline", "--fields", "comm,pid,tid,time,event,ip,sym,dso", "--input"]);
    let mut script = command.arg(data).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let stacks = script.stdout.take().context("perf script has no output")?;
    let mut options = FoldOptions::default();
    options.annotate_kernel = true;
    options.nthreads = 1;
    let mut folded = Vec::new();
    Folder::from(options).collapse(BufReader::new(stacks), &mut folded)?;
    let status = script.wait()?;
    if !status.success() {
        bail!("perf script ended with {status}");
    }
    Ok(folded)
}

fn draw(folded: &[u8], svg: &Path, title: &str) -> Result<()> {
    let text = String::from_utf8_lossy(folded);
    let mut lines: Vec<String> = text.lines().map(readable).collect();
    lines.sort_unstable();
    let mut options = Options::default();
    options.title = title.to_owned();
    options.min_width = WIDTH_MIN_PERCENT;
    // By whose code it is: Rust's own, the kernel's, others'.
    options.colors = Palette::Multi(MultiPalette::Rust);
    options.deterministic = true;
    if let Some(folder) = svg.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::create(svg).with_context(|| format!("creating {}", svg.display()))?;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), BufWriter::new(file))?;
    Ok(())
}

/// A folded stack without what is below its root, and with shorter names: `thread;frame;frame 12`.
fn readable(line: &str) -> String {
    let mut frames: Vec<&str> = line.split(';').collect();
    let root = ROOTS.iter().find_map(|root| frames.iter().rposition(|frame| frame.contains(root)));
    // The last frame also holds the number of samples: of a root alone, nothing could be left out.
    if let Some(root) = root.filter(|root| root + 1 < frames.len()) {
        frames.drain(1..=root);
    }
    frames.join(";").replace("actix_rtc::", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELOW: &str = "rtc-shard-0;start_thread;tokio::runtime::runtime::Runtime::block_on;tokio::task::local::LocalSet::tick";

    #[test]
    fn stacks_begin_with_the_actors_and_keep_their_thread_and_their_number() {
        let guard = "<actix_rtc::actors::kit::guard::Guard<A> as core::future::future::Future>::poll";
        let of_an_actor = format!("{BELOW};{guard};actix_rtc::actors::fan_out::FanOut::push;read_[k] 12");
        assert_eq!(readable(&of_an_actor), "rtc-shard-0;actors::fan_out::FanOut::push;read_[k] 12");
        assert_eq!(readable(&format!("{BELOW} 3")), "rtc-shard-0;tokio::task::local::LocalSet::tick 3");
        assert_eq!(readable("actix-rtc-sfu;main 1"), "actix-rtc-sfu;main 1");
        assert!(readable(&format!("{BELOW};{guard} 3")).ends_with("::poll 3"));
    }

    #[test]
    fn a_picture_is_drawn_of_folded_stacks() {
        let svg = std::env::temp_dir().join(format!("flame-graph-{}.svg", std::process::id()));
        draw(
            b"shard;take_media;decrypt 900\nshard;take_media;rare 1\nshard;flush;send_[k] 99\n",
            &svg,
            "a title",
        )
        .unwrap();
        let text = std::fs::read_to_string(&svg).unwrap();
        std::fs::remove_file(&svg).unwrap();
        assert!(text.contains("a title") && text.contains("take_media") && text.contains("decrypt"));
        assert!(!text.contains("rare"), "what is too narrow to be seen is left out");
    }
}
