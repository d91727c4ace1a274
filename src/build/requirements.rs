//! Requirements of steps: what their lists stand for, and the folders where that is installed.
//!
//! What a list stands for is a pin: the lock file's, or what installing it gives the first time. A
//! step whose result is known needs the pin alone, and installs nothing.

use super::event::{Event, Level};
use super::{BuildError, Environment};
use crate::provision::{HostContext, Installed, Requirement, RequirementName, Said};
use std::fs;
use std::path::PathBuf;

/// What a requirement stands for; installs it if nothing says so.
pub fn content(
    environment: &Environment,
    requirement: &dyn Requirement,
) -> Result<Installed, BuildError> {
    let name = requirement.name()?;
    if let Some(pinned) = environment.pins.requirement(&name) {
        return Ok(pinned);
    }
    if environment.pins.is_strict() {
        return Err(BuildError::RequirementNotLocked { name });
    }
    let installed = install(environment, &name, requirement)?;
    environment.pins.add_requirement(name, installed.clone());
    Ok(installed)
}

/// The folder where a requirement is installed, with the content that it stands for.
pub fn folder(
    environment: &Environment,
    requirement: &dyn Requirement,
) -> Result<PathBuf, BuildError> {
    let expected = content(environment, requirement)?;
    let store = &environment.store;
    if let Some(folder) = store.requirement(&expected.digest) {
        if Installed::of(&folder, Vec::new())?.digest == expected.digest {
            return Ok(folder);
        }
        // It was changed behind the store's back, or lost in a crash.
        store.drop_requirement(&expected.digest)?;
    }
    let name = requirement.name()?;
    let found = install(environment, &name, requirement)?;
    let folder = store.requirement(&found.digest);
    match folder.filter(|_| found.digest == expected.digest) {
        Some(folder) => Ok(folder),
        None => Err(BuildError::RequirementMoved {
            name,
            expected: Box::new(expected),
            found: Box::new(found),
        }),
    }
}

fn install(
    environment: &Environment,
    name: &RequirementName,
    requirement: &dyn Requirement,
) -> Result<Installed, BuildError> {
    let note = |text: &str| {
        environment.emit(Event::Notice {
            build: None,
            level: Level::Info,
            text: text.to_owned(),
        });
    };
    note(&format!("installing what {} names", name.file));
    let scratch = environment.store.scratch()?;
    let folder = scratch.path().join("installed");
    fs::create_dir(&folder).map_err(BuildError::file("create", &folder))?;
    let context = HostContext {
        working_folder: &environment.working_folder,
        run_id: &environment.run_id,
        cancel: &environment.cancel,
        operator: &*environment.operator,
        say: &|said| match said {
            Said::Note(text) | Said::Line(_, text) => note(text),
        },
    };
    let parts = requirement.install(&folder, &context)?;
    let installed = Installed::of(&folder, parts)?;
    let store = &environment.store;
    store.put_requirement(&folder, &installed.digest)?;
    Ok(installed)
}
