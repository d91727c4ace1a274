//! The probe: which mode this host allows, found by trying each until one works.
//!
//! A mapping of ids is tried by making the namespaces, and the means by running a step that does
//! nothing. So what is found is what steps will get: nothing is concluded from settings.

use super::identity::{self, IdMap};
use super::means::{Confinement, Means, Writable};
use super::protocol::Request;
use super::{Cancel, Isolation, Mode, SandboxError, Settings, helper};

/// Finds the best mode that is not below what `settings` ask for.
pub(super) fn mode(settings: &Settings) -> Result<Mode, SandboxError> {
    let mut refusal = None;
    for map in identity::candidates() {
        match with_map(settings, map) {
            Ok(mode) => return Ok(mode),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    if settings.least == Confinement::Chroot
        && let Some(map) = identity::unmapped_root()
    {
        let means = Means::CHROOT;
        let mode = Mode { map, means };
        ask(settings, &mode)?;
        return Ok(mode);
    }
    Err(refusal.unwrap_or(SandboxError::NoIdentity))
}

/// Tries a mode.
fn ask(settings: &Settings, mode: &Mode) -> Result<(), SandboxError> {
    let request = Request::Probe {
        scratch: settings.scratch.clone(),
    };
    helper::ask(settings, mode, &request, &Cancel::default()).map(drop)
}

/// What came of trying one mapping of ids.
#[derive(Debug)]
pub struct Attempt {
    /// How ids inside relate to ids of the host.
    pub isolation: Isolation,
    /// The best means that work with it.
    pub result: Result<Means, SandboxError>,
}

/// Tries every mapping of ids that this user could have, the best first.
pub fn survey(settings: &Settings) -> Vec<Attempt> {
    let tried = identity::all().into_iter().map(|map| Attempt {
        isolation: map.isolation(),
        result: with_map(settings, map).map(|mode| mode.means),
    });
    let chroot = identity::unmapped_root().filter(|_| settings.least == Confinement::Chroot);
    let chroot = chroot.map(|map| {
        let means = Means::CHROOT;
        Attempt {
            isolation: map.isolation(),
            result: ask(settings, &Mode { map, means }).map(|()| means),
        }
    });
    tried.chain(chroot).collect()
}

/// Finds the best means for one mapping of ids.
fn with_map(settings: &Settings, map: IdMap) -> Result<Mode, SandboxError> {
    let mut mode = Mode {
        map,
        means: Means::BEST,
    };
    loop {
        match ask(settings, &mode) {
            Ok(_) => return Ok(mode),
            Err(refusal) => match weaker(mode.means, &refusal, settings.least) {
                Some(means) => mode.means = means,
                None => return Err(refusal),
            },
        }
    }
}

/// The next best means that do without what was refused.
fn weaker(means: Means, refusal: &SandboxError, least: Confinement) -> Option<Means> {
    match refusal {
        SandboxError::Processes(_)
            if means.confinement == Confinement::Full && least < Confinement::Full =>
        {
            Some(Means {
                confinement: Confinement::SharedProcesses,
                ..means
            })
        }
        SandboxError::Overlay(_) if means.writable == Writable::Overlay => Some(Means {
            writable: Writable::Copy,
            ..means
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_refused_is_given_up() {
        let proc = SandboxError::Processes("mount a new /proc".to_owned());
        let overlay = SandboxError::Overlay("mount an overlay".to_owned());
        let shared = Means {
            confinement: Confinement::SharedProcesses,
            ..Means::BEST
        };
        let copy = Means {
            writable: Writable::Copy,
            ..Means::BEST
        };
        let least = Confinement::default();
        assert_eq!(weaker(Means::BEST, &proc, least), Some(shared));
        assert_eq!(weaker(Means::BEST, &overlay, least), Some(copy));
        assert_eq!(weaker(shared, &proc, least), None);
        assert_eq!(weaker(copy, &overlay, least), None);
        assert_eq!(weaker(Means::BEST, &proc, Confinement::Full), None);
        let other = SandboxError::Setup("mount /sys".to_owned());
        assert_eq!(weaker(Means::BEST, &other, least), None);
    }
}
