//! Registries: where images come from and go to (OCI distribution specification 1.1).
//!
//! A *client* speaks to any number of registries: it finds out how each wants to be spoken to,
//! keeps tokens, repeats what may be repeated within one budget of time, and hands over only what
//! has the digest that was asked for. Its functions block and may be called from any thread; the
//! connections live in a thread of their own, started by the first request.

mod authorization;
mod challenge;
mod client;
pub mod credentials;
mod documents;
mod download;
mod endpoint;
mod error;
pub mod fetch;
mod login;
pub mod options;
pub mod parallel;
mod patience;
pub mod push;
mod reference;
mod referrers;
mod session;
mod settings;
mod source;
mod tags;
mod token;
mod transport;
mod upload;

pub use client::{Client, Document, Pushed, Referrers};
pub use error::RegistryError;
pub use reference::{Reference, ReferenceError, Repository, is_registry};
pub use settings::{Credentials, Settings};
pub use source::RegistrySource;

/// The largest manifest or index that is read or written, in bytes (distribution specification,
/// "Pushing manifests").
pub const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// Learns of each piece of a blob that was moved, in bytes; called from the thread that asked.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

#[cfg(test)]
mod tests;
