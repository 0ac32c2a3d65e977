//! On which shard a room and each of its members live.
//!
//! A room begins on the shard that has the least to do, and the `Room` actor stays there. Where its members' connections
//! go is the policy's choice, at the moment they come: nobody is ever moved. Media between two shards costs a wake-up
//! for each lot and shard, so a room keeps to one as long as that one can bear it.

use actix_rtc::actors::kit::ShardLoad;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A shard that is busier has no reserve left for a burst, such as key frames for all.
const BUSY_FULL: f64 = 0.7;
/// A shard that is less busy can take members over from a full one for some time to come.
const BUSY_SPARE: f64 = 0.5;

/// Which members of a room share a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RoomPlacement {
    /// All of them, whatever it costs.
    Single,
    /// All of them as long as their shard bears it; who comes later lives on another one.
    Spill,
    /// As few as possible: each lives where the fewest of the room do, among those that have reserves.
    Spread,
}

/// The policy of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// Which members share a shard.
    pub rooms: RoomPlacement,
    /// How many of one room may, if there are other shards and the room may spill.
    pub members_per_shard: usize,
}

impl Placement {
    /// The shard of a room's next member. `members` of it are on each shard already, and `loads` is what each has
    /// to do altogether; both have an entry for each shard.
    pub(crate) fn of_member(&self, home: usize, members: &[usize], loads: &[ShardLoad]) -> usize {
        let shards = 0..members.len().min(loads.len());
        let has_spare = loads.iter().any(|load| load.busy < BUSY_SPARE);
        let is_full = |shard: usize| has_spare && loads[shard].busy > BUSY_FULL;
        let least_loaded = |shard: &usize| loads[*shard].key();
        let chosen = match self.rooms {
            RoomPlacement::Single => Some(home),
            RoomPlacement::Spread => {
                shards.min_by_key(|shard| (is_full(*shard), members[*shard], loads[*shard].key()))
            }
            RoomPlacement::Spill => {
                let takes = |shard: &usize| members[*shard] < self.members_per_shard && !is_full(*shard);
                // Where the room is already its media is as well. If no shard takes more, all share the burden.
                let is_new = members.iter().all(|count| *count == 0);
                let mut known = std::iter::once(home)
                    .chain(shards.clone())
                    .filter(|shard| members[*shard] > 0 || is_new && *shard == home);
                known
                    .find(takes)
                    .or_else(|| shards.clone().filter(takes).min_by_key(least_loaded))
                    .or_else(|| shards.min_by_key(least_loaded))
            }
        };
        chosen.unwrap_or(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads<const N: usize>(busy: [f64; N]) -> Vec<ShardLoad> {
        busy.map(|busy| ShardLoad { busy, ..ShardLoad::default() }).to_vec()
    }

    fn placement(rooms: RoomPlacement) -> Placement {
        Placement { rooms, members_per_shard: 3 }
    }

    /// Where so many members go, one after the other.
    fn members(placement: Placement, home: usize, count: usize, loads: &[ShardLoad]) -> Vec<usize> {
        let mut members = vec![0; loads.len()];
        for _ in 0..count {
            let shard = placement.of_member(home, &members, loads);
            members[shard] += 1;
        }
        members
    }

    #[test]
    fn a_single_room_stays_where_it_is_whatever_it_costs() {
        let placement = placement(RoomPlacement::Single);
        assert_eq!(members(placement, 1, 9, &loads([0.0, 0.9])), [0, 9]);
    }

    #[test]
    fn a_room_spills_when_its_shard_has_enough_of_its_members() {
        let placement = placement(RoomPlacement::Spill);
        assert_eq!(members(placement, 1, 3, &loads([0.0, 0.0, 0.0])), [0, 3, 0]);
        assert_eq!(members(placement, 1, 5, &loads([0.2, 0.0, 0.1])), [0, 3, 2], "to the least loaded");
        assert_eq!(members(placement, 1, 9, &loads([0.2, 0.0, 0.1])), [3, 3, 3]);
        assert_eq!(members(placement, 1, 10, &loads([0.2, 0.0, 0.1])), [3, 4, 3], "nobody is turned away");
        assert_eq!(members(placement, 0, 10, &loads([0.0])), [10]);
    }

    #[test]
    fn a_room_spills_when_its_shard_is_busy_and_another_has_reserves() {
        let placement = placement(RoomPlacement::Spill);
        assert_eq!(placement.of_member(0, &[1, 0], &loads([0.71, 0.49])), 1);
        assert_eq!(placement.of_member(0, &[1, 0], &loads([0.71, 0.51])), 0, "nobody has");
        assert_eq!(placement.of_member(0, &[1, 0], &loads([0.69, 0.0])), 0, "it is not that busy");
        assert_eq!(placement.of_member(0, &[2, 1], &loads([0.3, 0.0])), 0, "there is room at home again");
        assert_eq!(
            placement.of_member(0, &[3, 1, 0], &loads([0.3, 0.4, 0.0])),
            1,
            "where its media is already"
        );
        assert_eq!(
            placement.of_member(0, &[0, 0], &loads([0.9, 0.1])),
            1,
            "its home, before anybody is there"
        );
    }

    #[test]
    fn a_room_is_spread_evenly_and_around_busy_shards() {
        let placement = placement(RoomPlacement::Spread);
        assert_eq!(members(placement, 0, 7, &loads([0.0, 0.0, 0.0])), [3, 2, 2]);
        assert_eq!(members(placement, 0, 6, &loads([0.0, 0.8, 0.3])), [3, 0, 3]);
        assert_eq!(members(placement, 0, 6, &loads([0.8, 0.9, 0.8])), [2, 2, 2], "nobody has reserves");
    }
}
