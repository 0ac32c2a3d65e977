//! The W3C-named asynchronous handles over the actors.
