//! What the numbers are for: ratios within each round, and whether the project's goals are reached.

use super::measure::Measured;
use super::{Case, Series, Subject};

/// CPU per packet beside other servers and the floor, and memory: the goals that this bench can judge.
const VIDEO: &str = "1-to-50";
const MANY: &str = "1-to-500";
const ROOM_OVER_SHARDS: &str = "1-to-50-two-shards";
const TWO_ROOMS: &str = "two-rooms";
const TWO_SHARDS: &str = "two-rooms-two-shards";
const AUDIO: &str = "audio-50x50";
/// Shares of a core that count as 70 % load.
const LOAD: std::ops::RangeInclusive<f64> = 0.6..=0.8;

/// This server's CPU time per packet as a multiple of the others', round by round: machines differ, and so does
/// one machine from minute to minute, but less within a round.
pub(super) fn ratios(series: &[Series]) -> Vec<Case> {
    let own = series.iter().filter(|one| one.subject == Subject::Own);
    let mut cases = Vec::new();
    for own in own {
        for other in series.iter().filter(|one| one.load == own.load && one.subject != Subject::Own) {
            let name = metric(other.subject);
            cases.extend(Case::new(own.load.name, Subject::Own.name(), name, "ratio", pairs(own, other)));
        }
    }
    cases
}

fn metric(subject: Subject) -> &'static str {
    match subject {
        Subject::Own => "cpu_ratio_to_itself",
        Subject::Janus => "cpu_ratio_to_janus",
        Subject::Str0m => "cpu_ratio_to_str0m",
        Subject::WebrtcRs => "cpu_ratio_to_webrtc-rs",
        Subject::Floor => "cpu_ratio_to_floor",
        Subject::PacedFloor => "cpu_ratio_to_floor-paced",
    }
}

fn pairs(one: &Series, other: &Series) -> Vec<f64> {
    let both = one.rounds.iter().zip(&other.rounds);
    both.map(|(one, other)| one.cpu_us_per_packet / other.cpu_us_per_packet).collect()
}

/// One line per goal: what was wanted, what was measured, reached or not.
pub(super) fn print(series: &[Series]) {
    let lines = judge(series);
    if lines.is_empty() {
        return;
    }
    println!("\ngoals");
    lines.iter().for_each(|line| println!("  {line}"));
}

fn judge(series: &[Series]) -> Vec<String> {
    let mut lines = Vec::new();
    for (subject, limit) in
        [(Subject::Janus, 0.4), (Subject::Str0m, 0.4), (Subject::Floor, 1.5), (Subject::PacedFloor, 1.5)]
    {
        let ratio = ratio(series, (VIDEO, Subject::Own), (VIDEO, subject));
        lines.extend(line(
            &format!("CPU per video packet, {VIDEO}, beside {}", subject.name()),
            ratio,
            limit,
            "×",
        ));
    }
    let peers = [Subject::Janus, Subject::Str0m, Subject::WebrtcRs];
    let best = peers.into_iter().filter_map(|subject| ratio(series, (AUDIO, Subject::Own), (AUDIO, subject)));
    lines.extend(line("CPU per audio packet, beside the best peer", best.max_by(f64::total_cmp), 0.7, "×"));
    let many = ratio(series, (MANY, Subject::Own), (VIDEO, Subject::Own));
    lines.extend(line("CPU per packet at 500 subscribers, beside 50", many, 1.1, "×"));
    let shards = ratio(series, (TWO_SHARDS, Subject::Own), (TWO_ROOMS, Subject::Own));
    lines.extend(line("CPU per packet on two shards, beside one", shards, 1.1, "×"));
    let relayed = ratio(series, (ROOM_OVER_SHARDS, Subject::Own), (VIDEO, Subject::Own));
    lines.extend(line("CPU per packet of one room over two shards, beside one", relayed, 1.1, "×"));
    let memory = find(series, (MANY, Subject::Own))
        .and_then(|one| median(one.rounds.iter().filter_map(|round| round.memory_kib_per_peer).collect()));
    lines.extend(line("memory per subscriber of video", memory, 100.0, " KiB"));
    lines.extend(series.iter().filter(|one| one.subject == Subject::Own).flat_map(at_load));
    lines
}

/// Delay and loss, where the server happened to be about 70 % busy.
fn at_load(series: &Series) -> Vec<String> {
    let busy = |round: &&Measured| LOAD.contains(&round.cores_used);
    let rounds: Vec<&Measured> = series.rounds.iter().filter(busy).collect();
    let median = |value: fn(&Measured) -> Option<f64>| {
        median(rounds.iter().filter_map(|round| value(round)).collect())
    };
    let name = series.load.name;
    let delay = median(Measured::added_p99_ms);
    let lost = median(|round| round.lost_packets);
    let lines = [
        line(&format!("p99 of the added delay at about 70 % load, {name}"), delay, 2.0, " ms"),
        line(&format!("packets lost by the server at about 70 % load, {name}"), lost, 0.0, ""),
    ];
    lines.into_iter().flatten().collect()
}

fn find<'a>(series: &'a [Series], (load, subject): (&str, Subject)) -> Option<&'a Series> {
    series.iter().find(|one| one.load.name == load && one.subject == subject)
}

/// The median of the rounds' ratios.
fn ratio(series: &[Series], one: (&str, Subject), other: (&str, Subject)) -> Option<f64> {
    median(pairs(find(series, one)?, find(series, other)?))
}

fn median(values: Vec<f64>) -> Option<f64> {
    Case::new("", "", "", "", values).map(|case| case.median)
}

fn line(what: &str, measured: Option<f64>, limit: f64, unit: &str) -> Option<String> {
    let measured = measured?;
    let verdict = if measured <= limit { "reached" } else { "NOT REACHED" };
    Some(format!("{verdict:<12} {what}: {measured:.2}{unit} (goal: at most {limit}{unit})"))
}

#[cfg(test)]
mod tests {
    use super::super::Load;
    use super::*;

    fn series(load: &str, subject: Subject, costs: &[f64]) -> Series {
        let load = Load::select(&[load.to_owned()]).unwrap()[0];
        let round = |cost: &f64| Measured { cpu_us_per_packet: *cost, ..Measured::default() };
        Series { load, subject, rounds: costs.iter().map(round).collect() }
    }

    #[test]
    fn ratios_are_made_within_a_round_and_judged_by_their_median() {
        let all = [
            series(VIDEO, Subject::Own, &[1.0, 2.0, 4.0]),
            series(VIDEO, Subject::Janus, &[4.0, 8.0, 8.0]),
            series(VIDEO, Subject::Floor, &[1.0, 1.0, 1.0]),
        ];
        let ratios = ratios(&all);
        assert_eq!((ratios[0].min, ratios[0].median, ratios[0].max), (0.25, 0.25, 0.5));
        let lines = judge(&all);
        assert!(lines[0].starts_with("reached"), "{lines:?}");
        assert!(lines[1].starts_with("NOT REACHED"), "{lines:?}");
    }
}
