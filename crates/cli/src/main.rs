//! The `resurgam` program.
fn main() {}
