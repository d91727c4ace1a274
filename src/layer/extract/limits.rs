//! Limits: how an archive is to be taken, and how much it may use.

use super::Extractor;
use crate::layer::error::{LayerError, Limit, Result, TreePath};
use crate::layer::read::ArchiveEntry;

/// How an archive is to be taken.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Whether `.wh.` names mark deletions, as in a layer. If not, they are refused.
    pub whiteouts: bool,
    /// Whether an archive without an end marker is refused. Without it a cut between two entries
    /// goes unnoticed, but some layers lack it; for them the digest tells.
    pub end_marker_required: bool,
    /// The time of folders that neither the archive nor a lower tree has, in seconds since 1970.
    pub epoch: i64,
    /// What the archive may contain at most.
    pub limits: ExtractLimits,
}

impl ExtractOptions {
    /// For a layer of an image, whose digest the caller checks.
    pub fn layer(epoch: i64) -> Self {
        Self {
            whiteouts: true,
            end_marker_required: false,
            epoch,
            limits: ExtractLimits::default(),
        }
    }

    /// For an archive of a root file system.
    pub fn archive(epoch: i64) -> Self {
        Self {
            whiteouts: false,
            end_marker_required: true,
            ..Self::layer(epoch)
        }
    }
}

/// What one archive may contain at most.
#[derive(Debug, Clone, Copy)]
pub struct ExtractLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files together, holes included.
    pub total_size: u64,
    /// Bytes of one file, holes included.
    pub file_size: u64,
    /// Bytes of one name or link target.
    pub path_length: u64,
    /// Nested folders.
    pub depth: u64,
    /// Bytes of one extended header, which holds long names and attributes.
    pub header_size: u64,
}

impl Default for ExtractLimits {
    /// Far above any image seen, and low enough to end before a host does.
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            total_size: 1 << 40,
            file_size: 1 << 39,
            path_length: 8 * 1024,
            depth: 1_024,
            header_size: 1 << 20,
        }
    }
}

impl Extractor<'_> {
    pub(super) fn check_limits(&mut self, entry: &ArchiveEntry) -> Result<()> {
        let limits = &self.options.limits;
        self.extracted.entries += 1;
        let total = self.extracted.content.saturating_add(entry.size);
        for (value, limit, allowed) in [
            (self.extracted.entries, Limit::Entries, limits.entries),
            (entry.size, Limit::FileSize, limits.file_size),
            (total, Limit::TotalSize, limits.total_size),
            (
                entry.name.len() as u64,
                Limit::PathLength,
                limits.path_length,
            ),
            (
                entry.link.len() as u64,
                Limit::PathLength,
                limits.path_length,
            ),
        ] {
            if value > allowed {
                return Err(exceeded(entry, limit, allowed));
            }
        }
        Ok(())
    }

    pub(super) fn check_depth(&self, entry: &ArchiveEntry, path: &[u8]) -> Result<()> {
        let depth = path.iter().filter(|byte| **byte == b'/').count() as u64;
        if depth > self.options.limits.depth {
            return Err(exceeded(entry, Limit::Depth, self.options.limits.depth));
        }
        Ok(())
    }
}

fn exceeded(entry: &ArchiveEntry, limit: Limit, allowed: u64) -> LayerError {
    LayerError::Limit {
        entry: TreePath::new(&entry.name),
        limit,
        allowed,
    }
}
