//! Sharing: which repositories records are read from and written to.

use crate::registry::Repository;

/// What is shared, and with whom. Without repositories, nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Repositories that records are read from, and that are trusted: the first one that has a
    /// record decides.
    pub from: Vec<Repository>,
    /// Repositories that records are written to.
    pub to: Vec<Repository>,
    /// Which records are written.
    pub mode: Mode,
}

/// Which records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Those of builds that ended well, when they have.
    #[default]
    Min,
    /// Each as soon as its step has ended, whatever becomes of the build.
    Max,
}
