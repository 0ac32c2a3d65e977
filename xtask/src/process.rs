//! Child processes with a deadline, whose output is kept, shown and logged.
//!
//! Invariant: only processes started here, and their own descendants, are ever signalled, one by one and by
//! id. Children share the terminal's process group, so that Ctrl-C reaches all of them at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// How often a child that is waited for is looked at.
const POLL: Duration = Duration::from_millis(25);
/// How long a child may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(8);
/// Lines kept in memory per child; older ones are in its log.
const KEPT_LINES: usize = 20_000;

/// What to start and how to treat it.
pub(crate) struct Job {
    name: String,
    command: Command,
    deadline: Duration,
    log: Option<PathBuf>,
    echo: bool,
}

/// A child that is running; dropping it ends it and its descendants.
pub(crate) struct Running {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Arc<Lines>,
    started: Instant,
    deadline: Instant,
    log: Option<PathBuf>,
    ended: Option<ExitStatus>,
}

/// How a child ended.
pub(crate) struct Finished {
    pub(crate) name: String,
    /// `None` when the deadline passed and the child was ended.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) lines: Vec<String>,
    pub(crate) elapsed: Duration,
}

/// The output of a child, written by its reader threads.
#[derive(Default)]
struct Lines {
    state: Mutex<LinesState>,
    changed: Condvar,
}

#[derive(Default)]
struct LinesState {
    kept: VecDeque<String>,
    open_streams: usize,
}

impl Job {
    pub(crate) fn new(name: impl Into<String>, command: Command, deadline: Duration) -> Self {
        Self { name: name.into(), command, deadline, log: None, echo: false }
    }

    /// Also writes every line of output to this file.
    pub(crate) fn log(mut self, path: PathBuf) -> Self {
        self.log = Some(path);
        self
    }

    /// Also shows every line of output as it comes.
    pub(crate) fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Starts the child and waits until it ends or its deadline passes.
    pub(crate) fn run(self) -> Result<Finished> {
        self.start()?.finish()
    }

    pub(crate) fn start(mut self) -> Result<Running> {
        let log = match &self.log {
            Some(path) => Some(Arc::new(Mutex::new(create(path)?))),
            None => None,
        };
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} did not start: {:?}", self.name, self.command.get_program()))?;
        let lines = Arc::new(Lines::default());
        let stdout = child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        for stream in [stdout, stderr].into_iter().flatten() {
            lines.lock().open_streams += 1;
            read_lines(stream, &lines, log.clone(), self.echo);
        }
        let started = Instant::now();
        let deadline = started + self.deadline;
        let stdin = child.stdin.take();
        let Self { name, log, .. } = self;
        Ok(Running { name, stdin, child, lines, started, deadline, log, ended: None })
    }
}

fn create(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    File::create(path).with_context(|| format!("creating {}", path.display()))
}

