//! The functions of Packer's language that this version does not have.
//!
//! They are known by name so that a template which uses one is told so, instead of being told that
//! no such function exists.

/// Their names.
pub(super) const NAMES: &[&str] = &[
    "aws_secretsmanager",
    "aws_secretsmanager_raw",
    "bcrypt",
    "consul_key",
    "rsadecrypt",
    "vault",
    "yamldecode",
    "yamlencode",
];
