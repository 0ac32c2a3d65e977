//! Agree: the typed messages between actors, one file per conversation.
