//! Where several playbooks lie while they run.

use std::fs;
use std::path::{Path, PathBuf};

/// Where one of several playbooks lies, relative to the staging folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In playbook_dir, and staged with it.
    InFolder(String),
    /// Elsewhere on the host.
    Beside(String),
}

/// Finds the places of several playbooks. What lies outside of playbook_dir keeps its place
/// relative to the others, so that they can import each other, but tells nothing of the host.
pub(super) fn places(folder: Option<&Path>, files: Vec<PathBuf>) -> Vec<(PathBuf, Place)> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder.map(real);
    let located: Vec<(PathBuf, PathBuf)> = files
        .into_iter()
        .map(|file| {
            let above = file.parent().map(real).unwrap_or_default();
            let whole = above.join(file.file_name().unwrap_or_default());
            (file, whole)
        })
        .collect();
    let in_folder = |whole: &Path| {
        let relative = whole.strip_prefix(folder.as_ref()?).ok()?;
        Some(relative.to_string_lossy().into_owned())
    };
    let mut common: Option<PathBuf> = None;
    for (_, whole) in located
        .iter()
        .filter(|(_, whole)| in_folder(whole).is_none())
    {
        let above = whole.parent().unwrap_or(Path::new("/"));
        let shared = match &common {
            None => above,
            Some(common) => above
                .ancestors()
                .find(|ancestor| common.starts_with(ancestor))
                .unwrap_or(Path::new("/")),
        };
        common = Some(shared.to_owned());
    }
    let common = common.unwrap_or_default();
    located
        .into_iter()
        .map(|(file, whole)| {
            let place = in_folder(&whole).map_or_else(
                || {
                    let relative = whole.strip_prefix(&common).unwrap_or(&whole);
                    Place::Beside(relative.to_string_lossy().into_owned())
                },
                Place::InFolder,
            );
            (file, place)
        })
        .collect()
}
