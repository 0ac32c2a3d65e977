//! What every driver of `cargo xtask bench data` has in common, so that all stacks are asked the same, with the same
//! messages, and counted the same: commands on standard input and reports on standard output, one JSON object a
//! line; the contents of messages and their check; the CPU time of the process.
//!
//! One process is the sender (it makes the offer and opens the channels), the other the receiver. A driver ends when
//! its standard input does.

mod content;
mod process;

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

pub use content::{PING, Pattern, Tally};
pub use process::CpuTime;

/// What the bench asks of a driver.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Open that many channels and print an [`Report::Offer`]; an [`Report::Open`] when all are open.
    Offer {
        /// Ordered, reliable channels, labelled by their number.
        channels: usize,
    },
    /// Print an [`Report::Answer`] to this offer; an [`Report::Open`] when that many channels are open.
    Answer {
        /// The offer.
        sdp: String,
        /// How many channels will come.
        channels: usize,
    },
    /// Apply the answer.
    Accept {
        /// The answer.
        sdp: String,
    },
    /// Send messages of that size on every channel, as fast as flow control lets them go, until [`Self::Stop`].
    Send {
        /// Bytes of a message.
        size: usize,
    },
    /// Print a [`Report::Sample`].
    Sample {
        /// Repeated in the report.
        id: u64,
    },
    /// Send no more, and print a [`Report::Stopped`].
    Stop,
    /// Send a message that the receiver sends back, that many times one after the other; print a [`Report::Pong`].
    Ping {
        /// Round trips.
        count: usize,
        /// Bytes of a message.
        size: usize,
    },
}

/// What a driver says.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Report {
    /// The offer, with all candidates.
    Offer {
        /// The description.
        sdp: String,
    },
    /// The answer, with all candidates.
    Answer {
        /// The description.
        sdp: String,
    },
    /// All channels are open.
    Open,
    /// Counters, all read at one instant.
    Sample {
        /// As asked.
        id: u64,
        /// Seconds of a monotonic clock.
        at: f64,
        /// What has arrived.
        #[serde(flatten)]
        tally: Tally,
        /// What this process has used.
        #[serde(flatten)]
        cpu: CpuTime,
    },
    /// Nothing is being sent any more.
    Stopped {
        /// Messages that were sent, on all channels.
        sent: u64,
    },
    /// Round-trip times in microseconds.
    Pong {
        /// The median.
        p50_us: f64,
        /// Exceeded by one in a hundred.
        p99_us: f64,
    },
}

impl Report {
    /// A sample of now.
    ///
    /// # Errors
    /// Where the kernel does not tell the CPU time.
    pub fn sample(id: u64, started: std::time::Instant, tally: Tally) -> anyhow::Result<Self> {
        let cpu = CpuTime::of_this_process()?;
        Ok(Self::Sample { id, at: started.elapsed().as_secs_f64(), tally, cpu })
    }

    /// The percentiles of round-trip times in seconds; zeros when there are none.
    pub fn pong(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (seconds.len() as f64 * share) as usize;
            seconds.get(index.min(seconds.len().saturating_sub(1))).map_or(0.0, |value| value * 1e6)
        };
        Self::Pong { p50_us: at(0.5), p99_us: at(0.99) }
    }

    /// Prints it as a line.
    ///
    /// # Errors
    /// When nobody reads the standard output any more.
    pub fn print(&self) -> anyhow::Result<()> {
        let line = serde_json::to_string(self)?;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{line}")?;
        Ok(output.flush()?)
    }
}

/// Hands every command to `sink`, on a thread of its own, until the input ends or `sink` returns false. What is no
/// command is told on standard error.
pub fn read_commands(sink: impl Fn(Command) -> bool + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(command) => {
                    if !sink(command) {
                        return;
                    }
                }
                Err(error) => eprintln!("no command: {error}: {line}"),
            }
        }
    });
}
