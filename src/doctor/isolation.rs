//! Isolation: which modes of the sandbox work here, each tried with a step that does nothing.

use super::container::Container;
use super::packages::Packages;
use super::{Finding, Patient, State, tools};
use crate::sandbox::{self, Attempt, Confinement, Isolation, Means, SandboxError, Writable};
use std::fs;

/// Where `useradd` begins to give ranges, and how many ids it gives.
const FIRST: u32 = 100_000;
const RANGE: u32 = 65_536;

/// Gives what builds get, and what was found on the way.
pub(super) fn findings(
    patient: &Patient<'_>,
    container: Option<Container>,
) -> (Option<(Isolation, Means)>, Vec<Finding>) {
    let attempts = sandbox::survey(patient.sandbox);
    let best = attempts
        .iter()
        .find_map(|attempt| Some((attempt.isolation, *attempt.result.as_ref().ok()?)));
    let mode = best.map(|(isolation, means)| describe(isolation, means));
    let findings = vec![
        whole(&attempts, mode.as_deref(), best, container),
        user_namespaces(&attempts, patient, container),
        subordinate_ids(&attempts, patient),
        processes(best.map(|(_, means)| means), container),
        overlay(best.map(|(_, means)| means), patient, container),
    ];
    (best, findings)
}

pub(super) fn describe(isolation: Isolation, means: Means) -> String {
    format!(
        "{isolation}; isolation {}; steps write to {}",
        means.confinement.name(),
        match means.writable {
            Writable::Overlay => "an overlay",
            Writable::Copy => "a copy of the layers",
        }
    )
}

fn whole(
    attempts: &[Attempt],
    mode: Option<&str>,
    best: Option<(Isolation, Means)>,
    container: Option<Container>,
) -> Finding {
    const NAME: &str = "sandbox";
    if let (Some(mode), Some((isolation, means))) = (mode, best) {
        let is_best = means == Means::BEST && isolation != Isolation::SingleId;
        let state = if is_best { State::Good } else { State::Weak };
        return Finding::new(NAME, state, mode);
    }
    let error = attempts
        .iter()
        .find_map(|attempt| attempt.result.as_ref().err());
    let text = error.map_or_else(
        || "no mode works".to_owned(),
        |error| format!("no mode works: {error}"),
    );
    let hint = error.and_then(SandboxError::hint);
    Finding::new(NAME, State::Bad, text)
        .remedies(hint)
        .remedies(flags_against(error, container))
}

/// The flags of the container that make it allow what it refuses.
fn flags_against(refusal: Option<&SandboxError>, container: Option<Container>) -> Vec<String> {
    match refusal {
        // Nothing was refused, as nothing could be asked.
        Some(SandboxError::Spawn(_)) => Vec::new(),
        _ => container.map(Container::full_isolation).unwrap_or_default(),
    }
}

fn user_namespaces(
    attempts: &[Attempt],
    patient: &Patient<'_>,
    container: Option<Container>,
) -> Finding {
    const NAME: &str = "user namespaces";
    let mut refusal = None;
    for attempt in attempts.iter().filter(|it| it.isolation != Isolation::Root) {
        match &attempt.result {
            Err(
                error @ (SandboxError::Spawn(_)
                | SandboxError::UserNamespace(_)
                | SandboxError::IdMap(_)),
            ) => {
                refusal = refusal.or(Some(error));
            }
            // Whatever else fails comes after it has been made.
            _ => return Finding::good(NAME, "can be made"),
        }
    }
    let text = refusal.map_or_else(|| "were not tried".to_owned(), ToString::to_string);
    let is_needed = !attempts
        .iter()
        .any(|attempt| attempt.isolation == Isolation::Root && attempt.result.is_ok());
    let state = if is_needed {
        State::Bad
    } else {
        State::Missing
    };
    let finding = Finding::new(NAME, state, text);
    if !is_needed {
        return finding;
    }
    finding
        .remedies(refusal.and_then(SandboxError::hint))
        .remedies(apparmor_profile(patient))
        .remedies(flags_against(refusal, container))
}

/// The profile that gives hardtack alone what Ubuntu keeps from all others.
fn apparmor_profile(patient: &Patient<'_>) -> Vec<String> {
    let setting = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if setting.is_ok_and(|text| text.trim() == "1") {
        profile(patient)
    } else {
        Vec::new()
    }
}

