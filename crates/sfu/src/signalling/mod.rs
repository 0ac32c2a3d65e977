//! The WebSocket: frames in, typed messages out, one task per client.

mod call;
mod end;
mod frames;
mod keepalive;
mod messages;
mod outbox;
mod parse;
mod session;

pub(crate) use session::open;
