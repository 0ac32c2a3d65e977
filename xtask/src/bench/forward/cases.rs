//! What is measured: how many publish what to how many.

use anyhow::{Result, bail};

/// One load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Case {
    /// As in results and on the command line.
    pub(super) name: &'static str,
    pub(super) publishers: u32,
    pub(super) subscribers: u32,
    /// Publishers and subscribers are dealt out to so many.
    pub(super) rooms: u32,
    /// The share of a core that the server shall use: subscribers become as many as that takes.
    pub(super) wanted_load: Option<f64>,
    /// The load generator's profile.
    pub(super) profile: &'static str,
    /// Further arguments for this project's server: the case is only about that one.
    pub(super) own_server: &'static [&'static str],
    by_default: bool,
}

/// So close to the wanted load is close enough.
const LOAD_TOLERANCE: f64 = 0.04;
/// At most so many times as many subscribers in one step: what they cost changes with their number.
const GROWTH_MAX: f64 = 4.0;
/// The load generator has one core too.
const SUBSCRIBERS_MAX: u32 = 4_000;

const CASES: [Case; 15] = [
    video("1-to-50", 1, 50, true),
    video("1-to-500", 1, 500, true),
    // Towards full load: which of them comes near 70 % of a core depends on the machine.
    video("1-to-1000", 1, 1_000, false),
    video("1-to-1500", 1, 1_500, false),
    video("1-to-2000", 1, 2_000, false),
    video("10x10", 10, 10, true),
    Case { profile: "audio", ..video("audio-50x50", 50, 50, true) },
    Case { profile: "audio", ..video("audio-1-to-50", 1, 50, false) },
    // A server near its limit, as it would be: many rooms, whose frames do not come at the same moment.
    Case {
        rooms: 20,
        wanted_load: Some(0.7),
        own_server: &["--shards", "1"],
        ..video("load-70", 20, 200, false)
    },
    // The same with smaller rooms: what a frame waits for is the burst of the one before it.
    Case {
        rooms: 100,
        wanted_load: Some(0.7),
        own_server: &["--shards", "1"],
        ..video("load-70-100-rooms", 100, 400, false)
    },
    // One room over both shards: media goes from one to the other by a relay.
    Case {
        own_server: &["--shards", "2", "--room-placement", "spread"],
        ..video("1-to-50-two-shards", 1, 50, false)
    },
    // Two rooms on a shard, and on one each.
    Case { rooms: 2, own_server: &["--shards", "1"], ..video("two-rooms", 2, 100, false) },
    Case { rooms: 2, own_server: &["--shards", "2"], ..video("two-rooms-two-shards", 2, 100, false) },
    Case { profile: "simulcast", ..video("simulcast-1-to-50", 1, 50, false) },
    Case { profile: "synthetic", ..video("synthetic-1-to-50", 1, 50, false) },
];

const fn video(name: &'static str, publishers: u32, subscribers: u32, by_default: bool) -> Case {
    Case {
        name,
        publishers,
        subscribers,
        rooms: 1,
        wanted_load: None,
        profile: "video",
        own_server: &[],
        by_default,
    }
}

impl Case {
    /// With so many subscribers that the server, which used `share` of a core for those there are, comes to the load
    /// that is wanted; as many for each room.
    pub(super) fn scaled(self, share: f64) -> Self {
        let Some(wanted) = self.wanted_load else { return self };
        let factor = (wanted / share.max(0.01)).min(GROWTH_MAX);
        let per_room = f64::from(self.subscribers) / f64::from(self.rooms) * factor;
        let per_room = (per_room.round() as u32).clamp(1, SUBSCRIBERS_MAX / self.rooms);
        Self { subscribers: per_room * self.rooms, ..self }
    }

    /// Whether a server that uses this share of a core is where it should be.
    pub(super) fn is_at_load(&self, share: f64) -> bool {
        self.wanted_load.is_none_or(|wanted| (share - wanted).abs() <= LOAD_TOLERANCE)
    }

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
    fn subscribers_are_scaled_to_the_wanted_load_in_whole_rooms() {
        let case = Case::named("load-70").unwrap();
        assert_eq!(case.scaled(0.35).subscribers, 400);
        assert_eq!(case.scaled(0.33).subscribers % case.rooms, 0);
        assert_eq!(case.scaled(0.0).subscribers, 800);
        assert_eq!(Case { subscribers: 3_000, ..case }.scaled(0.0).subscribers, SUBSCRIBERS_MAX);
        assert!(case.is_at_load(0.72) && !case.is_at_load(0.6));
        let fixed = Case::named("1-to-50").unwrap();
        assert_eq!(fixed.scaled(0.01), fixed);
        assert!(fixed.is_at_load(0.01));
    }

    #[test]
    fn cases_are_selected_by_name_and_the_whole_run_without() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(Case::select(&[]).unwrap().len(), 4);
        assert_eq!(Case::select(&names(&["10x10"])).unwrap()[0].publishers, 10);
        assert!(Case::select(&names(&["nonsense"])).unwrap_err().to_string().contains("audio-50x50"));
    }
}
