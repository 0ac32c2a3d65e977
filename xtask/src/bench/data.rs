//! Bench `data`: what a data channel carries and costs, beside other stacks and beside the floor.
//!
//! Every stack is driven the same way: two processes of it, a sender and a receiver, on loopback; both ends count.
//! They take turns, so that a change of the machine's pace meets all. A driver obeys the commands of
//! `benches/peers/data-driver`; what it counts is read at both ends of a window of the same length for all.
//! The floors are what nobody gets around: SCTP alone, the records of DTLS alone, the datagrams alone.

mod pair;
mod table;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::{Case, Results};
use crate::process::Job;
use crate::workspace::{Profile, Workspace};
use crate::{progress, shown};

const LOAD_GENERATOR: &str = "actix-rtc-loadgen";
/// A round that takes longer hangs: it is ended, and told.
const ROUND_DEADLINE: Duration = Duration::from_secs(60);
const BUILD_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// What is measured in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// This stack
    ActixRtc,
    /// aiortc, on uvloop if that is installed
    Aiortc,
    /// str0m, datagram by datagram, as its examples do
    #[value(name = "str0m")]
    Str0m,
    /// str0m, with segmentation and receive offload in the driver
    #[value(name = "str0m-offload")]
    Str0mOffload,
    /// webrtc-rs
    WebrtcRs,
    /// sctp-proto alone, both ends in one loop, in memory
    FloorSctp,
    /// OpenSSL alone: a DTLS record for each packet, sealed and opened, in memory
    FloorRecords,
    /// The same datagrams alone, with segmentation and receive offload, through loopback
    FloorSend,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::ActixRtc => "actix-rtc",
            Self::Aiortc => "aiortc",
            Self::Str0m => "str0m",
            Self::Str0mOffload => "str0m-offload",
            Self::WebrtcRs => "webrtc-rs",
            Self::FloorSctp => "floor-sctp",
            Self::FloorRecords => "floor-records",
            Self::FloorSend => "floor-send",
        }
    }

    fn floor(self) -> Option<&'static str> {
        match self {
            Self::FloorSctp => Some("sctp"),
            Self::FloorRecords => Some("records"),
            Self::FloorSend => Some("send"),
            _ => None,
        }
    }

    fn is_peer(self) -> bool {
        self != Self::ActixRtc && self.floor().is_none()
    }
}

/// A size of messages, and on how many channels at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    size: usize,
    channels: usize,
}

impl Shape {
    const SIZES: [(usize, &str); 4] =
        [(100, "100B"), (1 << 10, "1KiB"), (16 << 10, "16KiB"), (64 << 10, "64KiB")];
    const CHANNELS: [usize; 2] = [1, 10];

    fn all() -> Vec<Self> {
        let sizes = Self::SIZES.into_iter();
        sizes.flat_map(|(size, _)| Self::CHANNELS.map(|channels| Self { size, channels })).collect()
    }

    fn name(self) -> String {
        let size = Self::SIZES.iter().find(|(size, _)| *size == self.size);
        format!("{}-{}", size.map_or("?", |(_, name)| name), self.channels)
    }
}

impl std::str::FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::all();
        let names: Vec<String> = all.iter().map(|shape| shape.name()).collect();
        let found = all.into_iter().find(|shape| shape.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("one of {}", names.join(", ")))
    }
}

/// How much to measure.
pub(crate) struct Plan {
    pub(super) profile: Profile,
    rounds: u32,
    subjects: Vec<Subject>,
    shapes: Vec<Shape>,
    warmup: Duration,
    window: Duration,
    floor_seconds: f64,
    pings: usize,
}

impl Plan {
    /// `subjects` and `shapes`: all, when empty.
    pub(super) fn full(rounds: u32, subjects: &[Subject], shapes: &[Shape]) -> Self {
        let all = |wanted: &[Subject]| match wanted {
            [] => Subject::value_variants().to_vec(),
            some => some.to_vec(),
        };
        Self {
            profile: Profile::Release,
            rounds,
            subjects: all(subjects),
            shapes: if shapes.is_empty() { Shape::all() } else { shapes.to_vec() },
            warmup: Duration::from_millis(500),
            window: Duration::from_secs(2),
            floor_seconds: 0.4,
            pings: 1_000,
        }
    }