fn profile(patient: &Patient<'_>) -> Vec<String> {
    let program = patient.program.as_ref().map_or_else(
        || "/usr/local/bin/hardtack".to_owned(),
        |path| path.display().to_string(),
    );
    vec![
        "or put these lines into /etc/apparmor.d/hardtack and run: sudo apparmor_parser --replace /etc/apparmor.d/hardtack".to_owned(),
        "    abi <abi/4.0>,".to_owned(),
        "    include <tunables/global>".to_owned(),
        format!("    profile hardtack \"{program}\" flags=(unconfined) {{"),
        "      userns,".to_owned(),
        "    }".to_owned(),
    ]
}

fn subordinate_ids(attempts: &[Attempt], patient: &Patient<'_>) -> Finding {
    const NAME: &str = "subordinate ids";
    let attempt = attempts
        .iter()
        .find(|attempt| matches!(attempt.isolation, Isolation::SubordinateIds { .. }));
    if let Some(Attempt {
        isolation: Isolation::SubordinateIds { count },
        result,
    }) = attempt
    {
        match result {
            Err(error @ SandboxError::IdMap(_)) => {
                return Finding::new(NAME, State::Weak, error.to_string()).remedies(programs());
            }
            _ => return Finding::good(NAME, format!("{count} ids, root included")),
        }
    }
    let has_all_ids = attempts.iter().any(|attempt| {
        matches!(attempt.isolation, Isolation::Root | Isolation::SameIds) && attempt.result.is_ok()
    });
    if has_all_ids {
        return Finding::good(NAME, "not needed: root has all ids");
    }
    if rustix::process::geteuid().is_root() {
        return root_ids(attempts);
    }
    let path = patient.search_path.as_deref();
    if tools::find("newuidmap", path).is_none() {
        let text = "there is no newuidmap; owners other than root are recorded instead of kept";
        return Finding::new(NAME, State::Weak, text).remedies(programs());
    }
    let text = "there is no range for this user in /etc/subuid and /etc/subgid; owners other than root are recorded instead of kept";
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let first = free_range(&[&read("/etc/subuid"), &read("/etc/subgid")]);
    let last = first.saturating_add(RANGE - 1);
    Finding::new(NAME, State::Weak, text).remedies([format!(
        "sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} $(id -un)"
    )])
}

/// Why root does not have all ids: a range of its own would be the wrong remedy.
fn root_ids(attempts: &[Attempt]) -> Finding {
    let of = |isolation: Isolation| {
        let attempt = attempts.iter().find(|it| it.isolation == isolation);
        attempt.and_then(|attempt| attempt.result.as_ref().err())
    };
    let refusal = of(Isolation::SameIds).or_else(|| of(Isolation::Root));
    let text = "this root may not use its ids; owners other than root are recorded instead of kept";
    let text = refusal.map_or_else(|| text.to_owned(), |error| format!("{text}: {error}"));
    let remedy = refusal.and_then(SandboxError::hint).unwrap_or_else(|| {
        "give the container of hardtack the capabilities of root, at least --cap-add SETFCAP"
            .to_owned()
    });
    Finding::new("subordinate ids", State::Weak, text).remedies([remedy])
}

/// The first id of a range that nobody has in files of `subuid(5)`.
fn free_range(files: &[&str]) -> u32 {
    let ends = files
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| {
            let mut numbers = line.trim().split(':').skip(1);
            let first: u32 = numbers.next()?.parse().ok()?;
            first.checked_add(numbers.next()?.parse().ok()?)
        });
    ends.max().unwrap_or(0).max(FIRST)
}

fn programs() -> Vec<String> {
    Packages::of_this_host().install("uidmap", "shadow-utils")
}

