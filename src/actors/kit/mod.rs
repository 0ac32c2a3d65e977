//! What actix lacks: panic guards, lanes, one deadline per actor, statistics, shards.
