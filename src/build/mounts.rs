//! Mounts of a step: what its blocks ask for, found on this host.

use super::chain::Chain;
use super::{BuildError, Environment, trees};
use crate::plan::secret::Given;
use crate::plan::{LayerStep, StepMount, StepMountKind};
use crate::sandbox::{Mount, MountKind, Network, RootSpec, SearchedCache, Secret, Variable};
use crate::store::LockGuard;
use std::path::PathBuf;

/// The kind of the lock on a cache that one step at a time may have.
const CACHE_LOCK: &str = "mount";
/// Where programs look for the socket of an agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// A root with what belongs to it as long as it is used.
pub struct Furnished {
    /// The root.
    pub root: RootSpec,
    _locks: Vec<LockGuard>,
}

/// The root in which the commands of a step run. `waiting` is called with the id of a cache
/// that this one must have for itself while another step has it.
pub fn root(
    environment: &Environment,
    given: &Given,
    layer: Option<&LayerStep>,
    lowers: Vec<PathBuf>,
    scratch: PathBuf,
    waiting: &dyn Fn(&str),
) -> Result<Furnished, BuildError> {
    let mut furnished = Furnished {
        root: RootSpec {
            lowers,
            scratch,
            network: layer.map_or(Network::Host, |layer| layer.network),
            limits: layer.map(|layer| layer.limits.clone()).unwrap_or_default(),
            ..RootSpec::default()
        },
        _locks: Vec::new(),
    };
    let mut mounts: Vec<&StepMount> = layer.iter().flat_map(|layer| &layer.mounts).collect();
    // Steps that wait for each other's caches take them in one order.
    mounts.sort_by_key(|mount| match &mount.kind {
        StepMountKind::Cache { id, .. } => Some(id),
        _ => None,
    });
    for mount in mounts {
        furnished.add(environment, given, mount, waiting)?;
    }
    // Without a secret of its own a step leaves none in a cache that it has not found there.
    if furnished.root.secrets.is_empty() {
        furnished.root.caches.clear();
    }
    if layer.is_some() {
        search_for_others(&mut furnished.root.secrets, given);
    }
    Ok(furnished)
}

/// The shortest secret of another step that is looked for, in bytes: one like `postgres` is in what
/// steps install that never heard of it.
const SHORTEST_OF_OTHERS: usize = 12;

/// Adds the secrets of the run that the step itself is not given: what another step has left in a
/// cache, this one can carry into its layer.
fn search_for_others(sought: &mut Vec<Secret>, given: &Given) {
    for (name, value) in given.secrets() {
        let is_telling = value.as_bytes().trim_ascii().len() >= SHORTEST_OF_OTHERS;
        if is_telling && !sought.iter().any(|secret| secret.bytes == *value) {
            sought.push(Secret {
                name: name.to_owned(),
                bytes: value.clone(),
            });
        }
    }
}

impl Furnished {
    /// The targets of what keeps changes: caches, and folders of the host that are not read-only.
    pub fn lasting(&self) -> impl Iterator<Item = &str> {
        let mounts = self.root.mounts.iter().filter(|mount| {
            matches!(
                mount.kind,
                MountKind::Cache { .. } | MountKind::Bind { writable: true, .. }
            )
        });
        mounts.map(|mount| mount.target.as_str())
    }

    fn add(
        &mut self,
        environment: &Environment,
        given: &Given,
        mount: &StepMount,
        waiting: &dyn Fn(&str),
    ) -> Result<(), BuildError> {
        let kind = match &mount.kind {
            StepMountKind::Bind { source, writable } => MountKind::Bind {
                source: source.clone(),
                writable: *writable,
            },
            StepMountKind::Image { build, path } => {
                let image = environment.others.get(build);
                let image = image.ok_or(BuildError::Internal("an image to mount is not known"))?;
                let chain = Chain::of_layers(&image.layers);
                MountKind::Layers {
                    lowers: trees::materialise(environment, &chain)?,
                    path: path.clone(),
                }
            }
            StepMountKind::Tmpfs { size, mode } => MountKind::Tmpfs {
                size: *size,
                mode: *mode,
            },
            StepMountKind::Cache {
                id,
                is_locked,
                owner,
            } => {
                let namespace = environment.sandbox.get()?.tree_namespace();
                if *is_locked {
                    let name = format!("{namespace}/{id}");
                    self._locks
                        .push(trees::lock(environment, CACHE_LOCK, &name, || waiting(id))?);
                }
                let now = environment.now.into();
                let folder = environment.store.mount_cache(&namespace, id, now)?;
                self.root.caches.push(SearchedCache {
                    name: id.clone(),
                    folder: folder.clone(),
                });
                MountKind::Cache {
                    folder,
                    owner: *owner,
                }
            }
            StepMountKind::Secret {
                secret,
                variable,
                owner,
            } => {
                let Some(value) = given.secret(secret) else {
                    return Ok(());
                };
                self.root.secrets.push(Secret {
                    name: secret.id.clone(),
                    bytes: value.clone(),
                });
                if let Some(name) = variable {
                    // The line feed at the end of a file is no part of what it says.
                    let bytes = value.as_bytes();
                    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
                    self.root.variables.push(Variable {
                        name: name.clone(),
                        value: bytes.to_vec().into(),
                    });
                }
                MountKind::Secret {
                    content: value.clone(),
                    owner: *owner,
                }
            }
            StepMountKind::Agent { owner, .. } => {
                let Some(socket) = &given.agent else {
                    return Ok(());
                };
                self.root
                    .variables
                    .extend(mount.target.as_ref().map(|target| Variable {
                        name: AGENT_VARIABLE.to_owned(),
                        value: target.clone().into_bytes().into(),
                    }));
                MountKind::Agent {
                    socket: socket.clone(),
                    owner: *owner,
                }
            }
        };
        self.root
            .mounts
            .extend(mount.target.as_ref().map(|target| Mount {
                target: target.clone(),
                kind,
            }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_searched_for_secrets_of_others() {
        let given = Given::of_flags(&[
            ("npm", "t0ken-a-0123"),
            ("same", "t0ken-a-0123"),
            ("git", "t0ken-b-0123"),
            ("database", "postgres"),
        ]);
        let mut sought = vec![Secret {
            name: "mine".to_owned(),
            bytes: b"t0ken-a-0123".to_vec().into(),
        }];
        search_for_others(&mut sought, &given);
        let names: Vec<&str> = sought.iter().map(|secret| &*secret.name).collect();
        assert_eq!(names, ["mine", "git"]);
        let mut none = Vec::new();
        search_for_others(&mut none, &Given::default());
        assert!(none.is_empty());
    }
}
