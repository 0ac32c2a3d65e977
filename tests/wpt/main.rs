//! Web-platform tests (https://github.com/web-platform-tests/wpt, folder `webrtc/`) as Rust tests.
//!
//! Each function bears the name of a subtest in snake case, and its first doc line names the file and the title.
//! Only the behaviour is taken over. What a description says and which state follows from it is tested on a
//! [`Session`](actix_rtc::proto::jsep::Session), in microseconds; what needs events or packets, on connections.

#[cfg(test)]
mod candidates;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod descriptions;
#[cfg(test)]
mod msid;
#[cfg(test)]
#[path = "../aiortc/pair.rs"]
mod pair;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod rollback;
#[cfg(test)]
mod simulcast;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transceiver;
