//! What is measured: how many publish what to how many.

use anyhow::{Result, bail};

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// As in results and on the command line.
    pub(super) name: &'static str,
    pub(super) publishers: u32,
    pub(super) subscribers: u32,
    /// The load generator's profile.
    pub(super) profile: &'static str,
    /// Further arguments for this project's server: the case is only about that one.
    pub(super) own_server: &'static [&'static str],
    by_default: bool,
}

const CASES: [Case; 11] = [
    video("1-to-50", 1, 50, true),
    video("1-to-500", 1, 500, true),
    // Towards full load: which of them comes near 70 % of a core depends on the machine.
    video("1-to-1000", 1, 1_000, false),
    video("1-to-1500", 1, 1_500, false),
    video("1-to-2000", 1, 2_000, false),
    video("10x10", 10, 10, true),
    Case { profile: "audio", ..video("audio-50x50", 50, 50, true) },
    Case { profile: "audio", ..video("audio-1-to-50", 1, 50, false) },
    Case { own_server: &["--shards", "2"], ..video("1-to-50-two-shards", 1, 50, false) },
    Case { profile: "simulcast", ..video("simulcast-1-to-50", 1, 50, false) },
    Case { profile: "synthetic", ..video("synthetic-1-to-50", 1, 50, false) },
];

const fn video(name: &'static str, publishers: u32, subscribers: u32, by_default: bool) -> Case {
    Case { name, publishers, subscribers, profile: "video", own_server: &[], by_default }
}

impl Case {
    /// Those named, in their order; without names, those that make up the whole run.
    pub(super) fn select(names: &[String]) -> Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(CASES.into_iter().filter(|case| case.by_default).collect());
        }
        names.iter().map(|name| Self::named(name)).collect()
    }

    fn named(name: &str) -> Result<Self> {
        let Some(case) = CASES.into_iter().find(|case| case.name == name) else {
            let all: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            bail!("there is no case {name}; there are {}", all.join(", "));
        };
        Ok(case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_selected_by_name_and_the_whole_run_without() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(Case::select(&[]).unwrap().len(), 4);
        assert_eq!(Case::select(&names(&["10x10"])).unwrap()[0].publishers, 10);
        assert!(Case::select(&names(&["nonsense"])).unwrap_err().to_string().contains("audio-50x50"));
    }
}
