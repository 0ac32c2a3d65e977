//! The summary: one row per test, a table for people and one closing line for machines.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How one test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// One row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) area: String,
    pub(crate) test: String,
    pub(crate) outcome: Outcome,
    /// What was seen, or why it failed or was skipped.
    pub(crate) detail: String,
    pub(crate) seconds: f64,
    /// How many tests this row stands for: a cargo run holds many.
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// What passed only when it was run again, and how it had failed before.
    #[serde(default)]
    pub(crate) repeated: Vec<String>,
}

/// All rows of one run, in the order they ended.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Adds a row that stands for one test.
    pub(crate) fn add(&mut self, area: &str, test: &str, outcome: Outcome, detail: &str, elapsed: Duration) {
        let count = |wanted: Outcome| u64::from(outcome == wanted);
        let (passed, failed, skipped) =
            (count(Outcome::Passed), count(Outcome::Failed), count(Outcome::Skipped));
        self.push(Row {
            area: area.to_owned(),
            test: test.to_owned(),
            detail: detail.to_owned(),
            seconds: elapsed.as_secs_f64(),
            outcome,
            passed,
            failed,
            skipped,
            repeated: Vec::new(),
        });
    }

    /// Adds a test that passed, but not at once.
    pub(crate) fn add_repeated(
        &mut self,
        area: &str,
        test: &str,
        detail: &str,
        failures: Vec<String>,
        elapsed: Duration,
    ) {
        self.add(area, test, Outcome::Passed, detail, elapsed);
        if let Some(row) = self.rows.last_mut() {
            row.repeated = failures;
        }
    }

    pub(crate) fn skip(&mut self, area: &str, test: &str, reason: &str) {
        self.add(area, test, Outcome::Skipped, reason, Duration::ZERO);
    }

    pub(crate) fn push(&mut self, row: Row) {
        println!("{}", line(&row, row.area.len().max(11), row.test.len().max(28)));
        self.rows.push(row);
    }

    /// Takes over the rows of a run that has printed them already.
    pub(crate) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    pub(crate) fn any_failed(&self) -> bool {
        self.rows.iter().any(|row| row.outcome == Outcome::Failed)
    }

    pub(crate) fn any_skipped(&self) -> bool {
        self.rows.iter().any(|row| row.outcome == Outcome::Skipped)
    }

    /// Prints the table, and `N passed, N failed, N skipped` alone on the last line.
    pub(crate) fn print(&self) {
        let area = self.rows.iter().map(|row| row.area.len()).max().unwrap_or(0).max(4);
        let test = self.rows.iter().map(|row| row.test.chars().count()).max().unwrap_or(0).max(4);
        println!("\n{:<area$}  {:<test$}  {:<7}  {:>7}  detail", "area", "test", "result", "seconds");
        println!("{}", "-".repeat(area + test + 35));
        for row in &self.rows {
            println!("{}", line(row, area, test));
        }
        print!("{}", self.defects());
        let sum = |count: fn(&Row) -> u64| self.rows.iter().map(count).sum::<u64>();
        println!(
            "\n{} passed, {} failed, {} skipped",
            sum(|row| row.passed),
            sum(|row| row.failed),
            sum(|row| row.skipped)
        );
    }

    /// What has to be looked into, in full and at the end: a long table's beginning is soon out of sight.
    fn defects(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            if row.outcome == Outcome::Failed {
                let _ = write!(text, "\nFAILED  {}: {}\n{}\n", row.area, row.test, indented(&row.detail));
            }
            for failure in &row.repeated {
                let _ = write!(
                    text,
                    "\nPASSED ONLY WHEN RUN AGAIN  {}: {}\n{}\n",
                    row.area,
                    row.test,
                    indented(failure)
                );
            }
        }
        text
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

fn line(row: &Row, area: usize, test: usize) -> String {
    let result = match row.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "SKIPPED",
    };
    // The table stays a table: a long reason was printed in full where it arose.
    let detail = row.detail.lines().next().unwrap_or_default();
    format!("{:<area$}  {:<test$}  {result:<7}  {:>7.1}  {detail}", row.area, row.test, row.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_neither_passed_nor_failed() {
        let mut report = Report::default();
        report.skip("e2e", "three in a room", "no chromium");
        assert!(!report.any_failed());
        assert!(report.any_skipped());
        assert_eq!((report.rows[0].passed, report.rows[0].failed, report.rows[0].skipped), (0, 0, 1));
    }

    #[test]
    fn one_failure_fails_the_run() {
        let mut report = Report::default();
        report.add("unit", "a", Outcome::Passed, "", Duration::from_secs(1));
        report.add("unit", "b", Outcome::Failed, "two lines\nof reason", Duration::from_secs(1));
        assert!(report.any_failed());
        assert!(line(&report.rows[1], 4, 4).ends_with("two lines"));
        assert_eq!(report.defects(), "\nFAILED  unit: b\n    two lines\n    of reason\n");
    }

    #[test]
    fn what_passed_at_the_second_attempt_is_told() {
        let mut report = Report::default();
        report.add_repeated("interop", "a", "60 frames", vec!["no frame".to_owned()], Duration::from_secs(1));
        assert!(!report.any_failed());
        assert_eq!((report.rows[0].passed, report.rows[0].failed), (1, 0));
        assert_eq!(report.defects(), "\nPASSED ONLY WHEN RUN AGAIN  interop: a\n    no frame\n");
    }
}
