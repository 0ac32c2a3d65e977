//! What a run of bench `data` says: tables in Markdown, for a terminal and for BENCHMARKS.md.

use std::fmt::Write;

use super::{Plan, Round, Shape, Subject};
use crate::bench::{Case, Results};

/// Of MB/s, to the best peer.
const SPEED_GOAL: f64 = 2.0;
/// MB/s of 64 KiB messages: 1.5 Gbit/s.
const RATE_GOAL: f64 = 187.5;
const RTT_GOAL_US: f64 = 150.0;

/// Of our own rounds to others of the same round: to the fastest peer, to the thriftiest, to the sum of the floors.
pub(super) fn ratios(shape: Shape, rounds: &[Round]) -> Vec<Case> {
    let here: Vec<&Round> = rounds.iter().filter(|round| round.shape == shape).collect();
    let (mut speed, mut cost, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for own in here.iter().filter(|round| round.subject == Subject::ActixRtc) {
        let same: Vec<&Round> = here.iter().copied().filter(|round| round.number == own.number).collect();
        let peers = |metric: &'static str| {
            same.iter().filter(|round| round.subject.is_peer()).filter_map(move |round| round.value(metric))
        };
        let fastest = peers("mb_per_s").fold(f64::NAN, f64::max);
        let thriftiest = peers("cpu_s_per_gb").fold(f64::NAN, f64::min);
        let floors: Vec<f64> = same
            .iter()
            .filter(|round| round.subject.floor().is_some())
            .filter_map(|round| round.value("cpu_s_per_gb"))
            .collect();
        // A sum of some of the floors would be no floor.
        let sum = if floors.len() == 3 { floors.iter().sum() } else { f64::NAN };
        if let (Some(rate), Some(cpu)) = (own.value("mb_per_s"), own.value("cpu_s_per_gb")) {
            speed.push(rate / fastest);
            cost.push(cpu / thriftiest);
            floor.push(cpu / sum);
        }
    }
    let name = shape.name();
    let all = [
        Case::new(&name, "actix-rtc", "mb_per_s_to_best_peer", "ratio", speed),
        Case::new(&name, "actix-rtc", "cpu_s_per_gb_to_best_peer", "ratio", cost),
        Case::new(&name, "actix-rtc", "cpu_s_per_gb_to_floors", "ratio", floor),
    ];
    all.into_iter().flatten().collect()
}

/// All tables: one a metric, then the ratios and the goals, then what failed.
pub(super) fn markdown(
    plan: &Plan,
    results: &Results,
    rounds: &[Round],
    failures: &[(Subject, Shape, String)],
) -> String {
    let mut text = format!(
        "{}; {} rounds of {:.1} s, min / median / max\n",
        results.machine,
        plan.rounds,
        plan.window.as_secs_f64()
    );
    for (metric, heading, digits) in [
        ("mb_per_s", "MB/s", 1),
        ("cpu_s_per_gb", "CPU seconds per GB, both ends together", 2),
        ("rtt_p50_us", "Round trip of a 100-byte message, median, µs", 0),
    ] {
        metric_table(&mut text, plan, results, metric, heading, digits);
    }
    ratio_table(&mut text, plan, results);
    goals(&mut text, plan, results);
    let _ = writeln!(text, "\n{} of {} rounds passed.", rounds.len(), rounds.len() + failures.len());
    for (subject, shape, reason) in failures {
        let _ = writeln!(text, "- FAILED: {} {}: {reason}", subject.name(), shape.name());
    }
    text
}

fn find<'r>(results: &'r Results, shape: Shape, subject: &str, metric: &str) -> Option<&'r Case> {
    let name = shape.name();
    results.cases.iter().find(|case| case.case == name && case.subject == subject && case.metric == metric)
}

fn cell(case: Option<&Case>, digits: usize) -> String {
    let Some(case) = case else { return "–".to_owned() };
    format!("{:.digits$} / **{:.digits$}** / {:.digits$}", case.min, case.median, case.max)
}

fn metric_table(
    text: &mut String,
    plan: &Plan,
    results: &Results,
    metric: &str,
    heading: &str,
    digits: usize,
) {
    let measured = |subject: &Subject| {
        plan.shapes.iter().any(|shape| find(results, *shape, subject.name(), metric).is_some())
    };
    let subjects: Vec<Subject> = plan.subjects.iter().copied().filter(measured).collect();
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name()).collect();
    let _ = writeln!(
        text,
        "\n{heading}\n\n| case | {} |\n|---|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for &shape in &plan.shapes {
        let cells: Vec<String> = subjects
            .iter()
            .map(|subject| cell(find(results, shape, subject.name(), metric), digits))
            .collect();
        let _ = writeln!(text, "| {} | {} |", shape.name(), cells.join(" | "));
    }
}

fn ratio_table(text: &mut String, plan: &Plan, results: &Results) {
    let columns = ["mb_per_s_to_best_peer", "cpu_s_per_gb_to_best_peer", "cpu_s_per_gb_to_floors"];
    let _ = writeln!(
        text,
        "\nactix-rtc, as a multiple\n\n| case | MB/s of the fastest peer | CPU of the thriftiest peer | CPU of the \
         floors' sum |\n|---|---|---|---|"
    );
    for &shape in &plan.shapes {
        let cells = columns.map(|column| cell(find(results, shape, "actix-rtc", column), 2));
        let _ = writeln!(text, "| {} | {} |", shape.name(), cells.join(" | "));
    }
}

fn goals(text: &mut String, plan: &Plan, results: &Results) {
    let _ = writeln!(text, "\n| goal | case | measured (median) | |\n|---|---|---|---|");
    let mut line = |goal: String, shape: Shape, metric: &str, reached: &dyn Fn(f64) -> bool| {
        if let Some(case) = find(results, shape, "actix-rtc", metric) {
            let verdict = if reached(case.median) { "reached" } else { "not reached" };
            let _ = writeln!(text, "| {goal} | {} | {:.2} | {verdict} |", shape.name(), case.median);
        }
    };
    for &shape in &plan.shapes {
        let goal = format!("MB/s ≥ {SPEED_GOAL} × best peer");
        line(goal, shape, "mb_per_s_to_best_peer", &|value| value >= SPEED_GOAL);
        if shape.size == 64 << 10 {
            line(format!("≥ {RATE_GOAL} MB/s (1.5 Gbit/s)"), shape, "mb_per_s", &|value| {
                value >= RATE_GOAL
            });
        }
        let goal = format!("round trip < {RTT_GOAL_US} µs");
        line(goal, shape, "rtt_p50_us", &|value| value < RTT_GOAL_US);
    }
}
