//! The examples for two terminals: with each other, and with aiortc at the other end.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::process::{Finished, Job, Running};
use crate::setup::Tools;
use crate::test::{Stage, artifacts, result_of};
use crate::workspace::{Profile, Workspace};

const DEADLINE: Duration = Duration::from_secs(90);
/// How much both files of a transfer have.
const FILE_BYTES: usize = 8 << 20;
const PINGS: usize = 5;

/// What the cases share.
struct Terminals<'a> {
    workspace: &'a Workspace,
    tools: &'a Tools,
    /// Where signalling goes: free a moment ago.
    port: u16,
}

pub(super) fn run(stage: &mut Stage<'_>) -> Result<()> {
    let (workspace, tools) = (stage.workspace(), stage.tools());
    let terminals = || {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok::<_, anyhow::Error>(Terminals { workspace, tools: &tools, port })
    };
    stage.case("data_channel example, twice", &[], || terminals()?.pings())?;
    stage.case("data_channel example, twice, copied and pasted", &[], || terminals()?.pasted())?;
    stage.case("file_transfer example, twice, resumed", &[], || terminals()?.resumed())?;
    let aiortc = [&tools.aiortc];
    stage.case("data_channel example pings aiortc", &aiortc, || terminals()?.pings_aiortc())?;
    stage.case("data_channel example answers aiortc", &aiortc, || terminals()?.answers_aiortc())?;
    stage.case("file_transfer example to aiortc", &aiortc, || terminals()?.file_to_aiortc())?;
    stage.case("file_transfer example from aiortc", &aiortc, || terminals()?.file_from_aiortc())
}

