//! Two agents over a simulated network, and an agent against hostile datagrams.

mod attacks;
mod composed;
mod connect;
mod consent;
mod fuzz;
mod hostile;
mod items;
mod nomination;
mod peer;
mod restart;
mod servers;
mod simulation;
mod tcp;
