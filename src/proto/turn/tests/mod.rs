//! The client against a server in memory, in virtual time.

mod allocation;
mod data;
mod hostile;
mod server;
