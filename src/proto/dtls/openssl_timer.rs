//! OpenSSL's DTLS retransmission timer, taken out of its hands. One of the two places with unsafe code.
//!
//! OpenSSL starts a timer on the real clock when it writes a flight, asks it before every read of a
//! record, and resends the flight when it has expired. Three facts of its behaviour make it ours:
//!
//! - A callback sets the duration, when a flight starts (it is then passed 0) and at every expiry.
//! - Less than 15 ms left count as expired. A duration of a microsecond is thus expired from the start,
//!   and `DTLS_CTRL_HANDLE_TIMEOUT` resends whenever the session's own schedule says so.
//! - But a read would resend as well, and again and again. So the session never lets OpenSSL read in that
//!   state: `DatagramIo` stops it behind each flight, and before its answer is read the timer is held: it
//!   is made to expire once more, what that resends is dropped, and the callback now gives half a second,
//!   a hundred times what the reading takes. The next flight starts at a microsecond again.
//!
//! OpenSSL counts expiries and fails the handshake at the 13th of a flight (`DTLS1_TMO_ALERT_COUNT`). It
//! starts over with each flight; the session counts along and stops before ([`MAXIMUM_EXPIRIES`]). The
//! same counter would lower the MTU at the third, but for the option `NO_QUERY_MTU`.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_long, c_uint};
use std::ptr;

use foreign_types_shared::ForeignTypeRef;
use openssl::ssl::SslStream;

use super::datagram_io::DatagramIo;

/// Expiries of one flight that OpenSSL survives.
pub(super) const MAXIMUM_EXPIRIES: u32 = 12;

/// `DTLS_CTRL_HANDLE_TIMEOUT` of `openssl/ssl.h`.
const HANDLE_TIMEOUT: c_int = 74;
/// Expired from the start.
const EXPIRED_US: c_uint = 1;
/// Long enough to read a flight in, short enough to recover from a forged one in real time.
const HELD_US: c_uint = 500_000;

type TimerCallback = extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint;

unsafe extern "C" {
    /// Declared here because `openssl-sys` lacks it: `void DTLS_set_timer_cb(SSL *, DTLS_timer_cb)`.
    fn DTLS_set_timer_cb(ssl: *mut openssl_sys::SSL, callback: Option<TimerCallback>);
}

/// What asking OpenSSL to handle a timeout came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// The flight was written again.
    Resent,
    /// The timer wasn't running, or is held.
    NotExpired,
    /// OpenSSL gave up; its error queue says why.
    Failed,
}

/// Makes the timer of a new connection count as expired from the start of each flight.
pub(super) fn install(stream: &mut SslStream<DatagramIo>) {
    set_callback(stream, always_expired);
}

/// Writes the current flight again, as far as the timer is expired.
pub(super) fn resend(stream: &mut SslStream<DatagramIo>) -> Expiry {
    set_callback(stream, always_expired);
    expire(stream)
}

/// Lets the timer expire once more and then hold for half a second: OpenSSL may read.
pub(super) fn hold(stream: &mut SslStream<DatagramIo>) -> Expiry {
    set_callback(stream, held);
    expire(stream)
}

fn set_callback(stream: &mut SslStream<DatagramIo>, callback: TimerCallback) {
    // SAFETY: `as_ptr` gives the `SSL` that `stream` owns and that lives as long as it; `&mut` excludes
    // other users. The callbacks are functions without state, so no lifetime is tied to the pointer.
    unsafe { DTLS_set_timer_cb(stream.ssl().as_ptr(), Some(callback)) }
}

fn expire(stream: &mut SslStream<DatagramIo>) -> Expiry {
    // SAFETY: the pointer as above. `DTLS_CTRL_HANDLE_TIMEOUT` takes no argument (0 and null). It writes
    // to the stream's BIO, whose state lies behind `stream`, which we borrow mutably and don't touch
    // meanwhile; a panic in it is caught by the BIO. The `openssl` crate itself calls `SSL_ctrl` alike.
    let result: c_long =
        unsafe { openssl_sys::SSL_ctrl(stream.ssl().as_ptr(), HANDLE_TIMEOUT, 0, ptr::null_mut()) };
    match result {
        0 => Expiry::NotExpired,
        1.. => Expiry::Resent,
        ..0 => Expiry::Failed,
    }
}

extern "C" fn always_expired(_: *mut openssl_sys::SSL, _: c_uint) -> c_uint {
    EXPIRED_US
}

/// `duration_us` is 0 when a flight starts: the one after the flight that is being read.
extern "C" fn held(_: *mut openssl_sys::SSL, duration_us: c_uint) -> c_uint {
    if duration_us == 0 { EXPIRED_US } else { HELD_US }
}
