//! Durable tables behind a trait, with an in-memory twin that can lose what was not synced.