fn processes(means: Option<Means>, container: Option<Container>) -> Finding {
    const NAME: &str = "processes";
    match means.map(|means| means.confinement) {
        Some(Confinement::Full) => {
            Finding::good(NAME, "each step has a process namespace and a new /proc")
        }
        Some(Confinement::SharedProcesses) => {
            let reach = if sandbox::keeps_apart() {
                "; Landlock keeps steps from signalling and tracing the others"
            } else {
                "; steps can signal what the same user runs (Linux 6.12 could keep them from it, with Landlock)"
            };
            let text = format!("shared with this host: a new /proc is refused{reach}");
            Finding::new(NAME, State::Weak, text)
                .remedies(container.map(Container::full_isolation).unwrap_or_default())
        }
        Some(Confinement::Chroot) => Finding::new(NAME, State::Weak, "shared with this container")
            .remedies(container.map(Container::full_isolation).unwrap_or_default()),
        None => Finding::new(NAME, State::Missing, "could not be tried"),
    }
}

fn overlay(means: Option<Means>, patient: &Patient<'_>, container: Option<Container>) -> Finding {
    const NAME: &str = "overlay";
    if patient.store_refusal.is_some() {
        let text = "could not be tried where the store is to be";
        return Finding::new(NAME, State::Missing, text);
    }
    match means.map(|means| means.writable) {
        Some(Writable::Overlay) => {
            Finding::good(NAME, "the store's file system can be its upper")
        }
        Some(Writable::Copy) => Finding::new(
            NAME,
            State::Weak,
            "the store's file system cannot be its upper: each step copies all layers below it",
        )
        .remedies([
            "put the store on ext4, xfs, btrfs or tmpfs: name a folder there with --store or HARDTACK_STORE".to_owned(),
        ])
        .remedies(container.map(Container::volume)),
        None => Finding::new(NAME, State::Missing, "could not be tried"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(isolation: Isolation, result: Result<Means, SandboxError>) -> Attempt {
        Attempt { isolation, result }
    }

    #[test]
    fn only_a_mode_that_lacks_nothing_is_good() {
        let shared = Means {
            confinement: Confinement::SharedProcesses,
            ..Means::BEST
        };
        for (isolation, means, state) in [
            (Isolation::Root, Means::BEST, State::Good),
            (
                Isolation::SubordinateIds { count: 65_537 },
                Means::BEST,
                State::Good,
            ),
            (Isolation::SingleId, Means::BEST, State::Weak),
            (Isolation::Root, shared, State::Weak),
        ] {
            let mode = describe(isolation, means);
            let found = whole(&[], Some(&mode), Some((isolation, means)), None);
            assert_eq!(found.state, state, "{mode}");
        }
    }

    #[test]
    fn root_is_told_of_capabilities_and_not_of_ranges() {
        let refused = || Err(SandboxError::IdMap("not permitted".to_owned()));
        let cases = [
            vec![
                attempt(Isolation::SameIds, refused()),
                attempt(Isolation::SingleId, refused()),
            ],
            vec![attempt(Isolation::SingleId, Ok(Means::BEST))],
        ];
        for attempts in cases {
            let found = root_ids(&attempts);
            assert_eq!(found.remedies.len(), 1);
            assert!(!found.remedies[0].contains("usermod"), "{found:?}");
            assert!(!found.text.contains("/etc/subuid"), "{found:?}");
        }
    }

    #[test]
    fn nobody_is_given_the_ids_of_another() {
        assert_eq!(free_range(&["", ""]), 100_000);
        assert_eq!(
            free_range(&["a:100000:65536\nb:1:5\n", "a:300000:1000"]),
            301_000
        );
        assert_eq!(free_range(&["broken\na:4294967295:65536\n"]), 100_000);
    }

    #[test]
    fn a_refusal_comes_with_the_flags_of_the_container() {
        let refused = || Err(SandboxError::UserNamespace("not permitted".to_owned()));
        let attempts = [attempt(Isolation::SingleId, refused())];
        let found = whole(&attempts, None, None, Some(Container::Podman));
        assert_eq!(found.state, State::Bad);
        assert!(found.text.contains("not permitted"), "{}", found.text);
        assert!(found.remedies.iter().any(|it| it.contains("unmask=ALL")));
        let lost = SandboxError::Spawn(std::io::ErrorKind::NotFound.into());
        let attempts = [attempt(Isolation::SingleId, Err(lost))];
        let found = whole(&attempts, None, None, Some(Container::Podman));
        assert!(!found.remedies.iter().any(|it| it.contains("unmask=ALL")));
    }
}