    pub(super) fn quick(subjects: &[Subject], shapes: &[Shape]) -> Self {
        Self {
            warmup: Duration::from_millis(150),
            window: Duration::from_millis(350),
            floor_seconds: 0.1,
            pings: 100,
            ..Self::full(1, subjects, shapes)
        }
    }

    /// Our own stack and the floors, with programs that are built already.
    pub(super) fn smoke(profile: Profile) -> Self {
        let subjects = [Subject::ActixRtc, Subject::FloorSctp, Subject::FloorRecords, Subject::FloorSend];
        let shapes = [Shape { size: 100, channels: 10 }, Shape { size: 64 << 10, channels: 1 }];
        Self { profile, ..Self::quick(&subjects, &shapes) }
    }
}

/// What one round of one subject found.
pub(super) struct Round {
    subject: Subject,
    shape: Shape,
    number: u32,
    /// Metric, unit, value.
    values: Vec<(&'static str, &'static str, f64)>,
}

impl Round {
    fn value(&self, metric: &str) -> Option<f64> {
        self.values.iter().find(|(name, ..)| *name == metric).map(|(.., value)| *value)
    }
}

/// Builds the drivers that the plan needs.
pub(super) fn build(workspace: &Workspace, plan: &Plan) -> Result<()> {
    let mut command = workspace.cargo(&["build", "--locked", "--package", LOAD_GENERATOR]);
    if plan.profile == Profile::Release {
        command.arg("--release");
    }
    cargo(workspace, "our own driver", command)?;
    let mut packages = Vec::new();
    for (subject, package) in [
        (Subject::Str0m, "data-str0m"),
        (Subject::Str0mOffload, "data-str0m"),
        (Subject::WebrtcRs, "data-webrtc"),
    ] {
        if plan.subjects.contains(&subject) && !packages.contains(&package) {
            packages.push(package);
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    let mut command = workspace.cargo(&["build", "--locked", "--release"]);
    command.arg("--manifest-path").arg(workspace.root.join("benches/peers/Cargo.toml"));
    command.arg("--target-dir").arg(workspace.target.join("peers"));
    packages.iter().for_each(|package| {
        command.args(["--package", package]);
    });
    cargo(workspace, "the drivers of other stacks; the first time takes minutes", command)
}

fn cargo(workspace: &Workspace, what: &str, command: Command) -> Result<()> {
    progress(format!("building {what}"));
    let job = Job::new("cargo build", command, BUILD_DEADLINE).echo();
    let finished = job.log(workspace.logs().join("bench-data.build.log")).run()?;
    if !finished.succeeded() {
        bail!("{}", finished.ending());
    }
    Ok(())
}

/// Measures, prints the tables and writes them to `target/bench`; the flag says whether all of our own rounds passed.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> Result<(Results, bool)> {
    let total = plan.rounds as usize * plan.shapes.len() * plan.subjects.len();
    let mut bar = Bar { started: Instant::now(), total, done: 0 };
    let (mut rounds, mut failures) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        for &shape in &plan.shapes {
            for &subject in &plan.subjects {
                bar.show(&format!("{} {}", shape.name(), subject.name()));
                match measure(workspace, plan, subject, shape) {
                    Ok(values) => rounds.push(Round { subject, shape, number, values }),
                    Err(error) => failures.push((subject, shape, format!("{error:#}"))),
                }
                bar.done += 1;
            }
        }
    }
    bar.end();
    let results = Results::new("data", cases(plan, &rounds));
    let text = table::markdown(plan, &results, &rounds, &failures);
    println!("\n{text}");
    let folder = workspace.target.join("bench");
    std::fs::create_dir_all(&folder)?;
    results.write(&folder.join("data.json"))?;
    std::fs::write(folder.join("data.md"), text)?;
    progress(format!("results written to data.json and data.md in {}", shown(workspace, &folder)));
    let ours = |subject: Subject| subject == Subject::ActixRtc;
    Ok((results, !failures.iter().any(|(subject, ..)| ours(*subject))))
}