/// Copies one stream line by line until its end, on a thread of its own.
fn read_lines(stream: Box<dyn Read + Send>, lines: &Arc<Lines>, log: Option<Arc<Mutex<File>>>, echo: bool) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            if echo {
                println!("{line}");
            }
            if let Some(log) = &log {
                let mut file = log.lock().unwrap_or_else(PoisonError::into_inner);
                // A full disk must not end the test that is being logged.
                let _ = writeln!(file, "{line}");
            }
            lines.push(line);
        }
        lines.lock().open_streams -= 1;
        lines.changed.notify_all();
    });
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, LinesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        let mut state = self.lock();
        if state.kept.len() == KEPT_LINES {
            state.kept.pop_front();
        }
        state.kept.push_back(line);
        drop(state);
        self.changed.notify_all();
    }

    fn snapshot(&self) -> Vec<String> {
        self.lock().kept.iter().cloned().collect()
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that `wanted` turns into a value: among those printed already, or to come.
    pub(crate) fn wait_for_line<T>(
        &mut self,
        patience: Duration,
        what: &str,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let until = (Instant::now() + patience).min(self.deadline);
        loop {
            if let Some(found) = self.lines.lock().kept.iter().find_map(|line| wanted(line)) {
                return Ok(found);
            }
            if let Some(status) = self.poll()? {
                // The last lines may still be on their way from the reader threads.
                self.wait_for_streams();
                if let Some(found) = self.lines.lock().kept.iter().find_map(|line| wanted(line)) {
                    return Ok(found);
                }
                bail!("{} ended ({status}) before it printed {what}", self.name);
            }
            if Instant::now() >= until {
                bail!("{} did not print {what} within {patience:?}", self.name);
            }
            thread::sleep(POLL);
        }
    }

    /// One of the lines printed so far, counted from the first.
    pub(crate) fn line(&self, index: usize) -> Option<String> {
        self.lines.lock().kept.get(index).cloned()
    }

    /// Writes one line to the child's standard input.
    pub(crate) fn write_line(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or_else(|| anyhow!("{}: its input is closed", self.name))?;
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).with_context(|| self.name.clone())
    }

    /// Whether the child has ended, and how.
    pub(crate) fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().with_context(|| self.name.clone())?;
        }
        Ok(self.ended)
    }

    /// Waits until the child ends; `None` when it still runs after `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.poll()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the child, and only it, to end.
    pub(crate) fn terminate(&self) {
        if self.ended.is_none() {
            signal(&[self.child.id()], "TERM");
        }
    }

    /// Waits until the child ends by itself; ends it when its deadline passes.
    pub(crate) fn finish(mut self) -> Result<Finished> {
        // A child that reads its input to the end must find one.
        self.stdin = None;
        let status = self.wait(self.deadline.saturating_duration_since(Instant::now()))?;
        if status.is_none() {
            self.end();
        }
        self.wait_for_streams();
        let (name, lines) = (self.name.clone(), self.lines.snapshot());
        Ok(Finished { name, status, lines, elapsed: self.started.elapsed() })
    }

    /// The last lines of output, for a person who looks for the reason of a failure.
    pub(crate) fn tail(&self, count: usize) -> String {
        tail(&self.lines.snapshot(), count, &self.name, self.log.as_deref())
    }

    /// A descendant may hold the streams open for ever: they are waited for, but not long.
    fn wait_for_streams(&self) {
        let state = self.lines.lock();
        let all_closed = |state: &mut LinesState| state.open_streams > 0;
        let _ = self.lines.changed.wait_timeout_while(state, Duration::from_secs(2), all_closed);
    }

    /// Ends the child and its descendants: SIGTERM to the child, which may tidy up, then SIGKILL to the rest.
    fn end(&mut self) {
        if matches!(self.poll(), Ok(Some(_))) {
            return;
        }
        let family = descendants(self.child.id());
        self.stdin = None;
        self.terminate();
        let gone = matches!(self.wait(GRACE), Ok(Some(_)));
        let survivors: Vec<u32> =
            family.iter().filter(|process| process.is_alive()).map(|process| process.id).collect();
        if !survivors.is_empty() {
            signal(&survivors, "KILL");
        }
        if !gone {
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Finished {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// One clause on how the child ended.
    pub(crate) fn ending(&self) -> String {
        match self.status {
            Some(status) => format!("{} ended with {status}", self.name),
            None => format!("{} was ended after its deadline ({:.0?})", self.name, self.elapsed),
        }
    }

    pub(crate) fn tail(&self, count: usize) -> String {
        tail(&self.lines, count, &self.name, None)
    }

    /// The last line that is a JSON object: how the scripts hand over what they saw.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        let lines = self.lines.iter().rev();
        lines.filter(|line| line.starts_with('{')).find_map(|line| serde_json::from_str(line).ok())
    }
}

fn tail(lines: &[String], count: usize, name: &str, log: Option<&Path>) -> String {
    let from = lines.len().saturating_sub(count);
    let place = log.map(|path| format!(" ({})", path.display())).unwrap_or_default();
    let mut text = format!("--- the last lines of {name}{place}\n");
    for line in &lines[from..] {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Sends a signal to processes that this run started, each by its id.
pub(crate) fn signal(ids: &[u32], name: &str) {
    for id in ids {
        // The shell's own `kill` exists everywhere; a process that is gone already is no error.
        let kill = format!("kill -{name} {id} 2>/dev/null");
        let _ = Command::new("sh").args(["-c", &kill]).status();
    }
}

/// One process as /proc shows it; the start time tells it from a later one with the same id.
struct ProcessEntry {
    id: u32,
    parent: u32,
    start: u64,
}

impl ProcessEntry {
    fn read(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // proc(5): the second field is the name in parentheses and may hold anything.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        let dead = matches!(fields.first(), Some(&("Z" | "X")));
        if dead {
            return None;
        }
        Some(Self { id, parent: fields.get(1)?.parse().ok()?, start: fields.get(19)?.parse().ok()? })
    }

    fn is_alive(&self) -> bool {
        Self::read(self.id).is_some_and(|now| now.start == self.start)
    }
}

/// All living descendants of a process, without itself.
fn descendants(root: u32) -> Vec<ProcessEntry> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others: Vec<ProcessEntry> = ids.filter_map(ProcessEntry::read).collect();
    let (mut family, mut wanted) = (Vec::new(), vec![root]);
    while let Some(parent) = wanted.pop() {
        let (children, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|p| p.parent == parent);
        wanted.extend(children.iter().map(|child| child.id));
        family.extend(children);
        others = rest;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_of_both_streams_is_kept() {
        let finished =
            Job::new("sh", shell("echo out; echo err >&2; exit 3"), Duration::from_secs(20)).run().unwrap();
        assert_eq!(finished.status.and_then(|status| status.code()), Some(3));
        let mut lines = finished.lines;
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
    }

    #[test]
    fn a_child_past_its_deadline_is_ended_with_its_descendants() {
        let script = "sleep 600 & echo $!; wait";
        let mut running = Job::new("sh", shell(script), Duration::from_secs(60)).start().unwrap();
        let id: u32 =
            running.wait_for_line(Duration::from_secs(20), "an id", |line| line.parse().ok()).unwrap();
        let grandchild = ProcessEntry::read(id).unwrap();
        running.deadline = Instant::now();
        assert!(running.finish().unwrap().status.is_none());
        let until = Instant::now() + Duration::from_secs(10);
        while grandchild.is_alive() && Instant::now() < until {
            thread::sleep(POLL);
        }
        assert!(!grandchild.is_alive());
    }

    #[test]
    fn the_last_json_line_is_the_result() {
        let script = r#"echo '{"a":1}'; echo '{"a":2}'; echo done"#;
        let finished = Job::new("sh", shell(script), Duration::from_secs(20)).run().unwrap();
        assert_eq!(finished.json().unwrap()["a"], 2);
    }
}
