//! The `meanwhile` command.
fn main() {}
