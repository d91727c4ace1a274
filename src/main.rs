//! The `hardtack` binary.

fn main() {}
