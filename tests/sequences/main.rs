//! Random sequences of API calls on two real connections, both sides at once: no panic, no dead-lock, only errors
//! that the specification names, and a way back to stable, connected and a message on a data channel.
//!
//! `ACTIX_RTC_SEED=17 cargo test --test sequences` runs one seed; `ACTIX_RTC_SEEDS=10000` more. A seed determines the
//! calls of each side; how those of the two sides interleave is up to the threads.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod run;
#[cfg(test)]
mod side;
