//! Reads the Prometheus text format as far as tests compare samples; promtool checks the format itself.

use std::collections::BTreeMap;

/// One sample line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// One scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) samples: Vec<Sample>,
}

impl Scrape {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        Self { samples: lines.filter_map(sample).collect() }
    }

    /// The sum over all series of this name whose labels include those given.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name, labels).map(|sample| sample.value).sum()
    }

    /// Sums of one name, by the values of one label.
    pub(crate) fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.series(name, &[]) {
            let value = sample.labels.get(label).cloned().unwrap_or_default();
            *sums.entry(value).or_insert(0.0) += sample.value;
        }
        sums
    }

    fn series<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            let has = |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|v| v == value);
            sample.name == name && labels.iter().all(has)
        })
    }
}

/// `name{label="value",...} 1.5 [timestamp]`
fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = read_labels(inside, &mut labels)?;
    }
    let value = match rest.split_whitespace().next()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Reads up to and including the closing brace; returns what follows.
fn read_labels<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> Option<&'a str> {
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (key, after) = rest.split_once("=\"")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, character) in after.char_indices() {
            match (escaped, character) {
                (true, 'n') => value.push('\n'),
                (true, other) => value.push(other),
                (false, '"') => {
                    end = Some(at + 1);
                    break;
                }
                (false, '\\') => {}
                (false, other) => value.push(other),
            }
            escaped = !escaped && character == '\\';
        }
        labels.insert(key.trim().to_owned(), value);
        rest = &after[end?..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP d_total Dropped.\n# TYPE d_total counter\n\
        d_total{reason=\"a\",kind=\"x\"} 3\nd_total{reason=\"a\",kind=\"y\"} 4\n\
        d_total{reason=\"quote \\\" brace } end\",kind=\"x\"} 1e2\nup 1 1700000000\n";

    #[test]
    fn samples_are_summed_by_label() {
        let scrape = Scrape::parse(TEXT);
        assert_eq!(scrape.sum("d_total", &[]), 107.0);
        assert_eq!(scrape.sum("d_total", &[("kind", "x"), ("reason", "a")]), 3.0);
        assert_eq!(scrape.by_label("d_total", "reason")["a"], 7.0);
        assert_eq!(scrape.by_label("d_total", "reason")["quote \" brace } end"], 100.0);
        assert_eq!(scrape.sum("up", &[]), 1.0);
        assert_eq!(scrape.sum("down", &[]), 0.0);
    }

    #[test]
    fn a_broken_line_is_left_out() {
        assert!(Scrape::parse("d_total{reason=\"a 3\nd_total{} x\nlonely\n").samples.is_empty());
    }
}
