//! The cache: what steps have made, how long it is kept here, and how it is shared with others.
//!
//! A *record* says what a step with a given key made; its layer is a blob like any other. Records
//! are kept in the store, written to files and folders that another store takes in, and shared by
//! way of repositories of registries. What is removed, and when, is decided here too: the store
//! itself keeps everything.
//!
//! How it is used, and whom it trusts, is in `docs/cache.md`.

mod artifact;
pub mod content;
mod inventory;
mod lookup;
pub mod mounts;
pub mod prune;
mod reach;
mod sharing;
pub mod transfer;
mod upload;

pub use inventory::{Inventory, Tree, Usage};
pub use lookup::{Cache, Hit, Warn};
pub use prune::{Policy, Removal};
pub use sharing::{Mode, Sharing};
