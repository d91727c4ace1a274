//! The functions of Packer's language that this version does not have.
//!
//! They are known by name so that a template which uses one is told so, instead of being told that
//! no such function exists.

/// Their names.
pub(super) const NAMES: &[&str] = &["bcrypt", "rsadecrypt", "yamldecode", "yamlencode"];
