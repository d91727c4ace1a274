//! Landlock: keeps a step that shares the process list from touching what it sees there.
//!
//! Inside a Landlock domain nothing outside of it can be traced, looked into or signalled. The
//! domain restricts nothing else: files are the mount namespace's concern.

use super::sys;
use std::io;

/// The first version that can keep signals inside (Linux 6.12).
const SIGNALS: i32 = 6;

/// Whether this kernel can.
pub fn keeps_apart() -> bool {
    sys::landlock_version().is_ok_and(|version| version >= SIGNALS)
}

/// Puts this process and all its future children into a domain of their own, where the kernel can.
pub fn enter_domain() -> io::Result<()> {
    if keeps_apart() {
        sys::landlock_keep_signals_inside()?;
    }
    Ok(())
}
