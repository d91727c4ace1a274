//! Hardening: what the init of a step gives up before the first command runs.

use super::means::Means;
use super::protocol::{Limits, Network};
use super::{landlock, seccomp, sys};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, set_thread_groups,
};
use std::os::fd::OwnedFd;

/// Docker's default set.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// Open files: more than any build needs, few enough for programs that close them one by one.
const OPEN_FILES: u64 = 65_536;
/// Processes of one user, against fork bombs. Real root is not bound by it.
const PROCESSES: u64 = 32_768;

/// Sets limits, installs the seccomp programs and drops capabilities; gives the listener for calls
/// that are handed over where there is a single id.
pub fn harden(
    user_namespace: bool,
    many_ids: bool,
    means: Means,
    limits: &Limits,
    network: Network,
) -> Result<Option<OwnedFd>, String> {
    // Its descriptors lead to folders of the host, and its program is hardtack itself
    // (CVE-2019-5736): nobody inside may look into PID 1.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("protect the first process: {error}"))?;
    // Until here they let it open what the caller may read. A single id may not change them; they
    // then give nothing inside.
    match set_thread_groups(&[]) {
        Err(error) if many_ids => return Err(format!("give up the caller's groups: {error}")),
        _ => {}
    }
    limit(Resource::Core, 0);
    let or = |wanted: Option<u64>, usual: u64| wanted.unwrap_or(usual);
    limit(Resource::Nofile, or(limits.open_files, OPEN_FILES));
    limit(Resource::Nproc, or(limits.processes, PROCESSES));
    for (resource, wanted) in [
        (Resource::As, limits.memory),
        (Resource::Fsize, limits.file_size),
    ] {
        if let Some(wanted) = wanted {
            limit(resource, wanted);
        }
    }
    if let Some(time) = limits.cpu_time {
        // A part of a second counts as one. Who does not end at the signal that tells of the limit
        // is killed a second later.
        let seconds = time
            .as_secs()
            .saturating_add(u64::from(time.subsec_nanos() > 0));
        limit(Resource::Cpu, seconds.saturating_add(1));
        limit_softly(Resource::Cpu, seconds);
    }

    // In a user namespace that is the boundary, and set-user-id programs of the image work; for
    // real root nothing may ever gain more than the step has.
    if !user_namespace {
        set_no_new_privs(true).map_err(|error| format!("set no_new_privs: {error}"))?;
    }
    // Takes one of the two: no new privileges, or those that are given up below.
    if !means.has_process_namespace() {
        landlock::enter_domain().map_err(|error| format!("enter a Landlock domain: {error}"))?;
        sys::install_seccomp(&seccomp::shared_processes_program(), false)
            .map_err(|error| format!("install the seccomp program for limits: {error}"))?;
    }
    let listener = if many_ids {
        None
    } else {
        sys::install_seccomp(&seccomp::single_id_program(), true)
            .map_err(|error| format!("install the seccomp program for a single id: {error}"))?
    };
    sys::install_seccomp(&seccomp::program(), false)
        .map_err(|error| format!("install the seccomp program: {error}"))?;

    let mut kept = KEPT;
    if !user_namespace && network == Network::Host {
        // A raw socket of real root would show all that passes on the machine.
        kept.remove(CapabilitySet::NET_RAW);
    }
    if !means.has_namespaces() {
        // Who may enter another root leaves the first one.
        kept.remove(CapabilitySet::SYS_CHROOT);
    }
    for capability in CapabilitySet::all().iter() {
        if !kept.contains(capability) {
            // The kernel may know fewer than this list.
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    let held = capabilities(None).map_err(|error| format!("read capabilities: {error}"))?;
    let kept = held.permitted & kept;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(|error| format!("drop capabilities: {error}"))?;
    Ok(listener)
}

/// Lowers a limit that a process may raise again.
fn limit_softly(resource: Resource, value: u64) {
    let maximum = getrlimit(resource).maximum;
    let current = maximum.map_or(value, |maximum| maximum.min(value));
    // As below.
    let _ = setrlimit(
        resource,
        Rlimit {
            current: Some(current),
            maximum,
        },
    );
}

/// Lowers a limit; where the host's own is lower, that one stays.
fn limit(resource: Resource, value: u64) {
    let current = getrlimit(resource);
    let maximum = current.maximum.map_or(value, |maximum| maximum.min(value));
    // Lowering is always allowed.
    let _ = setrlimit(
        resource,
        Rlimit {
            current: Some(maximum),
            maximum: Some(maximum),
        },
    );
}
