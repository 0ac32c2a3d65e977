//! Move: actix, sockets, timers. A handler translates, calls one `proto` function, hands the output on.

pub mod kit;
