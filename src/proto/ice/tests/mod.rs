//! Two agents over a simulated network, and an agent against hostile datagrams.

mod connect;
mod consent;
mod hostile;
mod nomination;
mod restart;
mod simulation;