impl Terminals<'_> {
    fn example(&self, name: &str, arguments: &[&str]) -> Result<Running> {
        let port = self.port.to_string();
        let signaling = ["--signaling", "tcp-socket", "--signaling-port", &port];
        self.program(name, &[&signaling[..], arguments].concat())
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Result<Running> {
        let program = self.workspace.target.join(Profile::Dev.folder()).join("examples").join(name);
        if !program.is_file() {
            bail!("{} is not built", program.display());
        }
        let mut command = Command::new(program);
        command.args(arguments);
        let title = format!("{name} {}", arguments.first().copied().unwrap_or_default());
        let log = self.workspace.logs().join(format!("{}.example.log", title.replace(' ', "-")));
        Job::new(title, command, DEADLINE).log(log).start()
    }

    fn aiortc(&self, arguments: &[&str]) -> Result<Running> {
        let python = self.tools.aiortc.as_ref().map_err(|reason| anyhow!("{reason}"))?;
        let mut command = Command::new(python);
        // Nothing is to be written beside the sources.
        command.args(["-B", "terminal.py", "--port", &self.port.to_string()]).args(arguments);
        command.current_dir(self.workspace.aiortc_scripts());
        Job::new("terminal.py", command, DEADLINE).start()
    }

    fn pings(&self) -> Result<String> {
        let answer = self.example("data_channel", &["answer"])?;
        let offer = self.example("data_channel", &["offer", "--count", "5", "--interval", "50"])?;
        let offer = ended_well(offer.finish()?)?;
        ended_well(answer.finish()?)?;
        round_trips(&offer)
    }

    /// Nobody but us carries the two lines across.
    fn pasted(&self) -> Result<String> {
        let by_hand = ["--signaling", "copy-and-paste"];
        let mut answer = self.program("data_channel", &[&["answer"][..], &by_hand].concat())?;
        let asks = ["offer", "--count", "5", "--interval", "50"];
        let mut offer = self.program("data_channel", &[&asks[..], &by_hand].concat())?;
        let description = |line: &str| line.starts_with('{').then(|| line.to_owned());
        answer.write_line(&offer.wait_for_line(DEADLINE, "an offer", description)?)?;
        offer.write_line(&answer.wait_for_line(DEADLINE, "an answer", description)?)?;
        let offer = ended_well(offer.finish()?)?;
        ended_well(answer.finish()?)?;
        round_trips(&offer)
    }

    fn pings_aiortc(&self) -> Result<String> {
        let answer = self.aiortc(&["pong"])?;
        let offer = self.example("data_channel", &["offer", "--count", "5", "--interval", "50"])?;
        let offer = ended_well(offer.finish()?)?;
        result_of(&answer.finish()?)?;
        round_trips(&offer)
    }

    fn answers_aiortc(&self) -> Result<String> {
        let answer = self.example("data_channel", &["answer"])?;
        let offer = self.aiortc(&["ping"])?.finish()?;
        let seen = result_of(&offer)?;
        ended_well(answer.finish()?)?;
        Ok(seen["seen"].as_str().unwrap_or_default().to_owned())
    }

    /// The receiver has the first half already, and is killed once while the rest comes.
    fn resumed(&self) -> Result<String> {
        let (original, copy) = self.files("resumed", 8 * FILE_BYTES)?;
        let half = std::fs::metadata(&original)?.len() / 2;
        let bytes = std::fs::read(&original)?;
        std::fs::write(&copy, bytes.get(..usize::try_from(half)?).context("half a file")?)?;
        let sender = self.example("file_transfer", &["send", path(&original)?])?;
        let mut first = self.example("file_transfer", &["receive", path(&copy)?])?;
        first.wait_for_line(DEADLINE, "where it resumes", |line| {
            (line == format!("resumed at {half}")).then_some(())
        })?;
        while first.poll()?.is_none() && std::fs::metadata(&copy)?.len() <= half {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Ended in the middle, if it isn't too quick.
        drop(first);
        let kept = std::fs::metadata(&copy)?.len();
        let second = ended_well(self.example("file_transfer", &["receive", path(&copy)?])?.finish()?)?;
        let sender = ended_well(sender.finish()?)?;
        same(&original, &copy)?;
        let sum = |finished: &Finished| {
            finished.lines.iter().find_map(|line| Some(line.split_once("sha256 ")?.1.to_owned()))
        };
        if sum(&second).is_none() || sum(&second) != sum(&sender) {
            bail!("the checksums told differ: {:?} and {:?}", sum(&sender), sum(&second));
        }
        Ok(format!("resumed at {half}, and again at {kept} of {} bytes", 2 * half))
    }

    fn file_to_aiortc(&self) -> Result<String> {
        let (original, copy) = self.files("to-aiortc", FILE_BYTES)?;
        let receiver = self.aiortc(&["receive", path(&copy)?])?;
        ended_well(self.example("file_transfer", &["send", path(&original)?, "--plain"])?.finish()?)?;
        let seen = result_of(&receiver.finish()?)?;
        same(&original, &copy)?;
        Ok(seen["seen"].as_str().unwrap_or_default().to_owned())
    }

    fn file_from_aiortc(&self) -> Result<String> {
        let (original, copy) = self.files("from-aiortc", FILE_BYTES)?;
        let receiver = self.example("file_transfer", &["receive", path(&copy)?])?;
        result_of(&self.aiortc(&["send", path(&original)?])?.finish()?)?;
        let receiver = ended_well(receiver.finish()?)?;
        same(&original, &copy)?;
        Ok(receiver.lines.last().cloned().unwrap_or_default())
    }

    /// A file that no compression could guess, and where its copy goes.
    fn files(&self, name: &str, size: usize) -> Result<(PathBuf, PathBuf)> {
        let folder = artifacts(self.workspace, &format!("file-transfer-{name}"))?;
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        let original = folder.join("original.bin");
        std::fs::write(&original, bytes)?;
        Ok((original, folder.join("copy.bin")))
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the path is no text")
}

fn ended_well(finished: Finished) -> Result<Finished> {
    if !finished.succeeded() {
        eprintln!("{}", finished.tail(20));
        bail!("{}", finished.ending());
    }
    Ok(finished)
}

fn round_trips(finished: &Finished) -> Result<String> {
    let times: Vec<&str> = finished.lines.iter().filter_map(|line| line.strip_prefix(" RTT ")).collect();
    if times.len() != PINGS {
        bail!("{} of {PINGS} round trips were told", times.len());
    }
    Ok(format!("round trips of {}", times.join(", ")))
}

fn same(original: &Path, copy: &Path) -> Result<()> {
    if std::fs::read(original)? != std::fs::read(copy)? {
        bail!("the copy differs from the original");
    }
    Ok(())
}
