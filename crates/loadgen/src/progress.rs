//! A line on standard error that shows how far things are; on a terminal it is written over itself.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

const WIDTH: usize = 30;

/// A bar towards a known total.
pub(crate) struct Bar {
    what: &'static str,
    total: usize,
    shown: usize,
    terminal: bool,
    /// Since when, if the rate is shown.
    since: Option<Instant>,
}

impl Bar {
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        Self {
            what,
            total: total.max(1),
            shown: usize::MAX,
            terminal: std::io::stderr().is_terminal(),
            since: None,
        }
    }

    /// With how many there were per second.
    pub(crate) fn with_rate(what: &'static str, total: usize) -> Self {
        let mut bar = Self::new(what, total);
        bar.since = Some(Instant::now());
        bar
    }

    /// Draws it anew when a whole step has been made: a hundredth on a terminal, a tenth elsewhere.
    pub(crate) fn set(&mut self, done: usize) {
        let steps = if self.terminal { 100 } else { 10 };
        let step = done.min(self.total) * steps / self.total;
        if step == self.shown {
            return;
        }
        self.shown = step;
        let filled = done.min(self.total) * WIDTH / self.total;
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
        let (start, end) = if self.terminal { ("\r", "") } else { ("", "\n") };
        let rate = match self.since {
            Some(since) if done > 0 => format!(", {:.0}/s", done as f64 / since.elapsed().as_secs_f64()),
            _ => String::new(),
        };
        let line = format!("{start}{} [{bar}] {done}/{}{rate}{end}", self.what, self.total);
        // Progress that can't be shown is no reason to stop.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.terminal {
            eprintln!();
        }
    }
}
