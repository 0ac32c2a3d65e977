//! Tests of telephone events, in virtual time.
