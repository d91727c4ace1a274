//! The sandbox as steps see it, and as the host sees steps: with the real kernel, in the three
//! kinds of isolation. [`identities`] runs all of it again as users with and without subordinate
//! ids, where the machine has them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why it is left out"
)]

mod attempts;
mod ending;
mod escapes;
mod host;
mod identities;
mod layers;
mod limits;
mod mounts;
mod owners;
mod residue;
mod running;
mod secrets;
mod sessions;
mod support;
mod transfers;
