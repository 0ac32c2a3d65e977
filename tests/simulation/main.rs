//! Two peers over a network that loses, delays, reorders and duplicates: they connect and exchange
//! media, for a thousand seeds, in virtual time.
//!
//! `ACTIX_RTC_SEED=17 cargo test --test simulation` runs one seed; `ACTIX_RTC_SEEDS=10000` more.

#[cfg(test)]
mod network;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod peer;