fn measure(
    workspace: &Workspace,
    plan: &Plan,
    subject: Subject,
    shape: Shape,
) -> Result<Vec<(&'static str, &'static str, f64)>> {
    let job = || -> Result<Job> {
        let (program, arguments) = driver(workspace, plan, subject)?;
        if !program.is_file() {
            bail!("{} is missing", program.display());
        }
        let mut command = Command::new(program);
        command.args(arguments);
        Ok(Job::new(subject.name(), command, ROUND_DEADLINE))
    };
    match subject.floor() {
        None => pair::measure(plan, shape, [job()?.start()?, job()?.start()?]),
        Some(kind) => {
            let mut command = Command::new(workspace.binary(LOAD_GENERATOR, plan.profile));
            command.args(["data-floor", kind]);
            command.args(["--size", &shape.size.to_string(), "--channels", &shape.channels.to_string()]);
            command.args(["--seconds", &plan.floor_seconds.to_string()]);
            let finished = Job::new(subject.name(), command, ROUND_DEADLINE).run()?;
            let found = finished.json().with_context(|| finished.tail(10))?;
            let number = |field: &str| found[field].as_f64().with_context(|| format!("no {field}: {found}"));
            Ok(vec![
                ("mb_per_s", "MB/s", number("mb_per_s")?),
                ("cpu_s_per_gb", "s/GB", number("cpu_s_per_gb")?),
            ])
        }
    }
}

/// The program of a stack's driver, and its arguments.
fn driver(workspace: &Workspace, plan: &Plan, subject: Subject) -> Result<(PathBuf, Vec<String>)> {
    let peer = |name: &str| workspace.target.join("peers/release").join(name);
    Ok(match subject {
        Subject::ActixRtc => (workspace.binary(LOAD_GENERATOR, plan.profile), vec!["data".to_owned()]),
        Subject::Aiortc => {
            let script = workspace.root.join("benches/peers/aiortc/data.py");
            let python = workspace.target.join("venv/bin/python");
            if !python.is_file() {
                bail!("aiortc is not installed: cargo xtask setup");
            }
            (python, vec![script.display().to_string()])
        }
        Subject::Str0m => (peer("data-str0m"), Vec::new()),
        Subject::Str0mOffload => (peer("data-str0m"), vec!["--offload".to_owned()]),
        Subject::WebrtcRs => (peer("data-webrtc"), Vec::new()),
        Subject::FloorSctp | Subject::FloorRecords | Subject::FloorSend => bail!("a floor has no driver"),
    })
}

/// All metrics of all subjects, over the rounds.
fn cases(plan: &Plan, rounds: &[Round]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &shape in &plan.shapes {
        for &subject in &plan.subjects {
            let own: Vec<&Round> =
                rounds.iter().filter(|round| round.subject == subject && round.shape == shape).collect();
            let Some(first) = own.first() else { continue };
            for &(metric, unit, _) in &first.values {
                let values = own.iter().filter_map(|round| round.value(metric)).collect();
                cases.extend(Case::new(&shape.name(), subject.name(), metric, unit, values));
            }
        }
        cases.extend(table::ratios(shape, rounds));
    }
    cases
}

/// A line that is written over on a terminal, and a line a step elsewhere.
struct Bar {
    started: Instant,
    total: usize,
    done: usize,
}

impl Bar {
    const WIDTH: usize = 30;

    fn show(&self, what: &str) {
        let filled = Self::WIDTH * self.done / self.total.max(1);
        let left = match self.done {
            0 => String::new(),
            done => {
                let each = self.started.elapsed().as_secs_f64() / done as f64;
                format!(", {:.0} s left", each * (self.total - done) as f64)
            }
        };
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(Self::WIDTH - filled));
        let line = format!("[{bar}] {}/{}{left}: {what}", self.done, self.total);
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K{line}");
            // A terminal that is gone must not end the bench.
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    fn end(&self) {
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K");
        }
        progress(format!("{} rounds in {:.0} s", self.done, self.started.elapsed().as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_by_its_size_and_channels() {
        let names: Vec<String> = Shape::all().into_iter().map(Shape::name).collect();
        assert_eq!(names.len(), 8);
        assert!(names.contains(&"64KiB-1".to_owned()) && names.contains(&"100B-10".to_owned()));
        assert_eq!("64kib-1".parse::<Shape>().unwrap(), Shape { size: 65_536, channels: 1 });
        assert!("64KiB".parse::<Shape>().unwrap_err().contains("16KiB-10"));
    }

    #[test]
    fn subjects_have_the_same_name_as_an_argument() {
        for subject in Subject::value_variants() {
            let argument = subject.to_possible_value().unwrap();
            assert_eq!(argument.get_name(), subject.name());
        }
    }
}
