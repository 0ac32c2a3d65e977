//! Associations under test.
